//! What the user of a fit should know of its basis, labels and weights before it is made.

use std::collections::BTreeMap;

use super::baseline::{self, SAME, of_atoms};
use super::features::Basis;
use super::settings::{Baseline, TrainSettings};
use super::targets::Targets;
use crate::extxyz::Labels;
use crate::structure::{Structure, symbol};

/// Below this fraction of the variance a basis is remarked upon.
const VARIANCE: f64 = 0.99;
/// Energies this many times the spread of the others off are named.
const FAR_OFF: f64 = 300.0;
/// The smallest spread that they are compared with, in eV/atom.
const SPREAD: f64 = 1e-3;
/// As many frames are named, and the others counted.
const NAMED: usize = 3;

/// What should be known of the data or settings of a fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Remark {
    /// Index of the frame that it is about.
    pub frame: Option<usize>,
    /// A sentence.
    pub text: String,
}

impl Remark {
    fn on(frame: usize, text: String) -> Self {
        Remark { frame: Some(frame), text }
    }
}

impl From<String> for Remark {
    fn from(text: String) -> Self {
        Remark { frame: None, text }
    }
}

/// Frames with what is trained on.
pub(super) struct Data<'a> {
    pub frames: &'a [Structure],
    pub labels: &'a [Labels],
    pub targets: &'a [Targets],
    /// Whether each frame is an atom alone whose energy the baseline is.
    pub free: &'a [bool],
}

/// All remarks, the most general ones first.
pub(super) fn all(data: &Data, basis: &Basis, settings: &TrainSettings, energies: &BTreeMap<u8, f64>) -> Vec<Remark> {
    let mut all = Vec::new();
    all.extend(of_basis(basis));
    all.extend(hardly_counting(data, settings, energies));
    match &settings.baseline {
        Baseline::LeastSquares => all.extend(not_told_apart(data, energies)),
        Baseline::Given(_) => all.extend(other_free_atoms(data, energies)),
        Baseline::IsolatedAtoms | Baseline::None => {}
    }
    all.extend(far_off(data, energies));
    all
}

/// An optimal basis that leaves out much, unless it was made to keep something else.
fn of_basis(basis: &Basis) -> Option<Remark> {
    if basis.is_made_for_a_target() {
        return None;
    }
    let (kept, channels) = basis.kept_variance()?;
    let of = basis.density_of_variances();
    let text = || {
        format!(
            "{channels} keeps {:.1} % of the variance of the {of}: use a larger q_max, or, for a linear model, method = \"supervised\"",
            100.0 * kept
        )
    };
    (kept < VARIANCE).then(|| text().into())
}

/// Quantities whose labels are smaller than the sigma that they are divided by.
fn hardly_counting(data: &Data, settings: &TrainSettings, energies: &BTreeMap<u8, f64>) -> Vec<Remark> {
    let sigmas = &settings.weights.all;
    let energy = |(frame, labels, targets): (&Structure, &Labels, &Targets)| {
        let root = (frame.len() as f64).sqrt();
        let of = |(energy, sigma): (f64, f64)| ((energy - of_atoms(energies, &frame.species)) / root, sigma / root);
        labels.energy.zip(targets.energy).map(of).into_iter().collect::<Vec<_>>()
    };
    let forces = |(_, labels, targets): (&Structure, &Labels, &Targets)| match (&labels.forces, targets.forces) {
        (Some(forces), Some(sigma)) => forces.as_flattened().iter().map(|&f| (f, sigma)).collect(),
        _ => Vec::new(),
    };
    let stress = |(_, labels, targets): (&Structure, &Labels, &Targets)| match (&labels.stress, targets.stress) {
        (Some(stress), Some(sigma)) => stress.as_flattened().iter().map(|&s| (s, sigma)).collect(),
        _ => Vec::new(),
    };
    [
        small(data, energy, "energies", "energy_sigma", sigmas.energy_sigma, "meV/√atom"),
        small(data, forces, "forces", "force_sigma", sigmas.force_sigma, "meV/Å"),
        small(data, stress, "stresses", "stress_sigma", sigmas.stress_sigma, "meV/Å³"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// That labels, in pairs with their sigma, are smaller than it.
fn small(
    data: &Data,
    pairs: impl Fn((&Structure, &Labels, &Targets)) -> Vec<(f64, f64)>,
    labels: &str,
    name: &str,
    sigma: Option<f64>,
    unit: &str,
) -> Option<Remark> {
    let (mut n, mut squares, mut scaled) = (0_u32, 0.0, 0.0);
    for ((frame, labels), targets) in data.frames.iter().zip(data.labels).zip(data.targets) {
        for (label, sigma) in pairs((frame, labels, targets)) {
            n += 1;
            squares += label * label;
            scaled += (label / sigma).powi(2);
        }
    }
    let spread = (squares / f64::from(n.max(1))).sqrt();
    // A single number, and labels that are zero by symmetry or composition, say nothing of the sigma.
    if n < 2 || spread < 1e-9 || scaled >= f64::from(n) {
        return None;
    }
    let sigma = sigma.map_or("larger".to_string(), |sigma| format!("{} {unit}", short(1e3 * sigma)));
    let spread = short(1e3 * spread);
    let less = if unit == "meV/√atom" { ", free atoms taken off," } else { "" };
    Some(format!("{labels}{less} spread by {spread} {unit} and {name} is {sigma}: they hardly count").into())
}

/// Three digits that count.
fn short(x: f64) -> String {
    format!("{}", format!("{x:.2e}").parse::<f64>().unwrap_or(x))
}

/// Species that the compositions of all frames do not tell apart.
fn not_told_apart(data: &Data, energies: &BTreeMap<u8, f64>) -> Option<Remark> {
    let species: Vec<u8> = energies.keys().copied().collect();
    let names: Vec<&str> =
        baseline::not_told_apart(data.frames, data.labels, &species).into_iter().map(symbol).collect();
    let (last, others) = names.split_last()?;
    let names = format!("{} and {last}", others.join(", "));
    Some(
        format!(
            "no composition tells the free atoms of {names} apart: their energies are right as a sum only; add other \
             compositions, or use a baseline of isolated-atoms or given"
        )
        .into(),
    )
}

/// Frames of an atom alone with another energy than the one given, which is predicted.
fn other_free_atoms(data: &Data, energies: &BTreeMap<u8, f64>) -> Vec<Remark> {
    let frames = data.frames.iter().zip(data.labels).zip(data.free).enumerate().filter(|(_, (_, free))| **free);
    let of = |(k, ((frame, labels), _)): (usize, ((&Structure, &Labels), &bool))| {
        let (label, given) = (labels.energy?, *energies.get(&frame.species[0])?);
        let text = || {
            format!(
                "a {} atom alone has {label} eV here, and {given} eV in the baseline, which is predicted",
                symbol(frame.species[0])
            )
        };
        ((label - given).abs() > SAME).then(|| Remark::on(k, text()))
    };
    frames.filter_map(of).collect()
}

/// Frames of absurd energy: of eV/atom, less a fit to the compositions that such frames do not pull, hundreds of times the spread.
fn far_off(data: &Data, energies: &BTreeMap<u8, f64>) -> Vec<Remark> {
    let species: Vec<u8> = energies.keys().copied().collect();
    let used: Vec<usize> = (0..data.frames.len()).filter(|&k| data.targets[k].energy.is_some()).collect();
    let (frames, labels): (Vec<&Structure>, Vec<f64>) =
        used.iter().filter_map(|&k| Some((&data.frames[k], data.labels[k].energy?))).unzip();
    if frames.len() < 4 {
        return Vec::new();
    }
    let rest = baseline::robust_residuals(&frames, &labels, &species);
    let middle = median(rest.clone());
    let off: Vec<f64> = rest.iter().map(|r| r - middle).collect();
    // Of normally distributed numbers, the standard deviation.
    let spread = (1.4826 * median(off.iter().map(|r| r.abs()).collect())).max(SPREAD);
    let mut far: Vec<usize> = (0..off.len()).filter(|&k| off[k].abs() > FAR_OFF * spread).collect();
    far.sort_by(|&a, &b| off[b].abs().total_cmp(&off[a].abs()).then(a.cmp(&b)));
    let name = |&k: &usize| {
        let text = format!(
            "its energy is {} eV/atom off what its composition says, {:.0} times the spread of the frames: is it right?",
            short(off[k]),
            off[k].abs() / spread
        );
        Remark::on(used[k], text)
    };
    let mut remarks: Vec<Remark> = far.iter().take(NAMED).map(name).collect();
    if far.len() > NAMED {
        remarks.push(format!("the energies of {} more frames are as far off", far.len() - NAMED).into());
    }
    remarks
}

fn median(mut x: Vec<f64>) -> f64 {
    let middle = x.len() / 2;
    *x.select_nth_unstable_by(middle, f64::total_cmp).1
}
