//! Clebsch–Gordan products of equivariants, several at a time, with their derivatives.

use multiversion::multiversion;

use crate::Result;
use crate::correlations::clebsch_gordan::clebsch_gordan;
use crate::correlations::couplings::Couplings;
use crate::simd::{LANES, Lanes};

/// Products that are computed together: they share the coefficients, and their sums stay in registers.
const TOGETHER: usize = 4;
/// Room for the components of a factor; indices are taken modulo this number, so that none has to be checked.
const ROOM: usize = 32;

/// Components of [`TOGETHER`] equivariants.
type Factors = [[Lanes; TOGETHER]; ROOM];

/// The real coefficients ⟨l1 m1; l2 m2|λμ⟩ of one (l1, l2, λ), in an order for each of the three that may be wanted.
#[derive(Debug, Clone)]
pub(super) struct Coupled {
    /// Components of the two factors and of the product.
    pub n: [usize; 3],
    /// The product from the factors; each factor from product and other factor.
    to_product: Couplings,
    to_first: Couplings,
    to_second: Couplings,
}

/// Two equivariants to be multiplied, by where their components begin, and a factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub first: usize,
    pub second: usize,
    pub scale: f64,
}

impl Coupled {
    /// # Errors
    /// If l1 or l2 is beyond the Clebsch–Gordan coefficients.
    pub fn new(l1: usize, l2: usize, lambda: usize) -> Result<Self> {
        let n = [2 * l1 + 1, 2 * l2 + 1, 2 * lambda + 1];
        let couplings = clebsch_gordan(l1, l2, lambda)?;
        Ok(Coupled {
            n,
            to_product: Couplings::new(&couplings, n[2], |c| [c.m1, c.m2, c.mu]),
            to_first: Couplings::new(&couplings, n[0], |c| [c.mu, c.m2, c.m1]),
            to_second: Couplings::new(&couplings, n[1], |c| [c.mu, c.m1, c.m2]),
        })
    }

    /// `out[k, μ] = scale_k Σ ⟨m1 m2|μ⟩ a_k[m1] b_k[m2]` of pairs k.
    pub fn products(&self, pairs: &[Pair], a: &[Lanes], b: &[Lanes], out: &mut [Lanes]) {
        products(self, pairs, a, b, out);
    }

    /// The rates at which they change, given those of a and b.
    pub fn rates(&self, pairs: &[Pair], [a, b]: [&[Lanes]; 2], [a_dot, b_dot]: [&[Lanes]; 2], out: &mut [Lanes]) {
        rates(self, pairs, [a, b], [a_dot, b_dot], out);
    }

    /// dE/da and dE/db, added to what `grads` holds at the places of a and b, given dE/dout.
    pub fn pull_back(&self, pairs: &[Pair], [a, b]: [&[Lanes]; 2], grad_out: &[Lanes], grads: &mut [Lanes]) {
        pull_back(self, pairs, [a, b], grad_out, grads);
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn products(coupled: &Coupled, pairs: &[Pair], a: &[Lanes], b: &[Lanes], out: &mut [Lanes]) {
    let [n1, n2, n] = coupled.n;
    let [mut x, mut y]: [Factors; 2] = [[[[0.0; LANES]; TOGETHER]; ROOM]; 2];
    for (pairs, out) in pairs.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER * n)) {
        load(a, pairs.iter().map(|pair| pair.first), n1, &mut x);
        load(b, pairs.iter().map(|pair| pair.second), n2, &mut y);
        contract(&coupled.to_product, &x, &y, |mu, sums| {
            for (k, pair) in pairs.iter().enumerate() {
                out[k * n + mu] = sums[k].map(|sum| sum * pair.scale);
            }
        });
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn rates(coupled: &Coupled, pairs: &[Pair], [a, b]: [&[Lanes]; 2], [a_dot, b_dot]: [&[Lanes]; 2], out: &mut [Lanes]) {
    let [n1, n2, n] = coupled.n;
    let [mut x, mut y]: [Factors; 2] = [[[[0.0; LANES]; TOGETHER]; ROOM]; 2];
    for (pairs, out) in pairs.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER * n)) {
        load(a_dot, pairs.iter().map(|pair| pair.first), n1, &mut x);
        load(b, pairs.iter().map(|pair| pair.second), n2, &mut y);
        contract(&coupled.to_product, &x, &y, |mu, sums| {
            for (k, pair) in pairs.iter().enumerate() {
                out[k * n + mu] = sums[k].map(|sum| sum * pair.scale);
            }
        });
        load(a, pairs.iter().map(|pair| pair.first), n1, &mut x);
        load(b_dot, pairs.iter().map(|pair| pair.second), n2, &mut y);
        contract(&coupled.to_product, &x, &y, |mu, sums| {
            for (k, pair) in pairs.iter().enumerate() {
                let out = &mut out[k * n + mu];
                for lane in 0..LANES {
                    out[lane] = sums[k][lane].mul_add(pair.scale, out[lane]);
                }
            }
        });
    }
}

#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
fn pull_back(coupled: &Coupled, pairs: &[Pair], [a, b]: [&[Lanes]; 2], grad_out: &[Lanes], grads: &mut [Lanes]) {
    let [n1, n2, n] = coupled.n;
    let [mut x, mut y]: [Factors; 2] = [[[[0.0; LANES]; TOGETHER]; ROOM]; 2];
    // The product may have more components than a factor.
    let mut g: [[Lanes; TOGETHER]; ROOM] = [[[0.0; LANES]; TOGETHER]; ROOM];
    for (pairs, grad_out) in pairs.chunks(TOGETHER).zip(grad_out.chunks(TOGETHER * n)) {
        load(a, pairs.iter().map(|pair| pair.first), n1, &mut x);
        load(b, pairs.iter().map(|pair| pair.second), n2, &mut y);
        for (k, (pair, grad_out)) in pairs.iter().zip(grad_out.chunks(n)).enumerate() {
            for (g, grad_out) in g.iter_mut().zip(grad_out) {
                g[k] = grad_out.map(|grad| grad * pair.scale);
            }
        }
        contract(&coupled.to_first, &g, &y, |m, sums| {
            for (pair, sum) in pairs.iter().zip(sums) {
                add(&mut grads[pair.first + m], sum);
            }
        });
        contract(&coupled.to_second, &g, &x, |m, sums| {
            for (pair, sum) in pairs.iter().zip(sums) {
                add(&mut grads[pair.second + m], sum);
            }
        });
    }
}

/// Components of at most [`TOGETHER`] equivariants that begin at these places.
#[inline(always)]
fn load(from: &[Lanes], places: impl Iterator<Item = usize>, n: usize, to: &mut Factors) {
    for (k, place) in places.enumerate() {
        for (to, from) in to.iter_mut().zip(&from[place..place + n]) {
            to[k] = *from;
        }
    }
}

/// Σ value x_i y_j of each k.
#[inline(always)]
fn contract(couplings: &Couplings, x: &Factors, y: &Factors, mut store: impl FnMut(usize, &[Lanes; TOGETHER])) {
    for (k, run) in couplings.runs().enumerate() {
        let mut sum = [[0.0; LANES]; TOGETHER];
        for entry in run {
            let (x, y) = (&x[entry.first as usize % ROOM], &y[entry.second as usize % ROOM]);
            for p in 0..TOGETHER {
                for lane in 0..LANES {
                    sum[p][lane] = (entry.value * x[p][lane]).mul_add(y[p][lane], sum[p][lane]);
                }
            }
        }
        store(k, &sum);
    }
}

#[inline(always)]
fn add(to: &mut Lanes, from: &Lanes) {
    for lane in 0..LANES {
        to[lane] += from[lane];
    }
}
