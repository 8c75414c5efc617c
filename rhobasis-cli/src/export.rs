//! `rhobasis export`: a basis for other programs.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rhobasis::optimal::OptimalBasis;
use rhobasis::structure::symbol;
use rhobasis::{Error, Result};

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::load;
use crate::output;
use crate::settings::element;
use crate::text::count;

/// Write a basis for other programs: featomic, or anything that reads a table
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Export {
    /// Basis file, *.rho
    basis: PathBuf,
    /// For whom
    #[arg(long, value_enum)]
    to: Target,
    /// *.json for featomic, *.csv for a table
    #[arg(short, long)]
    output: PathBuf,
    /// Species of centre whose basis is exported, where each has its own; a table takes all if not given
    #[arg(long, value_name = "SYMBOL")]
    center: Option<String>,
    /// featomic: largest difference of its splines from ours, relative to each channel's largest value [default: 1e-9]
    #[arg(long, value_name = "NUMBER")]
    accuracy: Option<f64>,
    /// Table: number of distances, equally spaced from 0 on [default: 201]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    points: Option<u32>,
    /// Table: last distance; the functions reach some sigma beyond r_cut [default: r_cut]
    #[arg(long, value_name = "Å")]
    r_max: Option<f64>,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
enum Target {
    /// {Z: arguments of featomic.SphericalExpansion} for each neighbour species Z, as JSON
    Featomic,
    /// Radial functions, Eq. (10), and radial integrals, Eq. (9), with their slopes, one row for each (centre, neighbour, l, q, r)
    Csv,
}

const EXAMPLE: &str = "\
Example:
  rhobasis export silicon.rho --to featomic -o silicon.json
  python -c \"import json, featomic; featomic.SphericalExpansion(**json.load(open('silicon.json'))['14'])\"
  rhobasis export silicon.rho --to csv --points 501 -o silicon.csv";

impl Export {
    pub fn files(&self) -> Files {
        let holds = if self.to == Target::Csv { Holds::Table } else { Holds::Json };
        Files::reading([&self.basis]).writing("--output", holds, [&self.output])
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        self.check()?;
        let center = self.center.as_deref().map(|name| element("--center", name)).transpose()?;
        let basis: OptimalBasis = load(&self.basis)?;
        if center.is_some() {
            basis.kind(center)?;
        }
        match self.to {
            Target::Featomic => self.featomic(&basis, center, out)?,
            Target::Csv => self.csv(&basis, center, out)?,
        }
        writeln!(out, "wrote {}", self.output.display())?;
        Ok(())
    }

    /// Refuses flags that would change nothing, and values outside their range.
    fn check(&self) -> Outcome {
        let (extension, idle) = match self.to {
            Target::Featomic => ("json", [("--points", self.points.is_some()), ("--r-max", self.r_max.is_some())]),
            Target::Csv => ("csv", [("--accuracy", self.accuracy.is_some()), ("", false)]),
        };
        if let Some((flag, _)) = idle.iter().find(|(_, given)| *given) {
            let target = if self.to == Target::Csv { "csv" } else { "featomic" };
            return Err(Failure::usage(format!("{flag} has no meaning with --to {target}; leave it out")));
        }
        if let Some(r) = self.r_max.filter(|r| !(r.is_finite() && *r > 0.0)) {
            return Err(Failure::usage(format!("--r-max {r}: the last distance is a positive number, in Å")));
        }
        output::check(&self.output, &[extension])
    }

    fn featomic(&self, basis: &OptimalBasis, center: Option<u8>, out: &mut dyn Write) -> Outcome {
        let export = basis.to_featomic(center, self.accuracy.unwrap_or(1e-9))?;
        let text = serde_json::to_string(&export.by_species).expect("numbers and texts become JSON");
        output::write_text(&self.output, &text)?;
        let (error, species) = (export.error, export.by_species.keys().map(|&z| symbol(z)).collect::<Vec<_>>());
        let knots = count(export.n_knots);
        writeln!(out, "neighbours {}: {knots} knots, within {error:.1e} of the largest value", species.join(" "))?;
        Ok(())
    }

    fn csv(&self, basis: &OptimalBasis, center: Option<u8>, out: &mut dyn Write) -> Outcome {
        let last = self.points.unwrap_or(201) - 1;
        let end = self.r_max.unwrap_or(basis.settings().expansion.density.r_cut);
        let r: Vec<f64> = (0..=last).map(|k| end * f64::from(k) / f64::from(last)).collect();
        let kinds: Vec<Option<u8>> =
            basis.kinds().iter().map(|k| k.center).filter(|&k| center.is_none() || k == center).collect();
        let mut n_rows = 0;
        output::write(&self.output, |file| {
            let io = |e| Error::io(&self.output, e);
            writeln!(file, "{HEADER}").map_err(io)?;
            for &kind in &kinds {
                for &z in basis.species() {
                    n_rows += write_curves(basis, kind, z, &r, |line| writeln!(file, "{line}").map_err(io))?;
                }
            }
            Ok(())
        })?;
        writeln!(out, "{} rows: {} distances from 0 to {end} Å", count(n_rows), count(r.len()))?;
        Ok(())
    }
}

const HEADER: &str = "centre,neighbour,l,q,r_angstrom,function_per_angstrom_3_2,integral_per_angstrom_3_2,integral_slope_per_angstrom_5_2";

/// R_q(r), I_q(r) and dI_q/dr of neighbours z around one kind of centre; returns the number of rows. DVR functions diverge
/// at r = 0: the cell is empty there.
fn write_curves(
    basis: &OptimalBasis,
    center: Option<u8>,
    z: u8,
    r: &[f64],
    mut write: impl FnMut(String) -> Result<()>,
) -> Result<usize> {
    let names = format!("{},{}", center.map_or("all", symbol), symbol(z));
    let mut n_rows = 0;
    for (l, [integrals, slopes]) in basis.integrals_at(center, z, r)?.iter().enumerate() {
        let functions = basis.radial_functions(center, z, l, r)?;
        for q in 0..functions.ncols() {
            for (k, r) in r.iter().enumerate() {
                let value = functions[[k, q]];
                let function = if value.is_finite() { format!("{value:e}") } else { String::new() };
                let (integral, slope) = (integrals[[k, q]], slopes[[k, q]]);
                write(format!("{names},{l},{},{r},{function},{integral:e},{slope:e}", q + 1))?;
                n_rows += 1;
            }
        }
    }
    Ok(n_rows)
}
