//! The stage from coefficients to invariant features, for eight centres at a time.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1};

use super::lanes::Layout;
use super::tiles::{DIRECTIONS, Tiles};
use super::weighted_sum::WeightedSum;
use crate::simd::{LANES, Lanes};

/// What is made of the coefficients of one centre, for eight centres (or directions) at a time; it never sees an atom.
///
/// Coefficients stand as their [`Layout`] says, features as the columns say; a lane is a centre.
pub(crate) trait Correlation: Debug + Send + Sync {
    fn layout(&self) -> &Layout;

    fn n_features(&self) -> usize;

    /// What the features are, a row for each.
    fn columns(&self) -> Array2<usize>;

    /// The fields of [`Correlation::columns`] that count channels, each with the field that holds the l of that channel.
    fn channel_fields(&self) -> &'static [ChannelField];

    /// Numbers of each centre that derivatives want to know besides its features.
    fn n_kept(&self) -> usize {
        0
    }

    /// Features x of coefficients c, and the numbers that are kept.
    fn forward(&self, c: &[Lanes], x: &mut [Lanes], kept: &mut [Lanes]);

    /// dE/dc, overwritten, given g = dE/dx, which is used up. `x` and `kept` are those of `forward` if
    /// [`Correlation::reads_features`].
    fn backward(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], g: &mut [Lanes], grad_c: &mut [Lanes]);

    /// dx/dt, given dc/dt; `x` and `kept` as in `backward`.
    fn tangent(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]);

    /// Whether derivatives need what `forward` gives.
    fn reads_features(&self) -> bool {
        false
    }

    /// As `tangent`, of one centre for eight directions in which no channels but `active` (a range for each l) change, the
    /// others having dc/dt = 0. Only [`Correlation::touched`] features are written.
    fn tangent_of_one(
        &self,
        c: &[f64],
        x: &[Lanes],
        kept: &[Lanes],
        c_dot: &[Lanes],
        active: &[Range<usize>],
        x_dot: &mut [Lanes],
    ) {
        let _ = active;
        let same: Vec<Lanes> = c.iter().map(|&c| [c; LANES]).collect();
        self.tangent(&same, x, kept, c_dot, x_dot);
    }

    /// The features that change if no channels but `active` do, in order.
    fn touched(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        let _ = active;
        std::iter::once(0..self.n_features()).collect()
    }

    /// The derivatives with columns rather than directions in lanes, where that is faster.
    fn in_tiles(&self) -> Option<&dyn TangentInTiles> {
        None
    }

    /// A weighted sum of the features as a function of the coefficients, if there is a way without making features; weights by
    /// species of centre.
    fn weighted_sum(&self, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Option<Arc<dyn WeightedSum>> {
        let _ = weights;
        None
    }
}

/// A field of columns that counts the channels of some l.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChannelField {
    pub channel: usize,
    pub l: usize,
}

/// The derivatives of the features of one centre in three directions at a time.
pub(crate) trait TangentInTiles {
    /// dx/dt in three directions, given c and dc/dt, where no channels but `active` (a range for each l) have dc/dt ≠ 0: three
    /// rows, one after the other. `x` and `kept` as in [`Correlation::tangent`].
    fn tangent_in_tiles(
        &self,
        x: &[Lanes],
        kept: &[Lanes],
        c: &Tiles,
        c_dot: &[Tiles; DIRECTIONS],
        active: &[Range<usize>],
        x_dot: &mut [f64],
    );
}
