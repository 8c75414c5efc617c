//! Vectors of eight numbers, and memory that begins on a cache line.

use std::ops::{Deref, DerefMut};

/// Numbers handled together: one AVX-512 register, two of AVX2.
pub(crate) const LANES: usize = 8;

/// One number for each of [`LANES`] centres, neighbours or channels.
pub(crate) type Lanes = [f64; LANES];

/// sum + a b, lane by lane.
#[inline(always)]
pub(crate) fn add_product(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for k in 0..LANES {
        sum[k] = a[k].mul_add(b[k], sum[k]);
    }
}

/// sum + a b with one a for all lanes.
#[inline(always)]
pub(crate) fn add_scaled(sum: &mut Lanes, a: f64, b: &Lanes) {
    for k in 0..LANES {
        sum[k] = a.mul_add(b[k], sum[k]);
    }
}

/// Bytes of a cache line, and of a vector of [`LANES`] numbers.
const LINE: usize = 64;

/// Like `Vec<f64>`, but vectors of [`LANES`] numbers lie each on one cache line: one that lies on two costs twice the time.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    data: Vec<f64>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// Zeros.
    pub fn zeros(len: usize) -> Self {
        let data = vec![0.0; len + LANES];
        let start = data.as_ptr().align_offset(LINE).min(LANES);
        Aligned { data, start, len }
    }

    /// Changes the length; what the numbers are then is not said.
    pub fn resize(&mut self, len: usize) {
        match self.start + len <= self.data.len() {
            true => self.len = len,
            false => *self = Aligned::zeros(len),
        }
    }

    /// The numbers in vectors; the length must be a multiple of [`LANES`].
    #[inline(always)]
    pub fn lanes(&self) -> &[Lanes] {
        self.as_chunks().0
    }

    /// As [`Aligned::lanes`].
    #[inline(always)]
    pub fn lanes_mut(&mut self) -> &mut [Lanes] {
        self.as_chunks_mut().0
    }
}

impl Deref for Aligned {
    type Target = [f64];

    #[inline(always)]
    fn deref(&self) -> &[f64] {
        &self.data[self.start..self.start + self.len]
    }
}

impl DerefMut for Aligned {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.data[self.start..self.start + self.len]
    }
}

impl Clone for Aligned {
    /// The copy lies elsewhere, and begins on a line of its own.
    fn clone(&self) -> Self {
        let mut copy = Aligned::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_on_a_line_after_every_change() {
        let on_line = |a: &Aligned| a.as_ptr().addr().is_multiple_of(LINE);
        for len in [0, 1, 8, 1000, 100_000] {
            let mut numbers = Aligned::zeros(len);
            assert!(numbers.iter().all(|&x| x == 0.0) && numbers.len() == len);
            numbers.iter_mut().enumerate().for_each(|(k, x)| *x = k as f64);
            let copy = numbers.clone();
            assert!(on_line(&numbers) && on_line(&copy) && *copy == *numbers);
            numbers.resize(2 * len + 3);
            assert!(on_line(&numbers) && numbers.len() == 2 * len + 3);
        }
    }
}
