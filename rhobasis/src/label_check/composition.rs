//! Energies and compositions: E / N as a linear function of the fractions of the species.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, s};

use super::compare::{median, spread};
use super::report::{Finding, Label, Sureness};
use crate::Result;
use crate::extxyz::Labels;
use crate::models::{LeastSquares, Solver};
use crate::structure::Structure;

/// Frames at least.
const FEWEST: usize = 12;
/// Energies further from those of their composition than this many standard deviations are not learned from at first.
const GROSS: f64 = 15.0;
/// Energies scatter this many times less about those of their composition if they are read as what they are, per atom or total;
/// and so many times for that to be certain.
const LESS_SCATTER: f64 = 1.5;
const FAR_LESS_SCATTER: f64 = 2.5;
/// A single energy in another unit counts in the scatter with so many times the usual energy at most.
const LARGEST_DEVIATION: f64 = 10.0;

/// Energies per atom by composition.
#[derive(Default)]
pub(super) struct Composition {
    /// Energy of an atom of each species, as a fit.
    pub energies: BTreeMap<u8, f64>,
    /// Robust standard deviation of E/N − Σ_a x_a e_a.
    pub spread: f64,
    /// Frames that are far off.
    pub gross: Vec<usize>,
    /// Mean distance of E/N − Σ_a x_a e_a from its median, as a part of the median |E/N|.
    scatter: f64,
    /// Whether compositions determine the energies of the species.
    determined: bool,
}

/// The fit for these frames, the energies being totals or, if `per_atom`, of an atom.
fn fit(frames: &[(usize, &Structure, f64)], per_atom: bool) -> Result<Composition> {
    let species: Vec<u8> =
        frames.iter().flat_map(|(_, s, _)| &s.species).copied().collect::<BTreeSet<_>>().into_iter().collect();
    let fractions = |structure: &Structure| {
        let n = structure.len() as f64;
        species.iter().map(|z| structure.species.iter().filter(|&x| x == z).count() as f64 / n).collect::<Vec<_>>()
    };
    let x: Vec<Vec<f64>> = frames.iter().map(|(_, structure, _)| fractions(structure)).collect();
    let y: Vec<f64> = frames.iter().map(|(_, s, e)| if per_atom { *e } else { e / s.len() as f64 }).collect();
    let mut kept = vec![true; y.len()];
    let middle = median(&y);
    let mut w = Array2::from_elem((species.len(), 1), middle);
    let mut condition = f64::INFINITY;
    let (mut width, mut scatter) = (0.0, 0.0);
    for _ in 0..4 {
        let mut sums = LeastSquares::new(species.len(), 1, Solver::Qr);
        for ((x, y), _) in x.iter().zip(&y).zip(&kept).filter(|(_, kept)| **kept) {
            let row = Array2::from_shape_vec((1, x.len()), x.clone()).expect("a row");
            sums.add(row.view(), Array2::from_elem((1, 1), y - middle).view())?;
        }
        let factor = sums.factor()?;
        condition = factor.condition_number();
        w = factor.ridge(1e-10 * factor.largest_singular_value().powi(2))? + middle;
        let off = |(x, y): (&Vec<f64>, &f64)| y - x.iter().zip(w.slice(s![.., 0])).map(|(x, w)| x * w).sum::<f64>();
        let off: Vec<f64> = x.iter().zip(&y).map(off).collect();
        width = spread(&off);
        scatter = mean_deviation(&off, median(&y.iter().map(|y| y.abs()).collect::<Vec<_>>()));
        let (centre, largest) = (median(&off), y.iter().fold(0.0, |a: f64, y| a.max(y.abs())));
        kept = off.iter().map(|r| (r - centre).abs() <= GROSS * width + 1e-12 * largest).collect();
    }
    Ok(Composition {
        energies: species.iter().copied().zip(w.iter().copied()).collect(),
        spread: width,
        scatter,
        gross: frames.iter().zip(&kept).filter(|(_, kept)| !**kept).map(|((k, ..), _)| *k).collect(),
        determined: condition < 1e3,
    })
}

/// Mean distance from the median, in units of what is usual.
fn mean_deviation(numbers: &[f64], usual: f64) -> f64 {
    let middle = median(numbers);
    let off = numbers.iter().map(|x| ((x - middle).abs() / usual).min(LARGEST_DEVIATION));
    off.sum::<f64>() / numbers.len() as f64
}

/// What energies say by themselves.
#[derive(Default)]
pub(super) struct EnergiesAlone {
    pub composition: Composition,
    /// Whether they are energies of an atom, or of another unit.
    pub findings: Vec<Finding>,
    pub per_atom: bool,
    pub untested: Vec<String>,
}

/// None for want of energies.
pub(super) fn energies_alone(frames: &[Structure], labels: &[Labels]) -> Result<Option<EnergiesAlone>> {
    let with = |(k, (structure, labels)): (usize, (&'_ Structure, &Labels))| Some((k, structure.len(), labels.energy?));
    let known: Vec<(usize, usize, f64)> = frames.iter().zip(labels).enumerate().filter_map(with).collect();
    let known: Vec<(usize, &Structure, f64)> = known
        .into_iter()
        .filter(|(k, ..)| super::reference::is_usable(&frames[*k]))
        .map(|(k, _, e)| (k, &frames[k], e))
        .collect();
    if known.len() < FEWEST {
        return Ok(None);
    }
    let totals = fit(&known, false)?;
    let mut untested = Vec::new();
    let sizes: BTreeSet<usize> = known.iter().map(|(_, s, _)| s.len()).collect();
    if sizes.len() < 2 {
        untested
            .push("energies per atom given as totals, without forces: all frames have the same number of atoms".into());
        let (findings, per_atom) = (unit_by_hydrogen(&totals, &known), false);
        return Ok(Some(EnergiesAlone { composition: totals, findings, per_atom, untested }));
    }
    let each = fit(&known, true)?;
    // Energies of the same kind of frames are nearly equal per atom. Totals read as energies per atom scatter as sizes do.
    let (of_totals, of_each) = (totals.scatter, each.scatter);
    let per_atom = of_totals > LESS_SCATTER * of_each;
    if !per_atom && of_each < LESS_SCATTER * of_totals {
        untested.push(
            "energies per atom given as totals: frames are of nearly one size, or energies vary more than sizes".into(),
        );
    }
    let composition = if per_atom { each } else { totals };
    let mut findings = unit_by_hydrogen(&composition, &known);
    if per_atom {
        findings.push(Finding {
            label: Label::Energy,
            suspicion: "energies per atom given as totals".into(),
            sureness: if of_totals > FAR_LESS_SCATTER * of_each { Sureness::Certain } else { Sureness::Likely },
            factor: of_totals / of_each,
            evidence: format!(
                "frames of {} to {} atoms; read as energies of an atom, they scatter by {:.2} % about those of their composition, \
                 read as totals by {:.2} %",
                sizes.first().unwrap_or(&0),
                sizes.last().unwrap_or(&0),
                100.0 * of_each,
                100.0 * of_totals
            ),
            remedy: "multiply by the number of atoms: energies are totals of the frame".into(),
            frames: known.iter().map(|(k, ..)| *k).collect(),
        });
    }
    Ok(Some(EnergiesAlone { composition, findings, per_atom, untested }))
}

/// A hydrogen atom in a molecule has −1.8 to −6 eV of atomization energy, or −12 to −22 eV in all.
fn unit_by_hydrogen(composition: &Composition, known: &[(usize, &Structure, f64)]) -> Vec<Finding> {
    let usual = |e: f64| (-6.0..=-1.8).contains(&e) || (-22.0..=-12.0).contains(&e);
    let Some(&hydrogen) = composition.energies.get(&1) else { return Vec::new() };
    if !composition.determined || usual(hydrogen) {
        return Vec::new();
    }
    let faults = super::faults::faults_of(Label::Energy);
    let energy = |fault: &super::faults::Fault| fault.undone(&[hydrogen], 1, 1.0)[0];
    let fitting: Vec<&super::faults::Fault> = faults.iter().filter(|f| usual(energy(f))).collect();
    let Some(best) = fitting.first() else { return Vec::new() };
    let others = fitting[1..].iter().map(|f| format!("; or {}, {:.2} eV", f.name, energy(f))).collect::<String>();
    vec![Finding {
        label: Label::Energy,
        suspicion: best.name.into(),
        sureness: if fitting.len() == 1 { Sureness::Likely } else { Sureness::WorthALook },
        factor: hydrogen / energy(best),
        evidence: format!(
            "a hydrogen atom adds {hydrogen:.4} to the energy, where −2 to −6 eV (atomization) or −12 to −22 eV (total) are usual; \
             this way it is {:.2} eV{others}",
            energy(best)
        ),
        remedy: best.remedy.into(),
        frames: known.iter().map(|(k, ..)| *k).collect(),
    }]
}
