//! Stated and predicted numbers side by side, and robust statistics of them.

use super::faults::Fault;
use super::report::Label;
use crate::extxyz::Labels;
use crate::potential::Prediction;
use crate::structure::Structure;

/// What a model says of a frame; forces `[atom * 3]`, stress xx, yy, zz, yz, xz, xy.
#[derive(Debug, Clone, Default)]
pub(super) struct Predicted {
    pub energy: f64,
    pub forces: Vec<f64>,
    pub stress: Option<[f64; 6]>,
}

impl Predicted {
    /// The sum of two parts of a model.
    pub fn plus(mut self, other: &Predicted) -> Predicted {
        self.energy += other.energy;
        self.forces.iter_mut().zip(&other.forces).for_each(|(x, y)| *x += y);
        self.stress = self.stress.zip(other.stress).map(|(x, y)| std::array::from_fn(|k| x[k] + y[k]));
        self
    }

    pub fn of(&self, label: Label) -> Option<&[f64]> {
        match label {
            Label::Energy => Some(std::slice::from_ref(&self.energy)),
            Label::Forces => (!self.forces.is_empty()).then_some(&self.forces),
            Label::Stress => self.stress.as_ref().map(<[f64; 6]>::as_slice),
        }
    }

    /// What a potential says, as far as derivatives were asked for.
    pub fn new(structure: &Structure, prediction: Prediction) -> Self {
        let periodic = structure.pbc == [true; 3] && !prediction.forces.is_empty();
        let stress = periodic.then(|| prediction.stress(structure).ok()).flatten();
        let voigt = |s: ndarray::Array2<f64>| [s[[0, 0]], s[[1, 1]], s[[2, 2]], s[[1, 2]], s[[0, 2]], s[[0, 1]]];
        let (energy, forces) = (prediction.energy, prediction.forces.into_flattened());
        Predicted { energy, forces, stress: stress.map(voigt) }
    }
}

/// The numbers of a label, if the frame has it.
pub(super) fn stated(labels: &Labels, label: Label) -> Option<Vec<f64>> {
    match label {
        Label::Energy => labels.energy.map(|e| vec![e]),
        Label::Forces => labels.forces.as_ref().map(|f| f.iter().flatten().copied().collect()),
        Label::Stress => labels.stress.map(voigt),
    }
}

/// Replaces the numbers of a label.
pub(super) fn restate(labels: &mut Labels, label: Label, numbers: &[f64]) {
    match label {
        Label::Energy => labels.energy = Some(numbers[0]),
        Label::Forces => labels.forces = Some(numbers.chunks_exact(3).map(|f| [f[0], f[1], f[2]]).collect()),
        Label::Stress => {
            let [xx, yy, zz, yz, xz, xy] = [0, 1, 2, 3, 4, 5].map(|k| numbers[k]);
            labels.stress = Some([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]);
        }
    }
}

/// Takes a label away.
pub(super) fn forget(labels: &mut Labels, label: Label) {
    match label {
        Label::Energy => labels.energy = None,
        Label::Forces => labels.forces = None,
        Label::Stress => labels.stress = None,
    }
}

fn voigt(s: [[f64; 3]; 3]) -> Vec<f64> {
    vec![s[0][0], s[1][1], s[2][2], s[1][2], s[0][2], s[0][1]]
}

/// One label of one frame.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub label: Label,
    pub frame: usize,
    pub n_atoms: usize,
    pub volume: f64,
    pub stated: Vec<f64>,
    pub predicted: Vec<f64>,
}

impl Pair {
    /// None unless the frame has the label and the model says something of it.
    pub fn new(
        frame: usize,
        structure: &Structure,
        labels: &Labels,
        predicted: &Predicted,
        label: Label,
    ) -> Option<Self> {
        let (stated, predicted) = (stated(labels, label)?, predicted.of(label)?.to_vec());
        let fits = stated.len() == predicted.len() && predicted.iter().all(|x| x.is_finite());
        fits.then(|| Pair { label, frame, n_atoms: structure.len(), volume: structure.volume(), stated, predicted })
    }

    /// What was stated with a fault undone.
    pub fn undone(&self, fault: &Fault) -> Vec<f64> {
        fault.undone(&self.stated, self.n_atoms, self.volume)
    }
}

/// √(Σ (x − y)² / n)
pub(super) fn distance(x: &[f64], y: &[f64]) -> f64 {
    let sum: f64 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
    (sum / x.len().max(1) as f64).sqrt()
}

/// √(Σ x² / n)
pub(super) fn size(x: &[f64]) -> f64 {
    (squares(x) / x.len().max(1) as f64).sqrt()
}

fn squares(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// Σ (x − y)² / (Σ x² + Σ y²): 0 if they agree, 1 if they have nothing in common or are of different size, 2 if opposite.
pub(super) fn mismatch(x: &[f64], y: &[f64]) -> f64 {
    let all = squares(x) + squares(y);
    if all == 0.0 { 0.0 } else { distance(x, y).powi(2) * x.len() as f64 / all }
}

/// The value below which this share of the numbers lies; NaN of none.
pub(super) fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted: Vec<f64> = numbers.iter().copied().filter(|x| x.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

pub(super) fn median(numbers: &[f64]) -> f64 {
    quantile(numbers, 0.5)
}

/// A standard deviation that outliers do not move: 1.4826 times the median of the distances from the median.
pub(super) fn spread(numbers: &[f64]) -> f64 {
    let middle = median(numbers);
    1.4826 * median(&numbers.iter().map(|x| (x - middle).abs()).collect::<Vec<_>>())
}
