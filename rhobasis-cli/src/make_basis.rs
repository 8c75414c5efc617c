//! The radial basis that a model file asks for.

use rhobasis::density::species_of;
use rhobasis::extxyz::{Labels, SourceFile};
use rhobasis::optimal::{
    Covariance, CovarianceSettings, Method, OptimalBasis, PcovrSettings, SupervisedCovariance, Truncation,
};
use rhobasis::potential::{Basis, TrainSettings, supervised_basis};
use rhobasis::{Error, Result, Structure};

use crate::input::{frames_bar, load};
use crate::model_file::BasisPlan;

/// Frames that are added between two steps of the bar.
const CHUNK: usize = 16;

/// The basis that the file asks for, for these frames; `target` is what a supervised one is made for.
pub fn make_basis(
    plan: &BasisPlan,
    target: Option<&TrainSettings>,
    frames: &[Structure],
    labels: &[Labels],
    files: &[SourceFile],
) -> Result<Basis> {
    match plan {
        BasisPlan::File(path) => Ok(Basis::Optimal(load(path)?)),
        BasisPlan::Primitive(settings) => Basis::primitive(settings, &species_of(frames)),
        BasisPlan::Optimal(settings, Method::Pcovr(pcovr), truncation) => {
            Ok(Basis::Optimal(with_energies(settings, *pcovr, *truncation, frames, labels, files)?))
        }
        BasisPlan::Optimal(settings, Method::Supervised(supervised), truncation) => {
            let target = target.expect("tensors have no supervised basis");
            let span = principal(settings, |sums| sums.leading(supervised.span), frames, files)?;
            let bar = frames_bar(frames.len(), "supervision");
            let told = (*supervised, truncation.q_max()?);
            let made = supervised_basis(span, told, target, frames, labels, |done| bar.set_position(done as u64))?;
            bar.finish_and_clear();
            Ok(Basis::Optimal(made.basis))
        }
        BasisPlan::Optimal(settings, _, truncation) => {
            Ok(Basis::Optimal(principal(settings, |_| *truncation, frames, files)?))
        }
    }
}

/// Principal components, as many as `truncation` says of the covariance.
pub fn principal(
    settings: &CovarianceSettings,
    truncation: impl FnOnce(&Covariance) -> Truncation,
    frames: &[Structure],
    files: &[SourceFile],
) -> Result<OptimalBasis> {
    let settings = settings.resolved(|nearest| nearest.add(frames))?;
    let mut covariance = Covariance::new(&settings)?;
    let bar = frames_bar(frames.len(), "basis");
    for part in frames.chunks(CHUNK) {
        covariance.add(part, None)?;
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    let mut basis = OptimalBasis::from_covariance(&covariance, truncation(&covariance))?;
    basis.set_files(files.to_vec());
    Ok(basis)
}

/// Eq. (14).
fn with_energies(
    settings: &CovarianceSettings,
    pcovr: PcovrSettings,
    truncation: Truncation,
    frames: &[Structure],
    labels: &[Labels],
    files: &[SourceFile],
) -> Result<OptimalBasis> {
    let energy = |(frame, labels): (usize, &Labels)| {
        let problem = "it has no energy, and method = \"pcovr\" needs that of every frame";
        labels.energy.ok_or_else(|| Error::structure(None, problem, "use method = \"pca\"").at_frame(frame))
    };
    let energies = labels.iter().enumerate().map(energy).collect::<Result<Vec<f64>>>()?;
    let settings = settings.resolved(|nearest| nearest.add(frames))?;
    let mut covariance = SupervisedCovariance::new(&settings)?;
    let bar = frames_bar(frames.len(), "basis");
    for (part, energies) in frames.chunks(CHUNK).zip(energies.chunks(CHUNK)) {
        covariance.add(part, energies)?;
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    covariance.set_files(files.to_vec());
    covariance.basis(pcovr, truncation)
}
