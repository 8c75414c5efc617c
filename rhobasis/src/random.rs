//! Random numbers from a seed, the same on every machine.

/// The generator xoshiro256++ (D. Blackman, S. Vigna, ACM Trans. Math. Softw. 47, 36 (2021)), its state filled by splitmix64.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 4],
    /// The second of a pair of normal numbers.
    spare: Option<f64>,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut x = seed;
        let state = std::array::from_fn(|_| {
            x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let y = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let y = (y ^ (y >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            y ^ (y >> 31)
        });
        Random { state, spare: None }
    }

    /// Where it stands, with a number that is still to be used.
    pub fn state(&self) -> ([u64; 4], Option<f64>) {
        (self.state, self.spare)
    }

    /// What goes on from there.
    pub fn of_state(state: [u64; 4], spare: Option<f64>) -> Self {
        Random { state, spare }
    }

    fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let bits = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        bits
    }

    /// Uniform in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Uniform among 0 … n − 1; 0 if there are none.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Normal with mean 0 and variance 1, by the polar method of Marsaglia.
    pub fn normal(&mut self) -> f64 {
        if let Some(x) = self.spare.take() {
            return x;
        }
        loop {
            let [x, y] = [2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0];
            let s = x * x + y * y;
            if s < 1.0 && s > 0.0 {
                let scale = (-2.0 * libm::log(s) / s).sqrt();
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }

    /// Gamma with this shape (at least 1/2) and scale 1 (G. Marsaglia, W. W. Tsang, ACM Trans. Math. Softw. 26, 363 (2000)).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * libm::pow(self.uniform(), 1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x) * (1.0 + c * x) * (1.0 + c * x);
            if v > 0.0 && libm::log(self.uniform()) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                return d * v;
            }
        }
    }

    /// 0 … n − 1 in random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for k in (1..n).rev() {
            order.swap(k, self.below(k + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance of n numbers.
    fn moments(n: usize, mut next: impl FnMut() -> f64) -> (f64, f64) {
        let x: Vec<f64> = (0..n).map(|_| next()).collect();
        let mean = x.iter().sum::<f64>() / n as f64;
        (mean, x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n as f64)
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = Random::new(7);
        let n = 200_000;
        let close = |(mean, variance): (f64, f64), m: f64, v: f64| {
            assert!((mean - m).abs() < 6.0 * (v / n as f64).sqrt(), "mean {mean}, not {m}");
            assert!((variance / v - 1.0).abs() < 0.05, "variance {variance}, not {v}");
        };
        close(moments(n, || random.uniform()), 0.5, 1.0 / 12.0);
        close(moments(n, || random.normal()), 0.0, 1.0);
        for shape in [0.5, 1.0, 7.5] {
            close(moments(n, || random.gamma(shape)), shape, shape);
        }
        close(moments(n, || random.below(3) as f64), 1.0, 2.0 / 3.0);
    }

    #[test]
    fn a_permutation_has_each_number_once() {
        let mut order = Random::new(1).permutation(50);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_numbers_of_a_seed_are_those_of_the_published_generators() {
        // splitmix64 of seed 0 begins with 0xe220a8397b1dcdaf, as in the reference implementation.
        let random = Random::new(0);
        assert_eq!(random.state[0], 0xE220_A839_7B1D_CDAF);
        assert_eq!(Random { state: [1, 2, 3, 4], spare: None }.bits(), 41_943_041);
    }
}
