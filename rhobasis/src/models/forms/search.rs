use std::ops::Range;

use ndarray::{Array1, Array2, Axis, concatenate, s};

use super::form::{Form, Lift};
use super::lifts::{consecutive, motions_to_products, symmetric};
use super::problem::{Best, QuadraticForms};
use super::start::turned;
use crate::Result;
use crate::linalg::{add_gram_in_chunks, cholesky, complement, orthonormal_rows, solve_lower, solve_upper};

/// Steps of one descent.
const STEPS: usize = 100;
/// A descent ends where a step gains less than this fraction of the loss,
const GAIN: f64 = 1e-5;
/// and the race between the starts, after which only the best goes on, where it gains less than this.
const GAIN_OF_RACE: f64 = 1e-3;
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
                let (rows, best) = self.descend(self.closed_form(&self.identities(), &whole, &larger), GAIN_OF_RACE);
                starts.push(self.closed_form(&rows, &best.weights, &counts));
            }
        }
        let raced = starts.into_iter().map(|start| self.descend(start, GAIN_OF_RACE));
        let (rows, _) = raced.min_by(|(_, a), (_, b)| a.at.loss.total_cmp(&b.at.loss)).expect("two starts at least");
        let (rows, best) = self.descend(rows, GAIN);
        let leading = self.best(&self.leading(&counts)).at.loss;
        Ok(Contracted { rows: self.in_order(rows, &best.weights), loss: best.at.loss, leading })
    }

    /// The nearest minimum to combinations `[combination, channel]` of each set: their loss, and rows that have it. Where it ends
    /// depends on the space of the rows alone, and never above the loss it began with.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn minimum(&self, start: &[Array2<f64>]) -> Result<(f64, Vec<Array2<f64>>)> {
        self.check(start)?;
        let (rows, best) = self.descend(start.to_vec(), GAIN);
        Ok((best.at.loss, self.in_order(rows, &best.weights)))
    }

    /// w of the model of all channels.
    fn whole(&self) -> Result<Vec<Array2<f64>>> {
        let v = self.factor.solve()?;
        let of = |form: &Form| symmetric(v.slice(s![form.columns(), 0]), form.n_channels);
        Ok(self.forms.iter().map(of).collect())
    }

    /// Gauss-Newton steps of the projected problem (Kaufman, BIT 15, 49 (1975)), damped as Levenberg and Marquardt do, until one
    /// gains less than a fraction of the loss.
    fn descend(&self, start: Vec<Array2<f64>>, least_gain: f64) -> (Vec<Array2<f64>>, Best) {
        let mut rows: Vec<_> = start.into_iter().map(turned).collect();
        let mut best = self.best(&rows);
        let mut damping = 1e-3;
        for _ in 0..STEPS {
            let directions: Vec<_> = rows.iter().map(complement).collect();
            let (normal, slope) = self.normal_equations(&rows, &directions, &best);
            let mut next = None;
            for _ in 0..TRIES {
                let there = damped_step(&normal, &slope, damping).map(|step| moved(&rows, &directions, &step));
                let there = there.map(|rows| (self.best(&rows), rows));
                next = there.filter(|(there, _)| there.at.loss < best.at.loss);
                if next.is_some() {
                    break;
                }
                damping *= 4.0;
            }
            let Some((better, there)) = next else { break };
            let gain = best.at.loss - better.at.loss;
            (rows, best) = (there, better);
            damping = (damping / 5.0).max(1e-9);
            if gain <= least_gain * best.at.loss {
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
        let motions = motions_to_products(self.forms, rows, directions, &best.weights);
        let n_weights = best.triangle.nrows();
        let n_motions = rows.iter().zip(directions).map(|(u, p)| u.nrows() * p.nrows()).sum();
        let mut slope = Array1::zeros(n_motions);
        for (form, motion) in self.forms.iter().zip(&motions) {
            let own = motion.matrix.t().dot(&best.at.half.slice(s![form.columns()]));
            for (columns, first) in &motion.goes {
                let mut there = slope.slice_mut(s![*first..first + columns.len()]);
                there += &own.slice(s![columns.clone()]);
            }
        }
        let both: Vec<Lift> = best.lifts.iter().zip(&motions).map(|(t, m)| beside(t, m, n_weights)).collect();
        let gram = self.gram.of(&both, n_weights + n_motions);
        let mut followed = gram.slice(s![..n_weights, n_weights..]).to_owned(); // L⁻¹ TᵀRᵀJ
        solve_lower(best.triangle.view(), followed.view_mut());
        let mut off = Array2::zeros((n_motions, n_motions));
        add_gram_in_chunks(off.view_mut(), followed.view());
        (gram.slice(s![n_weights.., n_weights..]).to_owned() - off, slope)
    }
}

/// The columns of two, those of the second going to `first` and on.
fn beside(a: &Lift, b: &Lift, first: usize) -> Lift {
    let matrix = concatenate![Axis(1), a.matrix, b.matrix];
    let shifted = |(columns, to): &(Range<usize>, usize)| {
        (a.matrix.ncols() + columns.start..a.matrix.ncols() + columns.end, first + to)
    };
    Lift { matrix, goes: a.goes.iter().cloned().chain(b.goes.iter().map(shifted)).collect() }
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
    let of = |((u, p), range): ((&Array2<f64>, &Array2<f64>), Range<usize>)| {
        let z =
            step.slice(s![range]).to_owned().into_shape_with_order((u.nrows(), p.nrows())).expect("as many numbers");
        orthonormal_rows(u + &z.dot(p))
    };
    rows.iter().zip(directions).zip(ranges).map(of).collect()
}
