//! A regulariser that is relative to the data, chosen by folds.

use super::{Factor, PackedTriangle, Solver};
use crate::{Error, Result};

/// The factor of the rows of all folds and the regulariser, and the alpha that was taken:
///
/// ```text
/// min |Xw − y|² + λ |w|²,   λ = alpha · (largest singular value of X)²
/// ```
///
/// Of several alphas the one with the smallest error of the folds, each predicted from the others; of one fold the first. Besides
/// the folds there is one triangle more at a time, and at the end, when they are joined, one factor.
///
/// # Errors
/// If there are no rows, or sums of them are not finite.
pub(crate) fn regularised(folds: Vec<PackedTriangle>, alphas: &[f64], solver: Solver) -> Result<(Factor, f64)> {
    let alpha = match alphas {
        [alpha] => *alpha,
        several => best_alpha(&folds, several, solver)?,
    };
    let mut folds = folds.into_iter();
    let no_rows = || Error::setting("factors", 0, "there are no rows", "give some frames");
    let mut all = folds.next().ok_or_else(no_rows)?.complete();
    folds.try_for_each(|fold| all.merge(&fold))?;
    let lambda = alpha * all.upper().largest_singular_value().powi(2);
    all.regularise(lambda)?;
    Ok((Factor::of_packed(all, solver), alpha))
}

/// What to say where the alpha that was chosen is the smallest or the largest of its list, which then may end too soon.
pub(crate) fn at_end(alphas: &[f64], chosen: f64) -> Option<String> {
    let (smallest, largest) =
        alphas.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &alpha| (low.min(alpha), high.max(alpha)));
    let (end, beyond, next) = match chosen {
        0.0 => return None,
        _ if smallest >= largest => return None,
        alpha if alpha <= smallest => ("smallest", "smaller", alpha / 100.0),
        alpha if alpha >= largest => ("largest", "larger", alpha * 100.0),
        _ => return None,
    };
    // 1e-22 and not 9.999999999999999e-23.
    let next: f64 = format!("{next:.2e}").parse().unwrap_or(next);
    Some(format!(
        "alpha = {chosen:e} was chosen, the {end} of its list, so that a {beyond} one may be better: continue the list, for \
         instance to {next:e}"
    ))
}

/// The alpha with the smallest error of the folds that were left out.
fn best_alpha(folds: &[PackedTriangle], alphas: &[f64], solver: Solver) -> Result<f64> {
    if folds.len() == 1 {
        return Ok(alphas[0]);
    }
    let errors = errors_of_folds(folds, alphas, solver)?;
    let best = (0..alphas.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b])).unwrap_or(0);
    // Where none has weights, those of the largest are refused with the reason.
    let largest = alphas.iter().copied().fold(0.0, f64::max);
    Ok(if errors[best].is_finite() { alphas[best] } else { largest })
}

/// Sum over the folds of |Xw − y|² with the weights of the others, for each alpha.
///
/// The regulariser of the others grows from the smallest alpha to the largest, by the rows that are missing: one triangle does for
/// all. An alpha that leaves their columns dependent to rounding has no weights, and an infinite error.
fn errors_of_folds(folds: &[PackedTriangle], alphas: &[f64], solver: Solver) -> Result<Vec<f64>> {
    let mut ascending: Vec<usize> = (0..alphas.len()).collect();
    ascending.sort_by(|&a, &b| alphas[a].total_cmp(&alphas[b]));
    let mut errors = vec![0.0; alphas.len()];
    for (k, held_out) in folds.iter().enumerate() {
        let mut others = merged(folds.iter().enumerate().filter(|(j, _)| *j != k).map(|(_, fold)| fold))?;
        let unit = others.upper().largest_singular_value().powi(2);
        let mut lambda = 0.0;
        for &a in &ascending {
            others.regularise(alphas[a] * unit - lambda)?;
            lambda = alphas[a] * unit;
            errors[a] += match others.weights(solver) {
                Some(weights) => held_out.squared_residual(weights.view())[0],
                None => f64::INFINITY,
            };
        }
    }
    Ok(errors)
}

/// The triangle of the rows of all of these together.
fn merged<'a>(mut folds: impl Iterator<Item = &'a PackedTriangle>) -> Result<PackedTriangle> {
    let first = folds.next().ok_or_else(|| Error::setting("factors", 0, "there are no rows", "give some frames"))?;
    let mut all = first.clone().complete();
    folds.try_for_each(|fold| all.merge(fold))?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis, s};

    use super::*;
    use crate::models::LeastSquares;

    fn any_matrix(rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| (((i + 3) * (j * j + 2)) as f64).sin())
    }

    /// Columns of very different size; folds of more rows than columns, of fewer, of one row and of none.
    fn folds(solver: Solver, sizes: &[usize], n: usize) -> Vec<LeastSquares> {
        let mut first = 0;
        let fold = |&size: &usize| {
            let rows = s![first..first + size, ..];
            first += size;
            let mut x = any_matrix(sizes.iter().sum(), n);
            x.axis_iter_mut(Axis(1)).enumerate().for_each(|(j, mut x)| x *= 10f64.powf(-4.0 * j as f64 / n as f64));
            let noise = 1e-3 * any_matrix(x.nrows(), n + 1);
            let y = x.sum_axis(Axis(1)).insert_axis(Axis(1)) + noise.slice(s![.., n..]);
            let mut fold = LeastSquares::new(n, 1, solver);
            fold.add(x.slice(rows), y.slice(rows)).unwrap();
            fold
        };
        sizes.iter().map(fold).collect()
    }

    /// The way by a singular value decomposition for each fold.
    #[test]
    fn errors_and_factor_are_those_of_singular_value_decompositions() {
        let alphas = [1e-4, 1e-9, 1e-2, 1e-6, 1e-6];
        for (n, sizes) in [(150, [300, 170, 40, 1, 0]), (40, [100, 90, 80, 70, 60]), (1, [3, 3, 2, 2, 2])] {
            for solver in [Solver::Qr, Solver::Cholesky] {
                let sums = folds(solver, &sizes, n);
                let factors: Vec<Factor> = sums.iter().map(|sums| sums.factor().unwrap()).collect();
                let mut expected = vec![0.0; alphas.len()];
                for (k, held_out) in factors.iter().enumerate() {
                    let mut others = factors.iter().enumerate().filter(|(j, _)| *j != k).map(|(_, factor)| factor);
                    let first = others.next().unwrap().clone();
                    let others = others.fold(first, |all, factor| all.merged(factor).unwrap());
                    let lambdas = alphas.map(|alpha| alpha * others.largest_singular_value().powi(2));
                    for (sum, w) in expected.iter_mut().zip(others.path(&lambdas).unwrap().outer_iter()) {
                        *sum += held_out.squared_residual(w).unwrap()[0];
                    }
                }
                let triangles: Vec<_> = sums.into_iter().map(|sums| sums.into_triangle().unwrap()).collect();
                let found = errors_of_folds(&triangles, &alphas, solver).unwrap();
                for ((found, expected), alpha) in found.iter().zip(&expected).zip(alphas) {
                    // 1e-9 leaves a condition of 3e4, whose square Cholesky sees.
                    let digits = if solver == Solver::Qr { 1e-10 } else { 1e-5 };
                    assert!(
                        (found / expected - 1.0).abs() < digits,
                        "{n} {solver:?} {alpha:e}: {found:e} {expected:e}"
                    );
                }
                let all = factors[1..].iter().fold(factors[0].clone(), |all, factor| all.merged(factor).unwrap());
                let (factor, alpha) = regularised(triangles, &alphas, solver).unwrap();
                let best = (0..alphas.len()).min_by(|&a, &b| expected[a].total_cmp(&expected[b])).unwrap();
                assert_eq!(alpha, alphas[best]);
                let w = all.ridge(alpha * all.largest_singular_value().powi(2)).unwrap();
                let off = (&factor.solve().unwrap() - &w).iter().fold(0.0, |m: f64, x| m.max(x.abs()));
                assert!(off < 1e-6, "{n} {solver:?}: {off:e}");
                assert_eq!(factor.n_rows(), sizes.iter().sum::<usize>());
            }
        }
    }

    #[test]
    fn an_alpha_without_weights_is_not_chosen_and_one_at_an_end_is_told_of() {
        let mut x = any_matrix(60, 4);
        let copy = x.column(0).to_owned();
        x.column_mut(2).assign(&copy);
        let y = any_matrix(60, 5).slice(s![.., 4..]).to_owned();
        let fold = |k: usize| {
            let mut fold = LeastSquares::new(4, 1, Solver::Qr);
            fold.add(x.slice(s![30 * k..30 * k + 30, ..]), y.slice(s![30 * k..30 * k + 30, ..])).unwrap();
            fold.into_triangle().unwrap()
        };
        let of = |alphas: &[f64]| regularised(vec![fold(0), fold(1)], alphas, Solver::Qr).unwrap();
        assert!(of(&[1e-60, 1e-3, 1e-40]).1 == 1e-3);
        assert!(of(&[1e-60, 1e-40]).0.solve().unwrap_err().to_string().contains("depend linearly"));
        let said = |alphas: &[f64], chosen: f64| at_end(alphas, chosen).unwrap_or_default();
        assert!(said(&[1e-3, 1e-9, 1e-6], 1e-9).contains("alpha = 1e-9 was chosen, the smallest of its list"));
        assert!(said(&[1e-3, 1e-9, 1e-6], 1e-3).contains("the largest of its list, so that a larger one"));
        assert!(said(&[1e-3, 1e-9], 1e-3).contains("for instance to 1e-1"));
        for (alphas, chosen) in
            [(&[1e-3, 1e-9, 1e-6][..], 1e-6), (&[1e-3], 1e-3), (&[1e-3, 1e-3], 1e-3), (&[0.0, 1.0], 0.0)]
        {
            assert_eq!(at_end(alphas, chosen), None);
        }
    }
}
