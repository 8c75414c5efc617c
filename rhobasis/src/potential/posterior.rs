//! What a fit knows of its own error.

use super::calibration::Calibration;
use super::intervals::Intervals;
use super::leverage::Leverage;
use super::rows::Functions;
use crate::models::Factor;

/// Parameters have covariance (RᵀR)⁻¹, R the triangle of rows and regulariser.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    pub functions: Functions,
    /// Of rows and regulariser together.
    pub factor: Factor,
}

/// What is known of a fit besides its posterior.
#[derive(Debug, Clone)]
pub(super) struct Uncertainty {
    pub calibration: Calibration,
    pub intervals: Intervals,
    pub leverage: Leverage,
}
