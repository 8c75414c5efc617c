//! `rhobasis plan`: how many channels per (a, l) an order of correlation needs, and what is lost, Eq. (20).

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use rhobasis::correlations::{Plan as Planned, PlanRow, Target};
use rhobasis::extxyz::{Dataset, Options, SourceFile};
use rhobasis::optimal::{Covariance, OptimalBasis, Truncation};
use rhobasis::structure::symbol;
use rhobasis::{Error, Result};

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::{for_each_part, load};
use crate::output;
use crate::plot::{self, Panel, Series};
use crate::settings::ContractionFlags;
use crate::text::{Table, plural, warn};

/// Find how many channels an order of correlation needs, and what is lost
///
/// The fewest channels, in the order of their eigenvalues, that retain a fraction of the ν-spectrum of a data set: exact with
/// data, by a power of the retained variance from a basis file alone.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Plan {
    /// A basis file, *.rho, or extended XYZ files, whose full basis is then made first, with the flags of `fit`
    #[arg(required = true, value_name = "BASIS.rho|DATA")]
    input: Vec<String>,
    /// With a basis file: extended XYZ files on which the fractions are exact
    #[arg(long, value_name = "DATA", num_args = 1..)]
    data: Vec<String>,
    /// Order of correlation ν: 2 for power spectra, 3 for bispectra, …
    #[arg(long, value_name = "N", default_value_t = 4)]
    nu: usize,
    /// Fraction of the ν-spectrum to retain
    #[arg(long, value_name = "FRACTION", default_value_t = 0.999)]
    retain: f64,
    /// Retain it of the invariant part of the spectrum (power spectrum, bispectrum, …), rather than of all of it
    #[arg(long)]
    invariant: bool,
    /// Draw what is lost against the number of channels into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Write the table to this file
    #[arg(long, value_name = "FILE.csv")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    contraction: ContractionFlags,
}

const EXAMPLE: &str = "\
Example: from data, and from a basis that keeps all channels, with and without its data
  rhobasis plan silicon.xyz --nu 4 --retain 0.999 --r-cut 6 --sigma 0.5 --plot plan.svg
  rhobasis fit silicon.xyz -o full.rho --retain 1 --r-cut 6 --sigma 0.5
  rhobasis plan full.rho --data silicon.xyz --nu 3 --invariant
  rhobasis plan full.rho --nu 2";

/// Variance that a basis which is not truncated may miss, by rounding.
const WHOLE: f64 = 1e-12;

impl Plan {
    pub fn files(&self) -> Files {
        let files = Files::default().and_data(self.input.iter().chain(&self.data));
        files.writing("--plot", Holds::Picture, &self.plot).writing("--csv", Holds::Table, &self.csv)
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        for (path, extension) in [(&self.plot, "svg"), (&self.csv, "csv")] {
            path.as_ref().map_or(Ok(()), |path| output::check(path, &[extension]))?;
        }
        let target = Target { nu: self.nu, retain: self.retain, invariant: self.invariant };
        Truncation::Retain(self.retain).validate(1, "")?;
        let is_basis = |spec: &String| Path::new(spec).extension().is_some_and(|e| e == "rho");
        let mut seen = Vec::new();
        let (basis, data) = match &self.input[..] {
            [rho] if is_basis(rho) => (load(Path::new(rho))?, &self.data),
            data if data.iter().any(is_basis) => {
                return Err(Failure::usage("one basis file, or data; give the data of a basis file after --data"));
            }
            _ if !self.data.is_empty() => {
                return Err(Failure::usage("--data belongs to a basis file; name all data before the flags instead"));
            }
            data => (fit(data, &self.contraction, &mut seen)?, &self.input),
        };
        let lost = basis.discarded_variance();
        if lost > WHOLE {
            warn(format!(
                "{} keeps {:.6} of the variance, and fractions are relative to that; for those of the whole density \
                 make it with --retain 1",
                self.input[0],
                1.0 - lost
            ));
        }
        let plan = if data.is_empty() {
            if self.invariant {
                return Err(Failure::usage(
                    "--invariant: eigenvalues alone do not tell what invariants retain; add --data DATA",
                ));
            }
            Planned::approximate(&basis, target)?
        } else {
            let mut pass = 0; // over the data: an overview, and then closer looks until the answer is found
            Planned::exact(&basis, target, |norms| {
                pass += 1;
                let input = Dataset::open(data, &Options::default())?.without_labels();
                let files = for_each_part(input, &format!("measuring, pass {pass}"), |part| norms.add(part))?;
                SourceFile::unchanged(&seen, &files)?;
                seen = files;
                Ok(())
            })?
        };
        self.report(&basis, &plan, out)?;
        if let Some(path) = &self.plot {
            draw(&plan, path)?;
            writeln!(out, "wrote {}", path.display())?;
        }
        if let Some(path) = &self.csv {
            output::write_text(path, &csv(&plan))?;
            writeln!(out, "wrote {}", path.display())?;
        }
        let retain = plan.answer().retain;
        match data.first() {
            Some(data) if std::ptr::eq(&self.input[0], data) => {
                let flags = "with the flags given here";
                writeln!(out, "next: rhobasis fit {} -o basis.rho --retain {retain} ({flags})", self.input.join(" "))?;
            }
            _ if lost > WHOLE => {
                writeln!(
                    out,
                    "next: rhobasis fit DATA -o whole.rho --retain 1 (with the other flags of this basis), and plan again"
                )?;
            }
            _ => {
                writeln!(
                    out,
                    "next: rhobasis fit DATA -o basis.rho --retain {retain} (with the other flags of this basis)"
                )?;
            }
        }
        Ok(())
    }

    fn report(&self, basis: &OptimalBasis, plan: &Planned, out: &mut dyn Write) -> Outcome {
        let part = if self.invariant { "invariant part of the " } else { "" };
        let truncated = basis.settings().truncation != Truncation::Retain(1.0);
        let of = if truncated { format!(" of what {} keeps", self.input[0]) } else { String::new() };
        writeln!(out, "Lost of the ν-spectrum{of}")?;
        let mut table = Table::new(header(plan));
        for (k, row) in plan.rows.iter().enumerate() {
            let mark = if k == plan.chosen { " *" } else { "" };
            let mut cells = vec![format!("{}{mark}", row.channels), row.retain.to_string()];
            cells.extend(fractions(row).map(|f| format!("{:.2e}", (1.0 - f).max(0.0))));
            table.row(cells);
        }
        table.write(out)?;
        let answer = plan.answer();
        let channels = plural(answer.channels, "channel");
        writeln!(out, "\n* {channels} retain {:.6} of the {part}{}-spectrum{of}", target_of(plan), self.nu)?;
        writeln!(out, "\nChannels to keep")?;
        let l_max = basis.settings().expansion.l_max;
        let mut titles = vec![String::new()];
        titles.extend((0..=l_max).map(|l| format!("l = {l}")));
        let mut table = Table::new(titles);
        for (kind, counts) in basis.kinds().iter().zip(&answer.kept) {
            for (blocks, counts) in kind.blocks.chunks(l_max + 1).zip(counts.chunks(l_max + 1)) {
                let neighbors = blocks[0].species.map_or("all species".into(), |z| format!("{} neighbours", symbol(z)));
                let around = kind.center.map_or(String::new(), |z| format!(" of {}", symbol(z)));
                let mut row = vec![neighbors + &around];
                row.extend(counts.iter().map(usize::to_string));
                table.row(row);
            }
        }
        table.write(out)?;
        writeln!(out)?;
        if plan.exact {
            writeln!(out, "These fractions are exact for these data.")?;
        } else {
            writeln!(
                out,
                "These fractions are approximate: powers of the retained variance. --data DATA makes them exact."
            )?;
        }
        Ok(())
    }
}

/// The basis that keeps all channels, and the files that it is of.
fn fit(data: &[String], contraction: &ContractionFlags, files: &mut Vec<SourceFile>) -> Result<OptimalBasis> {
    let (settings, distances_of) = contraction.settings(data)?;
    let mut covariance = Covariance::new(&settings)?;
    let input = Dataset::open(data, &Options::default())?.without_labels();
    *files = for_each_part(input, "accumulating", |part| covariance.add(part, None))?;
    distances_of.unchanged(files)?;
    if covariance.n_structures() == 0 {
        return Err(Error::setting("DATA", data.join(" "), "there are no frames", "check the slice"));
    }
    OptimalBasis::from_covariance(&covariance, Truncation::Retain(1.0))
}

fn target_of(plan: &Planned) -> f64 {
    plan.target.retained(plan.answer())
}

/// Laws of a row, in the order of the columns.
fn laws(row: &PlanRow) -> [(&'static str, &[f64]); 3] {
    // At ν = 1 the dotted law is the exact one.
    let dotted = if row.equivariant.is_empty() { &row.approximate[..] } else { &row.approximate[1..] };
    [("exact", &row.equivariant), ("invariant", &row.invariant), ("approximate", dotted)]
}

fn fractions(row: &PlanRow) -> impl Iterator<Item = f64> {
    laws(row).into_iter().flat_map(|(_, values)| values.iter().copied())
}

fn header(plan: &Planned) -> Vec<String> {
    let mut header = vec!["channels".to_string(), "retain".into()];
    for (name, values) in laws(plan.answer()) {
        let nu = plan.target.nu + 1 - values.len();
        header.extend((0..values.len()).map(|k| format!("{name} ν={}", nu + k)));
    }
    header
}

fn csv(plan: &Planned) -> String {
    let mut text = String::from("channels,retain");
    for (name, values) in laws(plan.answer()) {
        let nu = plan.target.nu + 1 - values.len();
        (0..values.len()).for_each(|k| write!(text, ",{name}_{}", nu + k).expect("writing to a string succeeds"));
    }
    text.push('\n');
    for row in &plan.rows {
        write!(text, "{},{}", row.channels, row.retain).expect("writing to a string succeeds");
        fractions(row).for_each(|f| write!(text, ",{f:.17}").expect("writing to a string succeeds"));
        text.push('\n');
    }
    text
}

fn draw(plan: &Planned, path: &Path) -> Result<()> {
    let mut panel = Panel::new("Lost by truncation", "channels", "residual variance").log_y();
    for (k, (name, values)) in laws(plan.answer()).into_iter().enumerate() {
        let first = plan.target.nu + 1 - values.len();
        for j in 0..values.len() {
            let points = plan.rows.iter().map(|row| (row.channels as f64, 1.0 - laws(row)[k].1[j]));
            let points = points.filter(|(_, lost)| *lost > 1e-13).collect();
            panel = panel.series(Series::marked(format!("ν = {}, {name}", first + j), points));
        }
    }
    plot::write(path, &[panel.vertical(plan.answer().channels as f64, "plan")], 1)
}
