//! Triangles without the half that is zero.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, s};

use super::solver::{Solver, check_triangle};
use crate::Result;
use crate::linalg::{PANEL, Upper, append_to_panel};

/// Rows that are appended at a time.
const STEP: usize = 256;

/// `[R | Qᵀy]` of rows `[x | y]` by panels of [`PANEL`] rows, each of which begins with the column of its first row: half of the
/// memory of a square. Besides, the squared norm of each target that is left over. Of fewer rows than columns, a
/// [compact](PackedTriangle::compact) triangle has no panels below the last that holds more than rounding.
#[derive(Debug, Clone)]
pub(crate) struct PackedTriangle {
    n: usize,
    n_targets: usize,
    numbers: Vec<f64>,
    pub(super) left: Array1<f64>,
    pub(super) n_rows: usize,
}

impl PackedTriangle {
    /// No rows yet.
    pub fn new(n: usize, n_targets: usize) -> Self {
        let numbers = vec![0.0; length(n, n_targets, n)];
        PackedTriangle { n, n_targets, numbers, left: Array1::zeros(n_targets), n_rows: 0 }
    }

    /// From its parts, as they were stored; none if the numbers are not those of some panels.
    pub fn of_numbers(n: usize, numbers: Vec<f64>, left: Array1<f64>, n_rows: usize) -> Option<Self> {
        let n_targets = left.len();
        // Of so many columns that not a row of them could be there, not even a length is computed.
        let possible = numbers.is_empty() || n <= numbers.len() && n_targets <= numbers.len();
        let fits = || {
            let mut rest = numbers.len();
            for rows in ranges(n).take_while(|_| possible) {
                let Some(less) = rest.checked_sub(rows.len() * (n + n_targets - rows.start)) else { break };
                rest = less;
            }
            rest == 0
        };
        (possible && fits()).then_some(PackedTriangle { n, n_targets, numbers, left, n_rows })
    }

    /// Columns of R.
    pub fn n_columns(&self) -> usize {
        self.n
    }

    /// The numbers, panel by panel.
    pub fn numbers(&self) -> &[f64] {
        &self.numbers
    }

    /// Squared norm of each target that is left over.
    pub fn left(&self) -> &Array1<f64> {
        &self.left
    }

    /// Rows that it is of.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The numbers, panel by panel, of which the triangle is deprived.
    pub fn into_numbers(self) -> Vec<f64> {
        self.numbers
    }

    /// From `[R | Qᵀy]` with all its zeros.
    pub fn of_square(square: ArrayView2<f64>, left: Array1<f64>, n_rows: usize) -> Self {
        let mut packed = PackedTriangle { n_rows, ..PackedTriangle::new(square.nrows(), left.len()) };
        for (rows, mut panel) in packed.panels_mut() {
            panel.assign(&square.slice(s![rows.clone(), rows.start..]));
        }
        packed.left = left;
        packed
    }

    /// `[R | Qᵀy]` with zeros below the diagonal.
    pub fn to_square(&self) -> Array2<f64> {
        let mut square = Array2::zeros((self.n, self.n + self.n_targets));
        for (rows, panel) in self.panels() {
            square.slice_mut(s![rows.clone(), rows.start..]).assign(&panel);
        }
        square
    }

    /// Bytes of a triangle of so many columns.
    pub fn memory(n: usize, n_targets: usize) -> usize {
        8 * length(n, n_targets, n)
    }

    /// Without the last panels, below as many rows as it is of, where nothing but rounding stands. Rows may lie lower: where columns
    /// are zero, as those of a species that these frames lack, R has no row for them.
    pub fn compact(mut self) -> Self {
        let full = self.n_rows.min(self.n);
        let mut largest = vec![0.0_f64; self.n + self.n_targets];
        for (rows, panel) in self.panels() {
            for row in panel.rows() {
                largest[rows.start..].iter_mut().zip(row).for_each(|(most, x)| *most = most.max(x.abs()));
            }
        }
        let rounding = f64::EPSILON * (self.n_rows + PANEL) as f64;
        let holds = |(rows, panel): &(Range<usize>, ArrayView2<f64>)| {
            let of_columns = &largest[rows.start..];
            rows.start < full
                || panel
                    .rows()
                    .into_iter()
                    .any(|row| row.iter().zip(of_columns).any(|(x, most)| x.abs() > rounding * most))
        };
        let height = self.panels().filter(holds).last().map_or(0, |(rows, _)| rows.end);
        self.numbers.truncate(length(self.n, self.n_targets, height));
        self.numbers.shrink_to_fit();
        self
    }

    /// With all panels, so that rows can be appended.
    pub fn complete(mut self) -> Self {
        let missing = length(self.n, self.n_targets, self.n) - self.numbers.len();
        self.numbers.reserve_exact(missing);
        self.numbers.resize(self.numbers.len() + missing, 0.0);
        self
    }

    /// Bytes that are needed besides where triangles are joined.
    pub fn memory_of_step(n: usize, n_targets: usize) -> usize {
        8 * STEP.min(n) * (n + n_targets)
    }

    /// Appends rows `[x | y]`, in which the columns before `first`, a multiple of [`PANEL`], are zero; nothing of use is left in them.
    pub fn append(&mut self, mut rows: ArrayViewMut2<f64>, first: usize) {
        let n = self.n;
        for (own, panel) in self.panels_mut().filter(|(own, _)| own.start >= first) {
            append_to_panel(panel, rows.slice_mut(s![.., own.start..]));
        }
        for (left, rest) in self.left.iter_mut().zip(rows.slice(s![.., n..]).columns()) {
            *left += rest.iter().map(|x| x * x).sum::<f64>();
        }
    }

    /// Appends the rows of another triangle of the same columns and targets, which may be compact.
    ///
    /// # Errors
    /// If sums are not finite.
    pub fn merge(&mut self, other: &PackedTriangle) -> Result<()> {
        for first in (0..other.height()).step_by(STEP) {
            self.append(other.rows(first..self.n.min(first + STEP)).view_mut(), first);
        }
        self.left += &other.left;
        self.n_rows += other.n_rows;
        self.check("X", format!("{} rows", self.n_rows))
    }

    /// Appends the rows √λ · 1.
    ///
    /// # Errors
    /// If sums are not finite.
    pub fn regularise(&mut self, lambda: f64) -> Result<()> {
        let all = self.n + self.n_targets;
        for first in (0..self.n).step_by(STEP) {
            let mut rows = Array2::zeros((STEP.min(self.n - first), all));
            rows.slice_mut(s![.., first..]).diag_mut().fill(lambda.sqrt());
            self.append(rows.view_mut(), first);
        }
        self.check("alpha", lambda)
    }

    /// Weights `[column, target]` of min |Xw − y|²; none if the columns depend linearly on one another to rounding.
    pub fn weights(&self, solver: Solver) -> Option<Array2<f64>> {
        let (upper, mut weights) = (self.upper(), self.qty());
        if solver.is_singular(upper.condition_estimate(), self.n) {
            return None;
        }
        for mut column in weights.columns_mut() {
            let solved = upper.solve(column.to_vec());
            column.assign(&ArrayView1::from(&solved));
        }
        Some(weights)
    }

    /// |Xw − y|² of each target for weights `[column, target]`.
    pub fn squared_residual(&self, weights: ArrayView2<f64>) -> Array1<f64> {
        let (upper, qty) = (self.upper(), self.qty());
        let of = |(w, z): (ArrayView1<f64>, ArrayView1<f64>)| {
            upper.times(&w.to_vec()).iter().zip(z).map(|(x, z)| (x - z) * (x - z)).sum::<f64>()
        };
        weights.columns().into_iter().zip(qty.columns()).map(of).zip(&self.left).map(|(sum, left)| sum + left).collect()
    }

    /// R, for products with vectors.
    pub fn upper(&self) -> Upper<'_> {
        let mut rows = Vec::with_capacity(self.n);
        for (own, panel) in self.panels() {
            let (n, numbers) = (self.n - own.start, panel.to_slice().expect("contiguous"));
            let width = n + self.n_targets;
            rows.extend((0..own.len()).map(|i| &numbers[i * width + i..i * width + n]));
        }
        Upper::new(rows)
    }

    /// Rows of the panels that are there.
    pub fn height(&self) -> usize {
        self.panels().last().map_or(0, |(own, _)| own.end)
    }

    fn qty(&self) -> Array2<f64> {
        let mut qty = Array2::zeros((self.height(), self.n_targets));
        for (rows, panel) in self.panels() {
            let first = self.n - rows.start;
            qty.slice_mut(s![rows, ..]).assign(&panel.slice(s![.., first..]));
        }
        qty
    }

    /// Some rows, of which the first begins a panel, with zeros before the diagonal.
    fn rows(&self, wanted: Range<usize>) -> Array2<f64> {
        let mut rows = Array2::zeros((wanted.len(), self.n + self.n_targets));
        for (own, panel) in self.panels().filter(|(own, _)| wanted.contains(&own.start)) {
            rows.slice_mut(s![own.start - wanted.start..own.end - wanted.start, own.start..]).assign(&panel);
        }
        rows
    }

    fn check(&self, name: &'static str, value: impl std::fmt::Display) -> Result<()> {
        check_triangle(name, value, &self.numbers)
    }

    /// Rows of each panel, and the panel.
    fn panels(&self) -> impl Iterator<Item = (Range<usize>, ArrayView2<'_, f64>)> {
        let all = self.n + self.n_targets;
        let mut rest = &self.numbers[..];
        ranges(self.n).map_while(move |rows| {
            let shape = (rows.len(), all - rows.start);
            let panel = rest.split_off(..shape.0 * shape.1)?;
            Some((rows, ArrayView2::from_shape(shape, panel).expect("as many numbers")))
        })
    }

    fn panels_mut(&mut self) -> impl Iterator<Item = (Range<usize>, ArrayViewMut2<'_, f64>)> {
        let all = self.n + self.n_targets;
        let mut rest = &mut self.numbers[..];
        ranges(self.n).map_while(move |rows| {
            let shape = (rows.len(), all - rows.start);
            let panel = rest.split_off_mut(..shape.0 * shape.1)?;
            Some((rows, ArrayViewMut2::from_shape(shape, panel).expect("as many numbers")))
        })
    }
}

/// Rows of each panel.
fn ranges(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(PANEL).map(move |start| start..n.min(start + PANEL))
}

/// Numbers of the panels that begin above row `height`.
fn length(n: usize, n_targets: usize, height: usize) -> usize {
    ranges(n).take_while(|rows| rows.start < height).map(|rows| rows.len() * (n + n_targets - rows.start)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::LeastSquares;

    fn any(rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| (((i + 3) * (j * j + 2)) as f64).sin())
    }

    #[test]
    fn rows_whose_first_columns_are_zero_keep_all_they_say() {
        let n = 200;
        for solver in [Solver::Qr, Solver::Cholesky] {
            let (mut x, y) = (any(20, n), any(20, 1));
            x.slice_mut(s![.., ..130]).fill(0.0); // a species that these frames lack
            let mut sums = LeastSquares::new(n, 1, solver);
            sums.add(x.view(), y.view()).unwrap();
            let few = sums.into_triangle().unwrap();
            let stored = PackedTriangle::of_numbers(n, few.numbers.clone(), few.left.clone(), 20).unwrap();
            let others = any(300, n + 1);
            let mut all = LeastSquares::new(n, 1, Solver::Qr);
            all.add(others.slice(s![.., ..n]), others.slice(s![.., n..])).unwrap();
            let mut all = all.into_triangle().unwrap();
            all.merge(&stored).unwrap();
            let r = all.to_square();
            let both = ndarray::concatenate(ndarray::Axis(0), &[others.slice(s![.., ..n]), x.view()]).unwrap();
            let off = (r.slice(s![.., ..n]).t().dot(&r.slice(s![.., ..n])) - both.t().dot(&both))
                .fold(0.0, |m: f64, x| m.max(x.abs()));
            assert!(off < 1e-10, "{solver:?}: {off:e}");
            let target = (others.column(n).dot(&others.column(n)) + y.column(0).dot(&y.column(0))).sqrt();
            let found = (r.column(n).dot(&r.column(n)) + all.left[0]).sqrt();
            assert!((found / target - 1.0).abs() < 1e-10, "{solver:?}: {found} {target}");
        }
    }

    #[test]
    fn few_rows_take_few_numbers() {
        let mut sums = LeastSquares::new(500, 1, Solver::Qr);
        sums.add(any(70, 500).view(), any(70, 1).view()).unwrap();
        let few = sums.into_triangle().unwrap();
        assert_eq!(few.height(), 128);
        let none = LeastSquares::new(500, 1, Solver::Qr).into_triangle().unwrap();
        assert_eq!(none.numbers.len(), 0);
        assert!(PackedTriangle::of_numbers(500, Vec::new(), Array1::zeros(1), 0).is_some());
        assert!(PackedTriangle::of_numbers(500, vec![0.0; 501], Array1::zeros(1), 1).is_none());
        assert!(PackedTriangle::of_numbers(usize::MAX, vec![0.0; 501], Array1::zeros(1), 1).is_none());
    }
}
