//! `rhobasis show` of a model of a tensor.

use std::io::{self, Write};
use std::path::Path;

use rhobasis::equivariant::EquivariantRidge;
use rhobasis::structure::symbol;

use crate::failure::Outcome;
use crate::input::load;
use crate::made_by;
use crate::nice::account;
use crate::show_potential::cutoff_text;
use crate::text::{count, field};

/// Settings, numbers, and the account of its equivariants.
pub fn show(path: &Path, out: &mut dyn Write) -> Outcome {
    let model: EquivariantRidge = load(path)?;
    for (setting, value) in model.settings().values() {
        field(out, setting.name, value.to_text())?;
    }
    numbers(&model, out)?;
    let density = model.basis().expansion().density();
    field(out, "density", format!("r_cut {} Å, {}", density.r_cut, cutoff_text(density)))?;
    if let Some((kept, channels)) = model.basis().kept_variance() {
        let of = model.basis().density_of_variances();
        field(out, "basis", format!("{channels} keeps {:.3} % of the variance of the {of}", 100.0 * kept))?;
    }
    made_by::say(path, out)?;
    writeln!(out, "\nNICE")?;
    for (setting, value) in model.nice().settings().values() {
        field(out, setting.name, value.to_text())?;
    }
    account(model.nice(), out)?;
    Ok(())
}

/// What was fitted.
pub fn numbers(model: &EquivariantRidge, out: &mut dyn Write) -> io::Result<()> {
    let species: Vec<&str> = model.species().iter().map(|&z| symbol(z)).collect();
    field(out, "species", species.join(" "))?;
    let parts = model.target().lambdas().iter().zip(model.weights()).zip(model.alphas()).zip(model.condition_numbers());
    for (k, (((lambda, weights), alpha), condition)) in parts.enumerate() {
        let (species, channels) = weights.dim();
        let text = format!(
            "λ = {lambda}: {} equivariants × {species} species, alpha {alpha:e}, condition {condition:.1e}",
            count(channels)
        );
        field(out, if k == 0 { "weights" } else { "" }, text)?;
    }
    if !model.baseline().is_empty() {
        let shares = model.baseline().iter().map(|(&z, b)| format!("{} {b:.6}", symbol(z)));
        field(out, "baseline", format!("{} (trace/√3)", shares.collect::<Vec<_>>().join(", ")))?;
    }
    Ok(())
}
