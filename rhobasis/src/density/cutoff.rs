//! How the weight of a neighbour falls to zero towards r_cut.

use crate::settings::named;

named! {
    /// The cutoff function f_cut(r) of a width w = `cutoff_width`; 0 from r_cut on. With s = (r_cut − r)/w, and t = 1 − s, which is
    /// 0 where the shell below r_cut begins and 1 at r_cut:
    ///
    /// ```text
    /// cosine      ½(1 + cos πt)            1 for t ≤ 0          continuous with its slope
    /// polynomial  1 − 10t³ + 15t⁴ − 6t⁵    1 for t ≤ 0          continuous with slope and curvature
    /// tanh        tanh³ s                  below 1 everywhere   continuous with slope and curvature
    /// step        1                        w = 0                jumps at r_cut
    /// ```
    ///
    /// tanh³ with w = r_cut and the polynomial are among those compared by Singraber, Behler and Dellago, J. Chem. Theory Comput. 15,
    /// 1827 (2019).
    pub enum CutoffFunction {
        /// Half a wave of a cosine in the shell below r_cut
        Cosine = "cosine",
        /// 1 − 10t³ + 15t⁴ − 6t⁵ in that shell: two continuous derivatives
        Polynomial = "polynomial",
        /// tanh³((r_cut − r)/cutoff_width), below 1 at all distances
        Tanh = "tanh",
        /// 1 up to r_cut, where energies and forces jump
        Step = "step",
    }
}

impl CutoffFunction {
    /// What files mean that do not mention it.
    pub(super) fn cosine() -> Self {
        CutoffFunction::Cosine
    }

    /// Whether it goes without saying in files.
    pub(super) fn is_cosine(&self) -> bool {
        *self == CutoffFunction::Cosine
    }
}

/// The polynomial and its slope by r, at s > 0. 1 − p(t) = p(1 − t), so that nothing cancels where it vanishes.
pub(super) fn polynomial(s: f64, width: f64) -> (f64, f64) {
    if s >= 1.0 {
        return (1.0, 0.0);
    }
    let s_t = s * (1.0 - s);
    (s * s * s * (10.0 - 15.0 * s + 6.0 * s * s), -30.0 * s_t * s_t / width)
}

/// tanh³ s and its slope by r, at s > 0.
pub(super) fn tanh(s: f64, width: f64) -> (f64, f64) {
    let tanh = s.tanh();
    (tanh * tanh * tanh, -3.0 * tanh * tanh * (1.0 - tanh * tanh) / width)
}
