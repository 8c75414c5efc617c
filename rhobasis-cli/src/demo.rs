//! `rhobasis demo`: the whole story on bundled data.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use ndarray::Array2;
use rhobasis::correlations::Invariants;
use rhobasis::density::{
    Density, Equivariants, ExpansionSettings, Primitive, RadialScaling, Sigma, SphericalExpansion,
};
use rhobasis::extxyz::SourceFile;
use rhobasis::files::{self, Stored};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::structure::symbol;
use rhobasis::{Error, Result, Structure, extxyz};

use crate::failure::Outcome;
use crate::files::{Files, Holds};
use crate::plot::{self, Panel, Series};
use crate::text::{Table, count, tell};
use crate::{made_by, output, show};

/// Silicon labelled with the Stillinger-Weber potential; examples/data/README.md says how it was made.
const SILICON: &[u8] = include_bytes!("../data/silicon.xyz.xz");
/// Small molecules of H, C, N, O, F labelled with GFN2-xTB; examples/data/README.md says how they were made.
const MOLECULES: &[u8] = include_bytes!("../data/molecules.xyz.xz");

/// Residual variance at which bases are compared, as in Fig. 2 of the paper.
const LEVEL: f64 = 1e-4;

/// See the whole story on bundled data: what an optimal basis is, what it saves, what it costs; with pictures
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Demo {
    /// Folder for data, basis files and pictures; made if it does not exist
    #[arg(short, long, default_value = "rhobasis-demo")]
    output: PathBuf,
}

const EXAMPLE: &str = "\
Example:
  rhobasis demo -o /tmp/rhobasis-demo";

/// What the demo writes, besides its data.
const BASES: [&str; 2] = ["silicon.rho", "molecules.rho"];
const PICTURES: [&str; 3] = ["silicon-basis.svg", "silicon-functions-needed.svg", "molecules-functions-needed.svg"];

impl Demo {
    /// In a folder with its data, what an earlier demo has left is written anew.
    fn files(&self) -> Files {
        let paths = |names: &[&str]| -> Vec<PathBuf> { names.iter().map(|name| self.output.join(name)).collect() };
        Files::default()
            .going_on("the data", Holds::Checkpoint, &paths(&["silicon.xyz.xz", "molecules.xyz.xz"]))
            .writing("the bases", Holds::Archive(OptimalBasis::KIND), &paths(&BASES))
            .writing("the pictures", Holds::Picture, &paths(&PICTURES))
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        let folder = &self.output;
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        output::check_folder(folder)?;
        self.files().check()?;
        tell("memory: about 200 MB");
        let start = Instant::now();
        let silicon = self.silicon(out)?;
        let molecules = self.molecules(out)?;
        writeln!(out, "\nIN SHORT ({:.0} s)", start.elapsed().as_secs_f64())?;
        writeln!(
            out,
            "  To describe silicon to {LEVEL:.0e} of the variance of its atom density takes {} radial functions made for it;\n  \
             of the usual Gaussian-type orbitals it takes {}. They are evaluated directly, through splines, at {:.0} % of the\n  \
             cost of the 20 orbitals they are made of. For molecules of five elements, {} functions for all elements\n  \
             together do the work of {} when each element has its own, and of {} orbitals.",
            silicon.optimal,
            silicon.primitive,
            100.0 * silicon.cost,
            molecules.combined,
            molecules.per_species,
            molecules.primitive,
        )?;
        writeln!(out, "  Pictures: {}", folder.join("*.svg").display())?;
        writeln!(
            out,
            "\nnow your own file:\n  rhobasis info FILE.xyz\n  rhobasis fit FILE.xyz -o FILE.rho --mixing combined\n  rhobasis show FILE.rho --plot FILE.svg\n  rhobasis features FILE.xyz --basis FILE.rho --kind power-spectrum -o FILE.npz"
        )?;
        Ok(())
    }

    fn silicon(&self, out: &mut dyn Write) -> Outcome<Silicon> {
        let (path, frames) = self.unpack("silicon.xyz.xz", SILICON)?;
        let atoms: usize = frames.iter().map(Structure::len).sum();
        writeln!(out, "1. SILICON: {} frames, {} atoms ({})", frames.len(), count(atoms), path.display())?;
        writeln!(
            out,
            "   rattled and strained crystals, liquid, vacancies, surfaces; try: rhobasis info {}",
            path.display()
        )?;
        let density = Density { r_cut: 6.0, sigma: Sigma::Same(0.5), ..Density::default() };
        let settings = CovarianceSettings {
            expansion: ExpansionSettings { density, l_max: 6, ..ExpansionSettings::default() },
            mixing: Mixing::PerSpecies,
            center_specific: false,
            weighting: None,
        };
        let n_max = settings.expansion.primitive.n_max();
        let mut covariance = covariance_of(&settings, &frames)?;
        covariance.set_files(vec![source(&path, &frames)?], None);
        let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(8))?;
        let rho = self.output.join(BASES[0]);
        made_by::save(&basis, &rho)?;
        writeln!(
            out,
            "\n2. THE OPTIMAL BASIS of its atom density (r_cut 6 Å, sigma 0.5 Å, l up to 6), from {n_max} Gaussian-type orbitals (GTO)"
        )?;
        writeln!(out, "   eigenvalues of the covariance of the density, l = 0: {}", leading(&basis))?;
        writeln!(out, "   saved as {}", rho.display())?;

        let optimal = basis.residual_variance(None);
        let primitive = primitive_residuals(&settings, &frames, total_variance(&covariance))?;
        writeln!(out, "\n3. HOW MANY FUNCTIONS for each l are needed? Part of the variance that is left out:")?;
        let mut table = Table::new(["functions", "optimal", "GTO of that size"]);
        for n in [1, 2, 4, 6, 8, 10, 12, 16] {
            table.row([n.to_string(), format!("{:.1e}", optimal[n]), format!("{:.1e}", primitive[n])]);
        }
        table.write(out)?;
        let svg = self.output.join(PICTURES[0]);
        show::draw(&basis, None, &svg)?;
        let compared = self.output.join(PICTURES[1]);
        draw_residuals(
            &compared,
            "Silicon",
            "functions for each l",
            &[("optimal", 1, &optimal), ("GTO", 1, &primitive)],
        )?;
        writeln!(out, "   drawn in {} and {}", svg.display(), compared.display())?;

        let cost = self.check_and_time(&settings, &covariance, &frames, out)?;
        self.power_spectra(&settings, &basis, &frames, out)?;
        Ok(Silicon { optimal: first_below(&optimal), primitive: first_below(&primitive), cost })
    }

    /// Eqs. (7) = (8), and the time of both.
    fn check_and_time(
        &self,
        settings: &CovarianceSettings,
        covariance: &Covariance,
        frames: &[Structure],
        out: &mut dyn Write,
    ) -> Outcome<f64> {
        let basis = OptimalBasis::from_covariance(covariance, Truncation::QMax(4))?;
        let expansion = SphericalExpansion::new(&settings.expansion, basis.species())?;
        let few = &frames[..frames.len().min(100)];
        let (mut direct_seconds, mut primitive_seconds, mut two_step_seconds) = (f64::MAX, f64::MAX, f64::MAX);
        let (contraction, mut difference) = (basis.contraction(), 0.0);
        for _ in 0..3 {
            let start = Instant::now();
            let direct = basis.transform(few)?;
            direct_seconds = direct_seconds.min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let primitive = expansion.forward(few)?;
            primitive_seconds = primitive_seconds.min(start.elapsed().as_secs_f64());
            let contracted = contraction.forward(&primitive)?;
            two_step_seconds = two_step_seconds.min(start.elapsed().as_secs_f64());
            difference = relative_difference(&direct, &contracted);
        }
        writeln!(
            out,
            "\n4. CHECK: coefficients computed directly equal those of the {} orbitals, contracted afterwards,",
            settings.expansion.primitive.n_max()
        )?;
        writeln!(out, "   to {difference:.0e} of the largest one (the splines are made to 1e-8)")?;
        let atoms: usize = few.iter().map(Structure::len).sum();
        let per_atom = |seconds: f64| format!("{:.1} µs", 1e6 * seconds / atoms as f64);
        writeln!(out, "   time per atom, {} at a time:", crate::text::plural(rayon::current_num_threads(), "thread"))?;
        let mut table = Table::new(["", "time", "of the primitive"]);
        let mut row = |what: &str, seconds: f64| {
            table.row([what.to_string(), per_atom(seconds), format!("{:.0} %", 100.0 * seconds / primitive_seconds)]);
        };
        row("primitive, n = 20", primitive_seconds);
        row("primitive, then contracted to q = 4", two_step_seconds);
        row("optimal, q = 4, directly", direct_seconds);
        table.write(out)?;
        Ok(direct_seconds / primitive_seconds)
    }

    /// Eq. (15) in both bases, and how far the similarities of atoms agree.
    fn power_spectra(
        &self,
        settings: &CovarianceSettings,
        basis: &OptimalBasis,
        frames: &[Structure],
        out: &mut dyn Write,
    ) -> Outcome {
        let few: Vec<Structure> = frames.iter().step_by(10).cloned().collect();
        let atoms: usize = few.iter().map(Structure::len).sum();
        let primitive = SphericalExpansion::new(&settings.expansion, basis.species())?;
        let timed = |expansion: &SphericalExpansion| -> Result<(Array2<f64>, f64)> {
            let soap = Invariants::power_spectrum(expansion, None, true)?;
            let (mut x, mut seconds) = (soap.forward(&few)?, f64::MAX);
            for _ in 0..3 {
                let start = Instant::now();
                soap.forward_to(&few, None, None, x.view_mut())?;
                seconds = seconds.min(start.elapsed().as_secs_f64());
            }
            Ok((x, 1e6 * seconds / atoms as f64))
        };
        writeln!(
            out,
            "\n5. FEATURES for models: the power spectrum of each atom, which no rotation changes, Eq. (15)"
        )?;
        let (all, optimal) = (timed(&primitive)?, timed(basis.expansion())?);
        let mut table = Table::new(["", "columns", "time per atom"]);
        let n_max = settings.expansion.primitive.n_max();
        for (what, (x, time)) in [(format!("primitive, n = {n_max}"), &all), ("optimal, q = 8".into(), &optimal)] {
            table.row([what, count(x.ncols()), format!("{time:.1} µs")]);
        }
        table.write(out)?;
        let difference = optimal.0.dot(&optimal.0.t()) - all.0.dot(&all.0.t());
        let largest = difference.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        writeln!(
            out,
            "   similarities of any two of {} atoms (dot products, up to 1) differ by {largest:.0e} at most",
            count(atoms)
        )?;
        let file = |name: &str| self.output.join(name).display().to_string();
        writeln!(
            out,
            "   as a file: rhobasis features {} --basis {} --kind power-spectrum -o {}",
            file("silicon.xyz.xz"),
            file("silicon.rho"),
            file("silicon.npz")
        )?;
        Ok(())
    }

    fn molecules(&self, out: &mut dyn Write) -> Outcome<Molecules> {
        let (path, frames) = self.unpack("molecules.xyz.xz", MOLECULES)?;
        let atoms: usize = frames.iter().map(Structure::len).sum();
        let scaling = Some(RadialScaling { rate: 1.0, scale: 2.0, exponent: 7.0 });
        let density = Density { r_cut: 3.5, sigma: Sigma::Same(0.2), scaling, ..Density::default() };
        let settings = CovarianceSettings {
            expansion: ExpansionSettings { density, l_max: 5, ..ExpansionSettings::default() },
            mixing: Mixing::Combined,
            center_specific: false,
            weighting: None,
        };
        let mut covariance = covariance_of(&settings, &frames)?;
        covariance.set_files(vec![source(&path, &frames)?], None);
        let species = covariance.species();
        let names: Vec<&str> = species.iter().map(|&z| symbol(z)).collect();
        writeln!(
            out,
            "\n6. MOLECULES of {}: {} frames, {} atoms ({})",
            names.join(" "),
            count(frames.len()),
            count(atoms),
            path.display()
        )?;
        let combined = OptimalBasis::from_covariance(&covariance, Truncation::Retain(1.0 - LEVEL))?;
        let rho = self.output.join(BASES[1]);
        made_by::save(&combined, &rho)?;
        let separate = CovarianceSettings { mixing: Mixing::PerSpecies, ..settings.clone() };
        let separate = OptimalBasis::from_covariance(&covariance_of(&separate, &frames)?, Truncation::QMax(1))?;
        let primitive = primitive_residuals(&settings, &frames, total_variance(&covariance))?;
        let (combined, separate) = (combined.residual_variance(None), separate.residual_variance(None));
        let n = species.len();
        let (q_combined, q_separate, n_primitive) =
            (first_below(&combined), n * first_below(&separate), n * first_below(&primitive));
        writeln!(out, "   functions for each l until less than {LEVEL:.0e} of the variance is left out:")?;
        let mut table = Table::new(["", "functions"]);
        table.row(["all elements combined".to_string(), q_combined.to_string()]);
        table.row([format!("each of {n} elements apart"), q_separate.to_string()]);
        table.row([format!("GTO for each of {n} elements"), n_primitive.to_string()]);
        table.write(out)?;
        let svg = self.output.join(PICTURES[2]);
        let curves: [Curve; 3] = [("combined", 1, &combined), ("per species", n, &separate), ("GTO", n, &primitive)];
        draw_residuals(&svg, "Molecules", "functions for each l, all species", &curves)?;
        writeln!(out, "   saved as {}, drawn in {}", rho.display(), svg.display())?;
        Ok(Molecules { combined: q_combined, per_species: q_separate, primitive: n_primitive })
    }

    /// Writes bundled data into the folder and reads it from there.
    fn unpack(&self, name: &str, bytes: &[u8]) -> Result<(PathBuf, Vec<Structure>)> {
        let path = self.output.join(name);
        if std::fs::read(&path).is_ok_and(|found| found != bytes) {
            let problem = "is another file than the bundled one, and would be overwritten";
            return Err(Error::file(path, problem, "let the demo write elsewhere, with -o FOLDER"));
        }
        files::write_atomically(&path, |file| file.write_all(bytes))?;
        let frames = extxyz::read(&path, &extxyz::Options::default())?;
        Ok((path, frames))
    }
}

/// Functions for each l at [`LEVEL`], and the cost of four optimal functions relative to all primitive ones.
struct Silicon {
    optimal: usize,
    primitive: usize,
    cost: f64,
}

/// Functions for each l at [`LEVEL`].
struct Molecules {
    combined: usize,
    per_species: usize,
    primitive: usize,
}

/// Name, functions that each step of q adds, and the residual variance by q.
type Curve<'a> = (&'a str, usize, &'a [f64]);

fn covariance_of(settings: &CovarianceSettings, frames: &[Structure]) -> Result<Covariance> {
    let mut covariance = Covariance::new(settings)?;
    covariance.add(frames, None)?;
    Ok(covariance)
}

fn source(path: &Path, frames: &[Structure]) -> Result<SourceFile> {
    Ok(SourceFile { path: path.display().to_string(), frames: frames.len(), sha256: files::sha256(path)? })
}

/// Mean squared norm of the coefficients of a centre: the trace of the covariance over all l.
fn total_variance(covariance: &Covariance) -> f64 {
    let l_max = covariance.settings().expansion.l_max;
    (0..=l_max).map(|l| covariance.matrix(None, l, &covariance.species()).diag().sum()).sum()
}

/// 1 − |c(n)|²/|c(n_max)|² for the primitive bases of n = 0, 1, …, n_max functions. The bases are not nested, so this can
/// turn slightly negative.
fn primitive_residuals(settings: &CovarianceSettings, frames: &[Structure], total: f64) -> Result<Vec<f64>> {
    let n_max = settings.expansion.primitive.n_max();
    let mut residuals = vec![1.0];
    for n in 1..n_max {
        let mut smaller = settings.clone();
        smaller.mixing = Mixing::PerSpecies;
        smaller.expansion.primitive = Primitive::Gto { n_max: n };
        residuals.push(1.0 - total_variance(&covariance_of(&smaller, frames)?) / total);
    }
    residuals.push(0.0);
    Ok(residuals)
}

/// The number of functions at which the residual variance first falls below [`LEVEL`].
fn first_below(residuals: &[f64]) -> usize {
    residuals.iter().position(|&v| v < LEVEL).unwrap_or(residuals.len())
}

fn leading(basis: &OptimalBasis) -> String {
    let eigenvalues = &basis.kinds()[0].blocks[0].contraction.eigenvalues;
    eigenvalues.iter().take(8).map(|e| format!("{e:.1e}")).collect::<Vec<_>>().join(" ")
}

fn relative_difference(a: &Equivariants, b: &Equivariants) -> f64 {
    let pairs = a.blocks.iter().flatten().zip(b.blocks.iter().flatten());
    let (difference, largest) = pairs.fold((0.0_f64, 0.0_f64), |(d, m), (a, b)| (d.max((a - b).abs()), m.max(a.abs())));
    difference / largest
}

fn draw_residuals(path: &Path, title: &str, x: &str, curves: &[Curve]) -> Result<()> {
    let mut panel = Panel::new(title, x, "variance left out").log_y();
    for (name, step, residuals) in curves {
        let points = residuals.iter().enumerate().map(|(q, &v)| ((q * step) as f64, v));
        panel = panel.series(Series::marked(*name, points.filter(|(_, v)| *v > 1e-8).collect()));
    }
    plot::write(path, &[panel], 1)
}
