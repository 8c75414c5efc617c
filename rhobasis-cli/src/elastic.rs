//! `rhobasis elastic`: lattice constants, elastic constants and equation of state of a crystal.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rhobasis::extxyz::Reader;
use rhobasis::potential::{
    BirchMurnaghan, ElasticConstants, RelaxSettings, Relaxed, energies_of_volumes, lattice_constants, relax,
};
use rhobasis::{Error, Result, Structure};

use crate::driver::{Driver, note_ignored};
use crate::failure::Outcome;
use crate::files::{Files, Holds};
use crate::input::Keys;
use crate::output;
use crate::plot::{self, Panel, Series};
use crate::relax::Limits;
use crate::text::{Table, count, field, warn};

/// Lattice constants, elastic constants and equation of state of a crystal, all atoms at rest
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Elastic {
    /// File of a potential, *.rho, as 'rhobasis train' writes it
    model: PathBuf,
    /// Extended XYZ file; its first frame is the crystal, or that of a slice: data.xyz@17
    data: String,
    /// Strain at which stresses are taken, up and down
    #[arg(long, value_name = "X", default_value_t = 0.003)]
    strain: f64,
    /// Volumes of the equation of state, from 94 to 106 % of that at rest
    #[arg(long, value_name = "N", default_value_t = 13, value_parser = clap::value_parser!(u32).range(5..=1000))]
    volumes: u32,
    /// Draw the equation of state into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
}

const EXAMPLE: &str = "\
Example:
  rhobasis elastic silicon.rho silicon.xyz@0 --plot silicon-eos.svg";

/// How far the volumes of the equation of state go, as a fraction of that at rest.
const RANGE: f64 = 0.06;

impl Elastic {
    pub fn files(&self) -> Files {
        Files::reading([&self.model]).and_data([&self.data]).writing("--plot", Holds::Picture, &self.plot)
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        if let Some(path) = &self.plot {
            output::check(path, &["svg"])?;
        }
        let settings = self.limits.settings(Some(0.0))?;
        let driver = Driver::load(&self.model)?;
        let mut reader = Reader::open(&self.data, &Keys::none())?;
        let Some(frame) = reader.next().transpose()? else {
            return Err(Error::file(&self.data, "no frame is selected", "change the slice after the '@'").into());
        };
        let index = reader.frame_index().unwrap_or(0);
        let file = reader.path().map_or(PathBuf::from(&self.data), PathBuf::from);
        let place = format!("{}, frame {index}", file.display());
        note_ignored(&frame, &place);
        field(out, "crystal", format!("{place}, {} atoms", count(frame.len())))?;
        let told = self.tell_all(frame, &settings, &driver, out);
        driver.warn(|| place);
        told.map_err(|failure| failure.located(|e| e.at_frame(index).in_file(&file)))
    }

    fn tell_all(&self, frame: Structure, settings: &RelaxSettings, driver: &Driver, out: &mut dyn Write) -> Outcome {
        let crystal = relax(frame, settings, |structure| driver.evaluate(structure))?;
        at_rest(&crystal, out)?;
        out.flush()?;
        let evaluate = |structure: &Structure| driver.evaluate(structure);
        let constants = ElasticConstants::of(&crystal.structure, self.strain, settings, evaluate)?;
        write_constants(&constants, out)?;
        out.flush()?;
        let step = 2.0 * RANGE / f64::from(self.volumes - 1);
        let scales: Vec<f64> = (0..self.volumes).map(|k| 1.0 - RANGE + step * f64::from(k)).collect();
        let points = energies_of_volumes(&crystal.structure, &scales, settings, evaluate)?;
        let curve = BirchMurnaghan::fit(&points)?;
        write_curve(&curve, &points, crystal.structure.len(), out)?;
        if let Some(path) = &self.plot {
            draw(&curve, &points, crystal.structure.len(), path)?;
            writeln!(out, "wrote {}", path.display())?;
        }
        Ok(())
    }
}

fn at_rest(crystal: &Relaxed, out: &mut dyn Write) -> io::Result<()> {
    let n = crystal.structure.len() as f64;
    let [a, b, c, alpha, beta, gamma] = lattice_constants(&crystal.structure);
    field(out, "lattice", format!("a {a:.5}, b {b:.5}, c {c:.5} Å; α {alpha:.3}, β {beta:.3}, γ {gamma:.3}°"))?;
    field(out, "volume", format!("{:.5} Å³ per atom", crystal.structure.volume() / n))?;
    field(out, "energy", format!("{:.6} eV per atom", crystal.evaluated.energy / n))?;
    let left = format!("{:.1e} eV/Å, {:.1e} GPa", crystal.fmax, crystal.smax.unwrap_or(0.0));
    field(out, "at rest after", format!("{} steps, but for {left}", count(crystal.steps)))
}

fn write_constants(constants: &ElasticConstants, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nELASTIC CONSTANTS, GPa, atoms at rest in the strained cell (xx, yy, zz, yz, xz, xy)")?;
    let mut table = Table::default();
    for (i, row) in constants.c.iter().enumerate() {
        table.row([format!("C{}j", i + 1)].into_iter().chain(row.iter().map(|x| format!("{:.2}", x + 0.0))));
    }
    table.write(out)?;
    writeln!(out)?;
    let (voigt, reuss) = ([constants.bulk_voigt(), constants.shear_voigt()], constants.reuss());
    for (k, name) in ["bulk modulus", "shear modulus"].into_iter().enumerate() {
        let reuss = reuss.map_or(String::new(), |reuss| {
            format!(", {:.2} GPa (Reuss), {:.2} GPa (Hill)", reuss[k], 0.5 * (voigt[k] + reuss[k]))
        });
        field(out, name, format!("{:.2} GPa (Voigt){reuss}", voigt[k]))?;
    }
    field(out, "symmetry", format!("C_ij and C_ji differ by {:.1e} GPa at most", constants.asymmetry))?;
    let smallest = constants.smallest();
    if smallest <= 0.0 {
        warn(format!(
            "the smallest eigenvalue of C is {smallest:.2} GPa: a strain lowers the energy, the crystal is not stable"
        ));
    }
    Ok(())
}

fn write_curve(curve: &BirchMurnaghan, points: &[[f64; 2]], n_atoms: usize, out: &mut dyn Write) -> io::Result<()> {
    let n = n_atoms as f64;
    writeln!(out, "\nEQUATION OF STATE, per atom; pressures are those of the fit")?;
    let mut table = Table::new(["V Å³", "E eV", "fit − E meV", "P GPa"]);
    for &[volume, energy] in points {
        let [v, e, off, p] = [volume / n, energy / n, 1e3 * (curve.at(volume) - energy) / n, curve.pressure(volume)];
        table.row([format!("{v:.5}"), format!("{e:.6}"), format!("{:.4}", off + 0.0), format!("{p:.3}")]);
    }
    table.write(out)?;
    writeln!(out)?;
    let BirchMurnaghan { volume, energy, bulk, derivative, error, .. } = curve;
    let (v, e) = (volume / n, energy / n);
    field(out, "Birch-Murnaghan", format!("V_0 {v:.5} Å³, E_0 {e:.6} eV, B_0 {bulk:.2} GPa, B_0' {derivative:.3}"))?;
    field(out, "", format!("third order; no point is further from it than {:.4} meV per atom", 1e3 * error / n))?;
    if is_broken(curve, points) {
        warn(
            "these energies lie on no one curve: atoms settle elsewhere on the way, so that V_0, B_0 and B_0' are not the crystal's",
        );
    }
    Ok(())
}

/// Whether points lie further from the curve than a twentieth of the range of their energies; those of one crystal have a thousandth.
fn is_broken(curve: &BirchMurnaghan, points: &[[f64; 2]]) -> bool {
    let energies = points.iter().map(|point| point[1]);
    let range = energies.clone().fold(f64::NEG_INFINITY, f64::max) - energies.fold(f64::INFINITY, f64::min);
    curve.error > range / 20.0
}

fn draw(curve: &BirchMurnaghan, points: &[[f64; 2]], n_atoms: usize, path: &Path) -> Result<()> {
    let n = n_atoms as f64;
    let (first, last) = (points[0][0], points[points.len() - 1][0]);
    let line = (0..=200).map(|k| first + (last - first) * f64::from(k) / 200.0);
    let line = line.map(|v| (v / n, 1e3 * (curve.at(v) - curve.energy) / n)).collect();
    let points = points.iter().map(|p| (p[0] / n, 1e3 * (p[1] - curve.energy) / n)).collect();
    let panel = Panel::new("equation of state", "volume, Å³ per atom", "energy, meV per atom")
        .series(Series::line("Birch–Murnaghan", line))
        .series(Series::points("potential", points));
    plot::write(path, &[panel], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energies_with_a_step_are_on_no_one_curve() {
        let mut points: Vec<[f64; 2]> =
            (0..13).map(|k| 0.94 + 0.01 * f64::from(k)).map(|v| [20.0 * v, (v - 1.0).powi(2)]).collect();
        assert!(!is_broken(&BirchMurnaghan::fit(&points).unwrap(), &points));
        points[0][1] -= 0.003;
        assert!(is_broken(&BirchMurnaghan::fit(&points).unwrap(), &points));
    }
}
