//! The radial basis that a model file asks for.

use rhobasis::density::species_of;
use rhobasis::extxyz::{Labels, SourceFile};
use rhobasis::optimal::{Covariance, OptimalBasis, SupervisedCovariance};
use rhobasis::potential::Basis;
use rhobasis::{Error, Result, Structure};

use crate::input::{frames_bar, load};
use crate::model_file::BasisPlan;

/// Frames that are added between two steps of the bar.
const CHUNK: usize = 16;

/// The basis that the file asks for, for these frames.
pub fn make_basis(plan: &BasisPlan, frames: &[Structure], labels: &[Labels], files: &[SourceFile]) -> Result<Basis> {
    match plan {
        BasisPlan::File(path) => Ok(Basis::Optimal(load(path)?)),
        BasisPlan::Primitive(settings) => Basis::primitive(settings, &species_of(frames)),
        BasisPlan::Optimal(settings, truncation) => {
            let settings = settings.resolved(|nearest| nearest.add(frames))?;
            let mut covariance = Covariance::new(&settings)?;
            let bar = frames_bar(frames.len(), "basis");
            for part in frames.chunks(CHUNK) {
                covariance.add(part, None)?;
                bar.inc(part.len() as u64);
            }
            bar.finish_and_clear();
            let mut basis = OptimalBasis::from_covariance(&covariance, *truncation)?;
            basis.set_files(files.to_vec());
            Ok(Basis::Optimal(basis))
        }
        BasisPlan::Supervised(settings, pcovr, truncation) => {
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
            Ok(Basis::Optimal(covariance.basis(*pcovr, *truncation)?))
        }
    }
}
