//! Kummer's confluent hypergeometric function for the arguments of Eq. (5) with a primitive x^n e^{-βx²}.

/// H_nl(z) = Γ(A)/Γ(B) e^{-z} ₁F₁(A; B; z) with A = (n + l + 3)/2, B = l + 3/2, for z ≥ 0, n ≥ −1, l ≥ 0, n + l ≤ 300.
/// Neither over- nor underflows before its value does; dH_nl/dz = (n − l)/2 H_{n−1,l+1}.
///
/// By Kummer's relation it equals Γ(A)/Γ(B) ₁F₁((l − n)/2; B; −z), for n − l even and not negative a polynomial of positive
/// terms. Otherwise it is summed as it stands, all terms being positive, and beyond z = 500 from the asymptotic series
/// z^{A−B} Σ_k (B−A)_k (1−A)_k / (k! z^k).
pub fn scaled(n: i32, l: i32, z: f64) -> f64 {
    let (a, b) = (0.5 * f64::from(n + l + 3), f64::from(l) + 1.5);
    let gammas = || libm::tgamma(a) / libm::tgamma(b);
    if n >= l && (n - l) % 2 == 0 {
        let degree = (n - l) / 2;
        return gammas() * series(1.0, degree, |k| (f64::from(degree) - k) * z / ((b + k) * (k + 1.0)));
    }
    if z > 500.0 {
        return z.powf(a - b) * series(1.0, 40, |k| (b - a + k) * (1.0 - a + k) / ((k + 1.0) * z));
    }
    gammas() * series((-z).exp(), 2000, |k| (a + k) * z / ((b + k) * (k + 1.0)))
}

/// Σ of terms k = 0 … `last`, each the one before times `ratio(k)`, until they no longer count.
fn series(first: f64, last: i32, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut term, mut sum) = (first, first);
    for k in 0..last {
        let ratio = ratio(f64::from(k));
        term *= ratio;
        sum += term;
        if ratio.abs() < 1.0 && term.abs() <= 1e-18 * sum.abs() {
            break;
        }
    }
    sum
}
