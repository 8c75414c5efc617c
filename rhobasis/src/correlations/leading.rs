//! Features of a part of the coefficients: of the leading channels, and up to some l.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1, s};

use super::correlation::{ChannelField, Correlation};
use super::lanes::Layout;
use super::sum_of_features::sum_of;
use super::weighted_sum::{Scratch, WeightedSum};
use crate::density::{BlockKey, Channel, groups};
use crate::simd::{Aligned, LANES, Lanes};
use crate::{Error, Result};

/// The leading channels of each neighbour species (of all together, in a combined basis) and of each l up to some.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Of all coefficients.
    whole: Layout,
    /// Of those of the part.
    own: Layout,
    /// What the channels of the part are.
    own_channels: Vec<Vec<Channel>>,
    /// For each l, which of all channels they are, ascending.
    channels: Vec<Vec<usize>>,
}

impl Part {
    /// None if this is everything.
    ///
    /// # Errors
    /// If it is more than there is.
    pub fn new(
        keys: &[BlockKey],
        channels: &[Vec<Channel>],
        q_max: Option<usize>,
        l_max: Option<usize>,
    ) -> Result<Option<Self>> {
        let whole = Layout::new(keys, channels);
        let last = whole.counts.len() - 1;
        if let Some(l_max) = l_max.filter(|&l_max| l_max > last) {
            let problem = format!("this basis ends at l_max = {last}");
            return Err(Error::setting("l_max", l_max, problem, format!("use at most {last}, or another basis")));
        }
        let n_l = l_max.unwrap_or(last) + 1;
        let most = channels[..n_l].iter().flat_map(|of_l| groups(of_l)).map(|group| group.channels.len()).max();
        let most = most.unwrap_or(0);
        if let Some(q_max) = q_max.filter(|&q_max| q_max > most || q_max == 0) {
            let problem = format!("this basis has {most} channels, and that is the most of any species and l");
            return Err(Error::setting("q_max", q_max, problem, format!("use 1 to {most}, or another basis")));
        }
        let leading = |of_l: &Vec<Channel>| -> Vec<usize> {
            groups(of_l).into_iter().flat_map(|group| group.channels.take(q_max.unwrap_or(most))).collect()
        };
        let leading: Vec<Vec<usize>> = channels[..n_l].iter().map(leading).collect();
        if n_l == whole.counts.len() && leading.iter().map(Vec::len).eq(whole.counts.iter().copied()) {
            return Ok(None);
        }
        let of_l = |(kept, of_l): (&Vec<usize>, &Vec<Channel>)| kept.iter().map(|&q| of_l[q]).collect();
        let own_channels: Vec<Vec<Channel>> = leading.iter().zip(channels).map(of_l).collect();
        let own = Layout::new(&keys[..n_l], &own_channels);
        Ok(Some(Part { whole, own, own_channels, channels: leading }))
    }

    /// Blocks of the part.
    pub fn keys(&self) -> &[BlockKey] {
        &self.own.keys
    }

    /// Channels of the part.
    pub fn channels(&self) -> &[Vec<Channel>] {
        &self.own_channels
    }

    /// Components `[l, α, β]` of all channels as those of the part.
    ///
    /// # Errors
    /// For one that is not of the part.
    pub fn components(&self, columns: &[[usize; 3]]) -> Result<Vec<[usize; 3]>> {
        let own = |(k, &[l, alpha, beta]): (usize, &[usize; 3])| {
            let of_l = self.channels.get(l);
            let place = |channel| of_l.and_then(|of_l| of_l.binary_search(&channel).ok());
            place(alpha).zip(place(beta)).map(|(alpha, beta)| [l, alpha, beta]).ok_or_else(|| {
                let shown = format!("[{l}, {alpha}, {beta}] (row {k})");
                let problem = "is not made of the channels that q_max and l_max leave";
                Error::setting("columns", shown, problem, "leave it out, or use a larger q_max or l_max")
            })
        };
        columns.iter().enumerate().map(own).collect()
    }

    /// Stretches of channels that follow each other, of each l: the first of them among all, and among those of the part; how many.
    fn stretches(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        self.channels.iter().enumerate().flat_map(|(l, channels)| {
            let mut own = 0;
            channels.chunk_by(|a, b| a + 1 == *b).map(move |stretch| {
                own += stretch.len();
                (l, stretch[0], own - stretch.len(), stretch.len())
            })
        })
    }

    /// Ranges of the coefficients of a centre as lanes have them, among all and among those of the part.
    fn of_lanes(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        self.stretches().map(|(l, whole, own, n)| {
            let n = self.own.keys[l].n_components() * n;
            let range = |first: usize| first..first + n;
            (range(self.whole.of_channel(l, whole)), range(self.own.of_channel(l, own)))
        })
    }

    /// Ranges of the coefficients of n centres in blocks `[center, m, channel]`, among all and among those of the part.
    fn of_rows(&self, n: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        self.stretches().flat_map(move |(l, whole, own, n_q)| {
            let range = move |layout: &Layout, first: usize, row: usize| {
                let start = n * layout.offsets[l] + row * layout.counts[l] + first;
                start..start + n_q
            };
            let n_rows = n * self.own.keys[l].n_components();
            (0..n_rows).map(move |row| (range(&self.whole, whole, row), range(&self.own, own, row)))
        })
    }

    /// The part of coefficients in lanes.
    fn take(&self, c: &[Lanes]) -> Aligned {
        let mut own = Aligned::zeros(LANES * self.own.len());
        self.of_lanes().for_each(|(from, to)| own.lanes_mut()[to].copy_from_slice(&c[from]));
        own
    }

    /// The part of coefficients `[center, (block, channel, m)]`.
    pub fn columns(&self, c: &Array2<f64>) -> Array2<f64> {
        let mut own = Array2::zeros((c.nrows(), self.own.len()));
        self.of_lanes().for_each(|(from, to)| own.slice_mut(s![.., to]).assign(&c.slice(s![.., from])));
        own
    }

    /// The channels of the part among ranges of channels.
    fn active(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        let own = |(channels, active): (&Vec<usize>, &Range<usize>)| {
            let before = |bound: usize| channels.partition_point(|&channel| channel < bound);
            before(active.start)..before(active.end)
        };
        self.channels.iter().zip(active).map(own).collect()
    }
}

/// A correlation of a part of the coefficients, as one of all.
#[derive(Debug)]
pub(crate) struct OfPart {
    pub part: Part,
    pub of: Arc<dyn Correlation>,
}

impl Correlation for OfPart {
    fn layout(&self) -> &Layout {
        &self.part.whole
    }

    fn n_features(&self) -> usize {
        self.of.n_features()
    }

    /// With channels counted among all.
    fn columns(&self) -> Array2<usize> {
        let mut columns = self.of.columns();
        for mut row in columns.rows_mut() {
            for field in self.of.channel_fields() {
                row[field.channel] = self.part.channels[row[field.l]][row[field.channel]];
            }
        }
        columns
    }

    fn channel_fields(&self) -> &'static [ChannelField] {
        self.of.channel_fields()
    }

    fn n_kept(&self) -> usize {
        self.of.n_kept()
    }

    fn forward(&self, c: &[Lanes], x: &mut [Lanes], kept: &mut [Lanes]) {
        self.of.forward(self.part.take(c).lanes(), x, kept);
    }

    fn backward(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], g: &mut [Lanes], grad_c: &mut [Lanes]) {
        let mut of_part = Aligned::zeros(LANES * self.part.own.len());
        self.of.backward(self.part.take(c).lanes(), x, kept, g, of_part.lanes_mut());
        grad_c.fill([0.0; LANES]);
        self.part.of_lanes().for_each(|(to, from)| grad_c[to].copy_from_slice(&of_part.lanes()[from]));
    }

    fn tangent(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
        self.of.tangent(self.part.take(c).lanes(), x, kept, self.part.take(c_dot).lanes(), x_dot);
    }

    fn reads_features(&self) -> bool {
        self.of.reads_features()
    }

    fn tangent_of_one(
        &self,
        c: &[f64],
        x: &[Lanes],
        kept: &[Lanes],
        c_dot: &[Lanes],
        active: &[Range<usize>],
        x_dot: &mut [Lanes],
    ) {
        let mut own = vec![0.0; self.part.own.len()];
        self.part.of_lanes().for_each(|(from, to)| own[to].copy_from_slice(&c[from]));
        let c_dot = self.part.take(c_dot);
        self.of.tangent_of_one(&own, x, kept, c_dot.lanes(), &self.part.active(active), x_dot);
    }

    fn touched(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        self.of.touched(&self.part.active(active))
    }

    fn weighted_sum(&self, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Option<Arc<dyn WeightedSum>> {
        Some(Arc::new(SumOfPart { part: self.part.clone(), of: sum_of(&self.of, weights) }))
    }
}

/// A sum of features of a part of the coefficients.
#[derive(Debug)]
struct SumOfPart {
    part: Part,
    of: Arc<dyn WeightedSum>,
}

impl WeightedSum for SumOfPart {
    fn knows(&self, z: u8) -> bool {
        self.of.knows(z)
    }

    fn evaluate(
        &self,
        species: &[u8],
        c: &[f64],
        grad_c: &mut [f64],
        energies: &mut [f64],
        scratch: &mut Scratch,
    ) -> Option<()> {
        let n = species.len();
        let [mut own, mut of_own] = [(); 2].map(|()| scratch.take(n * self.part.own.len()));
        self.part.of_rows(n).for_each(|(from, to)| own[to].copy_from_slice(&c[from]));
        let done = self.of.evaluate(species, &own, &mut of_own, energies, scratch);
        grad_c.fill(0.0);
        self.part.of_rows(n).for_each(|(to, from)| grad_c[to].copy_from_slice(&of_own[from]));
        scratch.give_back(own);
        scratch.give_back(of_own);
        done
    }
}
