//! `rhobasis show`: what is in a basis file, in one of NICE, of a potential or of a model of a tensor.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rhobasis::correlations::Nice;
use rhobasis::files::{Stored, kind_of};
use rhobasis::optimal::{
    ContractionBlock, Covariance, KindOfBasis, Method, Mixing, OptimalBasis, SupervisedSettings, Truncation,
};
use rhobasis::potential::{Potential, TrainingPart};
use rhobasis::structure::symbol;
use rhobasis::{Error, Result};

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::load;
use crate::made_by;
use crate::nice;
use crate::output;
use crate::plot::{self, Panel, Series};
use crate::settings::element;
use crate::show_data::{self, scaling_text};
use crate::show_potential;
use crate::tensors;
use crate::text::{Table, count, field};

/// Show a basis, the account of NICE, a potential or a model of a tensor: settings, spectrum, residual variance, smallest distances
///
/// Of an accumulator (*.cov, *.rows) and of features (*.npz, *.npy) it tells what they hold; of all of them, the command that made them.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Show {
    /// Basis file, potential or model of a tensor, *.rho; or *.nice, *.cov, *.rows, *.npz, *.npy
    basis: PathBuf,
    /// Draw spectrum, residual variance and radial functions (of NICE, its account and spectra) into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print functions R(x = R), Eq. (10), and integrals I(r = R), Eq. (9), at this distance in Å
    #[arg(long, value_name = "R")]
    at: Option<f64>,
    /// Write the numbers to PREFIX-eigenvalues.csv, PREFIX-residual-variance.csv and PREFIX-functions.csv
    #[arg(long, value_name = "PREFIX")]
    csv: Option<PathBuf>,
    /// Species of centre whose basis is shown; needed for --plot, --at and --csv of a centre-specific basis
    #[arg(long, value_name = "SYMBOL")]
    center: Option<String>,
}

const EXAMPLE: &str = "\
Example:
  rhobasis show silicon.rho --plot silicon.svg --at 2.35
Example: what a potential was trained on, and where it knows nothing
  rhobasis show potential.rho
Example: with which command features were made
  rhobasis show X.npz";

impl Show {
    pub fn files(&self) -> Files {
        let files = Files::reading([&self.basis]).writing("--plot", Holds::Picture, &self.plot);
        let tables = self.csv.iter().flat_map(|prefix| TABLES.map(|what| table_path(prefix, what)));
        files.writing("--csv", Holds::Table, &tables.collect::<Vec<_>>())
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        let center = self.center.as_deref().map(|name| element("--center", name)).transpose()?;
        if let Some(at) = self.at.filter(|r| !(r.is_finite() && *r >= 0.0)) {
            return Err(Failure::usage(format!("--at {at}: a distance is zero or a positive number, in Å")));
        }
        if let Some(path) = &self.plot {
            output::check(path, &["svg"])?;
        }
        if let Some(prefix) = &self.csv {
            output::check_folder(output::folder_of(prefix))?;
        }
        if kind_of(&self.basis).as_deref() == Some(Nice::KIND) {
            return self.show_nice(out);
        }
        if kind_of(&self.basis).as_deref() == Some(Potential::KIND) {
            self.check_no_flag("a potential")?;
            return Ok(show_potential::show(&load(&self.basis)?, &self.basis, out)?);
        }
        if tensors::is_model(&self.basis) {
            self.check_no_flag("a model")?;
            return tensors::show(&self.basis, out);
        }
        if kind_of(&self.basis).as_deref() == Some(Covariance::KIND) {
            self.check_no_flag("an accumulator")?;
            return Ok(show_data::covariance(&load(&self.basis)?, &self.basis, out)?);
        }
        if kind_of(&self.basis).as_deref() == Some(TrainingPart::KIND) {
            self.check_no_flag("rows of a fit")?;
            return Ok(show_data::rows(&TrainingPart::load(&self.basis)?, &self.basis, out)?);
        }
        if self.basis.extension().is_some_and(|e| e == "npz" || e == "npy") {
            self.check_no_flag("a file of arrays")?;
            return show_data::arrays(&self.basis, out);
        }
        let basis: OptimalBasis = load(&self.basis)?;
        let needs_one = self.plot.is_some() || self.at.is_some() || self.csv.is_some();
        if center.is_some() || needs_one {
            basis.kind(center)?;
        }
        summary(&basis, made_by::told(&self.basis), out)?;
        for kind in basis.kinds().iter().filter(|k| center.is_none() || k.center == center) {
            spectrum(kind, basis.settings().method, out)?;
        }
        let discarded = basis.discarded_variance();
        writeln!(out, "\nThe channels of this basis leave out {discarded:.2e} of the variance{}.", of_density(&basis))?;
        for warning in basis.warnings() {
            writeln!(out, "warning: {warning}")?;
        }
        if let Some(r) = self.at {
            at_distance(&basis, center, r, out)?;
        }
        if let Some(path) = &self.plot {
            draw(&basis, center, path)?;
            writeln!(out, "wrote {}", path.display())?;
        }
        if let Some(prefix) = &self.csv {
            write_csv(&basis, center, prefix, out)?;
        }
        if !needs_one {
            let rho = self.basis.display();
            let svg = self.basis.with_extension("svg");
            let center = basis.kinds()[0].center.map_or(String::new(), |z| format!(" --center {}", symbol(z)));
            writeln!(out, "next: rhobasis show {rho} --plot {}{center}", svg.display())?;
        }
        Ok(())
    }
}

impl Show {
    /// Refuses what can only be shown of a basis.
    fn check_no_flag(&self, what: &str) -> Outcome {
        if self.at.is_some() || self.csv.is_some() || self.center.is_some() || self.plot.is_some() {
            let problem = format!("--at, --csv, --center and --plot are for a basis, and this is {what}");
            return Err(Failure::usage(problem));
        }
        Ok(())
    }

    fn show_nice(&self, out: &mut dyn Write) -> Outcome {
        if self.at.is_some() || self.csv.is_some() || self.center.is_some() {
            return Err(Failure::usage("--at, --csv and --center are for a basis, and this file holds NICE"));
        }
        let nice: Nice = load(&self.basis)?;
        for (setting, value) in nice.settings().values() {
            field(out, setting.name, value.to_text())?;
        }
        made_by::say(&self.basis, out)?;
        nice::account(&nice, out)?;
        if let Some(path) = &self.plot {
            nice::draw(&nice, path)?;
            writeln!(out, "wrote {}", path.display())?;
        }
        Ok(())
    }
}

/// Settings, where the data came from and the command that made it, if it is told; channels kept, residual variance against q, accuracy of
/// the splines.
pub fn summary(basis: &OptimalBasis, made_by: Option<String>, out: &mut dyn Write) -> io::Result<()> {
    let settings = basis.settings();
    let species: Vec<&str> = basis.species().iter().map(|&z| symbol(z)).collect();
    let provenance = basis.provenance();
    show_data::expansion(&settings.expansion, out)?;
    field(out, "contraction", contraction_text(basis))?;
    field(out, "method", method_text(basis))?;
    if let Some(u) = &settings.weighting {
        field(out, "weighting", format!("by {} in the covariance, not in the density of features:", scaling_text(u)))?;
        field(out, "", "eigenvalues and variances here are those of the weighted density")?;
    }
    if settings.nu > 1 {
        let lost: Vec<String> = provenance.retained.iter().map(|kept| format!("{:.3e}", 1.0 - kept)).collect();
        field(
            out,
            "made for",
            format!("ν = {}: eigenvalues and variances are weighted by |P c|^{}", settings.nu, 2 * (settings.nu - 1)),
        )?;
        field(out, "", format!("Σ |P c|^{} loses {}, sweep by sweep", 2 * settings.nu, lost.join(", ")))?;
    }
    field(out, "species", species.join(" "))?;
    field(out, "structures", count(provenance.n_structures))?;
    for kind in basis.kinds() {
        let variance: f64 = kind.blocks.iter().flat_map(|b| &b.contraction.eigenvalues).sum();
        let around = kind.center.map_or(String::new(), |z| format!("around {}: ", symbol(z)));
        field(out, "centres", format!("{around}{}, total variance {variance:.6e} per centre", count(kind.n_centers)))?;
    }
    show_data::files(&provenance.files, out)?;
    field(out, "made by", made_by.unwrap_or_else(|| format!("rhobasis {}", provenance.rhobasis)))?;
    splines(basis, out)?;
    kept(basis, out)?;
    residual_variance(basis, out)
}

/// Of which density a variance is, where that is not plain.
fn of_density(basis: &OptimalBasis) -> String {
    let weighted = basis.settings().weighting.as_ref();
    weighted.map_or(String::new(), |_| format!(" of the {}", basis.density_of_variances()))
}

fn contraction_text(basis: &OptimalBasis) -> String {
    let mixing = match basis.settings().mixing {
        Mixing::PerSpecies => "each neighbour species apart",
        Mixing::Combined => "neighbour species combined",
    };
    let kinds = if basis.settings().center_specific { ", for each species of centre" } else { "" };
    let asked = match basis.settings().truncation {
        Truncation::QMax(q) => format!("q_max {q}"),
        Truncation::Retain(fraction) => format!("{fraction} of the variance retained"),
    };
    format!("{mixing}{kinds}, {asked}")
}

fn method_text(basis: &OptimalBasis) -> String {
    match basis.settings().method {
        Method::Pca => "pca (principal components)".into(),
        Method::Pcovr(pcovr) => {
            let r2 =
                basis.provenance().energy_r2.map_or(String::new(), |r2| format!(", whose R² of energies is {r2:.4}"));
            format!("pcovr with gamma {} for l = 0{r2}; pca for l > 0", pcovr.gamma)
        }
        Method::Supervised(SupervisedSettings { supervised, span }) => {
            let q = supervised.map_or("all".into(), |q| format!("the first {q}"));
            format!("supervised: {q} of each l made for a linear model, of {span} principal functions")
        }
        Method::Sensitivity(sensitivity) => format!("sensitivity of a potential, with gamma {}", sensitivity.gamma),
        Method::Given => "given (matrices from elsewhere)".into(),
    }
}

fn splines(basis: &OptimalBasis, out: &mut dyn Write) -> io::Result<()> {
    let knots = basis
        .kinds()
        .iter()
        .flat_map(|kind| basis.species().iter().filter_map(|&z| basis.expansion().table(kind.center, z)))
        .map(|table| table.knots().len())
        .max();
    let (Some(knots), Some(asked)) = (knots, basis.settings().expansion.spline_accuracy) else {
        return field(out, "splines", "none: exact integrals");
    };
    let error = match basis.expansion().spline_error() {
        Some(e) => format!("largest error {:.1e} (slope {:.1e}) of the largest value", e.value, e.derivative),
        None => format!("largest error below {asked:e} of the largest value"),
    };
    field(out, "splines", format!("{} knots, {error}", count(knots)))
}

/// Channels of each (centre species, neighbour species, l).
fn kept(basis: &OptimalBasis, out: &mut dyn Write) -> io::Result<()> {
    let l_max = basis.settings().expansion.l_max;
    writeln!(out, "\nChannels kept")?;
    let mut header = vec![String::new()];
    header.extend((0..=l_max).map(|l| format!("l = {l}")));
    header.push("all".into());
    let mut table = Table::new(header);
    for kind in basis.kinds() {
        for blocks in kind.blocks.chunks(l_max + 1) {
            let counts: Vec<usize> = blocks.iter().map(|b| b.contraction.u.nrows()).collect();
            let total: usize = counts.iter().sum();
            let mut row = vec![block_title(kind, &blocks[0])];
            row.extend(counts.iter().chain([&total]).map(usize::to_string));
            table.row(row);
        }
    }
    table.write(out)
}

fn block_title(kind: &KindOfBasis, block: &ContractionBlock) -> String {
    let neighbors = block.species.map_or("all species".into(), |z| format!("{} neighbours", symbol(z)));
    kind.center.map_or(neighbors.clone(), |z| format!("{neighbors} of {}", symbol(z)))
}

/// Eq. (22) for the same q everywhere.
fn residual_variance(basis: &OptimalBasis, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nResidual variance{} when q channels are kept of each block above", of_density(basis))?;
    let l_max = basis.settings().expansion.l_max;
    let kinds = basis.kinds();
    let mut header = vec!["q".to_string(), "channels".into(), "all centres".into()];
    let separate: Vec<u8> = kinds.iter().filter_map(|k| k.center).collect();
    header.extend(separate.iter().map(|&z| format!("{} centres", symbol(z))));
    let all = basis.residual_variance(None);
    let each: Vec<Vec<f64>> = separate.iter().map(|&z| basis.residual_variance(Some(z))).collect();
    let n_blocks = match basis.settings().mixing {
        Mixing::PerSpecies => (l_max + 1) * basis.species().len(),
        Mixing::Combined => l_max + 1,
    };
    let mut table = Table::new(header);
    for q in round_counts(all.len() - 1) {
        let values = [&all].into_iter().chain(&each).map(|rv| rv.get(q).copied().unwrap_or(0.0));
        let mut row = vec![q.to_string(), count(q * n_blocks)];
        row.extend(values.map(|v| format!("{v:.2e}")));
        table.row(row);
        if all[q] < 1e-9 {
            break;
        }
    }
    table.write(out)
}

/// 1, 2, … 10, 12, 14, … 20, 25, … 50, 60, … 100, then all hundreds' fifths, up to n.
fn round_counts(n: usize) -> impl Iterator<Item = usize> {
    (1..=n).filter(move |&q| match q {
        _ if q == n => true,
        0..=10 => true,
        11..=20 => q % 2 == 0,
        21..=50 => q % 5 == 0,
        51..=100 => q % 10 == 0,
        _ => q % 50 == 0,
    })
}

/// Eigenvalues per (a, l); those of dropped channels in brackets.
fn spectrum(kind: &KindOfBasis, method: Method, out: &mut dyn Write) -> io::Result<()> {
    let what = if method == Method::Pca { "Eigenvalues" } else { "Variance of each function" };
    let l_max = kind.blocks.iter().map(|b| b.key.lambda).max().unwrap_or(0);
    for blocks in kind.blocks.chunks(l_max + 1) {
        writeln!(out, "\n{what}, {} (in brackets: not kept)", block_title(kind, &blocks[0]))?;
        let mut header = vec!["q".to_string()];
        header.extend((0..=l_max).map(|l| format!("l = {l}")));
        let mut table = Table::new(header);
        let most = blocks.iter().map(|b| b.contraction.u.nrows()).max().unwrap_or(0);
        let longest = blocks.iter().map(|b| b.contraction.eigenvalues.len()).max().unwrap_or(0);
        for q in 0..longest.min(most + 2) {
            let mut row = vec![(q + 1).to_string()];
            row.extend(blocks.iter().map(|b| match b.contraction.eigenvalues.get(q) {
                None => String::new(),
                Some(e) if q < b.contraction.u.nrows() => format!("{e:.3e} "),
                Some(e) => format!("({e:.3e})"),
            }));
            table.row(row);
        }
        table.write(out)?;
    }
    Ok(())
}

/// R_q(x) and I_q(r) of each neighbour species and l.
fn at_distance(basis: &OptimalBasis, center: Option<u8>, r: f64, out: &mut dyn Write) -> Outcome {
    for &z in basis.species() {
        writeln!(
            out,
            "\n{} neighbours at {r} Å: function R(x), in Å^(-3/2), and integral I(r), without cutoff and scaling",
            symbol(z)
        )?;
        let mut table = Table::new(["l", "q", "R", "I"]);
        for (l, [integrals, _]) in basis.integrals_at(center, z, &[r])?.iter().enumerate() {
            for (q, function) in basis.radial_functions(center, z, l, &[r])?.iter().enumerate() {
                let integral = integrals[[0, q]];
                table.row([l.to_string(), (q + 1).to_string(), format!("{function:.9}"), format!("{integral:.9e}")]);
            }
        }
        table.write(out)?;
    }
    Ok(())
}

/// Points of a curve over [0, r_cut + a margin], where the functions of Eq. (10) have died.
fn grid(basis: &OptimalBasis, n: usize) -> Vec<f64> {
    let end = 1.15 * basis.settings().expansion.density.r_cut;
    (0..=n).map(|k| end * (k as f64).max(1e-3) / n as f64).collect()
}

/// Draws spectrum, residual variance and radial functions into one picture.
pub fn draw(basis: &OptimalBasis, center: Option<u8>, path: &Path) -> Result<()> {
    let kind = basis.kind(center)?;
    let l_max = basis.settings().expansion.l_max;
    let mut panels = Vec::new();
    for blocks in kind.blocks.chunks(l_max + 1) {
        let mut panel = Panel::new(format!("Spectrum, {}", block_title(kind, &blocks[0])), "q", "eigenvalue").log_y();
        let largest = blocks.iter().flat_map(|b| &b.contraction.eigenvalues).copied().fold(0.0, f64::max);
        for block in blocks {
            let eigenvalues = block.contraction.eigenvalues.iter().enumerate();
            let points = eigenvalues.filter(|(_, e)| **e > 1e-12 * largest).map(|(q, &e)| ((q + 1) as f64, e));
            panel = panel.series(Series::marked(format!("l = {}", block.key.lambda), points.take(40).collect()));
        }
        panels.push(panel);
    }
    let rv = basis.residual_variance(center);
    let points = rv.iter().enumerate().filter(|(_, v)| **v > 1e-12).map(|(q, &v)| (q as f64, v)).take(41).collect();
    let what = match basis.settings().mixing {
        Mixing::PerSpecies => "channels q kept per species and l",
        Mixing::Combined => "channels q kept per l",
    };
    panels.push(
        Panel::new("Variance left out", what, format!("residual variance{}", of_density(basis)))
            .log_y()
            .series(Series::marked("optimal", points)),
    );
    let x = grid(basis, 300);
    let r_cut = basis.settings().expansion.density.r_cut;
    for &z in basis.species().iter().take(MOST_SPECIES_DRAWN) {
        for l in 0..=l_max.min(2) {
            let values = basis.radial_functions(center, z, l, &x)?;
            let title = format!("{} neighbours, l = {l}", symbol(z));
            let mut panel = Panel::new(title, "x / Å", "R(x) / Å^(-3/2)").vertical(r_cut, "r_cut");
            for q in 0..values.ncols().min(4) {
                let points = x.iter().copied().zip(values.column(q).iter().copied()).collect();
                panel = panel.series(Series::line(format!("q = {}", q + 1), points));
            }
            panels.push(panel);
        }
    }
    plot::write(path, &panels, 3)
}

/// Species whose functions are drawn, lest the picture outgrow a screen.
const MOST_SPECIES_DRAWN: usize = 6;

/// What --csv writes.
const TABLES: [&str; 3] = ["eigenvalues", "residual-variance", "functions"];

fn table_path(prefix: &Path, what: &str) -> PathBuf {
    prefix.with_file_name(format!("{}-{what}.csv", prefix.file_name().unwrap_or_default().to_string_lossy()))
}

fn write_csv(basis: &OptimalBasis, center: Option<u8>, prefix: &Path, out: &mut dyn Write) -> Outcome {
    let mut eigenvalues = String::from("neighbour,l,q,eigenvalue,kept\n");
    for ContractionBlock { species, key, contraction } in &basis.kind(center)?.blocks {
        let name = species.map_or("all", symbol);
        for (q, e) in contraction.eigenvalues.iter().enumerate() {
            line(&mut eigenvalues, format_args!("{name},{},{},{e:e},{}", key.lambda, q + 1, q < contraction.u.nrows()));
        }
    }
    let mut residual = String::from("q,residual_variance\n");
    for (q, v) in basis.residual_variance(center).iter().enumerate() {
        line(&mut residual, format_args!("{q},{v:e}"));
    }
    let x = grid(basis, 200);
    let mut functions = String::from("neighbour,l,q,x_angstrom,function_per_angstrom_3_2\n");
    for &z in basis.species() {
        for l in 0..=basis.settings().expansion.l_max {
            for ((k, q), v) in basis.radial_functions(center, z, l, &x)?.indexed_iter() {
                line(&mut functions, format_args!("{},{l},{},{},{v:e}", symbol(z), q + 1, x[k]));
            }
        }
    }
    if prefix.file_name().is_none() {
        return Err(Error::file(prefix, "names no file", "give a prefix, as in out/si").into());
    }
    for (what, text) in TABLES.into_iter().zip([eigenvalues, residual, functions]) {
        let path = table_path(prefix, what);
        output::write_text(&path, &text)?;
        writeln!(out, "wrote {}", path.display())?;
    }
    Ok(())
}

fn line(text: &mut String, arguments: std::fmt::Arguments) {
    writeln!(text, "{arguments}").expect("writing to a string succeeds");
}
