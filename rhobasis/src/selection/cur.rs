//! Deterministic CUR: the column with the largest leverage, then the same for what is left of the others.

use ndarray::ArrayView2;

use super::choice::{Axis, Selection, check_count, check_finite, check_square, first_largest};
use super::leading::Leading;
use super::remainder::Remainder;
use crate::{Error, Result};

/// How leverage is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurSettings {
    /// Number of singular vectors in the leverage.
    pub k: usize,
    /// Number of columns chosen before the leverage is computed anew; 0: once, of the matrix as given, and nothing is
    /// projected out.
    pub recompute_every: usize,
}

impl Default for CurSettings {
    fn default() -> Self {
        CurSettings { k: 1, recompute_every: 1 }
    }
}

/// Chooses `n` features or samples of X by deterministic CUR: repeatedly the largest leverage
///
/// ```text
/// π_j = Σ_k v_kj²        v_k: the first k right singular vectors of what is left of X
/// ```
///
/// whose column is then projected out of all, X ← X − q qᵀX. X is not centred. For samples the same with Xᵀ.
///
/// The size of the numbers does not matter: leverage has no unit, and squares of very large or small ones are not formed. Fewer are
/// chosen where the rest of X depends linearly on them.
///
/// XᵀX is decomposed once, or again where what is left of X is as small as its rounding, and the v_k of what is left are found by inverse
/// iteration in the coordinates of its eigenvectors, until an error of theirs could not change the choice.
///
/// # Errors
/// If `n` exceeds what there is, k = 0, or X is not finite.
///
/// ```
/// use rhobasis::selection::{Axis, CurSettings, cur};
/// let x = ndarray::array![[3.0, 0.0, 3.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
/// let chosen = cur(x.view(), 2, Axis::Features, CurSettings::default())?;
/// assert_eq!(chosen.indices, [2, 1]); // then [3 0 0]ᵀ has but 0.95 left, and the column of length 1 has all
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub fn cur(x: ArrayView2<f64>, n: usize, axis: Axis, settings: CurSettings) -> Result<Selection> {
    let a = if axis == Axis::Features { x } else { x.reversed_axes() }; // whose columns are chosen
    check_count(n, a.ncols(), if axis == Axis::Features { "features" } else { "samples" })?;
    check_settings(settings)?;
    check_finite(x.iter().copied())?;
    Ok(choose(Remainder::of_matrix(a), n, settings))
}

/// [`cur`] from the Gram matrix alone: XᵀX to choose features, XXᵀ (a kernel) to choose samples.
///
/// Only the lower triangle is read. Squares have half of the digits: directions below 1e-7 of the largest count as none.
///
/// # Errors
/// If the matrix is not square, `n` exceeds its size, k = 0, or it is not finite.
pub fn cur_gram(gram: ArrayView2<f64>, n: usize, settings: CurSettings) -> Result<Selection> {
    check_square(gram.dim())?;
    check_count(n, gram.ncols(), "rows of the Gram matrix")?;
    check_settings(settings)?;
    check_finite(gram.iter().copied())?;
    Ok(choose(Remainder::of_gram(gram), n, settings))
}

fn check_settings(settings: CurSettings) -> Result<()> {
    match settings.k {
        0 => Err(Error::setting("k", 0, "leverage is a sum over singular vectors", "use k = 1 or more")),
        _ => Ok(()),
    }
}

fn choose(mut left: Remainder, n: usize, settings: CurSettings) -> Selection {
    let one_by_one = settings.recompute_every == 1;
    let mut leading = Leading::default();
    let mut out = vec![false; left.n_columns()];
    let (mut indices, mut scores) = (Vec::new(), Vec::new());
    let mut pi = None;
    while indices.len() < n {
        if pi.is_none() {
            pi = leading.leverage(&mut left, settings.k, |pi, error| one_by_one && is_certain(pi, &out, error));
        }
        let Some((leverage, j)) = pi.as_ref().and_then(|pi| Some((pi, first_largest(pi, &out)?))) else { break };
        out[j] = true;
        // A column without length can only be chosen by mistake.
        if settings.recompute_every != 0 && !left.project_out(j) {
            continue;
        }
        indices.push(j);
        scores.push(leverage[j]);
        if indices.len().checked_rem(settings.recompute_every) == Some(0) {
            pi = None;
        }
    }
    Selection { indices, scores }
}

/// Whether the largest leverage stays the largest if each is wrong by this much.
fn is_certain(pi: &[f64], out: &[bool], error: f64) -> bool {
    let (mut first, mut second) = (0.0, 0.0);
    for (pi, _) in pi.iter().zip(out).filter(|(_, out)| !**out) {
        if *pi > first {
            (first, second) = (*pi, first);
        } else if *pi > second {
            second = *pi;
        }
    }
    error < 1e-8 && first - second > 4.0 * error
}
