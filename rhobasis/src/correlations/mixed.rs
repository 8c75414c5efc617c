//! Features of several kinds beside each other, of the same coefficients.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView1, s};

use super::correlation::{ChannelField, Correlation};
use super::lanes::Layout;
use super::sum_of_features::sum_of;
use super::weighted_sum::{Scratch, WeightedSum};
use crate::simd::{Aligned, LANES, Lanes};

/// The features of all members in a row, [`crate::correlations::Invariants::mixed`].
#[derive(Debug)]
pub(crate) struct Mixed(Vec<Member>);

/// A correlation, and which features and kept numbers are its own.
#[derive(Debug)]
struct Member {
    of: Arc<dyn Correlation>,
    features: Range<usize>,
    kept: Range<usize>,
}

impl Mixed {
    /// Of one correlation or more, all of the same coefficients.
    pub fn new(correlations: Vec<Arc<dyn Correlation>>) -> Self {
        let (mut n_features, mut n_kept) = (0, 0);
        let member = |of: Arc<dyn Correlation>| {
            let features = n_features..n_features + of.n_features();
            let kept = n_kept..n_kept + of.n_kept();
            (n_features, n_kept) = (features.end, kept.end);
            Member { of, features, kept }
        };
        Mixed(correlations.into_iter().map(member).collect())
    }
}

impl Member {
    /// What is its own of features and kept numbers, if derivatives want to know these.
    fn own<'a>(&self, x: &'a [Lanes], kept: &'a [Lanes]) -> (&'a [Lanes], &'a [Lanes]) {
        match self.of.reads_features() {
            true => (&x[self.features.clone()], &kept[self.kept.clone()]),
            false => (&[], &[]),
        }
    }
}

impl Correlation for Mixed {
    fn layout(&self) -> &Layout {
        self.0[0].of.layout()
    }

    fn n_features(&self) -> usize {
        self.0.last().map_or(0, |last| last.features.end)
    }

    /// The member, counted from 0, and its fields; those that other members have more are 0.
    fn columns(&self) -> Array2<usize> {
        let tables: Vec<Array2<usize>> = self.0.iter().map(|member| member.of.columns()).collect();
        let width = 1 + tables.iter().map(Array2::ncols).max().unwrap_or(0);
        let mut columns = Array2::zeros((self.n_features(), width));
        for (k, (member, table)) in self.0.iter().zip(&tables).enumerate() {
            let mut rows = columns.slice_mut(s![member.features.clone(), ..]);
            rows.column_mut(0).fill(k);
            rows.slice_mut(s![.., 1..=table.ncols()]).assign(table);
        }
        columns
    }

    /// None: what the fields are depends on the member.
    fn channel_fields(&self) -> &'static [ChannelField] {
        &[]
    }

    fn n_kept(&self) -> usize {
        self.0.last().map_or(0, |last| last.kept.end)
    }

    fn forward(&self, c: &[Lanes], x: &mut [Lanes], kept: &mut [Lanes]) {
        for member in &self.0 {
            member.of.forward(c, &mut x[member.features.clone()], &mut kept[member.kept.clone()]);
        }
    }

    fn backward(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], g: &mut [Lanes], grad_c: &mut [Lanes]) {
        grad_c.fill([0.0; LANES]);
        let mut of_member = Aligned::zeros(LANES * self.layout().len());
        for member in &self.0 {
            let (x, kept) = member.own(x, kept);
            member.of.backward(c, x, kept, &mut g[member.features.clone()], of_member.lanes_mut());
            add(grad_c.as_flattened_mut(), &of_member);
        }
    }

    fn tangent(&self, c: &[Lanes], x: &[Lanes], kept: &[Lanes], c_dot: &[Lanes], x_dot: &mut [Lanes]) {
        for member in &self.0 {
            let (x, kept) = member.own(x, kept);
            member.of.tangent(c, x, kept, c_dot, &mut x_dot[member.features.clone()]);
        }
    }

    fn reads_features(&self) -> bool {
        self.0.iter().any(|member| member.of.reads_features())
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
        for member in &self.0 {
            let (x, kept) = member.own(x, kept);
            member.of.tangent_of_one(c, x, kept, c_dot, active, &mut x_dot[member.features.clone()]);
        }
    }

    fn touched(&self, active: &[Range<usize>]) -> Vec<Range<usize>> {
        let of = |member: &Member| {
            let first = member.features.start;
            member.of.touched(active).into_iter().map(move |range| first + range.start..first + range.end)
        };
        self.0.iter().flat_map(of).collect()
    }

    fn weighted_sum(&self, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Option<Arc<dyn WeightedSum>> {
        let of = |member: &Member| {
            let own = weights.iter().map(|(&z, weights)| (z, weights.slice(s![member.features.clone()])));
            sum_of(&member.of, &own.collect())
        };
        Some(Arc::new(SumOfMembers(self.0.iter().map(of).collect())))
    }
}

/// The sum over all members, each in its own way.
#[derive(Debug)]
struct SumOfMembers(Vec<Arc<dyn WeightedSum>>);

impl WeightedSum for SumOfMembers {
    fn knows(&self, z: u8) -> bool {
        self.0.iter().all(|of_member| of_member.knows(z))
    }

    fn evaluate(
        &self,
        species: &[u8],
        c: &[f64],
        grad_c: &mut [f64],
        energies: &mut [f64],
        scratch: &mut Scratch,
    ) -> Option<()> {
        let (first, others) = self.0.split_first()?;
        first.evaluate(species, c, grad_c, energies, scratch)?;
        let [mut grad_c_of, mut energies_of] = [grad_c.len(), energies.len()].map(|n| scratch.take(n));
        let done = others.iter().try_for_each(|of_member| {
            of_member.evaluate(species, c, &mut grad_c_of, &mut energies_of, scratch)?;
            add(grad_c, &grad_c_of);
            add(energies, &energies_of);
            Some(())
        });
        scratch.give_back(grad_c_of);
        scratch.give_back(energies_of);
        done
    }
}

fn add(sum: &mut [f64], more: &[f64]) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}
