//! What is tuned: the settings of the density and of the basis that a trial has.

use rhobasis::Result;
use rhobasis::density::{RadialScaling, Sigma};
use rhobasis::optimal::{CovarianceSettings, Method, SupervisedSettings, Truncation, Weighting};
use rhobasis::potential::{FeatureKind, FeatureSettings};
use serde::{Deserialize, Serialize};

use crate::model_file::{BasisPlan, ModelFile};

/// One choice of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// In Å.
    pub r_cut: f64,
    /// In Å; none where the file gives one for each species, or points.
    pub sigma: Option<f64>,
    pub l_max: usize,
    pub q_max: usize,
    pub scaling: Option<RadialScaling>,
    pub functions: Functions,
}

/// Which functions the basis has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Functions {
    /// Those of the file, where they are none of the following.
    AsGiven,
    /// Principal components of the density,
    Principal,
    /// or of the density weighted by the distances of nearest neighbours.
    Weighted,
    /// Supervised ones: all for a linear model, the leading one for a kernel,
    Supervised,
    /// with principal components of the weighted density as their span and behind them.
    SupervisedAndWeighted,
}

impl Functions {
    /// In a table.
    pub fn name(self) -> &'static str {
        match self {
            Functions::AsGiven => "as given",
            Functions::Principal => "principal",
            Functions::Weighted => "weighted",
            Functions::Supervised => "supervised",
            Functions::SupervisedAndWeighted => "supervised, weighted",
        }
    }

    /// Whether some are made for the labels.
    pub fn are_supervised(self) -> bool {
        matches!(self, Functions::Supervised | Functions::SupervisedAndWeighted)
    }

    /// Whether they are principal components of a weighted density.
    pub fn are_weighted(self) -> bool {
        matches!(self, Functions::Weighted | Functions::SupervisedAndWeighted)
    }
}

/// How points become bases: the settings of a model file that are not tuned.
pub struct Tuned {
    settings: CovarianceSettings,
    method: Method,
    /// Supervised settings of this model.
    supervised: SupervisedSettings,
    /// Functions among which to choose.
    pub functions: Vec<Functions>,
    /// Whether the scaling of the density changes a model that sees all functions: that of kernels.
    pub kernel: bool,
    /// Whether the features take all functions and l of the basis, or so many as the file says.
    pub takes_all_functions: bool,
    pub takes_all_l: bool,
}

impl Tuned {
    /// Of a file, and where it begins.
    ///
    /// # Errors
    /// If its basis is a file or a primitive one, or of as many functions as keep some variance.
    pub fn of(file: &ModelFile) -> Result<(Self, Point)> {
        let BasisPlan::Optimal(settings, method, truncation) = &file.basis else {
            return Err(file.wrong("[basis]: is made of no data, and its settings are what is tuned", EXAMPLE));
        };
        let Truncation::QMax(q_max) = *truncation else {
            return Err(file.wrong("[basis]: retain leaves the number of functions open, which is tuned", EXAMPLE));
        };
        let kernel = file.is_kernel();
        let supervised = SupervisedSettings { supervised: kernel.then_some(1), ..SupervisedSettings::default() };
        let functions = match (method, &settings.weighting) {
            (Method::Pca, None) => Functions::Principal,
            (Method::Pca, Some(Weighting::Nearest)) => Functions::Weighted,
            (Method::Supervised(given), None) if *given == supervised => Functions::Supervised,
            (Method::Supervised(given), Some(Weighting::Nearest)) if *given == supervised => {
                Functions::SupervisedAndWeighted
            }
            _ => Functions::AsGiven,
        };
        let density = &settings.expansion.density;
        let start = Point {
            r_cut: density.r_cut,
            sigma: match density.sigma {
                Sigma::Same(sigma) if sigma > 0.0 => Some(sigma),
                _ => None,
            },
            l_max: settings.expansion.l_max,
            q_max,
            scaling: density.scaling.clone(),
            functions,
        };
        let features = file.features();
        let of_power_spectra = is_whole_power_spectrum(features);
        let choices: &[Functions] = match (kernel, of_power_spectra) {
            (false, true) => &[Functions::Principal, Functions::Supervised],
            (true, true) => &[Functions::Principal, Functions::Weighted, Functions::SupervisedAndWeighted],
            (_, false) => &[Functions::Principal, Functions::Weighted],
        };
        let all = |said: fn(&rhobasis::potential::Member) -> Option<usize>| {
            features.members.iter().any(|m| said(m).is_none())
        };
        let tuned = Tuned {
            settings: settings.clone(),
            method: *method,
            supervised,
            functions: choices.to_vec(),
            kernel,
            takes_all_functions: all(|member| member.q_max),
            takes_all_l: all(|member| member.l_max),
        };
        Ok((tuned, start))
    }

    /// The basis of a point.
    pub fn plan(&self, point: &Point) -> BasisPlan {
        let mut settings = self.settings.clone();
        let density = &mut settings.expansion.density;
        density.r_cut = point.r_cut;
        density.scaling = point.scaling.clone();
        if let Some(sigma) = point.sigma {
            density.sigma = Sigma::Same(sigma);
        }
        settings.expansion.l_max = point.l_max;
        let mut method = self.method;
        if point.functions != Functions::AsGiven {
            settings.weighting = point.functions.are_weighted().then_some(Weighting::Nearest);
            method = if point.functions.are_supervised() { Method::Supervised(self.supervised) } else { Method::Pca };
        }
        BasisPlan::Optimal(settings, method, Truncation::QMax(point.q_max))
    }

    /// The largest number of functions that each block can have.
    pub fn most_functions(&self, point: &Point) -> usize {
        let n_max = self.settings.expansion.primitive.n_max();
        if point.functions.are_supervised() { n_max.min(self.supervised.span) } else { n_max }
    }

    /// Principal functions of the density of a point without scaling: as many as a linear model needs to show what it looks at.
    pub fn span(&self, point: &Point) -> BasisPlan {
        let span = Point { scaling: None, functions: Functions::Principal, ..point.clone() };
        let q_max = self.supervised.span.min(self.most_functions(&span));
        self.plan(&Point { q_max, ..span })
    }
}

const EXAMPLE: &str = "give r_cut, sigma, l_max and q_max in it, as in examples/model-silicon.toml";

fn is_whole_power_spectrum(features: &FeatureSettings) -> bool {
    let [member] = &features.members[..] else { return false };
    let cut = member.columns.is_some() || member.q_max.is_some() || member.l_max.is_some();
    member.kind == FeatureKind::PowerSpectrum && !cut
}
