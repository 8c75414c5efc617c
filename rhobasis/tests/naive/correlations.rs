//! Correlations of one environment as plain loops. `c[l]` has axes `[m, channel]`. Of the library only the Clebsch–Gordan
//! coefficients are used.

use ndarray::Array2;
use rhobasis::correlations::clebsch_gordan;

/// Eq. (15): p = (2l+1)^{−1/2} Σ_m c_{αlm} c_{βlm}, off-diagonal × √2; l slowest, then α, then β ≥ α.
pub fn power_spectrum(c: &[Array2<f64>]) -> Vec<f64> {
    let mut p = Vec::new();
    for (l, c) in c.iter().enumerate() {
        for alpha in 0..c.ncols() {
            for beta in alpha..c.ncols() {
                let sum: f64 = (0..2 * l + 1).map(|m| c[[m, alpha]] * c[[m, beta]]).sum();
                let twice = if alpha == beta { 1.0 } else { 2.0_f64.sqrt() };
                p.push(twice * sum / ((2 * l + 1) as f64).sqrt());
            }
        }
    }
    p
}

/// Σ ⟨l1 m1; l2 m2|l3 m3⟩ c_{q1 l1 m1} c_{q2 l2 m2} c_{q3 l3 m3} / √(2 l3 + 1) for l1 + l2 + l3 even, with its label
/// `[l1, l2, l3, q1, q2, q3]`. Of all orders of the three (l, q) only the ascending one, times the root of their number;
/// l1 slowest, then l2, l3, q1, q2, q3.
pub fn bispectrum(c: &[Array2<f64>]) -> Vec<([usize; 6], f64)> {
    let mut b = Vec::new();
    for l1 in 0..c.len() {
        for l2 in l1..c.len() {
            for l3 in l2..c.len() {
                if l3 > l1 + l2 || (l1 + l2 + l3) % 2 == 1 {
                    continue;
                }
                let coupling = clebsch_gordan(l1, l2, l3).unwrap();
                for q1 in 0..c[l1].ncols() {
                    for q2 in 0..c[l2].ncols() {
                        for q3 in 0..c[l3].ncols() {
                            let a = [(l1, q1), (l2, q2), (l3, q3)];
                            if a[0] > a[1] || a[1] > a[2] {
                                continue;
                            }
                            let mut sum = 0.0;
                            for t in &coupling {
                                sum += t.value * c[l1][[t.m1, q1]] * c[l2][[t.m2, q2]] * c[l3][[t.mu, q3]];
                            }
                            let orders: f64 = match (a[0] == a[1], a[1] == a[2]) {
                                (true, true) => 1.0,
                                (false, false) => 6.0,
                                _ => 3.0,
                            };
                            let value = orders.sqrt() * sum / ((2 * l3 + 1) as f64).sqrt();
                            b.push(([l1, l2, l3, q1, q2, q3], value));
                        }
                    }
                }
            }
        }
    }
    b
}

/// One ⟨Q|ρ⊗ν; σ; λμ⟩ for all μ.
#[derive(Clone)]
pub struct Feature {
    /// l and q of each factor, the first one first.
    pub l: Vec<usize>,
    pub q: Vec<usize>,
    /// λ after each factor; the last one is that of the feature.
    pub lambda: Vec<usize>,
    /// +1 or −1.
    pub sigma: i32,
    /// λ + μ is the index.
    pub values: Vec<f64>,
}

impl Feature {
    /// λ of the feature.
    pub fn order(&self) -> usize {
        self.lambda[self.lambda.len() - 1]
    }

    /// Σ_μ of squares.
    pub fn square(&self) -> f64 {
        self.values.iter().map(|x| x * x).sum()
    }
}

/// ν = 1: the coefficients themselves, σ = +1.
pub fn first(c: &[Array2<f64>]) -> Vec<Feature> {
    let mut features = Vec::new();
    for (l, c) in c.iter().enumerate() {
        for q in 0..c.ncols() {
            features.push(Feature { l: vec![l], q: vec![q], lambda: vec![l], sigma: 1, values: c.column(q).to_vec() });
        }
    }
    features
}

/// Eq. (16): the coefficients times features of order ν are features of order ν + 1, every (l, q) and every λ.
pub fn times(c: &[Array2<f64>], features: &[Feature]) -> Vec<Feature> {
    let mut products = Vec::new();
    for f in features {
        let k = f.order();
        for (l, c) in c.iter().enumerate() {
            for lambda in l.abs_diff(k)..=l + k {
                let coupling = clebsch_gordan(l, k, lambda).unwrap();
                for q in 0..c.ncols() {
                    let mut values = vec![0.0; 2 * lambda + 1];
                    for t in &coupling {
                        values[t.mu] += t.value * c[[t.m1, q]] * f.values[t.m2];
                    }
                    let sigma = if (l + k + lambda) % 2 == 0 { f.sigma } else { -f.sigma };
                    let joined = |list: &[usize], last| list.iter().copied().chain([last]).collect();
                    products.push(Feature {
                        l: joined(&f.l, l),
                        q: joined(&f.q, q),
                        lambda: joined(&f.lambda, lambda),
                        sigma,
                        values,
                    });
                }
            }
        }
    }
    products
}

/// All of ρ⊗ν: no cap of λ, both σ, every order of the factors.
pub fn equivariants(c: &[Array2<f64>], nu: usize) -> Vec<Feature> {
    (1..nu).fold(first(c), |features, _| times(c, &features))
}

/// Its part of σ = +1, λ = 0: what neither rotation nor inversion changes.
pub fn invariants(c: &[Array2<f64>], nu: usize) -> Vec<f64> {
    let features = equivariants(c, nu);
    features.iter().filter(|f| f.sigma == 1 && f.order() == 0).map(|f| f.values[0]).collect()
}
