//! Spherical Bessel functions: modified, i_l(z) = √(π/2z) I_{l+1/2}(z), and ordinary, j_l(x), with its zeros.
//!
//! Near the origin both are a power times a smooth function; here that function is what is computed,
//!
//! ```text
//! g_l(z) = e^{-z} i_l(z) / z^l,   g_l(0) = 1/(2l+1)!!,   (i_l/z^l)' = z · i_{l+1}/z^{l+1}
//! ```
//!
//! so nothing is divided by a small r later.

/// Fills `g[l]`, l = 0 … `l_max`, with e^{-z} i_l(z) / z^l for z ≥ 0.
///
/// Ratios ρ_l = g_{l+1}/g_l obey ρ_l = 1/(2l + 3 + z² ρ_{l+1}), all terms positive, so running l downwards is stable
/// from any start, and as h_l = (2l + 3) h_{l+1} + z² h_{l+2}, ρ_l = h_{l+1}/h_l, needs no division at each step; beyond
/// z = l_max²/2, where ρ is nearly 1/z, the upward recursion loses little and is shorter.
///
/// # Panics
/// If `g` is shorter than `l_max + 1`.
pub fn scaled_i_over_power(z: f64, l_max: usize, g: &mut [f64]) {
    let g = &mut g[..=l_max];
    g[0] = match z {
        0.0 => 1.0,
        _ if z > 20.0 => 0.5 / z, // e^{-2z} is lost beside 1
        _ => -(-2.0 * z).exp_m1() / (2.0 * z),
    };
    if l_max == 0 {
        return;
    }
    let z2 = z * z;
    if z > 20.0_f64.max(0.5 * (l_max * l_max) as f64) {
        // e^{-2z} < 1e-17 beside 1. Errors grow by e^{l²/z}, at most e².
        g[1] = (0.5 - 0.5 / z) / z2;
        for l in 1..l_max {
            g[l + 1] = (g[l - 1] - (2 * l + 1) as f64 * g[l]) / z2;
        }
        return;
    }
    // An error in ρ shrinks by (zρ)² with each step down: by e^{-36} from this l to l_max, for large and small z.
    let top = ((l_max * l_max) as f64 + 36.0 * z).sqrt() as usize + 8;
    let half = top as f64 + 1.5;
    let (mut above, mut h) = (LEAST, LEAST * (half + (half * half + z2).sqrt())); // Amos' bound of ρ
    for l in (l_max..top).rev() {
        (above, h) = (h, (2 * l + 3) as f64 * h + z2 * above);
    }
    for l in (0..l_max).rev() {
        g[l + 1] = h;
        (above, h) = (h, (2 * l + 3) as f64 * h + z2 * above);
    }
    let factor = g[0] / h;
    g[1..].iter_mut().for_each(|g| *g *= factor);
}

/// Where h begins: it only grows, by less than 10^500 up to l_max = 40.
const LEAST: f64 = 1e-250;

/// Fills `values[l]`, l = 0 … `l_max`, with e^{-z} i_l(z) for z ≥ 0.
///
/// # Panics
/// If `values` is shorter than `l_max + 1`.
pub fn scaled_i(z: f64, l_max: usize, values: &mut [f64]) {
    scaled_i_over_power(z, l_max, values);
    let mut power = 1.0;
    for value in &mut values[..=l_max] {
        *value *= power;
        power *= z;
    }
}

/// j_l(x) / x^l for x ≥ 0; 1/(2l+1)!! at the origin.
pub fn j_over_power(l: usize, x: f64) -> f64 {
    let j0 = if x == 0.0 { 1.0 } else { x.sin() / x };
    if l == 0 {
        return j0;
    }
    if x > l as f64 {
        let (mut below, mut j) = (j0, (j0 - x.cos()) / x);
        for k in 1..l {
            (below, j) = (j, (2 * k + 1) as f64 / x * j - below);
        }
        return j / x.powi(l as i32);
    }
    // Downwards from far above l, then scaled to j_0 or j_1, which have no common zero.
    let (mut above, mut f, mut wanted, mut f1) = (0.0, 1.0, 0.0, 0.0);
    for k in (1..l + 40).rev() {
        (above, f) = (f, (2 * k + 3) as f64 * f - x * x * above);
        if k == l {
            wanted = f;
        }
        if k == 1 {
            f1 = f;
        }
    }
    let f0 = 3.0 * f - x * x * above;
    if x < 2.0 { wanted / f0 * j0 } else { wanted / f1 * ((j0 - x.cos()) / (x * x)) }
}

/// j_l(x) for x ≥ 0.
pub fn j(l: usize, x: f64) -> f64 {
    j_over_power(l, x) * x.powi(l as i32)
}

/// The zeros of j_l in (0, `limit`], ascending, for l = 0 … `l_max`: `zeros[l][n]`.
///
/// The zeros of j_l and j_{l+1} interlace, so each list brackets the next.
pub fn j_zeros(l_max: usize, limit: f64) -> Vec<Vec<f64>> {
    let count = (limit / std::f64::consts::PI * (1.0 + 1e-14)) as usize + l_max + 2;
    let mut zeros = vec![(1..=count).map(|n| n as f64 * std::f64::consts::PI).collect::<Vec<_>>()];
    for l in 1..=l_max {
        let next = zeros[l - 1].windows(2).map(|bracket| j_zero_between(l, bracket[0], bracket[1])).collect();
        zeros.push(next);
    }
    for list in &mut zeros {
        list.retain(|&z| z <= limit * (1.0 + 1e-14));
    }
    zeros
}

/// Newton steps, replaced by halving where they would leave the bracket.
fn j_zero_between(l: usize, mut low: f64, mut high: f64) -> f64 {
    let sign = j(l, low).signum();
    let mut x = 0.5 * (low + high);
    for _ in 0..80 {
        let value = j(l, x);
        let slope = j(l - 1, x) - (l + 1) as f64 / x * value;
        if value * sign > 0.0 {
            low = x
        } else {
            high = x
        }
        let newton = x - value / slope;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - x).abs() <= 2.0 * f64::EPSILON * x {
            return next;
        }
        x = next;
    }
    x
}
