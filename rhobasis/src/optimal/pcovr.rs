//! The basis between variance and the energies of structures, Eq. (14): principal covariates regression for l = 0.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array1, Array2, ArrayView2, s};
use rayon::prelude::*;

use super::accumulate::BLOCK;
use super::basis::{OptimalBasis, SourceFile};
use super::contraction::{Contraction, Truncation, make_largest_positive};
use super::covariance::Covariance;
use super::settings::{CovarianceSettings, Mixing, PcovrSettings};
use crate::density::{ExpansionSettings, SphericalExpansion, species_of};
use crate::linalg::{matmul, qr_r, svd_thin};
use crate::models::mixed_eigenvectors;
use crate::structure::Structure;
use crate::{Error, Result};

/// What is known of energies to within rounding, relative to them.
const ROUNDING: f64 = 1e-12;
/// Ridge strengths that are tried, as fractions of the largest eigenvalue of XᵀX: 1, 10^(−1/2), … 1e-14.
const STRENGTHS: i32 = 28;

/// Accumulates what a basis of Eq. (14) is made of: the covariance, and the regression of energies on structure sums.
///
/// ```text
/// X_A = Σ_{i∈A} ⟨an00|ρ_i⟩   [(a, n)]              y_A = E_A − Σ_a N_a e_a, e by least squares over all structures
/// w = argmin Σ_A (y_A − X_A w)² + α |w|²           all species together
/// C = Σ_i c_i c_iᵀ / trace,   w ← w √(R² / wᵀCw)   R² = 1 − Σ_A (y_A − X_A w)² / Σ_A y_A²
/// C̃ = γ C + (1 − γ) C^(1/2) w wᵀ C^(1/2) = V Λ Vᵀ,   P = C^(−1/2) V,   U = the rows of Pᵀ, orthogonalised by descending Λ
/// ```
///
/// for l = 0; for l > 0 the coefficients of an environment have no invariant part, and U is that of Eqs. (7), (12). Like both
/// matrices of principal covariates regression, C has a trace of one, and w a variance of R². Where species (or kinds of
/// centre) are kept apart, C has a block for each; trace and wᵀCw are those of all blocks together, and each block is made with
/// its own part of w. Directions of C that are noise (below 1e-14 of the largest) come last.
///
/// The first q rows of U span those of Pᵀ, so that truncation is nested; the first is w for γ → 0, and for γ = 1 they are the
/// eigenvectors. Row q keeps (U C Uᵀ)_qq of the variance, which need not fall with q.
///
/// α is chosen by generalised cross-validation, among 29 strengths from 1 to 1e-14 of the largest eigenvalue of XᵀX: w is a
/// radial function, |w|² its norm, and the choice does not depend on the primitive basis. What is held is the triangular factor
/// of \[N, X, y\], which keeps twice the digits of its square: total energies are large, and their differences small.
///
/// ```
/// use rhobasis::density::{ExpansionSettings, Primitive};
/// use rhobasis::optimal::{CovarianceSettings, Mixing, PcovrSettings, SupervisedCovariance, Truncation};
/// use rhobasis::Structure;
///
/// let expansion = ExpansionSettings { primitive: Primitive::Gto { n_max: 8 }, l_max: 2, ..Default::default() };
/// let settings = CovarianceSettings { expansion, mixing: Mixing::PerSpecies, center_specific: false };
/// let distances = [1.8, 1.9, 2.0, 2.2, 2.4, 2.7, 3.0, 3.5];
/// let dimers = distances.map(|d| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]));
/// let energies = distances.map(|d: f64| -8.0 + d.powi(-6));
/// let mut covariance = SupervisedCovariance::new(&settings)?;
/// covariance.add(&dimers, &energies)?;
/// assert!(covariance.regression()?.r2 > 0.9);
/// let basis = covariance.basis(PcovrSettings { gamma: 0.1 }, Truncation::QMax(2))?;
/// assert_eq!(basis.transform(&dimers)?.blocks[0].dim(), (16, 1, 2)); // centers, m, channels
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug)]
pub struct SupervisedCovariance {
    covariance: Covariance,
    /// The expansion of l = 0 alone.
    expansion: SphericalExpansion,
    /// Of complete blocks of structures.
    root: Root,
    /// The block that is not complete yet.
    open: Vec<Row>,
}

/// The linear model of energies behind a basis of Eq. (14).
#[derive(Debug, Clone, PartialEq)]
pub struct EnergyRegression {
    /// e_a, in eV for each atom of a species.
    pub baseline: BTreeMap<u8, f64>,
    /// w in eV over n, for each kind of centre (`None` for all) and neighbour species.
    pub weights: BTreeMap<(Option<u8>, u8), Vec<f64>>,
    /// Strength of the ridge, in units of XᵀX.
    pub alpha: f64,
    /// Part of the squares of y that X w explains.
    pub r2: f64,
}

impl SupervisedCovariance {
    /// An empty accumulator.
    ///
    /// # Errors
    /// For settings outside their range.
    pub fn new(settings: &CovarianceSettings) -> Result<Self> {
        let covariance = Covariance::new(settings)?;
        let alone = ExpansionSettings { l_max: 0, ..settings.expansion.clone() };
        let expansion = SphericalExpansion::new(&alone, covariance.template.species())?;
        Ok(SupervisedCovariance { covariance, expansion, root: Root::default(), open: Vec::new() })
    }

    /// Adds structures, in parallel, and their total energies, in eV. The result has the same bits however they are cut into
    /// calls, and for any number of threads.
    ///
    /// # Errors
    /// For the first structure that is refused, or whose energy is not finite, named by its index since the accumulator was
    /// made; nothing of this call is then added. If there are not as many energies as structures.
    pub fn add(&mut self, structures: &[Structure], energies: &[f64]) -> Result<()> {
        if energies.len() != structures.len() {
            let problem = format!("one energy for each of {} structures is needed", structures.len());
            return Err(Error::setting(
                "energies",
                energies.len(),
                problem,
                "give them in the order of the structures",
            ));
        }
        let first = self.covariance.n_structures();
        if let Some(k) = energies.iter().position(|e| !e.is_finite()) {
            let problem = format!("its energy {} is not finite", energies[k]);
            return Err(Error::structure(None, problem, "remove the frame, or correct its energy").at_frame(first + k));
        }
        self.covariance.add(structures, None)?;
        let at_once = BLOCK * rayon::current_num_threads();
        for (structures, energies) in structures.chunks(at_once).zip(energies.chunks(at_once)) {
            let rows: Vec<Result<Row>> =
                structures.par_iter().zip(energies).map(|(structure, energy)| self.row(structure, *energy)).collect();
            for row in rows {
                self.open.push(row?);
                if self.open.len() == BLOCK {
                    self.root.absorb(&std::mem::take(&mut self.open), self.covariance.n_functions(0));
                }
            }
        }
        Ok(())
    }

    /// Structure sums, composition and energy.
    fn row(&self, structure: &Structure, energy: f64) -> Result<Row> {
        let one = std::slice::from_ref(structure);
        let species = species_of(one);
        let expansion = self.expansion.for_species(&species).expect("species that the covariance accepted");
        let c = expansion.forward(one)?;
        let mut row = Row { energy, counts: BTreeMap::new(), sums: BTreeMap::new() };
        let n = self.covariance.n_functions(0);
        for (center, values) in c.centers.iter().zip(c.blocks[0].outer_iter()) {
            *row.counts.entry(center.species).or_default() += 1.0;
            let kind = if self.covariance.settings.center_specific { center.species } else { 0 };
            for (&a, values) in species.iter().zip(values.as_slice().unwrap_or(&[]).chunks_exact(n)) {
                let sums = row.sums.entry((kind, a)).or_insert_with(|| vec![0.0; n]);
                sums.iter_mut().zip(values).for_each(|(sum, c)| *sum += c);
            }
        }
        Ok(row)
    }

    /// Bytes that accumulating structures such as these takes at most, and then making and writing the basis; besides what the
    /// process holds already.
    pub fn memory(&self, structures: &[Structure], truncation: Truncation) -> f64 {
        let n_species = species_of(structures).len();
        let kinds = if self.covariance.settings.center_specific { n_species } else { 1 };
        let width = (n_species * (1 + kinds * self.covariance.n_functions(0)) + 1) as f64;
        let block = BLOCK as f64;
        // The rows of a few blocks; the factor with the next block, its copies, and its singular vectors.
        let rows = block * (2 * rayon::current_num_threads() + 1) as f64 + 4.0 * (width + block) + 2.0 * width;
        self.covariance.memory(structures, Some(truncation)) + 8.0 * width * rows
    }

    /// The covariance of the structures added so far.
    pub fn covariance(&self) -> &Covariance {
        &self.covariance
    }

    /// Notes the files that the structures came from.
    pub fn set_files(&mut self, files: Vec<SourceFile>) {
        self.covariance.set_files(files, None);
    }

    /// The regression of the energies.
    ///
    /// # Errors
    /// If nothing was added, or the energies are those of the composition: then there is nothing to learn from them.
    pub fn regression(&self) -> Result<EnergyRegression> {
        let mut root = self.root.clone();
        root.absorb(&self.open, self.covariance.n_functions(0));
        root.regression(self.covariance.n_structures())
    }

    /// The basis of Eq. (14).
    ///
    /// # Errors
    /// As [`OptimalBasis::from_covariance`] and [`SupervisedCovariance::regression`], and unless 0 < γ ≤ 1.
    pub fn basis(&self, settings: PcovrSettings, truncation: Truncation) -> Result<OptimalBasis> {
        settings.validate()?;
        if self.covariance.n_structures() == 0 {
            return OptimalBasis::from_covariance(&self.covariance, truncation);
        }
        let supervision = Supervision::new(settings, &self.covariance, self.regression()?);
        OptimalBasis::supervised(&self.covariance, truncation, &supervision)
    }
}

/// What γ and the energies say about the functions of l = 0.
#[derive(Debug)]
pub(super) struct Supervision {
    pub settings: PcovrSettings,
    pub r2: f64,
    /// w by kind of centre and neighbour species, scaled to wᵀCw = R².
    weights: BTreeMap<(Option<u8>, u8), Vec<f64>>,
    /// The trace of Σ_i c_i c_iᵀ over all blocks.
    trace: f64,
}

impl Supervision {
    fn new(settings: PcovrSettings, covariance: &Covariance, regression: EnergyRegression) -> Self {
        let species = covariance.species();
        let owners: Vec<&[u8]> = match covariance.settings.mixing {
            Mixing::Combined => vec![&species],
            Mixing::PerSpecies => species.chunks(1).collect(),
        };
        let EnergyRegression { r2, weights, .. } = regression;
        let mut supervision = Supervision { settings, r2, weights, trace: 0.0 };
        let mut variance = 0.0; // wᵀ Σ_i c_i c_iᵀ w
        for kind in covariance.kinds() {
            for of in &owners {
                let sum = covariance.sum(kind, 0, of);
                let w = supervision.weights_of(kind, of, covariance.n_functions(0));
                variance += w.dot(&sum.dot(&w));
                supervision.trace += sum.diag().sum();
            }
        }
        let scale = if variance > 0.0 { (r2 * supervision.trace / variance).sqrt() } else { 0.0 };
        supervision.weights.values_mut().flatten().for_each(|w| *w *= scale);
        supervision
    }

    /// w over (a, n) of a block; zero where a kind of centre and a species never met.
    fn weights_of(&self, kind: Option<u8>, species: &[u8], n: usize) -> Array1<f64> {
        let of = |a: &u8| self.weights.get(&(kind, *a)).cloned().unwrap_or_else(|| vec![0.0; n]);
        species.iter().flat_map(of).collect()
    }

    /// U of one block of l = 0, whose covariance is `c`.
    pub fn contract(&self, c: &Array2<f64>, kind: Option<u8>, species: &[u8], n_centers: usize) -> Contraction {
        let Contraction { mut eigenvalues, mut u } = Contraction::of(c);
        let rank = Contraction { eigenvalues: eigenvalues.clone(), u: Array2::zeros((0, 0)) }.n_significant();
        if rank == 0 {
            return Contraction { eigenvalues, u };
        }
        // All in the basis of the eigenvectors of C, which is diagonal there, with s² its share of the trace.
        let share = n_centers as f64 / self.trace;
        let s: Vec<f64> = eigenvalues[..rank].iter().map(|e| (share * e).sqrt()).collect();
        let w = u.slice(s![..rank, ..]).dot(&self.weights_of(kind, species, c.nrows() / species.len()));
        let g = (&w * &Array1::from(s.clone())).insert_axis(ndarray::Axis(1));
        let (_, vectors) = mixed_eigenvectors(self.settings.gamma, &s, g.view());
        let rows = orthonormal_rows(&vectors / &Array1::from(s));
        let variances: Vec<f64> =
            rows.outer_iter().map(|row| row.iter().zip(&eigenvalues).map(|(x, e)| x * x * e).sum()).collect();
        let mut turned = matmul(rows.view(), u.slice(s![..rank, ..]));
        turned.rows_mut().into_iter().for_each(make_largest_positive);
        u.slice_mut(s![..rank, ..]).assign(&turned);
        eigenvalues[..rank].copy_from_slice(&variances);
        Contraction { eigenvalues, u }
    }
}

/// Rows with the same spans, the first q of the first q, and orthonormal: Gram–Schmidt, twice for all digits.
fn orthonormal_rows(mut rows: Array2<f64>) -> Array2<f64> {
    for q in 0..rows.nrows() {
        let (before, mut rest) = rows.view_mut().split_at(ndarray::Axis(0), q);
        let mut row = rest.row_mut(0);
        let norm = row.dot(&row).sqrt();
        row /= norm;
        for _ in 0..2 {
            for earlier in before.rows() {
                let overlap = earlier.dot(&row);
                row.scaled_add(-overlap, &earlier);
            }
            let norm = row.dot(&row).sqrt();
            row /= norm;
        }
    }
    rows
}

/// One structure: E_A, N_a and X_A, by species, and by kind of centre (0 for all) and species.
#[derive(Debug, Clone)]
struct Row {
    energy: f64,
    counts: BTreeMap<u8, f64>,
    sums: BTreeMap<(u8, u8), Vec<f64>>,
}

/// A matrix with the same scalar products of columns as the one with a row for each structure: counts, sums, energy.
#[derive(Debug, Clone)]
struct Root {
    species: Vec<u8>,
    /// Kinds of centre and species of the sums.
    pairs: Vec<(u8, u8)>,
    rows: Array2<f64>,
}

impl Default for Root {
    fn default() -> Self {
        Root { species: Vec::new(), pairs: Vec::new(), rows: Array2::zeros((0, 1)) }
    }
}

impl Root {
    /// Appends structures, with `n` functions of each species, and folds all rows together.
    fn absorb(&mut self, block: &[Row], n: usize) {
        if block.is_empty() {
            return;
        }
        let species: BTreeSet<u8> =
            block.iter().flat_map(|row| row.counts.keys()).chain(&self.species).copied().collect();
        let pairs: BTreeSet<(u8, u8)> =
            block.iter().flat_map(|row| row.sums.keys()).chain(&self.pairs).copied().collect();
        let (species, pairs): (Vec<u8>, Vec<(u8, u8)>) = (species.into_iter().collect(), pairs.into_iter().collect());
        let of_species = |a: &u8| species.binary_search(a).expect("in the union");
        let of_pair = |pair: &(u8, u8)| species.len() + n * pairs.binary_search(pair).expect("in the union");
        let (before, width) = (self.rows.nrows(), species.len() + n * pairs.len() + 1);
        let mut rows = Array2::zeros((before + block.len(), width));
        let mut old = rows.slice_mut(s![..before, ..]);
        for (k, a) in self.species.iter().enumerate() {
            old.column_mut(of_species(a)).assign(&self.rows.column(k));
        }
        for (k, pair) in self.pairs.iter().enumerate() {
            let (from, to) = (self.species.len() + n * k, of_pair(pair));
            old.slice_mut(s![.., to..to + n]).assign(&self.rows.slice(s![.., from..from + n]));
        }
        old.column_mut(width - 1).assign(&self.rows.column(self.rows.ncols() - 1));
        for (mut to, row) in rows.rows_mut().into_iter().skip(before).zip(block) {
            row.counts.iter().for_each(|(a, count)| to[of_species(a)] = *count);
            for (pair, sums) in &row.sums {
                let start = of_pair(pair);
                sums.iter().enumerate().for_each(|(n, sum)| to[start + n] = *sum);
            }
            to[width - 1] = row.energy;
        }
        *self = Root { species, pairs, rows: qr_r(rows.view()) };
    }

    fn regression(&self, n_structures: usize) -> Result<EnergyRegression> {
        let (first, last) = (self.species.len(), self.rows.ncols() - 1);
        let energy = self.rows.column(last).to_owned();
        let counts = svd_thin(self.rows.slice(s![.., ..first]));
        let (rank, inverse) = inverse_of(&counts.1);
        let e = counts.2.t().dot(&(counts.0.t().dot(&energy) * inverse));
        let mut y = energy.clone();
        for _ in 0..2 {
            // Twice for all digits: the composition may be nearly all of it.
            let u = counts.0.slice(s![.., ..rank]);
            y = &y - &u.dot(&u.t().dot(&y));
        }
        let squares = y.dot(&y);
        if squares <= ROUNDING * ROUNDING * energy.dot(&energy) {
            let problem = format!("those of {n_structures} structures follow from their compositions alone");
            let remedy = "give structures of one composition and different energies, or use method = pca";
            return Err(Error::setting("energies", "explained", problem, remedy));
        }
        let (w, alpha, left) = ridge(self.rows.slice(s![.., first..last]), &y, n_structures as f64 - rank as f64);
        let n = w.len() / self.pairs.len().max(1);
        let weights = self.pairs.iter().zip(w.as_slice().unwrap_or(&[]).chunks(n.max(1)));
        Ok(EnergyRegression {
            baseline: self.species.iter().copied().zip(e).collect(),
            weights: weights.map(|(&(kind, a), w)| (((kind > 0).then_some(kind), a), w.to_vec())).collect(),
            alpha,
            r2: (1.0 - left / squares).max(0.0),
        })
    }
}

/// Number of singular values that are not rounding, and the inverses of these; zero for the others.
fn inverse_of(singular: &[f64]) -> (usize, Array1<f64>) {
    let floor = ROUNDING * singular.first().copied().unwrap_or(0.0);
    let rank = singular.iter().filter(|&&s| s > floor).count();
    (rank, singular.iter().map(|&s| if s > floor { 1.0 / s } else { 0.0 }).collect())
}

/// w of a ridge regression, its strength α by generalised cross-validation, and the squares that are left:
///
/// ```text
/// minimise |y − X w|² / (f − Σ_k s_k²/(s_k² + α))²,   s the singular values of X, f the degrees of freedom of y
/// ```
fn ridge(x: ArrayView2<f64>, y: &Array1<f64>, freedom: f64) -> (Array1<f64>, f64, f64) {
    let (u, s, v) = svd_thin(x);
    let on = u.t().dot(y);
    let off = y - &u.dot(&on);
    let outside = off.dot(&off);
    let largest = s.first().map_or(0.0, |s| s * s);
    if largest == 0.0 {
        return (Array1::zeros(x.ncols()), 0.0, outside);
    }
    let left =
        |alpha: f64| outside + s.iter().zip(&on).map(|(s, y)| (y * alpha / (s * s + alpha)).powi(2)).sum::<f64>();
    let mut best = (f64::INFINITY, largest);
    for k in 0..=STRENGTHS {
        let alpha = largest * 10_f64.powf(-0.5 * f64::from(k));
        let free = freedom - s.iter().map(|s| s * s / (s * s + alpha)).sum::<f64>();
        let score = left(alpha) / (free * free);
        if free >= 1.0 && score < best.0 {
            best = (score, alpha);
        }
    }
    let alpha = best.1;
    let w = v.t().dot(&Array1::from_iter(s.iter().zip(&on).map(|(s, y)| y * s / (s * s + alpha))));
    (w, alpha, left(alpha))
}
