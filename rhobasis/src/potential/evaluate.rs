//! How far predictions are off: errors by quantity and configuration type, folds, learning curves.

use std::collections::BTreeMap;

use super::baseline::is_free_atom;
use super::features::Basis;
use super::model::{Potential, Prediction};
use super::settings::{TrainSettings, config_type};
use super::site::no_function;
use super::train::Trainer;
use crate::extxyz::Labels;
use crate::random::Random;
use crate::structure::{Structure, symbol};
use crate::{Error, Result};

/// Frames that are predicted, or added to a fit, at once.
const CHUNK: usize = 64;

/// What is compared, each in the unit of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Energy of a frame over its number of atoms, in meV/atom.
    EnergyPerAtom,
    /// Energy of a frame, in eV.
    Energy,
    /// Each component of the force on each atom, in eV/Å.
    Force,
    /// Each of six components of the stress, in meV/Å³.
    Stress,
}

impl Quantity {
    /// All of them, in the order of tables.
    pub const ALL: [Quantity; 4] = [Quantity::EnergyPerAtom, Quantity::Energy, Quantity::Force, Quantity::Stress];

    /// What a table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::EnergyPerAtom => "energy per atom",
            Quantity::Energy => "energy",
            Quantity::Force => "force component",
            Quantity::Stress => "stress component",
        }
    }

    /// Its unit in tables.
    pub fn unit(self) -> &'static str {
        match self {
            Quantity::EnergyPerAtom => "meV/atom",
            Quantity::Energy => "eV",
            Quantity::Force => "eV/Å",
            Quantity::Stress => "meV/Å³",
        }
    }
}

/// Pairs (label, prediction) of one frame, in the units of [`Quantity`]; none of what the frame has no label for.
///
/// # Errors
/// If a label cannot be one ([`Labels::validate`]), a stress is compared and the structure is not periodic in all three
/// directions, or forces were not predicted.
pub fn pairs(
    structure: &Structure,
    labels: &Labels,
    prediction: &Prediction,
) -> Result<Vec<(Quantity, Vec<[f64; 2]>)>> {
    labels.validate()?; // then squares of differences can be summed
    let mut pairs = Vec::new();
    let n = structure.len().max(1) as f64;
    if let Some(energy) = labels.energy {
        pairs.push((Quantity::EnergyPerAtom, vec![[1e3 * energy / n, 1e3 * prediction.energy / n]]));
        pairs.push((Quantity::Energy, vec![[energy, prediction.energy]]));
    }
    let compared = labels.forces.as_ref().filter(|_| !structure.is_empty());
    if let Some(forces) = compared {
        if prediction.forces.len() != forces.len() {
            let problem = format!("{} forces are predicted for {} labels", prediction.forces.len(), forces.len());
            return Err(Error::structure(None, problem, "predict with forces, or leave their labels out"));
        }
        let components = forces.iter().zip(&prediction.forces);
        pairs.push((Quantity::Force, components.flat_map(|(f, p)| (0..3).map(move |k| [f[k], p[k]])).collect()));
    }
    if let Some(stress) = &labels.stress {
        let predicted = prediction.stress(structure)?;
        let voigt = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)];
        let components = voigt.map(|(i, j)| [1e3 * stress[i][j], 1e3 * predicted[[i, j]]]);
        pairs.push((Quantity::Stress, components.to_vec()));
    }
    Ok(pairs)
}

/// Errors of one quantity, over some frames.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ErrorSum {
    /// How many numbers were compared.
    pub count: usize,
    squares: f64,
    absolutes: f64,
    /// The largest absolute error.
    pub largest: f64,
    /// Index of the frame that has it.
    pub frame: usize,
}

impl ErrorSum {
    fn add(&mut self, frame: usize, error: f64) {
        if self.count == 0 || error.abs() > self.largest {
            (self.largest, self.frame) = (error.abs(), frame);
        }
        self.count += 1;
        self.squares += error * error;
        self.absolutes += error.abs();
    }

    /// Root of the mean squared error; 0 of nothing.
    pub fn rmse(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.squares / self.count as f64).sqrt() }
    }

    /// Mean absolute error; 0 of nothing.
    pub fn mae(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.absolutes / self.count as f64 }
    }
}

/// One row of a table of errors.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorRow {
    /// What was compared.
    pub quantity: Quantity,
    /// The `config_type` of the frames; `None` for all frames together.
    pub config_type: Option<String>,
    /// Count, RMSE, MAE, largest error, in the unit of the quantity.
    pub errors: ErrorSum,
}

/// Errors of predictions, added up frame by frame, for all frames and for each `config_type`.
///
/// ```
/// # fn main() -> rhobasis::Result<()> {
/// use rhobasis::Structure;
/// use rhobasis::extxyz::Labels;
/// use rhobasis::potential::{Errors, Prediction, Quantity};
/// let dimer = Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.7, 0.0, 0.0]]);
/// let labels = Labels { energy: Some(-31.0), ..Labels::default() };
/// let prediction = Prediction {
///     energy: -30.9, energies: vec![-15.45; 2], forces: vec![], virial: ndarray::Array2::zeros((3, 3)),
///     virials: vec![], extrapolation: vec![], close: None,
/// };
/// let mut errors = Errors::default();
/// errors.add(0, &dimer, &labels, &prediction)?;
/// assert!((errors.of(Quantity::EnergyPerAtom, None).rmse() - 50.0).abs() < 1e-9); // meV/atom
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Errors {
    sums: BTreeMap<(Quantity, Option<String>), ErrorSum>,
}

impl Errors {
    /// Adds a frame; `frame` is what [`ErrorSum::frame`] names it by.
    ///
    /// # Errors
    /// As [`pairs`].
    pub fn add(&mut self, frame: usize, structure: &Structure, labels: &Labels, said: &Prediction) -> Result<()> {
        for (quantity, pairs) in pairs(structure, labels, said).map_err(|e| e.at_frame(frame))? {
            for kind in [None, Some(config_type(structure).to_string())] {
                let sum = self.sums.entry((quantity, kind)).or_default();
                pairs.iter().for_each(|[label, predicted]| sum.add(frame, predicted - label));
            }
        }
        Ok(())
    }

    /// Of one quantity, for frames of one configuration type or for all; zeros if there are none.
    pub fn of(&self, quantity: Quantity, config_type: Option<&str>) -> ErrorSum {
        self.sums.get(&(quantity, config_type.map(str::to_string))).copied().unwrap_or_default()
    }

    /// All rows: by quantity, all frames first, then each configuration type.
    pub fn rows(&self) -> Vec<ErrorRow> {
        let row = |((quantity, config_type), errors): (&(Quantity, Option<String>), &ErrorSum)| ErrorRow {
            quantity: *quantity,
            config_type: config_type.clone(),
            errors: *errors,
        };
        self.sums.iter().map(row).collect()
    }
}

/// How a long evaluation goes on: what is done, how many frames of how many.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// Which of the fits, counted from 0.
    pub fit: usize,
    /// How many fits there are.
    pub of: usize,
    /// Whether frames are predicted rather than trained on.
    pub testing: bool,
    /// Frames done.
    pub done: usize,
    /// Frames to do.
    pub frames: usize,
    /// What the fit has given, once it has.
    pub potential: Option<&'a Potential>,
}

/// How far one fit and its test have come: what it has given, frames done, frames to do.
type Report<'a> = dyn FnMut(Option<&Potential>, usize, usize) + 'a;

/// Makes a basis for some frames and what they say; an optimal one is then a fit to training frames only, as an honest test
/// demands.
pub type MakeBasis<'a> = dyn FnMut(&[Structure], &[Labels]) -> Result<Basis> + 'a;

/// Trains a potential, one without [extrapolation](Potential::extrapolation) and calibrated uncertainties, and says how far it has come.
///
/// # Errors
/// As [`Trainer::new`], [`Trainer::advance`], [`Trainer::finish`].
pub fn train(
    basis: Basis,
    settings: &TrainSettings,
    frames: &[Structure],
    labels: &[Labels],
    mut progress: impl FnMut(usize),
) -> Result<Potential> {
    let mut trainer = Trainer::new(basis, settings, frames, labels)?.without_uncertainty();
    while trainer.done() < frames.len() {
        trainer.advance(CHUNK)?;
        progress(trainer.done());
    }
    trainer.finish()
}

/// Refuses frames to test with, in pairs with their index, that hold a species which no frame to train on has: no model knows it,
/// and this is the time to say so.
///
/// # Errors
/// For the first such frame and atom.
pub fn check_species<'a>(
    train_on: impl IntoIterator<Item = &'a Structure>,
    test: impl IntoIterator<Item = (usize, &'a Structure)>,
) -> Result<()> {
    match unknown_species(train_on, test) {
        Some((frame, atom, z)) => Err(no_function(atom, z).at_frame(frame)),
        None => Ok(()),
    }
}

/// Frame, atom and atomic number of the first species in `test` that is not in `train_on`.
fn unknown_species<'a>(
    train_on: impl IntoIterator<Item = &'a Structure>,
    test: impl IntoIterator<Item = (usize, &'a Structure)>,
) -> Option<(usize, usize, u8)> {
    let mut known = [false; 256];
    train_on.into_iter().flat_map(|frame| &frame.species).for_each(|&z| known[usize::from(z)] = true);
    test.into_iter().find_map(|(k, frame)| {
        let atom = frame.species.iter().position(|&z| !known[usize::from(z)])?;
        Some((k, atom, frame.species[atom]))
    })
}

/// Predictions of a cross-validation.
#[derive(Debug, Clone)]
pub struct CrossValidation {
    /// What each frame is predicted to be by the fit that has not seen it; `None` for single atoms that were always trained on.
    pub predictions: Vec<Option<Prediction>>,
    /// Errors of all held-out frames.
    pub errors: Errors,
    /// Errors of each fold.
    pub by_fold: Vec<Errors>,
}

/// Predicts the frames of each fold by a fit to all others; see [`folds`](super::folds()).
///
/// Where the baseline is of free atoms, frames of an atom alone take part in every fit and are not tested: what is predicted is
/// their label, or that of their fellows.
///
/// # Errors
/// If frames, labels and folds do not match, a fold is empty, or a fit or a prediction fails; frames are named by their index.
pub fn cross_validate(
    make_basis: &mut MakeBasis,
    settings: &TrainSettings,
    frames: &[Structure],
    labels: &[Labels],
    folds: &[usize],
    progress: &mut dyn FnMut(Progress),
) -> Result<CrossValidation> {
    if labels.len() != frames.len() || folds.len() != frames.len() {
        let problem = format!("{} frames, {} labels, {} folds", frames.len(), labels.len(), folds.len());
        return Err(Error::setting("folds", folds.len(), problem, "give one label and one fold for each frame"));
    }
    let n_folds = folds.iter().max().map_or(0, |f| f + 1);
    let mut predictions = vec![None; frames.len()];
    let (mut errors, mut by_fold) = (Errors::default(), Vec::new());
    let kept = baseline_frames(make_basis, settings, frames, labels)?;
    let parts =
        |fold: usize| -> (Vec<usize>, Vec<usize>) { (0..frames.len()).partition(|&i| folds[i] == fold && !kept[i]) };
    for fold in 0..n_folds {
        let (test, train) = parts(fold);
        check_test(frames, &train, &test, "use fewer folds, or another seed")?;
    }
    for fold in 0..n_folds {
        let (test, train) = parts(fold);
        let mut here = Errors::default();
        let mut report = |potential: Option<&Potential>, done, frames| {
            progress(Progress { fit: fold, of: n_folds, testing: potential.is_some(), done, frames, potential });
        };
        fit_and_test(make_basis, settings, (frames, labels), &train, &test, &mut report, &mut |i, prediction| {
            here.add(i, &frames[i], &labels[i], &prediction)?;
            errors.add(i, &frames[i], &labels[i], &prediction)?;
            predictions[i] = Some(prediction);
            Ok(())
        })?;
        by_fold.push(here);
    }
    Ok(CrossValidation { predictions, errors, by_fold })
}

/// Errors on the frames `test` of fits to more and more of the frames `train`, in one random order: larger sets hold the smaller.
///
/// Both are indices into `frames`. Where the baseline is of free atoms, frames of an atom alone in `train` take part in every fit
/// and do not count, and those in `test` are not tested.
///
/// # Errors
/// If a size is zero or larger than the number of frames to train on, or a fit or a prediction fails.
#[allow(clippy::too_many_arguments)]
pub fn learning_curve(
    make_basis: &mut MakeBasis,
    settings: &TrainSettings,
    frames: &[Structure],
    labels: &[Labels],
    [train, test]: [&[usize]; 2],
    sizes: &[usize],
    seed: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<(usize, Errors)>> {
    if let Some(&i) = train.iter().chain(test).find(|&&i| i >= frames.len().min(labels.len())) {
        let problem = format!("there are {} frames and {} labels", frames.len(), labels.len());
        return Err(Error::setting("frame", i, problem, "give one label for each frame, and indices from 0"));
    }
    let kept = baseline_frames(make_basis, settings, frames, labels)?;
    let (always, others): (Vec<usize>, Vec<usize>) = train.iter().partition(|&&i| kept[i]);
    let test: Vec<usize> = test.iter().copied().filter(|&i| !kept[i]).collect();
    if let Some(size) = sizes.iter().find(|&&size| size == 0 || size > others.len()) {
        let problem = format!("there are {} frames to train on", others.len());
        return Err(Error::setting("learning_curve", size, problem, "give sizes from 1 to that number"));
    }
    let order: Vec<usize> = Random::new(seed).permutation(others.len()).into_iter().map(|k| others[k]).collect();
    let chosen = |size: usize| {
        // In the order of the frames, so that the whole set gives the fit of `train` to the last bit.
        let mut chosen = [&always, &order[..size]].concat();
        chosen.sort_unstable();
        chosen
    };
    for &size in sizes {
        check_test(frames, &chosen(size), &test, "use larger sizes, or another seed")?;
    }
    let mut curve = Vec::new();
    for (fit, &size) in sizes.iter().enumerate() {
        let chosen = chosen(size);
        let mut errors = Errors::default();
        let mut report = |potential: Option<&Potential>, done, frames| {
            progress(Progress { fit, of: sizes.len(), testing: potential.is_some(), done, frames, potential });
        };
        fit_and_test(make_basis, settings, (frames, labels), &chosen, &test, &mut report, &mut |i, prediction| {
            errors.add(i, &frames[i], &labels[i], &prediction)
        })?;
        curve.push((size, errors));
    }
    Ok(curve)
}

/// Whether each frame is part of every fit: atoms alone, where the baseline is of free atoms.
///
/// How far an atom sees is known to the basis only, and asked of one where some cell holds a single atom.
fn baseline_frames(
    make_basis: &mut MakeBasis,
    settings: &TrainSettings,
    frames: &[Structure],
    labels: &[Labels],
) -> Result<Vec<bool>> {
    if !settings.baseline.is_of_free_atoms() {
        return Ok(vec![false; frames.len()]);
    }
    let in_a_cell = |frame: &Structure| frame.len() == 1 && frame.pbc != [false; 3];
    let r_cut = match frames.iter().any(in_a_cell) {
        true => make_basis(frames, labels)?.expansion().density().r_cut,
        false => 1.0, // any would do
    };
    Ok(frames.iter().map(|frame| is_free_atom(frame, r_cut)).collect())
}

/// Refuses a test of species that the frames to train on do not have, before anything is fitted.
fn check_test(frames: &[Structure], train_on: &[usize], test: &[usize], remedy: &str) -> Result<()> {
    match unknown_species(train_on.iter().map(|&i| &frames[i]), test.iter().map(|&i| (i, &frames[i]))) {
        None => Ok(()),
        Some((frame, atom, z)) => {
            let problem =
                format!("one of the fits would be to {} frames, none of which has {}", train_on.len(), symbol(z));
            Err(Error::structure(Some(atom), problem, format!("{remedy}, or leave the frame out")).at_frame(frame))
        }
    }
}

/// Fits to some frames, and hands each other frame's prediction to `take`.
fn fit_and_test(
    make_basis: &mut MakeBasis,
    settings: &TrainSettings,
    (frames, labels): (&[Structure], &[Labels]),
    train_on: &[usize],
    test: &[usize],
    report: &mut Report,
    take: &mut dyn FnMut(usize, Prediction) -> Result<()>,
) -> Result<()> {
    let chosen: Vec<Structure> = train_on.iter().map(|&i| frames[i].clone()).collect();
    let said: Vec<Labels> = train_on.iter().map(|&i| labels[i].clone()).collect();
    let name = |indices: &[usize], e: Error| match e {
        Error::Structure { mut place, problem, remedy } => {
            place.frame = place.frame.and_then(|k| indices.get(k).copied());
            Error::Structure { place, problem, remedy }
        }
        e => e,
    };
    let trained = make_basis(&chosen, &said)
        .and_then(|basis| train(basis, settings, &chosen, &said, |done| report(None, done, train_on.len())));
    let potential = trained.map_err(|e| name(train_on, e))?;
    drop((chosen, said));
    let mut done = 0;
    for part in test.chunks(CHUNK) {
        let structures: Vec<Structure> = part.iter().map(|&i| frames[i].clone()).collect();
        let forces = part.iter().any(|&i| labels[i].forces.is_some() || labels[i].stress.is_some());
        let predictions = potential.predict(&structures, forces).map_err(|e| name(part, e))?;
        for (&i, prediction) in part.iter().zip(predictions) {
            take(i, prediction)?;
        }
        done += part.len();
        report(Some(&potential), done, test.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn errors_are_sums_over_what_has_labels() {
        let mut frame = Structure::crystal(
            vec![14; 2],
            vec![[0.1, 0.2, 0.3], [2.6, 2.4, 2.8]],
            [[5.1, 0.2, 0.0], [0.3, 4.9, 0.1], [-0.2, 0.4, 5.3]],
        );
        let kind = |name: &str| vec![("config_type".to_string(), crate::structure::Value::Text(name.into()))];
        let prediction = Prediction {
            energy: -9.0,
            energies: vec![-4.5; 2],
            forces: vec![[0.1, 0.0, 0.0], [0.0, 0.0, -0.3]],
            virial: Array2::zeros((3, 3)),
            virials: vec![],
            extrapolation: vec![],
            close: None,
        };
        let mut errors = Errors::default();
        frame.info = kind("liquid");
        let labels = Labels { energy: Some(-9.01), forces: Some(vec![[0.0; 3]; 2]), stress: None };
        errors.add(0, &frame, &labels, &prediction).unwrap();
        frame.info = kind("solid");
        errors.add(7, &frame, &Labels { energy: Some(-9.04), ..Labels::default() }, &prediction).unwrap();
        errors.add(8, &frame, &Labels::default(), &prediction).unwrap();

        let energy = errors.of(Quantity::EnergyPerAtom, None);
        assert_eq!((energy.count, energy.frame), (2, 7));
        assert!((energy.mae() - 12.5).abs() < 1e-9 && (energy.largest - 20.0).abs() < 1e-9);
        assert!((energy.rmse() - ((25.0 + 400.0) / 2.0_f64).sqrt()).abs() < 1e-9);
        assert!((errors.of(Quantity::Energy, Some("solid")).rmse() - 0.04).abs() < 1e-12);
        let force = errors.of(Quantity::Force, Some("liquid"));
        assert_eq!(force.count, 6);
        assert!((force.rmse() - (0.1_f64 / 6.0).sqrt()).abs() < 1e-12 && (force.mae() - 0.4 / 6.0).abs() < 1e-12);
        assert_eq!(errors.of(Quantity::Force, Some("solid")).count, 0);
        let names: Vec<_> = errors.rows().into_iter().map(|r| (r.quantity, r.config_type)).collect();
        let all = |q| [(q, None), (q, Some("liquid".to_string())), (q, Some("solid".to_string()))];
        let of_forces = all(Quantity::Force)[..2].to_vec();
        assert_eq!(names, [&all(Quantity::EnergyPerAtom)[..], &all(Quantity::Energy), &of_forces].concat());
        let missing = Prediction { forces: vec![], ..prediction };
        let e = errors.add(9, &frame, &Labels { forces: Some(vec![[0.0; 3]; 2]), ..Labels::default() }, &missing);
        assert!(e.unwrap_err().to_string().contains("frame 9"));
    }
}
