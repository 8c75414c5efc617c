//! The equations as plain loops: slow, short, and written from the paper and the conventions alone. They judge the fast code.
//!
//! Coefficients are kept in [`Equivariants`], axes `[center, m, channel]`; nothing else of the library is used.
#![allow(dead_code)] // each test file uses a part

pub mod correlations;

use std::f64::consts::PI;

use ndarray::Array2;
use rhobasis::Structure;
use rhobasis::density::{
    BlockKey, Center, Channel, CutoffFunction, Density, Equivariants, ExpansionSettings, Primitive, Sigma,
};

/// Numbers in [0, 1), the same in every run.
pub struct Random(pub u64);

impl Random {
    /// Neighbouring seeds give unlike numbers.
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    /// The next one.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Eight silicon atoms of the diamond structure, strained and displaced: every seed is another crystal.
pub fn rattled_diamond(seed: u64) -> Structure {
    let mut random = Random::new(seed);
    let a = 5.43 * (0.92 + 0.16 * random.next());
    let corner =
        [[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]].map(|c: [i32; 3]| c);
    let positions =
        corner.iter().map(|c| c.map(|x| a * f64::from(x) / 4.0 + 0.5 * (random.next() - 0.5))).collect::<Vec<_>>();
    let mut cell = [[0.0; 3]; 3];
    for (k, row) in cell.iter_mut().enumerate() {
        row[k] = a;
        row[(k + 1) % 3] = 0.3 * (random.next() - 0.5);
    }
    Structure::crystal(vec![14; 8], positions, cell)
}

/// Atoms of the given species at random, none closer than 0.9 Å, at most 4 Å across.
pub fn random_molecule(species: &[u8], seed: u64) -> Structure {
    let mut random = Random::new(seed);
    let mut positions: Vec<[f64; 3]> = Vec::new();
    while positions.len() < species.len() {
        let r: [f64; 3] = std::array::from_fn(|_| 4.0 * random.next());
        if positions.iter().all(|&p| length(difference(p, r)) > 0.9) {
            positions.push(r);
        }
    }
    Structure::molecule(species.to_vec(), positions)
}

fn difference(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn length(a: [f64; 3]) -> f64 {
    a.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Y_lm(r/|r|), lm = l² + l + m: real, orthonormal, no Condon–Shortley phase (the (−1)^m of P_l^m is taken out again).
pub fn harmonics(l_max: usize, r: [f64; 3]) -> Vec<f64> {
    let (cos, phi) = (r[2] / length(r), r[1].atan2(r[0]));
    let sin = r[0].hypot(r[1]) / length(r);
    let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
    let mut y = vec![0.0; (l_max + 1).pow(2)];
    for m in 0..=l_max {
        let mut p = vec![0.0; l_max + 2]; // P_l^m(cos θ) with the phase
        p[m] = (1..=m).map(|k| -((2 * k - 1) as f64) * sin).product();
        p[m + 1] = (2 * m + 1) as f64 * cos * p[m];
        for l in m + 2..=l_max {
            p[l] = ((2 * l - 1) as f64 * cos * p[l - 1] - (l + m - 1) as f64 * p[l - 2]) / (l - m) as f64;
        }
        for (l, &p) in p.iter().enumerate().take(l_max + 1).skip(m) {
            let norm = ((2 * l + 1) as f64 / (4.0 * PI) * factorial(l - m) / factorial(l + m)).sqrt();
            let sign = if m % 2 == 0 { 1.0 } else { -1.0 };
            let (center, angle) = (l * l + l, m as f64 * phi);
            if m == 0 {
                y[center] = norm * p;
            } else {
                y[center + m] = sign * 2.0_f64.sqrt() * norm * p * angle.cos();
                y[center - m] = sign * 2.0_f64.sqrt() * norm * p * angle.sin();
            }
        }
    }
    y
}

/// e^{−z} i_l(z) by its power series, whose terms are all positive.
fn scaled_bessel(l: usize, z: f64) -> f64 {
    assert!(z < 650.0, "the series would overflow");
    let mut term: f64 = (1..=l).map(|k| z / (2 * k + 1) as f64).product();
    let (mut sum, mut k) = (term, 0.0);
    while term > 1e-18 * sum {
        k += 1.0;
        term *= z * z / 2.0 / (k * (2.0 * l as f64 + 2.0 * k + 1.0));
        sum += term;
    }
    sum * (-z).exp()
}

/// j_l(x): upward recursion where it is stable, the power series elsewhere.
fn spherical_bessel(l: usize, x: f64) -> f64 {
    if x > l as f64 + 1.0 {
        let (mut below, mut here) = (x.cos() / x, x.sin() / x);
        for k in 0..l {
            (below, here) = (here, (2 * k + 1) as f64 / x * here - below);
        }
        return here;
    }
    let mut term: f64 = (1..=l).map(|k| x / (2 * k + 1) as f64).product();
    let mut sum = term;
    for k in 1..60 {
        term *= -x * x / 2.0 / (k as f64 * (2 * l + 2 * k + 1) as f64);
        sum += term;
    }
    sum
}

/// P_0 … P_{count−1} at t.
fn legendre(count: usize, t: f64) -> Vec<f64> {
    let mut p = vec![1.0, t];
    for k in 2..count {
        p.push(((2 * k - 1) as f64 * t * p[k - 1] - (k - 1) as f64 * p[k - 2]) / k as f64);
    }
    p.truncate(count);
    p
}

/// Gauss–Legendre nodes, ascending, and weights on [a, b], by Newton's method.
pub fn gauss_legendre(count: usize, a: f64, b: f64) -> Vec<(f64, f64)> {
    let root = |k: usize| {
        let mut t = -(PI * (k as f64 + 0.75) / (count as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..50 {
            let p = legendre(count + 1, t);
            slope = count as f64 * (t * p[count] - p[count - 1]) / (t * t - 1.0);
            t -= p[count] / slope;
        }
        (t, 2.0 / ((1.0 - t * t) * slope * slope))
    };
    (0..count).map(root).map(|(t, w)| ((a + b) / 2.0 + (b - a) / 2.0 * t, (b - a) / 2.0 * w)).collect()
}

/// Eigenvalues, descending, and eigenvectors in rows, by Jacobi's rotations.
pub fn eigen(matrix: &Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let n = matrix.nrows();
    let (mut a, mut v) = (matrix.clone(), Array2::<f64>::eye(n));
    for _ in 0..30 {
        for p in 0..n {
            for q in p + 1..n {
                if a[[p, q]] == 0.0 {
                    continue;
                }
                let theta = (a[[q, q]] - a[[p, p]]) / (2.0 * a[[p, q]]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                for k in 0..n {
                    (a[[k, p]], a[[k, q]]) = (c * a[[k, p]] - s * a[[k, q]], s * a[[k, p]] + c * a[[k, q]]);
                }
                for k in 0..n {
                    (a[[p, k]], a[[q, k]]) = (c * a[[p, k]] - s * a[[q, k]], s * a[[p, k]] + c * a[[q, k]]);
                    (v[[p, k]], v[[q, k]]) = (c * v[[p, k]] - s * v[[q, k]], s * v[[p, k]] + c * v[[q, k]]);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[[j, j]].total_cmp(&a[[i, i]]));
    (order.iter().map(|&i| a[[i, i]]).collect(), Array2::from_shape_fn((n, n), |(i, k)| v[[order[i], k]]))
}

/// A radial basis of one l: R_nl(x) for all n, and where the functions end.
pub struct Radial {
    pub functions: Box<dyn Fn(f64) -> Vec<f64>>,
    pub end: f64,
}

/// R_nl by definition (GTO: conventions B 3.1, in doubles, so n_max ≤ 8; DVR: B 3.2; Laplacian eigenstates: B 3.3).
pub fn radial(primitive: &Primitive, r_cut: f64, sigma: f64, l: usize) -> Radial {
    match *primitive {
        Primitive::Gto { n_max } => {
            assert!(n_max <= 8, "the overlap would lose digits");
            let gamma = |twice: usize| libm::tgamma(twice as f64 / 2.0);
            let width = move |n: usize| r_cut * (n as f64).sqrt().max(1.0) / n_max as f64;
            let b: Vec<f64> = (0..n_max).map(|n| 0.5 / width(n).powi(2)).collect();
            let norm: Vec<f64> =
                (0..n_max).map(|n| (2.0 / (width(n).powi(2 * n as i32 + 3) * gamma(2 * n + 3))).sqrt()).collect();
            let overlap = Array2::from_shape_fn((n_max, n_max), |(n, k)| {
                0.5 * norm[n] * norm[k] * (b[n] + b[k]).powf(-((3 + n + k) as f64) / 2.0) * gamma(3 + n + k)
            });
            let (s, v) = eigen(&overlap);
            let root = Array2::from_shape_fn((n_max, n_max), |(n, k)| {
                (0..n_max).map(|j| v[[j, n]] * v[[j, k]] / s[j].sqrt()).sum::<f64>()
            });
            let functions = move |x: f64| {
                let phi: Vec<f64> = (0..n_max).map(|k| norm[k] * x.powi(k as i32) * (-b[k] * x * x).exp()).collect();
                (0..n_max).map(|n| (0..n_max).map(|k| root[[n, k]] * phi[k]).sum()).collect()
            };
            Radial { functions: Box::new(functions), end: f64::INFINITY }
        }
        Primitive::Dvr { n_max, .. } => {
            let end = r_cut + 3.0 * sigma;
            let nodes = gauss_legendre(n_max, -1.0, 1.0);
            let functions = move |x: f64| {
                let here = legendre(n_max, 2.0 * x / end - 1.0);
                let function = |&(t, w): &(f64, f64)| {
                    let there = legendre(n_max, t);
                    let sum: f64 = (0..n_max).map(|k| (k as f64 + 0.5) * there[k] * here[k]).sum();
                    (w * 2.0 / end).sqrt() * sum / x
                };
                nodes.iter().map(function).collect()
            };
            Radial { functions: Box::new(functions), end }
        }
        Primitive::LaplacianEigenstates { n_max } => {
            let highest = n_max as f64 * PI * (1.0 + 1e-12); // n-th zero of j_0
            let mut zeros = Vec::new();
            let mut x = l as f64 + 0.5;
            while x < highest {
                let (mut a, mut b) = (x, x + 0.05);
                x = b;
                if spherical_bessel(l, a).signum() == spherical_bessel(l, b).signum() {
                    continue;
                }
                for _ in 0..60 {
                    let middle = 0.5 * (a + b);
                    if spherical_bessel(l, a).signum() == spherical_bessel(l, middle).signum() {
                        a = middle;
                    } else {
                        b = middle;
                    }
                }
                if a <= highest {
                    zeros.push(a);
                }
            }
            let functions = move |x: f64| {
                let norm = |z: f64| (2.0 / r_cut.powi(3)).sqrt() / spherical_bessel(l + 1, z).abs();
                zeros.iter().map(|&z| norm(z) * spherical_bessel(l, z * x / r_cut)).collect()
            };
            Radial { functions: Box::new(functions), end: r_cut }
        }
        Primitive::Tabulated(_) => panic!("a table is judged by the functions that it was made of"),
    }
}

/// Eq. (5) with ∫g = 1, by a quadrature fine enough for all digits; sigma = 0: R_nl(r) itself.
pub fn radial_integrals(primitive: &Primitive, r_cut: f64, sigma: f64, l: usize, r: f64) -> Vec<f64> {
    if let Primitive::Dvr { n_max, quadrature: true } = *primitive {
        let rule = gauss_legendre(n_max, 0.0, r_cut + 3.0 * sigma);
        return rule.iter().map(|&(x, w)| w.sqrt() * x * smeared(l, sigma, x, r)).collect();
    }
    let Radial { functions, end } = radial(primitive, r_cut, sigma, l);
    if sigma == 0.0 {
        return if r <= end { functions(r) } else { vec![0.0; functions(r).len()] };
    }
    let (from, to) = ((r - 9.0 * sigma).max(0.0), (r + 9.0 * sigma).min(end));
    let mut integrals = vec![0.0; functions(0.5 * (from + to)).len()];
    for (x, w) in gauss_legendre(120, from, to) {
        let weight = w * x * x * smeared(l, sigma, x, r);
        functions(x).iter().zip(&mut integrals).for_each(|(f, i)| *i += weight * f);
    }
    integrals
}

/// 4π (2πσ²)^{−3/2} e^{−(x² + r²)/2σ²} i_l(xr/σ²).
fn smeared(l: usize, sigma: f64, x: f64, r: f64) -> f64 {
    let v = sigma * sigma;
    4.0 * PI * (2.0 * PI * v).powf(-1.5) * (-(x - r).powi(2) / (2.0 * v)).exp() * scaled_bessel(l, x * r / v)
}

/// f(r) = f_cut(r) u(r) of Eq. (2).
pub fn weight(density: &Density, r: f64) -> f64 {
    let (start, width) = (density.r_cut - density.cutoff_width, density.cutoff_width);
    let t = (r - start) / width;
    let cutoff = match density.cutoff_function {
        _ if r >= density.r_cut => 0.0,
        CutoffFunction::Step => 1.0,
        CutoffFunction::Tanh => {
            let (up, down) = (((density.r_cut - r) / width).exp(), ((r - density.r_cut) / width).exp());
            ((up - down) / (up + down)).powi(3)
        }
        _ if r <= start => 1.0,
        CutoffFunction::Cosine => 0.5 * (1.0 + (PI * t).cos()),
        CutoffFunction::Polynomial => 1.0 - 10.0 * t.powi(3) + 15.0 * t.powi(4) - 6.0 * t.powi(5),
    };
    cutoff * density.scaling.as_ref().map_or(1.0, |u| u.rate / (u.rate + (r / u.scale).powf(u.exponent)))
}

/// Vectors r_ji to all neighbours j of atom i: every image within r_cut, those of i included.
fn neighbors(structure: &Structure, i: usize, r_cut: f64) -> Vec<(usize, [f64; 3])> {
    let spread = (0..structure.len())
        .map(|j| length(difference(structure.positions[j], structure.positions[i])))
        .fold(0.0, f64::max);
    let reach: [i32; 3] = std::array::from_fn(|k| {
        if !structure.pbc[k] {
            return 0;
        }
        assert_eq!(structure.pbc, [true; 3], "molecules and crystals only");
        let (a, b) = (structure.cell[(k + 1) % 3], structure.cell[(k + 2) % 3]);
        let normal = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
        ((r_cut + spread) * length(normal) / structure.volume()).ceil() as i32
    });
    let mut found = Vec::new();
    for j in 0..structure.len() {
        for a in -reach[0]..=reach[0] {
            for b in -reach[1]..=reach[1] {
                for c in -reach[2]..=reach[2] {
                    let r: [f64; 3] = std::array::from_fn(|d| {
                        structure.positions[j][d] - structure.positions[i][d]
                            + f64::from(a) * structure.cell[0][d]
                            + f64::from(b) * structure.cell[1][d]
                            + f64::from(c) * structure.cell[2][d]
                    });
                    if length(r) < r_cut && !(i == j && [a, b, c] == [0; 3]) {
                        found.push((j, r));
                    }
                }
            }
        }
    }
    found
}

fn width(sigma: &Sigma, species: u8) -> f64 {
    match sigma {
        Sigma::Same(sigma) => *sigma,
        Sigma::PerSpecies(map) => map[&species],
    }
}

/// Eq. (4): ⟨anlm|ρ_i⟩ = Σ_j δ_{a a_j} f(r_ji) ⟨nl|r_ji; g⟩ Y_lm(r̂_ji), and the centre itself at r = 0.
pub fn eq4(structures: &[Structure], settings: &ExpansionSettings, species: &[u8]) -> Equivariants {
    let ExpansionSettings { density, primitive, l_max, .. } = settings;
    let integrals = |a: u8, l, r| radial_integrals(primitive, density.r_cut, width(&density.sigma, a), l, r);
    let count: Vec<usize> = (0..=*l_max).map(|l| integrals(species[0], l, 1.0).len()).collect();
    let channels = |l: usize| species.iter().flat_map(|&a| channels_of(a, count[l])).collect();
    let mut centers = Vec::new();
    for (structure, s) in structures.iter().enumerate() {
        centers.extend(s.species.iter().enumerate().map(|(atom, &species)| Center { structure, atom, species }));
    }
    let mut c = Equivariants::zeros(
        centers.clone(),
        (0..=*l_max).map(BlockKey::density).collect(),
        (0..=*l_max).map(channels).collect(),
    );
    let place = |a: u8| species.iter().position(|&z| z == a).expect("a species of the list");
    for (i, center) in centers.iter().enumerate() {
        let s = &structures[center.structure];
        for (n, value) in integrals(center.species, 0, 0.0).iter().enumerate() {
            c.blocks[0][[i, 0, place(center.species) * count[0] + n]] +=
                density.center_weight * value / (4.0 * PI).sqrt();
        }
        for (j, r) in neighbors(s, center.atom, density.r_cut) {
            let a = s.species[j];
            let y = harmonics(*l_max, r);
            for l in 0..=*l_max {
                for (n, value) in integrals(a, l, length(r)).iter().enumerate() {
                    for m in 0..2 * l + 1 {
                        c.blocks[l][[i, m, place(a) * count[l] + n]] +=
                            weight(density, length(r)) * value * y[l * l + m];
                    }
                }
            }
        }
    }
    c
}

fn channels_of(species: u8, count: usize) -> impl Iterator<Item = Channel> {
    (0..count).map(move |n| Channel { species, n })
}

/// Eq. (11): C^l[an, a′n′] = 1/N Σ_i w_i Σ_m c_i[m, an] c_i[m, a′n′], with the weights of Eq. (21); the sum runs over the
/// centres of one species, or of all, and N is their number.
pub fn eq11(c: &Equivariants, l: usize, center: Option<u8>, weights: Option<&[f64]>) -> Array2<f64> {
    let n = c.channels[l].len();
    let mut covariance = Array2::zeros((n, n));
    let mut n_centers = 0.0;
    for i in 0..c.centers.len() {
        if center.is_some_and(|z| z != c.centers[i].species) {
            continue;
        }
        n_centers += 1.0;
        for m in 0..2 * l + 1 {
            for p in 0..n {
                for q in 0..n {
                    let w = weights.map_or(1.0, |w| w[i]);
                    covariance[[p, q]] += w * c.blocks[l][[i, m, p]] * c.blocks[l][[i, m, q]];
                }
            }
        }
    }
    covariance / n_centers
}

/// Eq. (6): the blocks of Eq. (11) with a = a′, the rest zero.
pub fn eq6(c: &Equivariants, l: usize, center: Option<u8>, weights: Option<&[f64]>) -> Array2<f64> {
    let mut covariance = eq11(c, l, center, weights);
    for p in 0..c.channels[l].len() {
        for q in 0..c.channels[l].len() {
            if c.channels[l][p].species != c.channels[l][q].species {
                covariance[[p, q]] = 0.0;
            }
        }
    }
    covariance
}

/// Eq. (7): ⟨aqlm; opt|ρ_i⟩ = Σ_n U^{al}_qn ⟨anlm|ρ_i⟩ for one centre, `[m, q]`.
pub fn eq7(c: &Equivariants, l: usize, i: usize, a: u8, u: &Array2<f64>) -> Array2<f64> {
    let mut out = Array2::zeros((2 * l + 1, u.nrows()));
    for (k, channel) in c.channels[l].iter().enumerate().filter(|(_, channel)| channel.species == a) {
        for ((m, q), value) in out.indexed_iter_mut() {
            *value += u[[q, channel.n]] * c.blocks[l][[i, m, k]];
        }
    }
    out
}

/// Eq. (12): ⟨qlm; opt|ρ_i⟩ = Σ_an U^l_{q;an} ⟨anlm|ρ_i⟩ for one centre, `[m, q]`.
pub fn eq12(c: &Equivariants, l: usize, i: usize, u: &Array2<f64>) -> Array2<f64> {
    let mut out = Array2::zeros((2 * l + 1, u.nrows()));
    for ((m, q), value) in out.indexed_iter_mut() {
        *value = (0..c.channels[l].len()).map(|k| u[[q, k]] * c.blocks[l][[i, m, k]]).sum();
    }
    out
}

/// Eq. (22): 1 − Σ_i |c_opt|² / Σ_i |c|².
pub fn eq22(optimal: &Equivariants, primitive: &Equivariants) -> f64 {
    let norm = |c: &Equivariants| c.blocks.iter().flatten().map(|x| x * x).sum::<f64>();
    1.0 - norm(optimal) / norm(primitive)
}

/// Largest difference of two sets of coefficients over the largest value of the second.
pub fn largest_difference(found: &Equivariants, expected: &Equivariants) -> f64 {
    assert_eq!(found.centers, expected.centers);
    assert_eq!(found.channels, expected.channels);
    let (mut worst, mut scale) = (0.0_f64, 0.0_f64);
    for (f, e) in found.blocks.iter().flatten().zip(expected.blocks.iter().flatten()) {
        assert!(f.is_finite());
        worst = worst.max((f - e).abs());
        scale = scale.max(e.abs());
    }
    worst / scale
}

/// The same for matrices.
pub fn largest_matrix_difference(found: &Array2<f64>, expected: &Array2<f64>) -> f64 {
    assert_eq!(found.dim(), expected.dim());
    let scale = expected.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    found.iter().zip(expected).fold(0.0_f64, |a, (f, e)| a.max((f - e).abs())) / scale
}
