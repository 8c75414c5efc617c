//! The rows that one frame adds to a least-squares problem: its energy, forces and stress as linear functions of the parameters.
//!
//! A model is linear in its parameters: E = Σ_i φ(X_i)·w. Of a linear model φ(X) = X, in the columns of the species of centre i;
//! of a sparse one φ_m(X) = (X · T_m)^ζ, in the columns of the sparse points of that species. Then
//!
//! ```text
//! energy  Σ_i φ(X_i)      forces  −Σ_i ∂φ(X_i)/∂r_k      stress  (1/V) Σ_i ∂φ(X_i)/∂ε
//! ```
//!
//! Where the baseline is the energy of free atoms, φ(X) − φ(X of the centre alone) takes the place of φ(X): see `alone.rs`.
//!
//! Derivatives of features come in parts of bounded memory; of them no more exists at a time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::site::no_function;
use super::targets::Targets;
use crate::correlations::{Combinations, Invariants};
use crate::density::Variable;
use crate::extxyz::Labels;
use crate::linalg::set_product;
use crate::structure::Structure;
use crate::{Error, Result};

/// Memory of the derivatives of features that exist at a time, in bytes.
const PART: usize = 1 << 20;

/// Squares of larger numbers may overflow when summed.
const LARGEST: f64 = 1e140;

/// Components of a symmetric matrix in Voigt order, xx, yy, zz, yz, xz, xy.
const VOIGT: [(usize, usize); 6] = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)];

/// The functions φ of features that a model is a linear combination of.
#[derive(Debug, Clone)]
pub(super) enum Functions {
    /// X itself.
    Linear {
        /// Features of a centre.
        n_features: usize,
        /// Species of centres.
        species: Vec<u8>,
        /// Of features to what the parameters are weights of; none if of features themselves.
        combinations: Option<Arc<Combinations>>,
        /// φ of the centre alone of each species, which is taken off; none where it is not.
        alone: BTreeMap<u8, Array1<f64>>,
    },
    /// (X · T_m)^ζ for sparse points T, `[m, feature]`, of each species; combined by a matrix `[m, parameter]` for each.
    Sparse {
        zeta: u32,
        points: BTreeMap<u8, Array2<f64>>,
        projections: BTreeMap<u8, Array2<f64>>,
        /// As of `Linear`.
        alone: BTreeMap<u8, Array1<f64>>,
    },
}

impl Functions {
    /// Functions of each species, before they are combined: atomic number and columns.
    pub fn blocks(&self) -> Vec<(u8, Range<usize>)> {
        let lengths: Vec<(u8, usize)> = match self {
            Functions::Linear { n_features, species, .. } => species.iter().map(|&z| (z, *n_features)).collect(),
            Functions::Sparse { points, .. } => points.iter().map(|(&z, t)| (z, t.nrows())).collect(),
        };
        consecutive(lengths)
    }

    /// Parameters of each species: atomic number and columns.
    pub fn parameters(&self) -> Vec<(u8, Range<usize>)> {
        match self {
            Functions::Linear { combinations: None, .. } => self.blocks(),
            Functions::Linear { combinations: Some(combinations), species, .. } => {
                consecutive(species.iter().map(|&z| (z, combinations.n_out())).collect())
            }
            Functions::Sparse { projections, .. } => {
                consecutive(projections.iter().map(|(&z, p)| (z, p.ncols())).collect())
            }
        }
    }

    /// φ of the centre alone of each species; none where it is not taken off.
    pub fn alone(&self) -> &BTreeMap<u8, Array1<f64>> {
        match self {
            Functions::Linear { alone, .. } | Functions::Sparse { alone, .. } => alone,
        }
    }

    pub fn n_parameters(&self) -> usize {
        self.parameters().last().map_or(0, |(_, columns)| columns.end)
    }

    /// Weights of functions of a species, `[function, column]`, that do what weights `w` `[parameter, column]` do.
    pub fn weights(&self, z: u8, w: ArrayView2<f64>) -> Array2<f64> {
        match self {
            Functions::Linear { combinations: None, .. } => w.to_owned(),
            Functions::Linear { n_features, combinations: Some(combinations), .. } => {
                let mut out = Array2::zeros((*n_features, w.ncols()));
                for (mut out, w) in out.columns_mut().into_iter().zip(w.columns()) {
                    out.assign(&combinations.weights(w));
                }
                out
            }
            Functions::Sparse { projections, .. } => {
                let mut out = Array2::zeros((projections[&z].nrows(), w.ncols()));
                set_product(out.view_mut(), projections[&z].view(), w);
                out
            }
        }
    }

    /// φ of features `x` `[center, feature]` of centres of one species, `[center, function]`; none where φ(X) = X.
    pub fn kernels(&self, z: u8, x: ArrayView2<f64>) -> Option<Array2<f64>> {
        let Functions::Sparse { zeta, points, .. } = self else { return None };
        let mut kernels = Array2::zeros((x.nrows(), points[&z].nrows()));
        set_product(kernels.view_mut(), x, points[&z].t());
        kernels.mapv_inplace(|k| k.powi(*zeta as i32));
        Some(kernels)
    }

    /// φ of centres of these species from features `x`, less that of the centre alone where it is taken off, `[center, parameter]`.
    pub fn rows_of_centers(&self, species: &[u8], x: ArrayView2<f64>) -> Array2<f64> {
        let mut rows = Array2::zeros((species.len(), self.n_functions()));
        let blocks: BTreeMap<u8, Range<usize>> = self.blocks().into_iter().collect();
        for (i, (z, x)) in species.iter().zip(x.rows()).enumerate() {
            let mut row = rows.slice_mut(s![i, blocks[z].clone()]);
            let x = x.insert_axis(Axis(0));
            match self.kernels(*z, x) {
                Some(phi) => row.assign(&phi.row(0)),
                None => row.assign(&x.row(0)),
            }
            if let Some(alone) = self.alone().get(z) {
                row -= alone;
            }
        }
        self.project(rows)
    }

    fn n_functions(&self) -> usize {
        self.blocks().last().map_or(0, |(_, columns)| columns.end)
    }

    /// Bytes that the rows of a frame take while they are made.
    pub fn memory(&self, n_features: usize, n_atoms: usize, n_rows: usize) -> usize {
        let n_components = PART / (8 * n_features.max(1)) + 9;
        let products = if let Functions::Sparse { .. } = self { n_components * self.n_functions() } else { 0 };
        8 * (n_rows * (self.n_functions() + self.n_parameters()) + n_atoms * n_features + products) + 2 * PART
    }

    /// Parameters' rows from functions' rows.
    fn project(&self, rows: Array2<f64>) -> Array2<f64> {
        if matches!(self, Functions::Linear { combinations: None, .. }) {
            return rows;
        }
        let mut out = Array2::zeros((rows.nrows(), self.n_parameters()));
        for ((z, from), (_, to)) in self.blocks().into_iter().zip(self.parameters()) {
            let (from, to) = (rows.slice(s![.., from]), out.slice_mut(s![.., to]));
            match self {
                Functions::Sparse { projections, .. } => set_product(to, from, projections[&z].view()),
                Functions::Linear { combinations: Some(combinations), .. } => combinations.forward(from, to),
                Functions::Linear { combinations: None, .. } => {}
            }
        }
        out
    }
}

fn consecutive(lengths: Vec<(u8, usize)>) -> Vec<(u8, Range<usize>)> {
    let mut end = 0;
    let next = |(z, n): (u8, usize)| {
        end += n;
        (z, end - n..end)
    };
    lengths.into_iter().map(next).collect()
}

/// Σ_i φ(X_i) of a structure, `[parameter]`.
///
/// # Errors
/// If the structure cannot be used.
pub(super) fn energy_row(invariants: &Invariants, functions: &Functions, structure: &Structure) -> Result<Array1<f64>> {
    let x = invariants.forward(std::slice::from_ref(structure))?;
    let centers = Centers::new(functions, structure, x)?;
    let mut row = Array2::zeros((1, functions.n_functions()));
    centers.add_values(row.row_mut(0).as_slice_mut().expect("contiguous"));
    Ok(functions.project(row).row(0).to_owned())
}

/// Σ_i ∂φ(X_i)/∂r_k of each position, `[(atom k, xyz), parameter]`: rows of forces but for the sign.
///
/// # Errors
/// If the structure cannot be used.
pub(super) fn force_rows(invariants: &Invariants, functions: &Functions, structure: &Structure) -> Result<Array2<f64>> {
    let x = invariants.forward(std::slice::from_ref(structure))?;
    let centers = Centers::new(functions, structure, x)?;
    let mut rows = Array2::zeros((3 * structure.len(), functions.n_functions()));
    centers.add_derivatives(invariants, Variable::Positions, rows.as_slice_mut().expect("contiguous"))?;
    Ok(functions.project(rows))
}

/// The weighted rows of a frame, `[row, parameter]`, and what they should give, `[row, 1]`: energy, forces by atom, stress.
///
/// # Errors
/// If the structure cannot be used.
pub(super) fn rows_of(
    invariants: &Invariants,
    functions: &Functions,
    (structure, labels): (&Structure, &Labels),
    free_atoms: f64,
    targets: &Targets,
) -> Result<(Array2<f64>, Array2<f64>)> {
    let n_rows = targets.n_rows(structure.len());
    let mut rows = Array2::zeros((n_rows, functions.n_functions()));
    let mut y = Array2::zeros((n_rows, 1));
    if n_rows == 0 {
        return Ok((functions.project(rows), y));
    }
    let x = invariants.forward(std::slice::from_ref(structure))?;
    let centers = Centers::new(functions, structure, x)?;
    let mut first = 0;
    if let (Some(sigma), Some(energy)) = (targets.energy, labels.energy) {
        centers.add_values(rows.row_mut(0).as_slice_mut().expect("contiguous"));
        y[[0, 0]] = energy - free_atoms;
        scale(&mut rows, &mut y, 0..1, 1.0 / sigma, 1.0 / sigma);
        first = 1;
    }
    if let (Some(sigma), Some(forces)) = (targets.forces, &labels.forces) {
        let here = first..first + 3 * structure.len();
        centers.add_derivatives(
            invariants,
            Variable::Positions,
            rows.slice_mut(s![here.clone(), ..]).as_slice_mut().expect("whole rows"),
        )?;
        for (y, f) in y.slice_mut(s![here.clone(), 0]).iter_mut().zip(forces.as_flattened()) {
            *y = *f;
        }
        first = here.end;
        scale(&mut rows, &mut y, here, -1.0 / sigma, 1.0 / sigma);
    }
    if let (Some(sigma), Some(stress)) = (targets.stress, &labels.stress) {
        let here = first..first + 6;
        centers.add_derivatives(
            invariants,
            Variable::Strain,
            rows.slice_mut(s![here.clone(), ..]).as_slice_mut().expect("whole rows"),
        )?;
        for (y, (p, q)) in y.slice_mut(s![here.clone(), 0]).iter_mut().zip(VOIGT) {
            *y = stress[p][q];
        }
        scale(&mut rows, &mut y, here, 1.0 / (sigma * structure.volume()), 1.0 / sigma);
    }
    let rows = functions.project(rows);
    check_size(&rows, &y)?;
    Ok((rows, y))
}

/// Refuses numbers whose squares, summed, are none.
fn check_size(rows: &Array2<f64>, y: &Array2<f64>) -> Result<()> {
    match rows.iter().chain(y).find(|x| !x.is_finite() || x.abs() >= LARGEST) {
        None => Ok(()),
        Some(x) => {
            let problem = format!("a row of its fit holds {x:e}, of which no sum of squares can be taken");
            let remedy = "look at its labels and its energy_sigma, force_sigma, stress_sigma";
            Err(Error::structure(None, problem, remedy))
        }
    }
}

fn scale(rows: &mut Array2<f64>, y: &mut Array2<f64>, here: Range<usize>, of_rows: f64, of_y: f64) {
    rows.slice_mut(s![here.clone(), ..]).mapv_inplace(|x| x * of_rows);
    y.slice_mut(s![here, ..]).mapv_inplace(|x| x * of_y);
}

/// The centres of one structure: their species' columns, features, and products with sparse points.
struct Centers<'a> {
    functions: &'a Functions,
    structure: &'a Structure,
    /// Columns of the functions of each centre.
    columns: Vec<Range<usize>>,
    /// `[center, feature]`.
    x: Array2<f64>,
    /// X_i · T_m of the sparse points of the centre's species, `[m]`.
    products: Vec<Vec<f64>>,
    n_functions: usize,
}

impl<'a> Centers<'a> {
    fn new(functions: &'a Functions, structure: &'a Structure, x: Array2<f64>) -> Result<Self> {
        let blocks: BTreeMap<u8, Range<usize>> = functions.blocks().into_iter().collect();
        let columns_of = |(i, z): (usize, &u8)| blocks.get(z).cloned().ok_or_else(|| no_function(i, *z));
        let columns = structure.species.iter().enumerate().map(columns_of).collect::<Result<_>>()?;
        let mut products = vec![Vec::new(); structure.len()];
        if let Functions::Sparse { points, .. } = functions {
            for (z, points) in points {
                let of_z: Vec<usize> = (0..structure.len()).filter(|&i| structure.species[i] == *z).collect();
                let rows = x.select(Axis(0), &of_z);
                let mut all = Array2::zeros((of_z.len(), points.nrows()));
                set_product(all.view_mut(), rows.view(), points.t());
                of_z.iter().zip(all.rows()).for_each(|(&i, row)| products[i] = row.to_vec());
            }
        }
        Ok(Centers { functions, structure, columns, x, products, n_functions: functions.n_functions() })
    }

    /// Adds Σ_i φ(X_i), or Σ_i φ(X_i) − φ(centre alone).
    fn add_values(&self, row: &mut [f64]) {
        for i in 0..self.structure.len() {
            let here = &mut row[self.columns[i].clone()];
            match self.functions {
                Functions::Linear { .. } => here.iter_mut().zip(self.x.row(i)).for_each(|(sum, x)| *sum += x),
                Functions::Sparse { zeta, .. } => {
                    let products = &self.products[i];
                    here.iter_mut().zip(products).for_each(|(sum, k)| *sum += k.powi(*zeta as i32));
                }
            }
            if let Some(alone) = self.functions.alone().get(&self.structure.species[i]) {
                here.iter_mut().zip(alone).for_each(|(sum, alone)| *sum -= alone);
            }
        }
    }

    /// Adds Σ_i ∂φ(X_i)/∂r_k, rows `[(atom k, xyz)]`, or Σ_i ∂φ(X_i)/∂ε, symmetrised, rows in Voigt order.
    fn add_derivatives(&self, invariants: &Invariants, variable: Variable, rows: &mut [f64]) -> Result<()> {
        let structures = std::slice::from_ref(self.structure);
        let (n_features, n_components) = (self.x.ncols(), variable.n_components());
        let mut cursor = invariants.jacobian_cursor(variable, PART);
        let (mut jacobian, mut moved) = (Vec::new(), Vec::new());
        while let Some(part) = cursor.next_part(invariants.expansion(), structures)? {
            jacobian.resize(part.rows.len() * n_components * n_features, 0.0);
            invariants.fill_jacobian(&part, structures, &mut jacobian)?;
            if variable == Variable::Strain {
                symmetrise(&mut jacobian, n_features);
            }
            let per_row = if variable == Variable::Strain { 6 } else { 3 };
            // Runs of centres of one species: their derivatives are one matrix.
            let mut start = 0;
            while start < part.rows.len() {
                let z = self.structure.species[part.rows[start].center];
                let same = |row: &crate::density::JacobianRow| self.structure.species[row.center] == z;
                let n = part.rows[start..].iter().take_while(|row| same(row)).count();
                let of_run = start * per_row * n_features..(start + n) * per_row * n_features;
                let dx = ArrayView2::from_shape((n * per_row, n_features), &jacobian[of_run]).expect("as many numbers");
                self.products_of_run(z, dx, &mut moved);
                let width = moved.len() / (n * per_row).max(1);
                let derivative = |k: usize| match self.functions {
                    Functions::Linear { .. } => dx.row(k).to_slice().expect("whole rows"),
                    Functions::Sparse { .. } => &moved[k * width..(k + 1) * width],
                };
                let mut slope = (usize::MAX, Vec::new());
                for (k, row) in part.rows[start..start + n].iter().enumerate() {
                    if slope.0 != row.center {
                        slope = (row.center, self.slopes(row.center));
                    }
                    for component in 0..per_row {
                        let to = row.atom.unwrap_or(0) * 3 + component;
                        let to = &mut rows[to * self.n_functions..][self.columns[row.center].clone()];
                        add_scaled(to, &slope.1, derivative(k * per_row + component));
                    }
                }
                start += n;
            }
        }
        Ok(())
    }

    /// dX · T_m of the sparse points of a species, `[row, m]`.
    fn products_of_run(&self, z: u8, dx: ArrayView2<f64>, out: &mut Vec<f64>) {
        let Functions::Sparse { points, .. } = self.functions else { return };
        let points = &points[&z];
        out.resize(dx.nrows() * points.nrows(), 0.0);
        let shape = (dx.nrows(), points.nrows());
        let out = ndarray::ArrayViewMut2::from_shape(shape, out).expect("as many numbers");
        set_product(out, dx, points.t());
    }

    /// dφ_m/d(X · T_m) = ζ (X_i · T_m)^(ζ−1); empty where it is 1.
    fn slopes(&self, center: usize) -> Vec<f64> {
        match self.functions {
            Functions::Sparse { zeta, .. } if *zeta > 1 => {
                let of = |k: &f64| f64::from(*zeta) * k.powi(*zeta as i32 - 1);
                self.products[center].iter().map(of).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Nine components (p, q) of each row to the six of their symmetric part, at the front.
fn symmetrise(jacobian: &mut [f64], n_features: usize) {
    let n_rows = jacobian.len() / (9 * n_features).max(1);
    let mut row = vec![0.0; 9 * n_features];
    for k in 0..n_rows {
        row.copy_from_slice(&jacobian[k * 9 * n_features..(k + 1) * 9 * n_features]);
        for (v, (p, q)) in VOIGT.into_iter().enumerate() {
            let (pq, qp) = (&row[(3 * p + q) * n_features..], &row[(3 * q + p) * n_features..]);
            let to = &mut jacobian[(6 * k + v) * n_features..][..n_features];
            to.iter_mut().zip(pq.iter().zip(qp)).for_each(|(to, (pq, qp))| *to = 0.5 * (pq + qp));
        }
    }
}

/// `to += slope ∘ from`; `slope` may be empty for ones.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn add_scaled(to: &mut [f64], slope: &[f64], from: &[f64]) {
    if slope.is_empty() {
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        return;
    }
    for ((to, slope), from) in to.iter_mut().zip(slope).zip(from) {
        *to = slope.mul_add(*from, *to);
    }
}
