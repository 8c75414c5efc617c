//! Bases for linear models of power spectra: the combinations of functions that such a model needs, for every l.

use ndarray::{Array1, Axis};

use super::evaluate::train;
use super::features::{Basis, FeatureSettings};
use super::model::{Model, Potential};
use super::rows::Functions;
use super::sensitivity::{optimal, places};
use super::settings::{Alpha, ModelSettings, TrainSettings};
use crate::correlations::FeatureKind;
use crate::extxyz::Labels;
use crate::models::{Contracted, Factor, Form, QuadraticForms, Solver};
use crate::optimal::{Method, OptimalBasis, SupervisedSettings};
use crate::structure::Structure;
use crate::{Error, Result};

/// A supervised basis, and what it was worth.
#[derive(Debug, Clone)]
pub struct Supervised {
    /// The basis.
    pub basis: OptimalBasis,
    /// By how much the sum of squares that the fit minimises is larger than with all functions of the span,
    pub excess: f64,
    /// and by how much it would be with as many principal functions.
    pub excess_of_pca: f64,
}

impl Potential {
    /// The basis whose leading functions, `q_max` or as many as the settings say, are the combinations of those of this
    /// potential's basis with which its linear model of the power spectrum fits its training set best,
    ///
    /// ```text
    /// E_i = Σ_l tr(W_l c_lᵀ c_l) / √(2l + 1),     W_l = U_lᵀ w_l U_l,     U_l [q, function], rows orthonormal
    /// ```
    ///
    /// with the weights, labels and regulariser of the fit; what follows them are principal functions of the rest of the span.
    /// Centres of all species share U, unless the basis is centre-specific. Functions are ordered by falling magnitude of the
    /// eigenvalues of w; those for q are no part of those for q + 1.
    ///
    /// Nothing but the triangle that the fit leaves is needed: no structure is seen again.
    ///
    /// # Errors
    /// Unless the potential is linear, fitted just now or loaded, its features are one whole power spectrum of an optimal basis,
    /// not normalised, and `q_max` and the number of supervised functions are from 1 to the functions of that basis.
    pub fn supervised(&self, settings: SupervisedSettings, q_max: usize) -> Result<Supervised> {
        let basis = optimal(self)?;
        basis.check_span("q_max", q_max)?;
        let supervised = settings.of(q_max)?;
        let blocks = || basis.kinds().iter().flat_map(|kind| &kind.blocks);
        let deviations: Vec<Array1<f64>> = blocks()
            .map(|block| {
                block.contraction.eigenvalues[..block.contraction.u.nrows()].iter().map(|e| e.sqrt()).collect()
            })
            .collect();
        let (forms, weights) = self.forms(basis)?;
        let posterior = self.posterior.as_ref().ok_or_else(|| unfit("it holds no fit"))?;
        let counts = vec![supervised; deviations.len()];
        let r = posterior.factor.r();
        let qty = r.dot(&weights).insert_axis(Axis(1));
        let factor = Factor::from_r(r, qty.view(), &[0.0], 0, Solver::Qr)?;
        let Contracted { rows, loss: excess, leading: excess_of_pca } =
            QuadraticForms::new(&factor, &forms, &deviations)?.contract(&counts)?;
        let basis = basis.turned(&rows, q_max, Method::Supervised(settings))?;
        Ok(Supervised { basis, excess, excess_of_pca })
    }

    /// The quadratic forms of the linear model, one for each species of centre and l, and its weights.
    fn forms(&self, basis: &OptimalBasis) -> Result<(Vec<Form>, Array1<f64>)> {
        let [member] = &self.settings.features.members[..] else {
            return Err(unfit("its features are of several kinds"));
        };
        if member.kind != FeatureKind::PowerSpectrum || member.columns.is_some() || member.normalize {
            return Err(unfit("its features are no whole power spectrum as it is"));
        }
        if member.q_max.is_some() || member.l_max.is_some() {
            return Err(unfit("its features leave functions of the basis out"));
        }
        let Some(Functions::Linear { .. }) = self.posterior.as_ref().map(|posterior| &posterior.functions) else {
            return Err(unfit("it is not linear"));
        };
        let Model::Linear(model) = &self.model else { return Err(unfit("it is not linear")) };
        let (places, channels) = (places(basis), basis.expansion().channels());
        let mut forms = Vec::new();
        let mut first = 0;
        for &z in model.weights.keys() {
            for (l, channels) in channels.iter().enumerate() {
                let own =
                    places.iter().enumerate().filter(|(_, p)| p.l == l && p.center.is_none_or(|center| center == z));
                let sets = own.map(|(set, place)| (set, place.first)).collect();
                let form = Form { first, n_channels: channels.len(), sets };
                first += channels.len() * (channels.len() + 1) / 2;
                forms.push(form);
            }
        }
        Ok((forms, model.weights.values().flatten().copied().collect()))
    }
}

/// Regularisers among which the linear fit below a supervised basis chooses where its model has none of its own.
pub const SUPERVISING_ALPHAS: [f64; 4] = [1e-12, 1e-10, 1e-8, 1e-6];

/// The linear model below a supervised basis that is made for no linear model: its regulariser is found by cross-validation.
pub fn supervising_model() -> ModelSettings {
    ModelSettings::Ridge { alpha: Alpha::Best(SUPERVISING_ALPHAS.to_vec()), solver: Solver::Qr }
}

/// The supervised basis of some frames: a linear model of the power spectrum in `span`, which is a basis of the leading principal
/// functions, is fitted with labels, weights and baseline of `target` (and its regulariser, if it is linear), and
/// [`Potential::supervised`] does the rest. `progress` is told how many frames are done.
///
/// # Errors
/// As [`Potential::supervised`] and [`train`].
pub fn supervised_basis(
    span: OptimalBasis,
    (settings, q_max): (SupervisedSettings, usize),
    target: &TrainSettings,
    frames: &[Structure],
    labels: &[Labels],
    progress: impl FnMut(usize),
) -> Result<Supervised> {
    span.check_span("q_max", q_max)?;
    settings.of(q_max)?;
    let features = FeatureSettings::default();
    let model = match &target.model {
        linear @ ModelSettings::Ridge { .. } => linear.clone(),
        _ => supervising_model(),
    };
    let target = TrainSettings { features, model, ..target.clone() };
    train(Basis::Optimal(span), &target, frames, labels, progress)?.supervised(settings, q_max)
}

fn unfit(why: &str) -> Error {
    let problem = format!("a supervised basis is found from a linear potential of the power spectrum, and {why}");
    Error::setting(
        "potential",
        "this one",
        problem,
        "train model = \"ridge\" on kind = \"power-spectrum\" with an optimal basis",
    )
}
