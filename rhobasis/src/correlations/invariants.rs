//! Features of atoms that do not change under rotation and inversion, with all their derivatives.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayView3, ArrayViewMut2, Axis, Slice, s};

use super::bispectrum::Bispectrum;
use super::by_center::ByCenter;
use super::combinations::Combinations;
use super::correlation::Correlation;
use super::lanes::Eight;
use super::normalize::Normalized;
use super::power_spectrum::PowerSpectrum;
use super::radial_spectrum::RadialSpectrum;
use super::weighted_sum::{Scratch, WeightedSum};
use crate::density::{Adjoint, Centers, Motion, Precision, Run, SphericalExpansion, Workspace, round_to};
use crate::neighbors::VerletList;
use crate::simd::{Aligned, Lanes};
use crate::structure::{Structure, Vec3};
use crate::threads::Pool;
use crate::{Error, Result};

/// Invariant features of the atoms of structures: a row of numbers for each centre, made of its density coefficients.
///
/// ```
/// use rhobasis::correlations::Invariants;
/// use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
/// use rhobasis::Structure;
///
/// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 3 }, l_max: 2, ..Default::default() };
/// let expansion = SphericalExpansion::new(&settings, &[1, 8])?;
/// let water = Structure::molecule(vec![8, 1, 1], vec![[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]]);
/// let soap = Invariants::power_spectrum(&expansion, None, false)?;
/// let x = soap.forward(&[water])?;
/// assert_eq!(x.dim(), (3, 3 * 21)); // l = 0, 1, 2; pairs of six channels
/// assert!((&x.row(1) - &x.row(2)).iter().all(|difference| difference.abs() < 1e-12)); // the hydrogens are alike
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Invariants {
    pub(super) expansion: SphericalExpansion,
    pub(super) correlation: ByCenter,
    /// Of what the correlation makes, if features are not that itself.
    pub(super) combinations: Option<Arc<Combinations>>,
    pub(super) pool: Arc<Pool<Work>>,
}

/// Buffers of the centres of a run, which a thread uses again.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub density: Workspace,
    pub eight: Eight,
    /// Coefficients, and their derivatives or dE/dc: blocks `[center, m, channel]`, one after the other.
    pub c: Aligned,
    pub of_c: Aligned,
    /// What features are combinations of, and dE/d of that, where they are: `[center, product]`.
    pub z: Aligned,
    /// Features, and dE/dX: `[center, feature]`.
    pub x: Aligned,
    pub of_x: Aligned,
    /// What the correlation keeps of its features.
    pub kept: Vec<Lanes>,
    /// Memory of a weighted sum of the features.
    pub of_sum: Scratch,
    /// Memory of a model of the features.
    pub of_model: Vec<f64>,
    /// dc along eight directions.
    pub moving: Aligned,
}

impl Invariants {
    /// Radial spectrum, ν = 1: the coefficients of l = 0. Columns `[0, channel]`.
    pub fn radial_spectrum(expansion: &SphericalExpansion, normalize: bool) -> Self {
        Invariants::of(expansion, RadialSpectrum::new(expansion.keys(), expansion.channels()), normalize)
    }

    /// Power spectrum, ν = 2, Eq. (15). Columns `[l, α, β]`: all of them, l slowest, then α, then β ≥ α; or those given.
    ///
    /// ```text
    /// p_{αβl} = (2l + 1)^(−1/2) Σ_m c_{αlm} c_{βlm},   times √2 for α ≠ β
    /// ```
    ///
    /// so that dot products are those of the full, symmetric matrix of (α, β). `normalize` divides by the norm of the row
    /// (of the columns given); a row of zeros stays one.
    ///
    /// # Errors
    /// If a column does not exist, or is given twice.
    pub fn power_spectrum(
        expansion: &SphericalExpansion,
        columns: Option<&[[usize; 3]]>,
        normalize: bool,
    ) -> Result<Self> {
        Ok(Invariants::of(expansion, PowerSpectrum::new(expansion.keys(), expansion.channels(), columns)?, normalize))
    }

    /// Bispectrum, ν = 3, of even l1 + l2 + l3: what does not change under inversion. Columns `[l1, l2, l3, α1, α2, α3]` with
    /// (l1, α1) ≤ (l2, α2) ≤ (l3, α3), l1 slowest, then l2, l3, and the channels.
    ///
    /// ```text
    /// B = (2 l3 + 1)^(−1/2) Σ_{m1 m2 m3} ⟨l1 m1; l2 m2|l3 m3⟩ c_{α1 l1 m1} c_{α2 l2 m2} c_{α3 l3 m3}
    /// ```
    ///
    /// times the root of the number of different orders of the three: dot products are those of all orders, and the squared
    /// norm is that of the invariant part of ρ⊗ρ⊗ρ.
    ///
    /// # Errors
    /// If l_max is above 12.
    pub fn bispectrum(expansion: &SphericalExpansion, normalize: bool) -> Result<Self> {
        Ok(Invariants::of(expansion, Bispectrum::new(expansion.keys(), expansion.channels())?, normalize))
    }

    pub(super) fn of(expansion: &SphericalExpansion, correlation: impl Correlation + 'static, normalize: bool) -> Self {
        let mut correlation: Arc<dyn Correlation> = Arc::new(correlation);
        if normalize {
            correlation = Arc::new(Normalized { of: correlation, norm: 1.0 });
        }
        let correlation = ByCenter::alike(correlation);
        Invariants { expansion: expansion.clone(), correlation, combinations: None, pool: Arc::default() }
    }

    /// The coefficients that the features are made of.
    pub fn expansion(&self) -> &SphericalExpansion {
        &self.expansion
    }

    /// The same, for which atoms of unknown species are no neighbours: [`SphericalExpansion::ignoring_unknown_neighbors`].
    #[must_use]
    pub fn ignoring_unknown_neighbors(&self) -> Self {
        Invariants { expansion: self.expansion.ignoring_unknown_neighbors(), ..self.clone() }
    }

    /// Number of features of a centre.
    pub fn n_features(&self) -> usize {
        self.combinations.as_ref().map_or(self.correlation.n_features(), |combinations| combinations.n_out())
    }

    /// The same without combinations of features, and these: for models that are linear in features.
    pub(crate) fn uncombined(&self) -> (Invariants, Option<Arc<Combinations>>) {
        (Invariants { combinations: None, ..self.clone() }, self.combinations.clone())
    }

    /// A weighted sum of the features as a function of the coefficients, if there is a way without making features; weights by
    /// species of centre.
    pub(crate) fn weighted_sum(&self, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Option<Arc<dyn WeightedSum>> {
        if self.combinations.is_some() { None } else { self.correlation.weighted_sum(weights) }
    }

    /// What the features are: a row for each, with the fields that the constructor names.
    pub fn columns(&self) -> Array2<usize> {
        let columns = self.correlation.first().columns();
        self.combinations.as_ref().map_or_else(|| columns.clone(), |combinations| combinations.columns(columns.view()))
    }

    /// Features of all centres of all structures, in file order: `[center, column]`.
    ///
    /// # Errors
    /// As [`SphericalExpansion::forward`].
    pub fn forward(&self, structures: &[Structure]) -> Result<Array2<f64>> {
        let mut out = self.zeros(structures);
        self.forward_to(structures, None, None, out.view_mut())?;
        Ok(out)
    }

    /// dX/dt of all centres for one [`Motion`] of each structure: the Jacobian times a vector.
    ///
    /// # Errors
    /// As [`SphericalExpansion::tangent`].
    pub fn tangent(&self, structures: &[Structure], motions: &[Motion]) -> Result<Array2<f64>> {
        let mut out = self.zeros(structures);
        self.forward_to(structures, None, Some(motions), out.view_mut())?;
        Ok(out)
    }

    fn zeros(&self, structures: &[Structure]) -> Array2<f64> {
        Array2::zeros((structures.iter().map(Structure::len).sum(), self.n_features()))
    }

    /// [`Invariants::forward`] (or `tangent`, given motions) into memory of the caller, overwriting it. With lists, one for each
    /// structure, these say what centres and pairs there are.
    ///
    /// # Errors
    /// As for `forward`, if `out` has another shape or is not contiguous, or the lists are of other structures or another cutoff.
    pub fn forward_to(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        motions: Option<&[Motion]>,
        mut out: ArrayViewMut2<f64>,
    ) -> Result<()> {
        let runs = self.expansion.runs(structures, lists, motions)?;
        self.check_shape("out", runs.n_centers(), out.dim())?;
        let rows = contiguous(&mut out)?;
        runs.for_each(&self.pool, vec![rows], &[self.n_features()], |run, out, work| {
            self.coefficients(run, work);
            let Work { density, eight, c, of_c, kept, z, .. } = work;
            if motions.is_none() {
                self.combine(out[0], z, |z| self.correlation.forward_rows(&run.species, c, z, kept, eight));
                return Ok(());
            }
            of_c.resize(c.len());
            self.expansion.forward_run(run, true, &mut self.correlation.layout().cut(of_c, run.len()), density);
            self.combine(out[0], z, |z| self.correlation.tangent_rows(&run.species, c, of_c, z, eight));
            Ok(())
        })
    }

    /// [`Invariants::forward`] for some centres (all, if none are given), rounded to the precision of `out`, which is overwritten.
    /// Features of other atoms are not computed, and no array of another precision as large as `out` exists.
    ///
    /// # Errors
    /// As for `forward`, if `out` has another shape or is not contiguous, or the centres are of other structures.
    pub fn forward_centers_to<P: Precision>(
        &self,
        structures: &[Structure],
        centers: Option<&Centers>,
        mut out: ArrayViewMut2<P>,
    ) -> Result<()> {
        let runs = self.expansion.runs_around(structures, centers)?;
        self.check_shape("out", runs.n_centers(), out.dim())?;
        let rows = contiguous(&mut out)?;
        runs.for_each(&self.pool, vec![rows], &[self.n_features()], |run, out, work| {
            self.coefficients(run, work);
            self.features(run, work);
            round_to(&work.x, out[0]);
            Ok(())
        })
    }

    /// Forces −dE/dr and virial −dE/dε of each structure, given dE/dX, `[center, column]`: the adjoint of
    /// [`Invariants::forward`].
    ///
    /// Where all centres have the same weights (E = Σ_i w·X_i), give a broadcast view of w: then no array as large as X exists.
    ///
    /// ```
    /// # use rhobasis::correlations::Invariants;
    /// # use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
    /// # use rhobasis::Structure;
    /// # let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 3 }, l_max: 1, ..Default::default() };
    /// # let soap = Invariants::power_spectrum(&SphericalExpansion::new(&settings, &[1])?, None, false)?;
    /// let dimer = [Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 0.7]])];
    /// let weights = ndarray::Array1::<f64>::ones(soap.n_features());
    /// let adjoint = &soap.backward(&dimer, weights.broadcast((2, soap.n_features())).unwrap())?[0];
    /// assert!((adjoint.forces[0][2] + adjoint.forces[1][2]).abs() < 1e-12);
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for `forward`, and if the shape differs or a gradient that is not finite makes such forces.
    pub fn backward(&self, structures: &[Structure], gradient: ArrayView2<f64>) -> Result<Vec<Adjoint>> {
        self.backward_with(structures, None, gradient)
    }

    /// [`Invariants::backward`] with lists, one for each structure, that say what centres and pairs there are.
    ///
    /// # Errors
    /// As for `backward`, and if the lists are of other structures or another cutoff.
    pub fn backward_with(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        gradient: ArrayView2<f64>,
    ) -> Result<Vec<Adjoint>> {
        let runs = self.expansion.runs(structures, lists, None)?;
        self.check_shape("gradient", runs.n_centers(), gradient.dim())?;
        let adjoints = runs.gather(&self.pool, Vec::new(), &[], |run, _, of_pairs, work| {
            self.coefficients(run, work);
            if self.correlation.reads_features() {
                self.features(run, work);
            }
            let rows = gradient.slice_axis(Axis(0), Slice::from(run.first..run.first + run.len()));
            self.coefficients_backward(&run.species, rows, work);
            self.density_backward(run, of_pairs, work);
            Ok(())
        })?;
        match adjoints.iter().all(Adjoint::is_finite) {
            true => Ok(adjoints),
            false => Err(not_finite(&gradient)),
        }
    }

    /// Buffers that no thread uses at the moment.
    pub(crate) fn pool(&self) -> &Pool<Work> {
        &self.pool
    }

    /// Coefficients of a run, into `work.c`.
    pub(crate) fn coefficients(&self, run: &Run, work: &mut Work) {
        let layout = self.correlation.layout();
        work.c.resize(run.len() * layout.len());
        self.expansion.forward_run(run, false, &mut layout.cut(&mut work.c, run.len()), &mut work.density);
    }

    /// Features of a run whose coefficients are in `work.c`, into `work.x`.
    pub(crate) fn features(&self, run: &Run, work: &mut Work) {
        let Work { eight, c, x, z, kept, .. } = work;
        x.resize(run.len() * self.n_features());
        self.combine(x, z, |z| self.correlation.forward_rows(&run.species, c, z, kept, eight));
    }

    /// Rows of features from what the correlation makes: `make` writes that, with `z` as memory.
    pub(super) fn combine(&self, x: &mut [f64], z: &mut Aligned, make: impl FnOnce(&mut [f64])) {
        let Some(combinations) = &self.combinations else { return make(x) };
        let n = x.len() / self.n_features().max(1);
        z.resize(n * combinations.n_in());
        make(z);
        let z = ArrayView2::from_shape((n, combinations.n_in()), z).expect(AS_LONG);
        combinations.forward(z, ArrayViewMut2::from_shape((n, combinations.n_out()), x).expect(AS_LONG));
    }

    /// dE/dc of a run of centres of these species, into `work.of_c`, given dE/dX `[center, feature]`.
    pub(crate) fn coefficients_backward(&self, species: &[u8], grad_x: ArrayView2<f64>, work: &mut Work) {
        let Work { eight, c, of_c, x, z, kept, .. } = work;
        of_c.resize(c.len());
        let Some(combinations) = &self.combinations else {
            return self.correlation.backward_rows(species, c, (x, kept), grad_x, of_c, eight);
        };
        // One row for all, if the view is broadcast.
        let n_rows = if grad_x.strides()[0] == 0 { grad_x.nrows().min(1) } else { grad_x.nrows() };
        let mut grad_z = Array2::zeros((n_rows, combinations.n_in()));
        combinations.backward(grad_x.slice(s![..n_rows, ..]).as_standard_layout().view(), grad_z.view_mut());
        let grad_z = grad_z.broadcast((grad_x.nrows(), combinations.n_in())).expect("one row, or as many");
        self.correlation.backward_rows(species, c, (z, kept), grad_z, of_c, eight);
    }

    /// dE/dc of a run of `n` centres as they stand in `work.of_c`: for each block, `[center, m, channel]`.
    pub(crate) fn of_coefficients<'a>(&self, work: &'a Work, n: usize) -> Vec<ArrayView3<'a, f64>> {
        self.correlation.layout().views(&work.of_c, n)
    }

    /// dE/dr_ji of the pairs of a run, given dE/dc in `work.of_c`.
    pub(crate) fn density_backward(&self, run: &Run, of_pairs: &mut [Vec3], work: &mut Work) {
        let grad_c = self.correlation.layout().views(&work.of_c, run.len());
        self.expansion.backward_run(run, &grad_c, 0, of_pairs, &mut work.density);
    }

    fn check_shape(&self, name: &'static str, n_centers: usize, found: (usize, usize)) -> Result<()> {
        let expected = (n_centers, self.n_features());
        if found == expected {
            return Ok(());
        }
        let problem = format!("these structures have the shape (centers, features) = {expected:?}");
        Err(Error::setting(name, format!("{found:?}"), problem, "give a row for each center"))
    }
}

const AS_LONG: &str = "as long as the shape says";

fn contiguous<'a, P>(out: &'a mut ArrayViewMut2<P>) -> Result<&'a mut [P]> {
    let strided = || Error::setting("out", "a strided view", "must be contiguous", "give a whole array in C order");
    out.as_slice_mut().ok_or_else(strided)
}

/// The error for forces that are not finite.
fn not_finite(gradient: &ArrayView2<f64>) -> Error {
    match gradient.indexed_iter().find(|(_, x)| !x.is_finite()) {
        Some(((row, column), value)) => {
            let problem = format!("not finite, at center {row}, column {column}");
            Error::setting("gradient", value, problem, "look for the step of the model that made it")
        }
        None => Error::setting("gradient", "too large", "forces overflow", "check the unit of the energy"),
    }
}
