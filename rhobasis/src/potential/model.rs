//! The potential: features and a model of them, with the baseline added.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2};

use super::alone;
use super::baseline::of_atoms;
use super::chain::{Chain, OfFeatures};
use super::features::Basis;
use super::leverage::Leverage;
use super::linear::LinearModel;
use super::posterior::{Posterior, Uncertainty};
use super::repulsion::{ClosePair, Core, Found, Nearest};
use super::settings::TrainSettings;
use super::site::SiteFunction;
use super::sparse::{Kernels, SparseModel};
use crate::correlations::Invariants;
use crate::density::{Adjoint, stress_of};
use crate::extxyz::LARGEST;
use crate::neighbors::VerletList;
use crate::structure::{Structure, Vec3};
use crate::{Error, Result};

/// Energy of a structure as a sum over its atoms, with all that follows from it:
///
/// ```text
/// E = Σ_i e(a_i) + Σ_i ε_{a_i}(X_i) + Σ_{i<j} core(r_ij),   forces −dE/dr,   stress (1/V) dE/dε
/// ```
///
/// The core acts between atoms that are nearer to each other than in training only, see [`Repulsion`](super::Repulsion).
///
/// Where e are energies of free atoms ([`Baseline::is_of_free_atoms`](super::Baseline::is_of_free_atoms)), ε of an atom alone is zero.
///
/// Forces cost the adjoint of the features, whatever their number; a linear model of a whole power spectrum makes no features at
/// all: ε = Σ_l tr(W_l c_lᵀ c_l)/√(2l+1).
///
/// ```
/// use rhobasis::density::ExpansionSettings;
/// use rhobasis::extxyz::Labels;
/// use rhobasis::potential::{
///     Baseline, Basis, FeatureSettings, ModelSettings, Potential, Repulsion, TrainSettings, Trainer, Weights,
/// };
/// use rhobasis::Structure;
///
/// // A Morse-like dimer, learned from its energies.
/// let frames: Vec<Structure> = (0..12)
///     .map(|k| Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 0.6 + 0.1 * k as f64]]))
///     .collect();
/// let energy = |frame: &Structure| (1.0 - (-2.0 * (frame.positions[1][2] - 0.74)).exp()).powi(2);
/// let labels: Vec<Labels> =
///     frames.iter().map(|frame| Labels { energy: Some(energy(frame)), ..Labels::default() }).collect();
/// let basis = Basis::primitive(&ExpansionSettings { l_max: 2, ..Default::default() }, &[1])?;
/// let settings = TrainSettings {
///     features: FeatureSettings::default(),
///     model: ModelSettings::ridge(),
///     baseline: Baseline::default(),
///     repulsion: Repulsion::default(),
///     weights: Weights::default(),
/// };
/// let mut trainer = Trainer::new(basis, &settings, &frames, &labels)?;
/// trainer.advance(frames.len())?;
/// let potential = trainer.finish()?;
/// let predicted = &potential.predict(&frames[3..4], true)?[0];
/// assert!((predicted.energy - energy(&frames[3])).abs() < 0.01);
/// assert!((predicted.forces[0][2] + predicted.forces[1][2]).abs() < 1e-10);
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Potential {
    pub(super) basis: Basis,
    pub(super) settings: TrainSettings,
    pub(super) invariants: Invariants,
    pub(super) baseline: BTreeMap<u8, f64>,
    /// What the function of the model is for an atom alone, in eV, which is taken off; none where it is not.
    pub(super) alone: BTreeMap<u8, f64>,
    /// Species of centres it was trained on.
    pub(super) species: Vec<u8>,
    /// What acts where training has not been; none of files that do not know where that is.
    pub(super) core: Option<Core>,
    pub(super) model: Model,
    pub(super) posterior: Option<Posterior>,
    /// None of models without a posterior, and of fits that did without.
    pub(super) uncertainty: Option<Uncertainty>,
    /// The regulariser that was taken, of a linear model.
    pub(super) alpha: Option<f64>,
    pub(super) condition_number: f64,
    pub(super) warnings: Vec<String>,
}

/// Refuses what is not finite, or so large that nobody can compare it with anything.
fn check<'a>(energy: f64, derivatives: impl IntoIterator<Item = &'a f64>) -> Result<()> {
    let is_possible = |x: f64| x.abs() <= LARGEST; // which NaN is not
    let remedy = "look for atoms that overlap";
    if !is_possible(energy) {
        return Err(Error::structure(None, format!("its energy is predicted to be {energy:e} eV"), remedy));
    }
    match derivatives.into_iter().find(|&&x| !is_possible(x)) {
        Some(x) => Err(Error::structure(None, format!("a force or its virial is predicted to be {x:e}"), remedy)),
        None => Ok(()),
    }
}

/// What an atom's energy is as a function of its features.
#[derive(Debug, Clone)]
pub(super) enum Model {
    Linear(LinearModel),
    Sparse(SparseModel),
}

impl Model {
    fn function(&self) -> &dyn SiteFunction {
        match self {
            Model::Linear(model) => model,
            Model::Sparse(model) => model,
        }
    }
}

/// What is predicted beside energies.
/// What [`Potential::evaluate_with`] gives beside energies, forces and virial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beside {
    /// The virial of each atom j as a neighbour, ghosts included, in eV, where the first index goes with r_ji:
    ///
    /// ```text
    /// W_j = −Σ_i r_ji ⊗ dE_i/dr_ji,   Σ_j W_j = −dE/dε
    /// ```
    ///
    /// Of the ways to share out the virial of a many-body potential this is the one by which Σ_j W_j v_j is the flux of heat that
    /// forces carry (Fan et al., Phys. Rev. B 92, 094301 (2015)); W_j is not symmetric, but its sum is.
    pub virials: bool,
    /// The [extrapolation](Potential::extrapolation) of each centre, of the features that its energy is made of.
    pub extrapolation: bool,
}

/// What a potential says of one structure.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Total energy, baseline included, in eV.
    pub energy: f64,
    /// Energy of each atom, baseline included, in eV.
    pub energies: Vec<f64>,
    /// −dE/dr of each atom, in eV/Å; empty if not asked for.
    pub forces: Vec<Vec3>,
    /// −dE/dε, in eV, symmetric; zeros if forces were not asked for.
    pub virial: Array2<f64>,
    /// The virial of each atom, in eV, see [`Beside`]; empty if not asked for.
    pub virials: Vec<[Vec3; 3]>,
    /// The [extrapolation](Potential::extrapolation) of each atom, see [`Beside`]; empty if not asked for.
    pub extrapolation: Vec<f64>,
    /// Atoms that are nearer to each other than any of their species were in training, where all of this is a guess: the worst pair.
    pub close: Option<ClosePair>,
}

impl Prediction {
    /// Stress +(1/V) dE/dε, in eV/Å³.
    ///
    /// # Errors
    /// Unless the structure is periodic in all three directions.
    pub fn stress(&self, structure: &Structure) -> Result<Array2<f64>> {
        stress_of(&self.virial, structure)
    }
}

impl Potential {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        basis: Basis,
        settings: TrainSettings,
        invariants: Invariants,
        baseline: BTreeMap<u8, f64>,
        species: Vec<u8>,
        model: Model,
        posterior: Option<Posterior>,
        alpha: Option<f64>,
        warnings: Vec<String>,
    ) -> Self {
        let condition_number = posterior.as_ref().map_or(f64::NAN, |p| p.factor.condition_number());
        Potential {
            basis,
            settings,
            invariants,
            baseline,
            alone: BTreeMap::new(),
            species,
            core: None,
            model,
            posterior,
            uncertainty: None,
            alpha,
            condition_number,
            warnings,
        }
    }

    /// The same with its core, which training frames know nothing of.
    pub(super) fn with_core(mut self, nearest: Nearest) -> Self {
        self.core = Some(Core::new(self.settings.repulsion, nearest, &self.species, self.r_cut()));
        self
    }

    /// The same, but for the energy of an atom alone, which is that of the baseline.
    ///
    /// # Errors
    /// As [`Potential::predict`].
    pub(super) fn less_alone(mut self) -> Result<Self> {
        let chain = self.chain();
        let of = |&z: &u8| Ok((z, chain.energies(&[alone::structure(z)], None)?[0]));
        self.alone = self.species.iter().map(of).collect::<Result<_>>()?;
        Ok(self)
    }

    /// Energies of all structures; forces and virials too if `forces`.
    ///
    /// # Errors
    /// [`Error::Structure`] naming frame and atom: not finite, no volume, atoms that coincide, unknown species.
    pub fn predict(&self, structures: &[Structure], forces: bool) -> Result<Vec<Prediction>> {
        self.predict_with(structures, None, forces.then(Beside::default))
    }

    /// [`Potential::predict`] of one structure with forces, with a list of neighbours that is made anew only where it has to be:
    /// what molecular dynamics and relaxations call. With a list from outside ([`VerletList::given`]), energies are those of its
    /// centres, and forces fall on ghosts too.
    ///
    /// # Errors
    /// As for `predict`, and if the list is of another cutoff, see [`Potential::r_cut`].
    pub fn evaluate(&self, structure: &Structure, list: &mut VerletList) -> Result<Prediction> {
        self.evaluate_with(structure, list, Beside::default())
    }

    /// [`Potential::evaluate`], with what else is wanted.
    ///
    /// # Errors
    /// As [`Potential::evaluate`], and [`Potential::extrapolation`] if that is wanted.
    pub fn evaluate_with(&self, structure: &Structure, list: &mut VerletList, beside: Beside) -> Result<Prediction> {
        list.update(structure)?;
        let one = std::slice::from_ref(structure);
        let mut predictions = self.predict_with(one, Some(std::slice::from_ref(list)), Some(beside))?;
        predictions.pop().ok_or_else(|| Error::setting("structures", 0, "there is none", "give one"))
    }

    pub(super) fn chain(&self) -> Chain<'_> {
        Chain { invariants: &self.invariants, site: self.model.function(), core: None }
    }

    /// The chain with what acts between atoms that are too near, noting which they are.
    pub(super) fn watched_chain<'a>(&'a self, found: &'a Found) -> Chain<'a> {
        Chain { core: self.core.as_ref().map(|core| (core, found)), ..self.chain() }
    }

    /// Energies; if `beside` says what else, forces and virials too.
    fn predict_with(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        beside: Option<Beside>,
    ) -> Result<Vec<Prediction>> {
        let found = Found::default();
        let chain = self.watched_chain(&found);
        let Some(Beside { virials, extrapolation }) = beside else {
            let energies = chain.energies(structures, lists)?;
            return self.predictions(structures, lists, energies, (Vec::new(), Vec::new()), found);
        };
        let leverage = if extrapolation { Some(self.known_leverage()?) } else { None };
        let of_features = leverage.map(|(leverage, posterior)| {
            move |species: &[u8], x: ArrayView2<f64>, out: &mut [f64]| {
                leverage.of_features(&posterior.functions, species, x, out);
            }
        });
        let of_features = of_features.as_ref().map(|of| of as &OfFeatures);
        let (energies, adjoints, extrapolation) = chain.energies_and_forces(structures, lists, virials, of_features)?;
        self.predictions(structures, lists, energies, (adjoints, extrapolation), found)
    }

    /// The posterior of the fit.
    ///
    /// # Errors
    /// For kernel ridge models, which keep none.
    pub(super) fn known_posterior(&self) -> Result<&Posterior> {
        self.posterior.as_ref().ok_or_else(|| {
            let problem = "a kernel ridge model keeps no factor for it";
            Error::setting("uncertainty", "true", problem, "use a linear or a sparse model")
        })
    }

    /// What extrapolation is measured by.
    ///
    /// # Errors
    /// As [`Potential::known_posterior`], and for files of older versions.
    pub(super) fn known_leverage(&self) -> Result<(&Leverage, &Posterior)> {
        let posterior = self.known_posterior()?;
        let uncertainty = self.uncertainty.as_ref().ok_or_else(|| {
            let problem = "this potential does not hold the largest leverages of its training set";
            Error::setting("extrapolation", "true", problem, "train it anew with this version of rhobasis")
        })?;
        Ok((&uncertainty.leverage, posterior))
    }

    /// What is said of structures, from what the model says of their centres, and the pairs that were found too near.
    fn predictions(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        mut energies: Vec<f64>,
        (adjoints, extrapolation): (Vec<Adjoint>, Vec<f64>),
        found: Found,
    ) -> Result<Vec<Prediction>> {
        let close = found.into_inner();
        let mut adjoints = adjoints.into_iter();
        let mut predictions = Vec::with_capacity(structures.len());
        let mut first = 0;
        for (k, structure) in structures.iter().enumerate() {
            let n_centers = lists.map_or(structure.len(), |lists| lists[k].n_centers(structure));
            let (mine, species) = (&mut energies[first..first + n_centers], &structure.species[..n_centers]);
            for (energy, z) in mine.iter_mut().zip(species).filter(|_| !self.alone.is_empty()) {
                *energy -= self.alone.get(z).copied().unwrap_or(0.0);
            }
            let of_atom = |(energy, z): (&f64, &u8)| energy + self.baseline.get(z).copied().unwrap_or(0.0);
            let atoms: Vec<f64> = mine.iter().zip(species).map(of_atom).collect();
            let extrapolation = extrapolation.get(first..first + n_centers).unwrap_or_default().to_vec();
            first += n_centers;
            let (forces, virial, virials) = match adjoints.next() {
                Some(Adjoint { forces, virial, atom_virials }) => (forces, (&virial + &virial.t()) * 0.5, atom_virials),
                None => (Vec::new(), Array2::zeros((3, 3)), Vec::new()),
            };
            // The model's part is summed apart from the far larger baseline.
            let energy = mine.iter().sum::<f64>() + of_atoms(&self.baseline, species);
            check(energy, forces.as_flattened().iter().chain(&virial)).map_err(|e| e.at_frame(k))?;
            let close = close.get(&k).copied();
            predictions.push(Prediction { energy, energies: atoms, forces, virial, virials, extrapolation, close });
        }
        Ok(predictions)
    }

    /// Distance beyond which atoms do not see each other, in Å.
    pub fn r_cut(&self) -> f64 {
        self.basis.expansion().density().r_cut
    }

    /// Energies of free atoms by atomic number, in eV.
    pub fn baseline(&self) -> &BTreeMap<u8, f64> {
        &self.baseline
    }

    /// Species of centres that it was trained on, ascending.
    pub fn species(&self) -> &[u8] {
        &self.species
    }

    /// The smallest distance of each pair of species in training; none of potentials of older versions, which do not know it.
    pub fn nearest(&self) -> Option<&Nearest> {
        self.core.as_ref().map(|core| &core.nearest)
    }

    /// How it was trained.
    pub fn settings(&self) -> &TrainSettings {
        &self.settings
    }

    /// Its basis.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The features that its model sees.
    pub fn invariants(&self) -> &Invariants {
        &self.invariants
    }

    /// Number of features of an atom.
    pub fn n_features(&self) -> usize {
        self.invariants.n_features()
    }

    /// Numbers that the model consists of: weights of features, or of sparse points.
    pub fn n_parameters(&self) -> usize {
        match &self.model {
            Model::Linear(model) => model.weights.values().map(Array1::len).sum(),
            Model::Sparse(model) => {
                let of = |kernels: &Kernels| match kernels {
                    Kernels::Points { weights, .. } => weights.len(),
                    Kernels::Quadratic(a) => a.nrows() * (a.nrows() + 1) / 2,
                };
                model.of_species.values().map(of).sum()
            }
        }
    }

    /// The regulariser that was taken, of a linear model.
    pub fn alpha(&self) -> Option<f64> {
        self.alpha
    }

    /// What the user should know about the fit.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Condition number of the weighted rows and the regulariser together; not a number for kernel ridge models.
    pub fn condition_number(&self) -> f64 {
        self.condition_number
    }
}
