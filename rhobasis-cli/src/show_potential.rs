//! `rhobasis show` of a potential.

use std::io::{self, Write};
use std::path::Path;

use rhobasis::correlations::FeatureKind;
use rhobasis::density::{CutoffFunction, Density, Primitive};
use rhobasis::potential::{Baseline, Basis, Calibration, ModelSettings, ModelType, Potential, Repulsion, Sigmas};
use rhobasis::settings::{Given, Named, Setting};
use rhobasis::structure::symbol;

use crate::made_by;
use crate::text::{Table, count, field, plural};

/// Basis, features, model, weights, and where training has been.
pub fn show(potential: &Potential, path: &Path, out: &mut dyn Write) -> io::Result<()> {
    let settings = potential.settings();
    let species: Vec<&str> = potential.species().iter().map(|&z| symbol(z)).collect();
    field(out, "species", species.join(" "))?;
    basis(potential, out)?;
    for member in &settings.features.members {
        field(
            out,
            "features",
            format!("{}, {}", kind(member.kind), part(member.q_max, member.l_max, member.normalize)),
        )?;
    }
    field(out, "", format!("{} of each atom", count(potential.n_features())))?;
    let (name, values) = (model(&settings.model), settings.model.values());
    field(out, "model", format!("{name}, {}; {} parameters", texts(&values), count(potential.n_parameters())))?;
    if let Some(alpha) = potential.alpha() {
        field(out, "alpha", format!("{alpha:e}"))?;
    }
    if potential.condition_number().is_finite() {
        field(out, "condition", format!("{:.1e}, of the weighted rows", potential.condition_number()))?;
    }
    let energies: Vec<String> =
        potential.baseline().iter().map(|(&z, energy)| format!("{} {energy:.6}", symbol(z))).collect();
    field(out, "free atoms", format!("{} eV ({})", energies.join(", "), baseline(&settings.baseline)))?;
    field(out, "weights", sigmas(&settings.weights.all))?;
    for (name, special) in &settings.weights.by_type {
        field(out, "", format!("{name}: {}", sigmas(special)))?;
    }
    if let Some(calibration) = potential.calibration()
        && let Some(errors) = errors_left_out(&calibration)
    {
        field(out, "left out", format!("{errors}, of {} left out in turn", plural(calibration.frames, "frame")))?;
    }
    made_by::say(path, out)?;
    distances(potential, out)?;
    potential.warnings().iter().try_for_each(|warning| writeln!(out, "warning: {warning}"))?;
    writeln!(out, "next: rhobasis evaluate {} DATA.xyz", path.display())
}

/// Root mean square errors of what the fit had not seen, in words.
pub fn errors_left_out(calibration: &Calibration) -> Option<String> {
    let energy = calibration.energy_rmse.map(|e| format!("energy {:.3} meV/atom", 1e3 * e));
    let force = calibration.force_rmse.map(|f| format!("force component {f:.4} eV/Å"));
    let errors: Vec<String> = energy.into_iter().chain(force).collect();
    (!errors.is_empty()).then(|| format!("{} (RMSE)", errors.join(", ")))
}

fn basis(potential: &Potential, out: &mut dyn Write) -> io::Result<()> {
    let expansion = match potential.basis() {
        Basis::Optimal(basis) => &basis.settings().expansion,
        Basis::Primitive { settings, .. } => settings,
    };
    let density = &expansion.density;
    let sigma = Given::from(&density.sigma);
    field(out, "density", format!("r_cut {} Å, sigma {sigma} Å, {}", density.r_cut, cutoff_text(density)))?;
    let primitive = format!("{}, l_max {}", primitive_text(&expansion.primitive), expansion.l_max);
    let Basis::Optimal(basis) = potential.basis() else { return field(out, "basis", primitive) };
    let frames = count(basis.provenance().n_structures);
    field(out, "basis", format!("optimal, fitted to {frames} frames, of {primitive}"))?;
    match potential.basis().kept_variance() {
        Some((kept, channels)) => field(out, "", format!("{channels} keeps {:.4} % of the variance", 100.0 * kept)),
        None => Ok(()),
    }?;
    for file in &basis.provenance().files {
        field(out, "from", format!("{} ({} frames)", file.path, count(file.frames)))?;
    }
    Ok(())
}

/// How the weight of a neighbour falls to zero.
pub fn cutoff_text(density: &Density) -> String {
    match density.cutoff_function {
        CutoffFunction::Cosine => format!("cutoff width {} Å", density.cutoff_width),
        CutoffFunction::Step => "a step at the cutoff".into(),
        function => format!("cutoff width {} Å ({})", density.cutoff_width, function.name()),
    }
}

/// A primitive basis in words.
pub fn primitive_text(primitive: &Primitive) -> String {
    let n_max = primitive.n_max();
    match primitive {
        Primitive::Gto { .. } => format!("GTO, n_max {n_max}"),
        Primitive::Dvr { quadrature: false, .. } => format!("DVR, n_max {n_max}"),
        Primitive::Dvr { quadrature: true, .. } => format!("DVR by quadrature, n_max {n_max}"),
        Primitive::LaplacianEigenstates { .. } => format!("Laplacian eigenstates, n_max {n_max} at l = 0"),
        Primitive::Tabulated(table) => format!("{table}"),
    }
}

fn kind(kind: FeatureKind) -> &'static str {
    name_of(kind)
}

/// The name of one of a few values.
fn name_of<T: Named>(value: T) -> &'static str {
    let place = T::VALUES.iter().position(|other| *other == value);
    place.map_or("", |k| T::WORDS[k].name)
}

fn part(q_max: Option<usize>, l_max: Option<usize>, normalize: bool) -> String {
    let shown = |name: &str, n: Option<usize>| n.map_or(format!("all {name}"), |n| format!("{name}_max {n}"));
    format!("{}, {}{}", shown("q", q_max), shown("l", l_max), if normalize { ", normalized" } else { "" })
}

fn model(model: &ModelSettings) -> &'static str {
    name_of(match model {
        ModelSettings::Ridge { .. } => ModelType::Ridge,
        ModelSettings::Gap { .. } => ModelType::Gap,
        ModelSettings::KernelRidge { .. } => ModelType::KernelRidge,
    })
}

fn texts(values: &[(&'static Setting, Given)]) -> String {
    values.iter().map(|(setting, value)| format!("{} {}", setting.name, value.to_text())).collect::<Vec<_>>().join(", ")
}

fn baseline(baseline: &Baseline) -> &'static str {
    match baseline {
        Baseline::LeastSquares => "least squares of compositions",
        Baseline::IsolatedAtoms => "of frames of one atom",
        Baseline::Given(_) => "given",
        Baseline::None => "none: whole energies are learned",
    }
}

fn sigmas(sigmas: &Sigmas) -> String {
    let one = |(setting, value): (&'static Setting, Given)| match value {
        Given::Nothing => format!("{} none", setting.name),
        value => format!("{} {} {}", setting.name, value.to_text(), setting.unit),
    };
    sigmas.values().map(one).join(", ")
}

/// Smallest distances in training, and what acts below them.
fn distances(potential: &Potential, out: &mut dyn Write) -> io::Result<()> {
    let Some(nearest) = potential.nearest() else {
        return field(out, "distances", "not known: trained by a version that did not keep them; no core, no warnings");
    };
    match potential.settings().repulsion {
        Repulsion::Zbl { inner, outer } => {
            let between =
                format!("whole below {inner} of the smallest distance or of a bond, zero above {outer} of it");
            field(out, "repulsion", format!("ZBL core, {between}"))?;
        }
        Repulsion::None => field(out, "repulsion", "none: the model alone acts at any distance")?,
    }
    writeln!(out, "\nSmallest distances in training, Å")?;
    let mut table = Table::default();
    for (k, &a) in potential.species().iter().enumerate() {
        for &b in &potential.species()[k..] {
            let pair = format!("{}-{}", symbol(a), symbol(b));
            let r = nearest.get(a, b).map_or("none within r_cut".into(), |r| format!("{r:.4}"));
            table.row([pair, r]);
        }
    }
    table.write(out)
}
