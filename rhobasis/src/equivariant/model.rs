use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, Array3, s};

use super::settings::EquivariantSettings;
use super::target::Target;
use crate::correlations::{Nice, NiceTensors, TensorSum};
use crate::density::{Adjoint, Run, Workspace};
use crate::extxyz::LARGEST;
use crate::models::at_end;
use crate::potential::{Basis, no_function, of_atoms};
use crate::simd::Aligned;
use crate::structure::{Structure, Vec3};
use crate::threads::Pool;
use crate::{Error, Result};

/// A tensor of a structure as a sum over its atoms, linear in their equivariants of σ = +1 and the same degree λ, Eq. (16):
///
/// ```text
/// T^λ_μ = Σ_i Σ_k w^λ_{a_i,k} V^λ_{i,k,μ}   (+ Σ_i b(a_i) for λ = 0),   k over the channels of all orders ν = 1 … ν_max
/// ```
///
/// It turns with the structure and is inverted with it, exactly, whatever was learned; and it does not change where the structure
/// is moved as a whole: labels must not either, as dipoles of what is neutral, or about the centre of mass.
///
/// ```
/// use std::sync::Arc;
/// use rhobasis::correlations::{Nice, NiceSample, NiceSettings};
/// use rhobasis::density::ExpansionSettings;
/// use rhobasis::equivariant::{EquivariantSettings, EquivariantTrainer};
/// use rhobasis::potential::Basis;
/// use rhobasis::Structure;
///
/// // Water of point charges, opened and stretched.
/// let water = |k: usize| {
///     let (x, y) = (0.7 + 0.01 * k as f64, 0.5 + 0.03 * (k % 5) as f64);
///     Structure::molecule(vec![8, 1, 1], vec![[0.0; 3], [x, y, 0.0], [-x, y, 0.0]])
/// };
/// let frames: Vec<Structure> = (0..30).map(water).collect();
/// let dipole = |frame: &Structure| (0..3).map(|d| 0.3 * (frame.positions[1][d] + frame.positions[2][d])).collect();
/// let labels: Vec<Option<Vec<f64>>> = frames.iter().map(|frame| Some(dipole(frame))).collect();
///
/// let basis = Basis::primitive(&ExpansionSettings { l_max: 2, ..Default::default() }, &[1, 8])?;
/// let nice = NiceSettings { nu_max: 2, n_equivariants: 20, all_equivariants: true, ..Default::default() };
/// let mut sample = NiceSample::new(basis.expansion(), nice.n_centers)?;
/// sample.add(&frames)?;
/// let nice = Arc::new(Nice::fit(&nice, &sample)?);
/// let mut trainer = EquivariantTrainer::new(basis, nice, &EquivariantSettings::default(), &frames, &labels)?;
/// trainer.advance(frames.len())?;
/// let model = trainer.finish()?;
///
/// let predicted = &model.predict(&frames[7..8], true)?[0];
/// assert!((predicted.value[1] - labels[7].as_ref().unwrap()[1]).abs() < 1e-3);
/// let of_y = |atom: usize| predicted.derivatives[[atom, 1, 1]]; // dμ_y/dy
/// assert!((of_y(0) + of_y(1) + of_y(2)).abs() < 1e-12);
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct EquivariantRidge {
    pub(super) basis: Basis,
    pub(super) nice: Arc<Nice>,
    pub(super) settings: EquivariantSettings,
    /// Species of centres it was trained on.
    pub(super) species: Vec<u8>,
    /// What is not learned of λ = 0, for each species.
    pub(super) baseline: BTreeMap<u8, f64>,
    /// For each λ `[species, channel]`.
    pub(super) weights: Vec<Array2<f64>>,
    /// For each λ.
    pub(super) alphas: Vec<f64>,
    pub(super) condition_numbers: Vec<f64>,
    sum: Arc<TensorSum>,
    pool: Arc<Pool<Work>>,
}

/// What a model says of one structure.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorPrediction {
    /// Cartesian components, as [`Target::components`] has them.
    pub value: Vec<f64>,
    /// Their derivatives by the positions, `[atom, component, xyz]`, in their unit per Å: of a dipole the Born charges
    /// Z*_{iαβ} = ∂μ_α/∂r_{iβ}, in e. Without rows if not asked for.
    pub derivatives: Array3<f64>,
}

/// Buffers of a run.
#[derive(Debug, Default)]
struct Work {
    density: Workspace,
    /// Coefficients, and their derivatives for each component.
    c: Aligned,
    of_c: Aligned,
}

/// What a fit has found.
pub(super) struct Fitted {
    pub species: Vec<u8>,
    pub baseline: BTreeMap<u8, f64>,
    pub weights: Vec<Array2<f64>>,
    pub alphas: Vec<f64>,
    pub condition_numbers: Vec<f64>,
}

impl EquivariantRidge {
    pub(super) fn new(
        basis: Basis,
        nice: Arc<Nice>,
        tensors: Arc<NiceTensors>,
        settings: EquivariantSettings,
        fitted: Fitted,
    ) -> Self {
        let Fitted { species, baseline, weights, alphas, condition_numbers } = fitted;
        let of_species =
            |(k, &z): (usize, &u8)| (z, weights.iter().flat_map(|w| w.row(k).to_vec()).collect::<Vec<f64>>());
        let rows: BTreeMap<u8, Vec<f64>> = species.iter().enumerate().map(of_species).collect();
        let views = rows.iter().map(|(&z, row)| (z, row[..].into())).collect();
        let sum = Arc::new(TensorSum::new(tensors, &views));
        EquivariantRidge {
            basis,
            nice,
            settings,
            species,
            baseline,
            weights,
            alphas,
            condition_numbers,
            sum,
            pool: Arc::default(),
        }
    }

    /// The tensors of all structures; with `derivatives`, by the positions of their atoms too, which costs the adjoint once for
    /// each of the 2λ + 1 components.
    ///
    /// # Errors
    /// [`Error::Structure`] naming frame and atom: not finite, no volume, atoms that coincide, unknown species.
    pub fn predict(&self, structures: &[Structure], derivatives: bool) -> Result<Vec<TensorPrediction>> {
        let n = self.sum.tensors.n_components();
        let runs = self.basis.expansion().runs(structures, None, None)?;
        let mut of_centers = vec![0.0; runs.n_centers() * n];
        let out = vec![&mut of_centers[..]];
        let adjoints = match derivatives {
            false => {
                runs.for_each(&self.pool, out, &[n], |run, out, work| self.forward(run, out[0], false, work))?;
                Vec::new()
            }
            true => runs.gather_several(n, &self.pool, out, &[n], |run, out, of_pairs, work| {
                self.forward(run, out[0], true, work)?;
                self.backward(run, of_pairs, work);
                Ok(())
            })?,
        };
        let mut rows = of_centers.chunks_exact(n);
        let predicted = |(k, structure): (usize, &Structure)| {
            let mut spherical = vec![0.0; n];
            for row in rows.by_ref().take(structure.len()) {
                spherical.iter_mut().zip(row).for_each(|(sum, t)| *sum += t);
            }
            let of_structure: Vec<&Adjoint> = adjoints.iter().map(|adjoints| &adjoints[k]).collect();
            self.prediction(structure, spherical, &of_structure).map_err(|e| e.at_frame(k))
        };
        structures.iter().enumerate().map(predicted).collect()
    }

    fn prediction(
        &self,
        structure: &Structure,
        mut spherical: Vec<f64>,
        adjoints: &[&Adjoint],
    ) -> Result<TensorPrediction> {
        let target = self.settings.target;
        if target.lambdas()[0] == 0 {
            spherical[0] += of_atoms(&self.baseline, &structure.species);
        }
        let n_atoms = if adjoints.is_empty() { 0 } else { structure.len() };
        let mut derivatives = Array3::zeros((n_atoms, target.components().len(), 3));
        for atom in 0..n_atoms {
            for d in 0..3 {
                let of_components: Vec<f64> = adjoints.iter().map(|adjoint| -adjoint.forces[atom][d]).collect();
                let column = target.cartesian(&of_components);
                derivatives.slice_mut(s![atom, .., d]).iter_mut().zip(column).for_each(|(to, x)| *to = x);
            }
        }
        let value = target.cartesian(&spherical);
        match value.iter().chain(&derivatives).find(|x| x.is_nan() || x.abs() > LARGEST) {
            None => Ok(TensorPrediction { value, derivatives }),
            Some(x) => {
                let problem = format!("a component of its {} is predicted to be {x:e}", target.key());
                Err(Error::structure(None, problem, "look for atoms that overlap"))
            }
        }
    }

    /// t of the centres of a run; with `gradients`, dt/dc_i of each component too.
    fn forward(&self, run: &Run, rows: &mut [f64], gradients: bool, work: &mut Work) -> Result<()> {
        if let Some(center) = run.species.iter().position(|&z| !self.sum.knows(z)) {
            return Err(no_function(center, run.species[center]));
        }
        let Work { density, c, of_c } = work;
        let tensors = &self.sum.tensors;
        c.resize(run.len() * tensors.layout().len());
        self.basis.expansion().forward_run(run, false, &mut tensors.layout().cut(c, run.len()), density); // c_i, [center, m, channel]
        of_c.resize(if gradients { tensors.n_components() * c.len() } else { 0 });
        self.sum.evaluate(&run.species, c, rows, gradients.then_some(&mut **of_c)); // t_i, dt_i/dc_i
        Ok(())
    }

    /// dt/dr_ji of each component, after `forward`.
    fn backward(&self, run: &Run, of_pairs: &mut [Vec3], work: &mut Work) {
        let Work { density, c, of_c } = work;
        let n_pairs = run.pairs.vector.len();
        if c.is_empty() || n_pairs == 0 {
            return;
        }
        for (of_c, of_pairs) in of_c.chunks_exact(c.len()).zip(of_pairs.chunks_exact_mut(n_pairs)) {
            let views = self.sum.tensors.layout().views(of_c, run.len());
            self.basis.expansion().backward_run(run, &views, 0, of_pairs, density); // dt/dr_ji
        }
    }

    /// The tensor that it predicts.
    pub fn target(&self) -> Target {
        self.settings.target
    }

    /// How it was trained.
    pub fn settings(&self) -> &EquivariantSettings {
        &self.settings
    }

    /// Its basis.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The iteration that makes its equivariants.
    pub fn nice(&self) -> &Arc<Nice> {
        &self.nice
    }

    /// Species of centres that it was trained on, ascending.
    pub fn species(&self) -> &[u8] {
        &self.species
    }

    /// What an atom of each species contributes to λ = 0 before anything is learned; empty where the tensor has no such part.
    pub fn baseline(&self) -> &BTreeMap<u8, f64> {
        &self.baseline
    }

    /// Weights `[species, channel]` of each λ of the target; channels of all orders, ν slowest.
    pub fn weights(&self) -> &[Array2<f64>] {
        &self.weights
    }

    /// The regulariser that was taken for each λ, relative to the largest singular value squared.
    pub fn alphas(&self) -> &[f64] {
        &self.alphas
    }

    /// What the user should know about the fit: each λ of which the alpha stands at an end of its list.
    pub fn warnings(&self) -> Vec<String> {
        let of = |(lambda, &alpha): (&usize, &f64)| {
            at_end(self.settings.alpha.values(), alpha).map(|text| format!("λ = {lambda}: {text}"))
        };
        self.target().lambdas().iter().zip(&self.alphas).filter_map(of).collect()
    }

    /// Condition number of rows and regulariser together, for each λ.
    pub fn condition_numbers(&self) -> &[f64] {
        &self.condition_numbers
    }
}
