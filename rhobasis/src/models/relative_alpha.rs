//! A regulariser that is relative to the data, chosen by folds.

use super::{Factor, LeastSquares};
use crate::{Error, Result};

/// The factor of the rows of all folds and the regulariser, and the alpha that was taken:
///
/// ```text
/// min |Xw − y|² + λ |w|²,   λ = alpha · (largest singular value of X)²
/// ```
///
/// Of several alphas the one with the smallest error of the folds, each predicted from the others; of one fold the first.
///
/// # Errors
/// If there are no rows, or sums of them are not finite.
pub(crate) fn regularised(folds: Vec<LeastSquares>, alphas: &[f64]) -> Result<(Factor, f64)> {
    let factors = folds.iter().map(LeastSquares::factor).collect::<Result<Vec<Factor>>>()?;
    drop(folds);
    let alpha = match alphas {
        [alpha] => *alpha,
        several => best_alpha(&factors, several)?,
    };
    let factor = merged(factors.iter())?;
    let lambda = alpha * factor.largest_singular_value().powi(2);
    Ok((factor.regularised(lambda)?, alpha))
}

/// The alpha with the smallest error of the folds that were left out.
fn best_alpha(factors: &[Factor], alphas: &[f64]) -> Result<f64> {
    if factors.len() == 1 {
        return Ok(alphas[0]);
    }
    let mut errors = vec![0.0; alphas.len()];
    for (k, held_out) in factors.iter().enumerate() {
        let others = merged(factors.iter().enumerate().filter(|(j, _)| *j != k).map(|(_, factor)| factor))?;
        let path = others.relative_path(alphas)?;
        for (error, w) in errors.iter_mut().zip(path.outer_iter()) {
            *error += held_out.squared_residual(w)?[0];
        }
    }
    let best = (0..alphas.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b])).unwrap_or(0);
    Ok(alphas[best])
}

/// The factor of the rows of all of these together.
fn merged<'a>(mut factors: impl Iterator<Item = &'a Factor>) -> Result<Factor> {
    let first = factors.next().ok_or_else(|| Error::setting("factors", 0, "there are no rows", "give some frames"))?;
    factors.try_fold(first.clone(), |all, factor| all.merged(factor))
}
