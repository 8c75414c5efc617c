//! NICE on the command line: its flags, and the account of what each order keeps and has lost.

use std::io::{self, Write};
use std::path::Path;

use rhobasis::Result;
use rhobasis::correlations::{AuditRow, Nice, NiceSettings};
use rhobasis::settings::Setting;
use rhobasis::structure::symbol;

use crate::plot::{self, Panel, Series};
use crate::settings::{Flags, Group};
use crate::text::{Table, count, field, plural};

/// How it is built.
pub type NiceFlags = Flags<NiceSettings>;

impl Group for NiceSettings {
    fn settings() -> Vec<&'static Setting> {
        NiceSettings::SETTINGS.to_vec()
    }
}

/// What each order keeps and has lost, of each sequence.
pub fn account(nice: &Nice, out: &mut dyn Write) -> io::Result<()> {
    for (center, own) in nice.sequences() {
        if let Some(z) = center {
            field(out, "centres of", symbol(z))?;
        }
        account_of(own, out)?;
    }
    Ok(())
}

fn account_of(nice: &Nice, out: &mut dyn Write) -> io::Result<()> {
    let features: Vec<String> = nice.variances().iter().map(|variances| count(variances.len())).collect();
    field(out, "fitted to", plural(nice.n_centers(), "atom"))?;
    writeln!(out, "Squared norm of the equivariants of order ν, in % of that of the whole density to the power ν:")?;
    let mut table = Table::new(["ν", "kept", "lost before", "beyond λ_max", "not looked at", "not kept"]);
    for row in nice.audit().iter().filter(|row| row.kept > 0.0) {
        let parts = [row.kept, row.inherited, row.lambda, row.choice, row.contraction];
        let cells = parts.map(|part| format!("{:.3}", 100.0 * part / row.full));
        table.row(std::iter::once(row.nu.to_string()).chain(cells));
    }
    table.write(out)?;
    writeln!(out, "Variance of the features of order ν, in % of all invariants of the equivariants they are made of:")?;
    let is_purified = nice.settings().purify;
    let more = is_purified.then_some("in lower orders");
    let mut table = Table::new(["ν", "features", "kept", "not looked at", "not kept"].into_iter().chain(more));
    for (row, n) in nice.audit().iter().zip(features) {
        let parts = [row.invariants_kept, row.invariants_choice, row.invariants_contraction];
        let parts = parts.into_iter().chain(is_purified.then_some(row.invariants_purified));
        let cells = parts.map(|part| format!("{:.3}", 100.0 * part / row.invariants));
        table.row([row.nu.to_string(), n].into_iter().chain(cells));
    }
    table.write(out)
}

/// The account as a picture.
pub fn draw(nice: &Nice, path: &Path) -> Result<()> {
    let panels = nice.sequences().into_iter().flat_map(|(center, own)| {
        let of = center.map_or(String::new(), |z| format!(", centres of {}", symbol(z)));
        panels_of(own, &of)
    });
    plot::write(path, &panels.collect::<Vec<_>>(), 2)
}

fn panels_of(nice: &Nice, whose: &str) -> [Panel; 2] {
    let panel = Panel::new(format!("Equivariants of order ν{whose}"), "ν", "% of the squared norm");
    let of = |name: &str, part: fn(&AuditRow) -> f64| {
        let rows = nice.audit().iter().filter(|row| row.kept > 0.0);
        Series::marked(name, rows.map(|row| (row.nu as f64, 100.0 * part(row) / row.full)).collect())
    };
    let equivariants = panel
        .series(of("kept", |row| row.kept))
        .series(of("lost before", |row| row.inherited))
        .series(of("beyond λ_max", |row| row.lambda))
        .series(of("not looked at", |row| row.choice))
        .series(of("not kept", |row| row.contraction));
    let mut spectra = Panel::new(format!("Features of order ν{whose}"), "k", "variance").log_y();
    for (row, variances) in nice.audit().iter().zip(nice.variances()) {
        let mut sorted = variances.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let points = sorted.iter().enumerate().filter(|(_, v)| **v > 0.0).map(|(k, &v)| ((k + 1) as f64, v));
        spectra = spectra.series(Series::line(format!("ν = {}", row.nu), points.collect()));
    }
    [equivariants, spectra]
}
