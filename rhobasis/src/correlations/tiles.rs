//! Derivatives of the whole power spectrum of one centre, in three directions at a time: columns in vector lanes.
//!
//! The channels β of each l lie in tiles of eight, `[tile][m][lane]`, aligned to the **last** channel: only the first tile may
//! hold less. Columns are written from the last to the first, whole tiles at a time: what the tile on the diagonal writes too
//! much, zeros on its left, belongs to columns that come later.

use std::ops::Range;

use multiversion::multiversion;

use super::lanes::{Layout, for_l};
use crate::simd::{LANES, Lanes};

/// Coefficients of one centre, or their derivative, in tiles, l slowest.
#[derive(Debug, Default)]
pub(crate) struct Tiles(Vec<Lanes>);

impl Tiles {
    pub fn zeros(layout: &Layout) -> Self {
        let of_l = |(l, n): (usize, &usize)| (2 * l + 1) * n.div_ceil(LANES);
        Tiles(vec![[0.0; LANES]; layout.counts.iter().enumerate().map(of_l).sum()])
    }

    pub fn clear(&mut self) {
        self.0.fill([0.0; LANES]);
    }

    /// Takes some channels of blocks `[m, channel]`.
    pub fn set<'a>(
        &mut self,
        layout: &Layout,
        blocks: impl Iterator<Item = &'a [f64]>,
        channels: impl Iterator<Item = Range<usize>>,
    ) {
        let mut tiles = self.0.as_flattened_mut();
        for ((l, &n), (block, channels)) in layout.counts.iter().enumerate().zip(blocks.zip(channels)) {
            let (n_m, pad) = (2 * l + 1, padding(n));
            for m in 0..n_m {
                let row = &block[m * n..][..n];
                let mut q = channels.start;
                while q < channels.end {
                    let (tile, lane) = ((q + pad) / LANES, (q + pad) % LANES);
                    let take = (LANES - lane).min(channels.end - q);
                    let to = &mut tiles[(tile * n_m + m) * LANES + lane..][..take];
                    match <&mut Lanes>::try_from(&mut *to) {
                        Ok(to) => to.copy_from_slice(&row[q..][..LANES]),
                        Err(_) => to.copy_from_slice(&row[q..][..take]),
                    }
                    q += take;
                }
            }
            tiles = &mut tiles[n_m * n.div_ceil(LANES) * LANES..];
        }
    }
}

/// Lanes of the first tile that hold no channel.
fn padding(n: usize) -> usize {
    n.next_multiple_of(LANES) - n
}

/// Directions computed together: what they share is loaded once.
pub(crate) const DIRECTIONS: usize = 3;

/// x_dot/dt of one centre in three directions, given c and c_dot/dt, where no channels but `active` (a range for each l) have
/// c_dot ≠ 0: three rows, one after the other.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma+bmi1+bmi2",
    "x86_64+avx2+fma+bmi1+bmi2",
    "aarch64+neon"
))]
pub(crate) fn tangent_rows(
    layout: &Layout,
    c: &Tiles,
    c_dot: &[Tiles; DIRECTIONS],
    active: &[Range<usize>],
    x_dot: &mut [f64],
) {
    if active.iter().zip(&layout.counts).any(|(active, &n)| *active != (0..n)) {
        x_dot.fill(0.0);
    }
    let width = x_dot.len() / DIRECTIONS;
    let (x, rest) = x_dot.split_at_mut(width);
    let (y, z) = rest.split_at_mut(width);
    let mut x_dot = [x, y, z];
    let (mut start, mut tiles) = (width, c.0.len());
    for (l, &n) in layout.counts.iter().enumerate().rev() {
        let first_tile = tiles - (2 * l + 1) * n.div_ceil(LANES);
        let [x, y, z] = c_dot;
        let c_dot = [&x.0[first_tile..tiles], &y.0[first_tile..tiles], &z.0[first_tile..tiles]];
        start -= n * (n + 1) / 2;
        let columns = Columns { l, n, pad: padding(n), start, c: &c.0[first_tile..tiles], c_dot };
        for_l!(l, of_l, (&columns, active[l].clone(), &mut x_dot));
        tiles = first_tile;
    }
}

/// The columns of one l.
struct Columns<'a> {
    l: usize,
    /// Channels.
    n: usize,
    pad: usize,
    /// First column.
    start: usize,
    c: &'a [Lanes],
    c_dot: [&'a [Lanes]; DIRECTIONS],
}

impl Columns<'_> {
    /// Where the columns (α, β) with β in this tile end.
    #[inline(always)]
    fn end(&self, alpha: usize, tile: usize) -> usize {
        self.start + alpha * (2 * self.n - alpha + 1) / 2 + (tile + 1) * LANES - self.pad - alpha
    }

    /// The channels of a tile.
    fn channels(&self, tile: usize) -> Range<usize> {
        (tile * LANES).saturating_sub(self.pad)..(tile + 1) * LANES - self.pad
    }
}

#[inline(always)]
fn of_l<const M: usize>(columns: &Columns, active: Range<usize>, x_dot: &mut [&mut [f64]; DIRECTIONS]) {
    let n_tiles = columns.n.div_ceil(LANES);
    // α in the tile of β first: of these, what stands to the left of the diagonal is not wanted.
    for part in [true, false] {
        for tile in (0..n_tiles).rev() {
            let channels = columns.channels(tile);
            let alphas = if part { channels.clone() } else { 0..channels.start };
            let second = active.start < channels.end && channels.start < active.end;
            let clip = |x: usize| x.clamp(alphas.start, alphas.end);
            let (a, b) = (clip(active.start), clip(active.end));
            // From the last to the first.
            for (alphas, first) in [(b..alphas.end, false), (a..b, true), (alphas.start..a, false)] {
                match (first, second) {
                    (true, true) => some_columns::<M, true, true>(columns, alphas, tile, x_dot),
                    (true, false) => some_columns::<M, true, false>(columns, alphas, tile, x_dot),
                    (false, true) => some_columns::<M, false, true>(columns, alphas, tile, x_dot),
                    (false, false) => {} // zero already
                }
            }
        }
    }
}

/// Columns (α, β) for some α and the β of a tile: da b where α changes, a db where β may.
#[inline(always)]
fn some_columns<const M: usize, const FIRST: bool, const SECOND: bool>(
    columns: &Columns,
    alphas: Range<usize>,
    tile: usize,
    x_dot: &mut [&mut [f64]; DIRECTIONS],
) {
    let n_m = if M > 0 { M } else { 2 * columns.l + 1 };
    let b = &columns.c[tile * n_m..][..n_m];
    let [x, y, z] = columns.c_dot;
    let db = [&x[tile * n_m..][..n_m], &y[tile * n_m..][..n_m], &z[tile * n_m..][..n_m]];
    let factor = (2.0 / (2 * columns.l + 1) as f64).sqrt();
    for alpha in alphas.rev() {
        let (own_tile, lane) = ((alpha + columns.pad) / LANES, (alpha + columns.pad) % LANES);
        let own = own_tile * n_m..(own_tile + 1) * n_m;
        let a = &columns.c[own.clone()];
        let da = [&x[own.clone()], &y[own.clone()], &z[own]];
        let mut sums = [[0.0; LANES]; DIRECTIONS];
        for m in 0..n_m {
            for d in 0..DIRECTIONS {
                for k in 0..LANES {
                    if FIRST {
                        sums[d][k] = da[d][m][lane].mul_add(b[m][k], sums[d][k]);
                    }
                    if SECOND {
                        sums[d][k] = a[m][lane].mul_add(db[d][m][k], sums[d][k]);
                    }
                }
            }
        }
        let scale = if tile == own_tile { &ON_DIAGONAL[lane] } else { &[1.0; LANES] };
        let end = columns.end(alpha, tile);
        for (x_dot, sum) in x_dot.iter_mut().zip(sums) {
            let values: Lanes = std::array::from_fn(|k| sum[k] * (factor * scale[k]));
            match x_dot[..end].last_chunk_mut::<LANES>() {
                Some(to) => *to = values,
                None => put_last(&mut x_dot[..end], values),
            }
        }
    }
}

/// In the tile of α: nothing left of its lane, and there, where β = α, half the square of the √2 of the others.
const ON_DIAGONAL: [Lanes; LANES] = {
    let mut scales = [[0.0; LANES]; LANES];
    let mut lane = 0;
    while lane < LANES {
        scales[lane][lane] = std::f64::consts::FRAC_1_SQRT_2;
        let mut right = lane + 1;
        while right < LANES {
            scales[lane][right] = 1.0;
            right += 1;
        }
        lane += 1;
    }
    scales
};

/// Writes the last of the values, as many as there is room for.
#[cold]
#[inline(never)]
fn put_last(x_dot: &mut [f64], values: Lanes) {
    x_dot.iter_mut().rev().zip(values.iter().rev()).for_each(|(to, value)| *to = *value);
}
