//! Features of atoms that do not change under rotation and inversion, with all their derivatives.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayView3, ArrayViewMut2};

use super::bispectrum::Bispectrum;
use super::lanes::{Layout, Shape, to_lanes, to_rows};
use super::power_spectrum::PowerSpectrum;
use super::radial_spectrum::RadialSpectrum;
use crate::density::{
    Adjoint, Aligned, LANES, Lanes, Motion, Scratch, SphericalExpansion, Workspace, check_motions, cut_rows,
};
use crate::neighbors::NeighborList;
use crate::structure::Structure;
use crate::{Error, Result};

/// What is made of the coefficients of one centre, for eight centres (or directions) at a time; it never sees an atom.
///
/// Coefficients stand as their [`Layout`] says, features as the columns say; a lane is a centre.
pub(crate) trait Correlation: Debug + Send + Sync {
    fn layout(&self) -> &Layout;

    fn n_features(&self) -> usize;

    /// What the features are, a row for each.
    fn columns(&self) -> Array2<usize>;

    /// Features p of coefficients c.
    fn forward(&self, c: &[Lanes], p: &mut [Lanes]);

    /// dE/dc, given g = dE/dp; overwrites `dc`.
    fn backward(&self, c: &[Lanes], g: &[Lanes], dc: &mut [Lanes]);

    /// dp/dt, given dc/dt.
    fn tangent(&self, c: &[Lanes], dc: &[Lanes], dp: &mut [Lanes]);

    /// As `tangent`, of one centre for eight directions in which no channels but `active` (a range for each l) change, the
    /// others having dc = 0. Only [`Correlation::touched`] features are written.
    fn tangent_of_one(&self, c: &[f64], dc: &[Lanes], active: &[Range<usize>], dp: &mut [Lanes]) {
        let _ = active;
        let same: Vec<Lanes> = c.iter().map(|&c| [c; LANES]).collect();
        self.tangent(&same, dc, dp);
    }

    /// The whole power spectrum, of whose derivatives one direction at a time is computed faster than eight.
    fn whole_power_spectrum(&self) -> Option<&PowerSpectrum> {
        None
    }

    /// The features that change if no channels but `active` do, in order.
    fn touched(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        let _ = active;
        std::iter::once(0..self.n_features()).collect()
    }
}

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
    pub(super) correlation: Arc<dyn Correlation>,
    pub(super) normalize: bool,
}

impl Invariants {
    /// Radial spectrum, ν = 1: the coefficients of l = 0. Columns `[0, channel]`.
    pub fn radial_spectrum(expansion: &SphericalExpansion, normalize: bool) -> Self {
        Invariants::of(expansion, RadialSpectrum::new(expansion.channels()), normalize)
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
        Ok(Invariants::of(expansion, PowerSpectrum::new(expansion.channels(), columns)?, normalize))
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
        Ok(Invariants::of(expansion, Bispectrum::new(expansion.channels())?, normalize))
    }

    fn of(expansion: &SphericalExpansion, correlation: impl Correlation + 'static, normalize: bool) -> Self {
        Invariants { expansion: expansion.clone(), correlation: Arc::new(correlation), normalize }
    }

    /// The coefficients that the features are made of.
    pub fn expansion(&self) -> &SphericalExpansion {
        &self.expansion
    }

    /// Number of features of a centre.
    pub fn n_features(&self) -> usize {
        self.correlation.n_features()
    }

    /// Whether the features are the whole power spectrum, not normalised.
    pub(crate) fn is_whole_power_spectrum(&self) -> bool {
        !self.normalize && self.correlation.whole_power_spectrum().is_some()
    }

    /// What the features are: a row for each, with the fields that the constructor names.
    pub fn columns(&self) -> Array2<usize> {
        self.correlation.columns()
    }

    /// Features of all centres of all structures, in file order: `[center, column]`.
    ///
    /// # Errors
    /// As [`SphericalExpansion::forward`].
    pub fn forward(&self, structures: &[Structure]) -> Result<Array2<f64>> {
        let mut out = self.zeros(structures);
        self.forward_to(structures, None, out.view_mut())?;
        Ok(out)
    }

    /// dX/dt of all centres for one [`Motion`] of each structure: the Jacobian times a vector.
    ///
    /// # Errors
    /// As [`SphericalExpansion::tangent`].
    pub fn tangent(&self, structures: &[Structure], motions: &[Motion]) -> Result<Array2<f64>> {
        let mut out = self.zeros(structures);
        self.forward_to(structures, Some(motions), out.view_mut())?;
        Ok(out)
    }

    fn zeros(&self, structures: &[Structure]) -> Array2<f64> {
        Array2::zeros((structures.iter().map(Structure::len).sum(), self.n_features()))
    }

    /// [`Invariants::forward`] (or `tangent`, given motions) into memory of the caller, overwriting it.
    ///
    /// # Errors
    /// As for `forward`, and if `out` has another shape or is not contiguous.
    pub fn forward_to(
        &self,
        structures: &[Structure],
        motions: Option<&[Motion]>,
        mut out: ArrayViewMut2<f64>,
    ) -> Result<()> {
        self.check_shape("out", structures, out.dim())?;
        if let Some(motions) = motions {
            check_motions(structures, motions)?;
        }
        let n_features = self.n_features();
        let Some(rows) = out.as_slice_mut() else {
            return Err(Error::setting("out", "a strided view", "must be contiguous", "give a whole array in C order"));
        };
        self.expansion.fill_rows(structures, None, vec![rows], &[n_features], |s, centers, out, work| {
            let n = centers.len();
            let (mut scratch, neighbors) = (std::mem::take(&mut work.scratch), std::mem::take(&mut work.neighbors));
            let Scratch { rows: [c_rows, dc_rows], lanes: [c, dc, p, dp], .. } = &mut scratch;
            let structure = &structures[s];
            let motion = motions.map(|motions| &motions[s]);
            let mut done = self.coefficients(structure, &neighbors, centers.clone(), None, c_rows, work);
            if motion.is_some() && done.is_ok() {
                done = self.coefficients(structure, &neighbors, centers, motion, dc_rows, work);
            }
            if done.is_ok() {
                p.resize(n_features * LANES);
                dp.resize(if motion.is_some() { n_features * LANES } else { 0 });
                for first in (0..n).step_by(LANES) {
                    let octet = first..n.min(first + LANES);
                    let starts: Vec<usize> = octet.clone().map(|row| row * n_features).collect();
                    self.to_lanes(c_rows, n, octet.clone(), c);
                    self.correlation.forward(c.lanes(), p.lanes_mut());
                    let of_norm = self.normalize.then(|| normalize(p.lanes_mut()));
                    if motion.is_none() {
                        features_to_rows(p.lanes(), 0..n_features, out[0], &starts);
                        continue;
                    }
                    self.to_lanes(dc_rows, n, octet, dc);
                    self.correlation.tangent(c.lanes(), dc.lanes(), dp.lanes_mut());
                    if let Some(of_norm) = of_norm {
                        along_sphere(p.lanes(), &of_norm, dp.lanes_mut());
                    }
                    features_to_rows(dp.lanes(), 0..n_features, out[0], &starts);
                }
            }
            (work.scratch, work.neighbors) = (scratch, neighbors);
            done
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
        self.check_shape("gradient", structures, gradient.dim())?;
        let n_features = self.n_features();
        let adjoints = self.expansion.pull_back(structures, None, Vec::new(), |s, centers, row, _, work| {
            let n = centers.len();
            let (mut scratch, neighbors) = (std::mem::take(&mut work.scratch), std::mem::take(&mut work.neighbors));
            let Scratch { rows: [c_rows, dc_rows], lanes: [c, dc, p, g], .. } = &mut scratch;
            let structure = &structures[s];
            let mut done = self.coefficients(structure, &neighbors, centers.clone(), None, c_rows, work);
            work.neighbors = neighbors;
            if done.is_ok() {
                dc_rows.resize(c_rows.len());
                dc.resize(LANES * self.correlation.layout().len());
                g.resize(n_features * LANES);
                p.resize(if self.normalize { n_features * LANES } else { 0 });
                for first in (0..n).step_by(LANES) {
                    let octet = first..n.min(first + LANES);
                    self.to_lanes(c_rows, n, octet.clone(), c);
                    gradient_to_lanes(&gradient, row + octet.start..row + octet.end, g.lanes_mut());
                    if self.normalize {
                        self.correlation.forward(c.lanes(), p.lanes_mut());
                        let of_norm = normalize(p.lanes_mut());
                        along_sphere(p.lanes(), &of_norm, g.lanes_mut());
                    }
                    self.correlation.backward(c.lanes(), g.lanes(), dc.lanes_mut());
                    self.to_coefficient_rows(dc, n, octet, dc_rows);
                }
                let blocks: Vec<ArrayView3<f64>> = self
                    .blocks(n)
                    .map(|(l, block)| {
                        let shape = (n, 2 * l + 1, self.correlation.layout().counts[l]);
                        ArrayView3::from_shape(shape, &dc_rows[block]).expect("as long as the shape says")
                    })
                    .collect();
                done = self.expansion.backward_centers(structure, centers, &blocks, 0, work);
            }
            work.scratch = scratch;
            done
        })?;
        match adjoints.iter().all(Adjoint::is_finite) {
            true => Ok(adjoints),
            false => Err(not_finite(&gradient)),
        }
    }

    /// Coefficients of some centres, whose pairs `neighbors` holds, or their derivative along a motion: blocks
    /// `[center, m, channel]`, one after the other.
    pub(super) fn coefficients(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        centers: Range<usize>,
        motion: Option<&Motion>,
        rows: &mut Aligned,
        work: &mut Workspace,
    ) -> Result<()> {
        rows.resize(centers.len() * self.correlation.layout().len());
        let mut blocks = self.cut_blocks(rows, centers.len());
        self.expansion.forward_centers(structure, neighbors, centers, motion, &mut blocks, work)
    }

    /// The block of each l among the coefficients of n centres.
    pub(super) fn cut_blocks<'a>(&self, rows: &'a mut [f64], n: usize) -> Vec<&'a mut [f64]> {
        let mut rest = [rows];
        self.expansion.widths().into_iter().flat_map(|width| cut_rows(&mut rest, &[width], n)).collect()
    }

    /// Each l and its block among the coefficients of n centres.
    pub(super) fn blocks(&self, n: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        self.correlation.layout().offsets.windows(2).map(move |w| n * w[0]..n * w[1]).enumerate()
    }

    /// Coefficients of at most eight of n centres, from blocks to lanes.
    pub(super) fn to_lanes(&self, rows: &[f64], n: usize, octet: Range<usize>, lanes: &mut Aligned) {
        let Layout { counts, offsets } = self.correlation.layout();
        lanes.resize(LANES * self.correlation.layout().len());
        for (l, block) in self.blocks(n) {
            let width = (2 * l + 1) * counts[l];
            let starts: Vec<usize> = octet.clone().map(|row| block.start + row * width).collect();
            let shape = Shape { n_m: 2 * l + 1, n_q: counts[l] };
            to_lanes(rows, &starts, shape, 0..counts[l], &mut lanes.lanes_mut()[offsets[l]..]);
        }
    }

    pub(super) fn to_coefficient_rows(&self, lanes: &Aligned, n: usize, octet: Range<usize>, rows: &mut [f64]) {
        let Layout { counts, offsets } = self.correlation.layout();
        for (l, block) in self.blocks(n) {
            let width = (2 * l + 1) * counts[l];
            let starts: Vec<usize> = octet.clone().map(|row| block.start + row * width).collect();
            let shape = Shape { n_m: 2 * l + 1, n_q: counts[l] };
            to_rows(&lanes.lanes()[offsets[l]..], shape, 0..counts[l], rows, &starts);
        }
    }

    fn check_shape(&self, name: &'static str, structures: &[Structure], found: (usize, usize)) -> Result<()> {
        let expected = (structures.iter().map(Structure::len).sum(), self.n_features());
        if found == expected {
            return Ok(());
        }
        let problem = format!("these structures have the shape (centers, features) = {expected:?}");
        Err(Error::setting(name, format!("{found:?}"), problem, "give a row for each center"))
    }
}

/// Some features, from lanes to rows of all features.
pub(super) fn features_to_rows(p: &[Lanes], features: Range<usize>, data: &mut [f64], starts: &[usize]) {
    to_rows(p, Shape { n_m: 1, n_q: p.len() }, features, data, starts);
}

/// dE/dX of at most eight centres; the same for all lanes if the view is broadcast.
fn gradient_to_lanes(gradient: &ArrayView2<f64>, rows: Range<usize>, lanes: &mut [Lanes]) {
    let row = |row: usize| gradient.row(row);
    if gradient.strides()[0] == 0 {
        lanes.iter_mut().zip(row(rows.start)).for_each(|(lane, &g)| *lane = [g; LANES]);
        return;
    }
    match gradient.as_slice() {
        Some(data) => {
            let starts: Vec<usize> = rows.map(|row| row * lanes.len()).collect();
            to_lanes(data, &starts, Shape { n_m: 1, n_q: lanes.len() }, 0..lanes.len(), lanes);
        }
        None => {
            for (lane, g) in rows.map(row).enumerate() {
                lanes.iter_mut().zip(g).for_each(|(lanes, &g)| lanes[lane] = g);
            }
        }
    }
}

/// Divides by the norm over all features, lane by lane; the inverse norms, 0 for zeros.
pub(super) fn normalize(p: &mut [Lanes]) -> Lanes {
    let mut sum = [0.0; LANES];
    for p in p.iter() {
        for k in 0..LANES {
            sum[k] += p[k] * p[k];
        }
    }
    let of_norm = sum.map(|x| if x > 0.0 { 1.0 / x.sqrt() } else { 0.0 });
    for p in p {
        for k in 0..LANES {
            p[k] *= of_norm[k];
        }
    }
    of_norm
}

/// v ← (v − p̂ (p̂·v)) / |p|: what a derivative becomes by normalisation, and the same for its adjoint.
pub(super) fn along_sphere(unit: &[Lanes], of_norm: &Lanes, v: &mut [Lanes]) {
    let mut dot = [0.0; LANES];
    for (unit, v) in unit.iter().zip(v.iter()) {
        for k in 0..LANES {
            dot[k] += unit[k] * v[k];
        }
    }
    for (unit, v) in unit.iter().zip(v) {
        for k in 0..LANES {
            v[k] = (v[k] - unit[k] * dot[k]) * of_norm[k];
        }
    }
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
