//! The regression of energies on structure sums, of structures that come one after another.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, s};

use crate::density::{Equivariants, Group, groups};
use crate::linalg::{qr_r, svd_thin};
use crate::stream::Sum;
use crate::{Error, Result};

/// What is known of energies to within rounding, relative to them.
const ROUNDING: f64 = 1e-12;
/// Ridge strengths that are tried, as fractions of the largest eigenvalue of XᵀX: 1, 10^(−1/2), … 1e-14.
const STRENGTHS: i32 = 28;

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

/// What a column of the regression holds, in the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    /// N_a.
    Atoms(u8),
    /// X_A around one kind of centre (0 for all) and of one neighbour species.
    Sums { center: u8, species: u8 },
    /// E_A.
    Energy,
}

/// Numbers of one structure.
type Row = BTreeMap<Column, Vec<f64>>;

/// Rows \[N, X, E\] of structures: those of complete blocks as a triangle with the same scalar products of columns.
#[derive(Debug, Clone)]
pub(super) struct EnergyRows {
    n_structures: usize,
    columns: BTreeMap<Column, Range<usize>>,
    triangle: Array2<f64>,
    /// Rows of the open block.
    waiting: Vec<Row>,
}

impl Sum for EnergyRows {
    fn add(&mut self, next: Self) {
        self.n_structures += next.n_structures;
        self.waiting.extend(next.waiting);
    }

    fn add_block(&mut self, block: Self) {
        self.add(block);
        self.fold();
    }
}

impl EnergyRows {
    pub fn new() -> Self {
        EnergyRows { n_structures: 0, columns: BTreeMap::new(), triangle: Array2::zeros((0, 1)), waiting: Vec::new() }
    }

    /// Adds a structure: its coefficients of l = 0, and its energy.
    pub fn push(&mut self, c: &Equivariants, center_specific: bool, energy: f64) {
        let mut row = Row::from([(Column::Energy, vec![energy])]);
        let groups = groups(&c.channels[0]);
        for (center, c) in c.centers.iter().zip(c.blocks[0].outer_iter()) {
            row.entry(Column::Atoms(center.species)).or_insert_with(|| vec![0.0])[0] += 1.0;
            for Group { species, channels } in &groups {
                let column =
                    Column::Sums { center: if center_specific { center.species } else { 0 }, species: *species };
                let sums = row.entry(column).or_insert_with(|| vec![0.0; channels.len()]);
                sums.iter_mut().zip(c.slice(s![0, channels.clone()])).for_each(|(sum, c)| *sum += c);
            }
        }
        self.waiting.push(row);
        self.n_structures += 1;
    }

    /// Makes the waiting rows a part of the triangle, which learns of new columns: these were zero before.
    fn fold(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut widths: BTreeMap<Column, usize> = self.columns.iter().map(|(column, of)| (*column, of.len())).collect();
        widths.extend(self.waiting.iter().flatten().map(|(column, values)| (*column, values.len())));
        let mut width = 0;
        let columns: BTreeMap<Column, Range<usize>> = widths
            .into_iter()
            .map(|(column, n)| {
                width += n;
                (column, width - n..width)
            })
            .collect();
        let before = self.triangle.nrows();
        let mut rows = Array2::zeros((before + self.waiting.len(), width));
        for (column, from) in &self.columns {
            rows.slice_mut(s![..before, columns[column].clone()]).assign(&self.triangle.slice(s![.., from.clone()]));
        }
        for (mut to, row) in rows.rows_mut().into_iter().skip(before).zip(self.waiting.drain(..)) {
            for (column, values) in row {
                to.slice_mut(s![columns[&column].clone()]).assign(&Array1::from(values));
            }
        }
        (self.columns, self.triangle) = (columns, qr_r(rows.view()));
    }

    /// # Errors
    /// As [`SupervisedCovariance::regression`](super::SupervisedCovariance::regression).
    pub fn regression(mut self) -> Result<EnergyRegression> {
        self.fold();
        let EnergyRows { n_structures, columns, triangle, .. } = self;
        let species: Vec<u8> =
            columns.keys().filter_map(|column| if let Column::Atoms(a) = column { Some(*a) } else { None }).collect();
        let last = triangle.ncols() - 1;
        let energy = triangle.column(last).to_owned();
        let counts = svd_thin(triangle.slice(s![.., ..species.len()]));
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
        let x = triangle.slice(s![.., species.len()..last]);
        let (w, alpha, left) = ridge(x, &y, n_structures as f64 - rank as f64);
        let weights_of = |(column, place): (&Column, &Range<usize>)| match *column {
            Column::Sums { center, species: a } => {
                let w = w.slice(s![place.start - species.len()..place.end - species.len()]);
                Some((((center > 0).then_some(center), a), w.to_vec()))
            }
            Column::Atoms(_) | Column::Energy => None,
        };
        Ok(EnergyRegression {
            weights: columns.iter().filter_map(weights_of).collect(),
            baseline: species.into_iter().zip(e).collect(),
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
