//! Eight rows of numbers at a time, one in each lane: how coefficients come to the products of Eqs. (15), (16), and how
//! features leave them.

use std::ops::Range;

use multiversion::multiversion;

use crate::density::{Channel, LANES, Lanes};

/// Where the coefficients of one centre stand among lanes: l slowest, then channel, m fastest.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Channels of each l.
    pub counts: Vec<usize>,
    /// First coefficient of each l, in rows and among lanes; the last entry is their number.
    pub offsets: Vec<usize>,
}

impl Layout {
    pub fn new(channels: &[Vec<Channel>]) -> Self {
        let counts: Vec<usize> = channels.iter().map(Vec::len).collect();
        let mut offsets = vec![0];
        for (l, count) in counts.iter().enumerate() {
            offsets.push(offsets[l] + (2 * l + 1) * count);
        }
        Layout { counts, offsets }
    }

    /// Number of coefficients of a centre.
    pub fn len(&self) -> usize {
        self.offsets[self.counts.len()]
    }

    /// First of the 2l + 1 coefficients of a channel.
    pub fn of_channel(&self, l: usize, channel: usize) -> usize {
        self.offsets[l] + (2 * l + 1) * channel
    }
}

/// Rows with axes `[m, q]`, `n_q` being the length of q.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub n_m: usize,
    pub n_q: usize,
}

/// `out[q, m][lane] = data[starts[lane] + (m, q)]` for some q: at most eight rows to lanes. Lanes without a row repeat the
/// first.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn to_lanes(data: &[f64], starts: &[usize], shape: Shape, of_q: Range<usize>, out: &mut [Lanes]) {
    let Shape { n_m, n_q } = shape;
    let rows: [&[f64]; LANES] = std::array::from_fn(|lane| {
        let start = starts.get(lane).copied().unwrap_or(starts[0]);
        &data[start..start + n_m * n_q]
    });
    for m in 0..n_m {
        for q in of_q.clone().step_by(LANES) {
            let n = LANES.min(of_q.end - q);
            if n == LANES {
                let block: [&Lanes; LANES] = std::array::from_fn(|lane| {
                    <&Lanes>::try_from(&rows[lane][m * n_q + q..][..LANES]).expect("eight numbers")
                });
                for k in 0..LANES {
                    out[(q + k) * n_m + m] = std::array::from_fn(|lane| block[lane][k]);
                }
                continue;
            }
            for k in q..q + n {
                out[k * n_m + m] = std::array::from_fn(|lane| rows[lane][m * n_q + k]);
            }
        }
    }
}

/// The inverse of [`to_lanes`], for as many lanes as there are rows.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn to_rows(lanes: &[Lanes], shape: Shape, of_q: Range<usize>, data: &mut [f64], starts: &[usize]) {
    let Shape { n_m, n_q } = shape;
    for m in 0..n_m {
        for q in of_q.clone().step_by(LANES) {
            let n = LANES.min(of_q.end - q);
            if n == LANES {
                let block: [&Lanes; LANES] = std::array::from_fn(|k| &lanes[(q + k) * n_m + m]);
                for (lane, start) in starts.iter().enumerate().take(LANES) {
                    let to = &mut data[start + m * n_q + q..][..LANES];
                    let row: Lanes = std::array::from_fn(|k| block[k][lane]);
                    to.copy_from_slice(&row);
                }
                continue;
            }
            for (lane, start) in starts.iter().enumerate().take(LANES) {
                for k in q..q + n {
                    data[start + m * n_q + k] = lanes[k * n_m + m][lane];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_and_rows_hold_the_same_numbers() {
        for (n_rows, n_m, n_q) in [(8, 1, 1), (8, 3, 8), (5, 5, 19), (1, 7, 16)] {
            let data: Vec<f64> = (0..n_rows * n_m * n_q + 3).map(|k| k as f64).collect();
            let starts: Vec<usize> = (0..n_rows).map(|row| 3 + row * n_m * n_q).collect();
            let mut lanes = vec![[0.0; LANES]; n_m * n_q];
            let shape = Shape { n_m, n_q };
            to_lanes(&data, &starts, shape, 0..n_q, &mut lanes);
            for (lane, start) in starts.iter().enumerate() {
                for (m, q) in (0..n_m).flat_map(|m| (0..n_q).map(move |q| (m, q))) {
                    assert_eq!(lanes[q * n_m + m][lane], data[start + m * n_q + q]);
                }
            }
            let mut back = vec![0.0; data.len()];
            to_rows(&lanes, shape, 0..n_q, &mut back, &starts);
            assert_eq!(back[3..], data[3..]);
        }
    }
}
