use ndarray::{Array1, Array2, Axis, s};

use super::problem::{Best, Form, QuadraticForms, consecutive, symmetric};
use super::start::turned;
use crate::Result;
use crate::linalg::{
    add_gram_in_chunks, cholesky, complement, orthonormal_rows, set_product, solve_lower, solve_upper,
};

/// Steps of one descent.
const STEPS: usize = 100;
/// A descent ends where a step gains less than this fraction of the loss.
const GAIN: f64 = 1e-5;
/// Dampings that a step tries before the descent ends.
const TRIES: usize = 12;

/// Combinations that the model of some quadratic forms needs.
#[derive(Debug, Clone)]
pub struct Contracted {
    /// U `[combination, channel]` of each set, rows orthonormal, by falling magnitude of the eigenvalues of w (of several forms:
    /// of Σ_f w_f²); the component of largest magnitude of each row is positive.
    pub rows: Vec<Array2<f64>>,
    /// The loss: what the least of |R v − Qᵀy|² is, which all channels would bring to zero.
    pub loss: f64,
    /// The loss of as many leading channels.
    pub leading: f64,
}

impl QuadraticForms<'_> {
    /// The best `counts` combinations of each set, as far as a search from some starts finds them: none ends above its start.
    ///
    /// Starts are the leading channels, combinations in closed form from the model of all channels, and what is found with one
    /// and two combinations more, cut down.
    ///
    /// # Errors
    /// If the factor is singular.
    pub fn contract(&self, counts: &[usize]) -> Result<Contracted> {
        let counts: Vec<usize> = counts.iter().zip(self.sizes()).map(|(&q, m)| q.min(m)).collect();
        let whole = self.whole()?;
        let closed = self.closed_form(&self.identities(), &whole, &counts);
        let mut starts = vec![self.leading(&counts), closed];
        for more in [1, 2] {
            let larger: Vec<usize> = counts.iter().zip(self.sizes()).map(|(q, m)| (q + more).min(m)).collect();
            if larger != counts {
                let (rows, best) = self.descend(self.closed_form(&self.identities(), &whole, &larger));
                starts.push(self.closed_form(&rows, &best.weights, &counts));
            }
        }
        let found = starts.into_iter().map(|start| self.descend(start));
        let (rows, best) = found.min_by(|(_, a), (_, b)| a.loss.total_cmp(&b.loss)).expect("two starts at least");
        let leading = self.best(&self.leading(&counts)).loss;
        Ok(Contracted { rows: self.in_order(rows, &best.weights), loss: best.loss, leading })
    }

    /// The nearest minimum to combinations `[combination, channel]` of each set: their loss, and rows that have it. Where it ends
    /// depends on the space of the rows alone, and never above the loss it began with.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn minimum(&self, start: &[Array2<f64>]) -> Result<(f64, Vec<Array2<f64>>)> {
        self.check(start)?;
        let (rows, best) = self.descend(start.to_vec());
        Ok((best.loss, self.in_order(rows, &best.weights)))
    }

    /// w of the model of all channels.
    fn whole(&self) -> Result<Vec<Array2<f64>>> {
        let v = self.factor.solve()?;
        let of = |form: &Form| symmetric(v.slice(s![form.columns(), 0]), form.n_channels);
        Ok(self.forms.iter().map(of).collect())
    }

    /// Gauss-Newton steps of the projected problem (Kaufman, BIT 15, 49 (1975)), damped as Levenberg and Marquardt do.
    fn descend(&self, start: Vec<Array2<f64>>) -> (Vec<Array2<f64>>, Best) {
        let mut rows: Vec<_> = start.into_iter().map(turned).collect();
        let mut best = self.best(&rows);
        let mut damping = 1e-3;
        for _ in 0..STEPS {
            let directions: Vec<_> = rows.iter().map(complement).collect();
            let (normal, slope) = self.normal_equations(&rows, &directions, &best);
            let mut next = None;
            for _ in 0..TRIES {
                let there = damped_step(&normal, &slope, damping).map(|step| moved(&rows, &directions, &step));
                let there = there.map(|rows| (self.best(&rows), rows)).filter(|(at, _)| at.loss < best.loss);
                if there.is_some() {
                    next = there;
                    break;
                }
                damping *= 4.0;
            }
            let Some((at, there)) = next else { break };
            let gain = best.loss - at.loss;
            (rows, best) = (there, at);
            damping = (damping / 5.0).max(1e-9);
            if gain <= GAIN * best.loss {
                break;
            }
        }
        (rows, best)
    }

    /// JᵀJ (its lower triangle) and Jᵀr, J being the motions of R v less what w follows of them.
    fn normal_equations(
        &self,
        rows: &[Array2<f64>],
        directions: &[Array2<f64>],
        best: &Best,
    ) -> (Array2<f64>, Array1<f64>) {
        let jacobian = self.motions(rows, directions, &best.weights);
        let mut followed = Array2::zeros((best.matrix.ncols(), jacobian.ncols())); // R⁻ᵀ AᵀJ = QᵀJ
        set_product(followed.view_mut(), best.matrix.t(), jacobian.view());
        solve_lower(best.triangle.t(), followed.view_mut());
        let mut normal = Array2::zeros((jacobian.ncols(), jacobian.ncols()));
        add_gram_in_chunks(normal.view_mut(), jacobian.view());
        let mut off = Array2::zeros(normal.dim());
        add_gram_in_chunks(off.view_mut(), followed.view());
        normal -= &off;
        (normal, jacobian.t().dot(&best.residual))
    }
}

/// −(N + μ diag N)⁻¹ g; none where rounding leaves no positive matrix.
fn damped_step(normal: &Array2<f64>, slope: &Array1<f64>, damping: f64) -> Option<Array1<f64>> {
    let mut matrix = normal.clone();
    let largest = normal.diag().iter().copied().fold(0.0_f64, f64::max);
    for (i, x) in matrix.diag_mut().iter_mut().enumerate() {
        *x = (1.0 + damping) * normal[[i, i]].max(0.0) + 1e-13 * largest;
    }
    cholesky(matrix.view_mut()).ok()?;
    let mut step = slope.mapv(|x| -x).insert_axis(Axis(1));
    solve_lower(matrix.view(), step.view_mut());
    solve_upper(matrix.t(), step.view_mut());
    Some(step.column(0).to_owned()).filter(|step| step.iter().all(|x| x.is_finite()))
}

/// Rows U + Z P, orthonormalised.
fn moved(rows: &[Array2<f64>], directions: &[Array2<f64>], step: &Array1<f64>) -> Vec<Array2<f64>> {
    let ranges = consecutive(rows.iter().zip(directions).map(|(u, p)| u.nrows() * p.nrows()));
    let of = |((u, p), range): ((&Array2<f64>, &Array2<f64>), std::ops::Range<usize>)| {
        let z =
            step.slice(s![range]).to_owned().into_shape_with_order((u.nrows(), p.nrows())).expect("as many numbers");
        orthonormal_rows(u + &z.dot(p))
    };
    rows.iter().zip(directions).zip(ranges).map(of).collect()
}
