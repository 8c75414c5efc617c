use ndarray::{Array2, ArrayView2};

/// Between 2^−200 and 2^200 even fourth powers, and rounding of them, neither overflow nor vanish.
const ORDINARY: f64 = 200.0;

/// The power of two to multiply numbers by before they are squared: 1 where the largest is of an ordinary size, else that
/// which brings it to about 1. No bit of a result changes by it, but for numbers that overflow or vanish without it.
pub fn safe_factor<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> f64 {
    let largest = numbers.into_iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let exponent = largest.log2();
    if largest == 0.0 || !largest.is_finite() || exponent.abs() <= ORDINARY {
        return 1.0;
    }
    // The smallest numbers of all would need more than the largest power.
    2f64.powi((-exponent).floor().clamp(-1023.0, 1023.0) as i32)
}

/// A matrix times a power of two, and that power, by [`safe_factor`]; none if it needs no other than 1.
pub fn scaled(a: ArrayView2<f64>) -> Option<(Array2<f64>, f64)> {
    let factor = safe_factor(a);
    (factor != 1.0).then(|| (a.mapv(|x| factor * x), factor))
}

/// Euclidean norm, whatever the size of the numbers.
pub fn norm<'a>(numbers: impl IntoIterator<Item = &'a f64> + Clone) -> f64 {
    let factor = safe_factor(numbers.clone());
    numbers.into_iter().map(|x| (factor * x) * (factor * x)).sum::<f64>().sqrt() / factor
}
