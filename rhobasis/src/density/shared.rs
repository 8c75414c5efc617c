//! What an expansion does not change with its species, and the buffers of a thread.

use super::block::{Block, GradientTerm, Tools};
use super::equivariants::BlockKey;
use super::evaluated::Radial;
use super::finder::Finder;
use super::harmonics::{SolidHarmonics, gradient_terms};
use super::kernel::{CenterGradient, n_sums};
use super::narrow::{self, NarrowGradient};
use super::settings::{Density, RadialScaling};
use super::table::{Rows, SplineError};
use crate::simd::{Aligned, LANES};
use crate::threads::Pool;

/// Density, radial integrals and harmonics.
#[derive(Debug)]
pub(super) struct Shared {
    pub density: Density,
    /// What the weights of neighbours are multiplied by besides.
    pub weighting: Option<RadialScaling>,
    pub keys: Vec<BlockKey>,
    pub harmonics: SolidHarmonics,
    pub radials: Vec<Radial>,
    /// I_q0(0) of each entry of `radials`.
    pub at_origin: Vec<Vec<f64>>,
    /// Terms of ∇(r^l Y_lm) for all l, ascending.
    pub gradient_terms: Vec<GradientTerm>,
    /// Where the terms of each l end.
    pub terms_end: Vec<usize>,
    pub spline_error: Option<SplineError>,
    /// Of all `radials`: numbers of a row, and sums (but at least 2 l_max + 1, for a gradient).
    pub longest_row: usize,
    pub most_sums: usize,
    pub workspaces: Pool<Workspace>,
    pub finders: Pool<Finder>,
}

/// Buffers that one thread reuses from centre to centre.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(super) block: Block,
    pub(super) sums: Aligned,
    pub(super) gradient: CenterGradient,
    pub(super) narrow_gradient: NarrowGradient,
    /// For Jacobians: the pairs of a group by atom, and sums by the moving atom and by the centre.
    pub(super) by_atom: Vec<usize>,
    pub(super) more_sums: [Aligned; 2],
    /// Coefficients of a run that are rounded into other memory.
    pub(super) blocks: Vec<Vec<f64>>,
}

impl Shared {
    pub fn new(density: Density, l_max: usize, radials: Vec<Radial>, spline_error: Option<SplineError>) -> Self {
        let (mut terms, mut terms_end) = (Vec::new(), Vec::new());
        for l in 0..=l_max {
            gradient_terms(l, |direction, m, below, coefficient| {
                let lm = ((l * l + l) as i64 + m) as usize;
                let below = ((l * l - l) as i64 + below) as usize; // (l − 1)² + (l − 1) + m′
                terms.push(GradientTerm { direction, lm, below, coefficient });
            });
            terms_end.push(terms.len());
        }
        let longest_row = radials.iter().map(|radial| radial.rows().len()).max().unwrap_or(0);
        let sums = |rows| if Rows::in_lanes(rows) > 0 { narrow::n_sums(rows).max(n_sums(rows)) } else { n_sums(rows) };
        let most_sums = radials.iter().map(|radial| sums(radial.rows())).max().unwrap_or(0).max(2 * l_max + 1);
        Shared {
            density,
            weighting: None,
            keys: (0..=l_max).map(BlockKey::density).collect(),
            harmonics: SolidHarmonics::new(l_max),
            at_origin: radials.iter().map(Radial::at_origin).collect(),
            radials,
            gradient_terms: terms,
            terms_end,
            spline_error,
            longest_row,
            most_sums,
            workspaces: Pool::default(),
            finders: Pool::default(),
        }
    }

    pub fn l_max(&self) -> usize {
        self.keys.len() - 1
    }

    pub fn tools(&self) -> Tools<'_> {
        let Shared { density, weighting, harmonics, radials, gradient_terms, .. } = self;
        Tools { density, weighting: weighting.as_ref(), harmonics, radials, gradient_terms }
    }

    /// Terms of ∇(r^l Y_lm) of one l.
    pub fn terms_of(&self, l: usize) -> &[GradientTerm] {
        let start = if l == 0 { 0 } else { self.terms_end[l - 1] };
        &self.gradient_terms[start..self.terms_end[l]]
    }

    /// Makes room for what these radial integrals need.
    pub fn fit(&self, work: &mut Workspace) {
        work.block.fit(self.l_max(), self.longest_row);
        work.sums.resize(LANES * self.most_sums);
    }
}
