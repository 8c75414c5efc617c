//! Eight rows of numbers at a time, one in each lane: how coefficients come to the products of Eqs. (15), (16), and how
//! features leave them.

use std::ops::Range;

use multiversion::multiversion;
use ndarray::ArrayView3;

use crate::density::{BlockKey, Channel};
use crate::simd::{Aligned, LANES, Lanes};

/// Where the coefficients of one centre stand among lanes: block slowest, then channel, m fastest.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// What the blocks are.
    pub keys: Vec<BlockKey>,
    /// Channels of each block.
    pub counts: Vec<usize>,
    /// First coefficient of each block, in rows and among lanes; the last entry is their number.
    pub offsets: Vec<usize>,
}

impl Layout {
    pub fn new(keys: &[BlockKey], channels: &[Vec<Channel>]) -> Self {
        let counts: Vec<usize> = channels.iter().map(Vec::len).collect();
        let mut offsets = vec![0];
        for (key, count) in keys.iter().zip(&counts) {
            offsets.push(offsets[offsets.len() - 1] + key.n_components() * count);
        }
        Layout { keys: keys.to_vec(), counts, offsets }
    }

    /// Number of coefficients of a centre.
    pub fn len(&self) -> usize {
        self.offsets[self.counts.len()]
    }

    /// First of the coefficients of a channel.
    pub fn of_channel(&self, block: usize, channel: usize) -> usize {
        self.offsets[block] + self.keys[block].n_components() * channel
    }

    /// Numbers of one centre in each block.
    pub fn widths(&self) -> impl Iterator<Item = usize> {
        self.offsets.windows(2).map(|w| w[1] - w[0])
    }

    /// Each block of the coefficients of n centres: its axes `[m, channel]`, and where it stands.
    pub fn blocks(&self, n: usize) -> impl Iterator<Item = (Shape, Range<usize>)> {
        let shape = |(key, &n_q): (&BlockKey, &usize)| Shape { n_m: key.n_components(), n_q };
        let ranges = self.offsets.windows(2).map(move |w| n * w[0]..n * w[1]);
        self.keys.iter().zip(&self.counts).map(shape).zip(ranges)
    }

    /// The blocks of the coefficients of n centres, to be written to.
    pub fn cut<'a>(&self, mut rows: &'a mut [f64], n: usize) -> Vec<&'a mut [f64]> {
        self.widths().map(|width| rows.split_off_mut(..n * width).expect("as long as all blocks")).collect()
    }

    /// Views `[center, m, channel]` of the blocks of n centres.
    pub fn views<'a>(&self, rows: &'a [f64], n: usize) -> Vec<ArrayView3<'a, f64>> {
        let view = |(shape, block): (Shape, Range<usize>)| {
            ArrayView3::from_shape((n, shape.n_m, shape.n_q), &rows[block]).expect("as long as the shape says")
        };
        self.blocks(n).map(view).collect()
    }

    /// The coefficients of some of n centres, in blocks of their own.
    pub fn some_rows(&self, rows: &[f64], n: usize, centers: &[usize]) -> Vec<f64> {
        let block = |(shape, block): (Shape, Range<usize>)| {
            let width = shape.n_m * shape.n_q;
            centers.iter().flat_map(move |k| rows[block.start + k * width..][..width].iter().copied())
        };
        self.blocks(n).flat_map(block).collect()
    }

    /// The inverse of [`Layout::some_rows`].
    pub fn set_rows(&self, rows: &mut [f64], n: usize, centers: &[usize], some: &[f64]) {
        for ((shape, to), (_, from)) in self.blocks(n).zip(self.blocks(centers.len())) {
            let width = shape.n_m * shape.n_q;
            for (k, &center) in centers.iter().enumerate() {
                let row = &some[from.start + k * width..][..width];
                rows[to.start + center * width..][..width].copy_from_slice(row);
            }
        }
    }

    /// Coefficients of at most eight of n centres, from blocks to lanes.
    pub fn to_lanes(&self, rows: &[f64], n: usize, eight: Range<usize>, lanes: &mut Aligned) {
        lanes.resize(LANES * self.len());
        for ((shape, block), offset) in self.blocks(n).zip(&self.offsets) {
            let starts = starts(block.start, eight.start, shape.n_m * shape.n_q);
            to_lanes(rows, &starts[..eight.len()], shape, 0..shape.n_q, &mut lanes.lanes_mut()[*offset..]);
        }
    }

    /// The inverse of [`Layout::to_lanes`].
    pub fn to_rows(&self, lanes: &[Lanes], n: usize, eight: Range<usize>, rows: &mut [f64]) {
        for ((shape, block), offset) in self.blocks(n).zip(&self.offsets) {
            let starts = starts(block.start, eight.start, shape.n_m * shape.n_q);
            to_rows(&lanes[*offset..], shape, 0..shape.n_q, rows, &starts[..eight.len()]);
        }
    }
}

/// Buffers of eight centres.
#[derive(Debug, Default)]
pub(crate) struct Eight {
    pub c: Aligned,
    /// dc/dt, or dE/dc.
    pub of_c: Aligned,
    pub x: Aligned,
    /// dx/dt, or dE/dx.
    pub of_x: Aligned,
}

/// Where eight rows of this width begin, the first of them being number `row` of those from `start` on.
pub(crate) fn starts(start: usize, row: usize, width: usize) -> [usize; LANES] {
    std::array::from_fn(|k| start + (row + k) * width)
}

/// At most eight of n centres at a time.
pub(crate) fn eights(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(LANES).map(move |first| first..n.min(first + LANES))
}

/// Calls a function that is compiled for the number M of m of each small l; M = 0 stands for larger l.
macro_rules! for_l {
    ($l:expr, $function:ident, ($($argument:expr),*)) => {
        match $l {
            0 => $function::<1>($($argument),*),
            1 => $function::<3>($($argument),*),
            2 => $function::<5>($($argument),*),
            3 => $function::<7>($($argument),*),
            4 => $function::<9>($($argument),*),
            5 => $function::<11>($($argument),*),
            6 => $function::<13>($($argument),*),
            _ => $function::<0>($($argument),*),
        }
    };
}
pub(super) use for_l;

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
