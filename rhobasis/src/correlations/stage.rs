//! Features of the centres of a run from their coefficients, forth and back: rows to lanes, eight centres at a time, and back.

use std::ops::Range;

use ndarray::ArrayView2;

use super::correlation::Correlation;
use super::lanes::{Eight, Shape, eights, starts, to_lanes, to_rows};
use crate::simd::{LANES, Lanes};

/// Coefficients c of n centres: blocks `[center, m, channel]`, one after the other. Features x: `[center, feature]`.
impl dyn Correlation {
    /// Features of n centres, and what `backward` wants to know of each eight of them.
    pub fn forward_rows(&self, n: usize, c: &[f64], x: &mut [f64], kept: &mut Vec<Lanes>, work: &mut Eight) {
        work.x.resize(self.n_features() * LANES);
        let n_kept = self.n_kept();
        kept.resize(n.div_ceil(LANES) * n_kept, [0.0; LANES]);
        for (k, eight) in eights(n).enumerate() {
            self.layout().to_lanes(c, n, eight.clone(), &mut work.c);
            self.forward(work.c.lanes(), work.x.lanes_mut(), &mut kept[k * n_kept..][..n_kept]);
            features_to_rows(work.x.lanes(), 0..self.n_features(), x, &self.rows(&eight)[..eight.len()]);
        }
    }

    /// dx/dt of n centres, given dc/dt.
    pub fn tangent_rows(&self, n: usize, c: &[f64], c_dot: &[f64], x_dot: &mut [f64], work: &mut Eight) {
        let Eight { c: c_lanes, of_c, x, of_x } = work;
        x.resize(self.n_features() * LANES);
        of_x.resize(self.n_features() * LANES);
        let mut kept = vec![[0.0; LANES]; self.n_kept()];
        for eight in eights(n) {
            self.layout().to_lanes(c, n, eight.clone(), c_lanes);
            self.layout().to_lanes(c_dot, n, eight.clone(), of_c);
            if self.reads_features() {
                self.forward(c_lanes.lanes(), x.lanes_mut(), &mut kept);
            }
            self.tangent(c_lanes.lanes(), x.lanes(), &kept, of_c.lanes(), of_x.lanes_mut());
            features_to_rows(of_x.lanes(), 0..self.n_features(), x_dot, &self.rows(&eight)[..eight.len()]);
        }
    }

    /// dE/dc of n centres, given dE/dx, the same for all of them if the view is broadcast. `x` and `kept` are those of
    /// `forward_rows`, if [`Correlation::reads_features`].
    pub fn backward_rows(
        &self,
        c: &[f64],
        (x, kept): (&[f64], &[Lanes]),
        grad_x: ArrayView2<f64>,
        grad_c: &mut [f64],
        work: &mut Eight,
    ) {
        let (n, n_features, n_kept) = (grad_x.nrows(), self.n_features(), self.n_kept());
        work.of_c.resize(LANES * self.layout().len());
        work.x.resize(n_features * LANES);
        work.of_x.resize(n_features * LANES);
        for (k, eight) in eights(n).enumerate() {
            self.layout().to_lanes(c, n, eight.clone(), &mut work.c);
            gradient_to_lanes(&grad_x, eight.clone(), work.of_x.lanes_mut());
            if self.reads_features() {
                let rows = &self.rows(&eight)[..eight.len()];
                to_lanes(x, rows, Shape { n_m: 1, n_q: n_features }, 0..n_features, work.x.lanes_mut());
            }
            let kept = &kept[k * n_kept..][..n_kept];
            let (g, of_c) = (work.of_x.lanes_mut(), work.of_c.lanes_mut());
            self.backward(work.c.lanes(), work.x.lanes(), kept, g, of_c);
            self.layout().to_rows(of_c, n, eight, grad_c);
        }
    }

    /// Where the features of eight centres begin.
    fn rows(&self, eight: &Range<usize>) -> [usize; LANES] {
        starts(0, eight.start, self.n_features())
    }
}

/// Some features, from lanes to rows of all features.
pub(super) fn features_to_rows(x: &[Lanes], features: Range<usize>, data: &mut [f64], starts: &[usize]) {
    to_rows(x, Shape { n_m: 1, n_q: x.len() }, features, data, starts);
}

/// dE/dx of at most eight centres; the same for all lanes if the view is broadcast.
fn gradient_to_lanes(gradient: &ArrayView2<f64>, rows: Range<usize>, lanes: &mut [Lanes]) {
    let row = |row: usize| gradient.row(row);
    if gradient.strides()[0] == 0 {
        lanes.iter_mut().zip(row(rows.start)).for_each(|(lane, &g)| *lane = [g; LANES]);
        return;
    }
    match gradient.as_slice() {
        Some(data) => {
            let starts = starts(0, rows.start, lanes.len());
            to_lanes(data, &starts[..rows.len()], Shape { n_m: 1, n_q: lanes.len() }, 0..lanes.len(), lanes);
        }
        None => {
            for (lane, g) in rows.map(row).enumerate() {
                lanes.iter_mut().zip(g).for_each(|(lanes, &g)| lanes[lane] = g);
            }
        }
    }
}
