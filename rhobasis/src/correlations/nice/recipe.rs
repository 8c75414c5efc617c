//! Which products make up each order, and their evaluation for eight centres at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::dots::Dots;
use super::products::{Coupled, Pair};
use super::purify::subtract;
use crate::Result;
use crate::correlations::combinations::Matrix;
use crate::correlations::lanes::Layout;
use crate::density::BlockKey;
use crate::linalg::set_product;
use crate::simd::{Aligned, LANES, Lanes};

/// A channel of a block of one order, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor {
    /// Which block of its order.
    pub block: usize,
    /// Which of its channels.
    pub channel: usize,
}

/// scale · (A ⊗ B)_λ of two equivariants, Eq. (16).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Product {
    /// A and B.
    pub factors: [Factor; 2],
    /// √2 where A and B are of the same order and differ, and what the choice has made of it.
    pub scale: f64,
}

/// Products of one order and (σ, λ), by λ, then first block, second block; or what is combined of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Products {
    /// σ and λ.
    pub key: BlockKey,
    /// The products.
    pub products: Vec<Product>,
    /// `[product, channel]`: what is kept are these combinations; the products themselves if there are none.
    pub combinations: Option<Array2<f64>>,
    /// Mean squared norm of each channel over the sample.
    pub variances: Vec<f64>,
}

impl Products {
    /// What is kept.
    pub fn n_channels(&self) -> usize {
        self.combinations.as_ref().map_or(self.products.len(), |u| u.ncols())
    }
}

/// One order ν.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// ν.
    pub nu: usize,
    /// The orders of the two factors.
    pub of: [usize; 2],
    /// The equivariants that higher orders are made of; none of the last order.
    pub equivariants: Vec<Products>,
    /// The invariants, which are features.
    pub invariants: Products,
    /// B, where Bᵀy of the features y of all lower orders is subtracted from them: `[lower, own]`.
    pub lower: Option<Array2<f64>>,
}

/// Where the equivariants of one order stand among lanes.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub keys: Vec<BlockKey>,
    pub counts: Vec<usize>,
    pub starts: Vec<usize>,
    pub end: usize,
}

impl Place {
    pub fn new(blocks: impl Iterator<Item = (BlockKey, usize)>, start: usize) -> Self {
        let mut place = Place { keys: Vec::new(), counts: Vec::new(), starts: Vec::new(), end: start };
        for (key, count) in blocks {
            place.keys.push(key);
            place.counts.push(count);
            place.starts.push(place.end);
            place.end += count * key.n_components();
        }
        place
    }

    /// First component of a channel.
    pub fn of(&self, factor: Factor) -> usize {
        self.starts[factor.block] + factor.channel * self.keys[factor.block].n_components()
    }

    pub fn start(&self) -> usize {
        self.starts.first().copied().unwrap_or(self.end)
    }
}

/// The products of one (σ, λ) that are made of the same two blocks.
#[derive(Debug, Clone)]
pub(super) struct Family {
    coupled: Arc<Coupled>,
    pairs: Vec<Pair>,
}

/// Products of a block, ready to be computed.
#[derive(Debug, Clone)]
pub(super) struct Made {
    n_m: usize,
    n: usize,
    families: Vec<Family>,
    combinations: Option<Array2<f64>>,
    start: usize,
}

/// All orders, ready to be computed: coefficients of eight centres to equivariants ('state': order after order, block after
/// block, channel after channel) to invariants.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub layout: Layout,
    /// By order, from ν = 1 on; without channels where an order is made of invariants alone.
    pub places: Vec<Place>,
    /// Equivariants of ν = 2, 3 …
    made: Vec<Vec<Made>>,
    /// Invariants of ν = 2, 3 …, and their combinations.
    pub dots: Vec<Dots>,
    pub rotations: Vec<Option<Matrix>>,
    /// What is subtracted of lower orders.
    pub lower: Vec<Option<Matrix>>,
    /// What coefficients are multiplied with.
    pub unit: f64,
    coupled: BTreeMap<[usize; 3], Arc<Coupled>>,
}

impl Recipe {
    pub fn new(layout: &Layout, unit: f64) -> Self {
        let blocks = layout.keys.iter().copied().zip(layout.counts.iter().copied());
        Recipe {
            layout: layout.clone(),
            places: vec![Place::new(blocks, 0)],
            made: Vec::new(),
            dots: Vec::new(),
            rotations: Vec::new(),
            lower: Vec::new(),
            unit,
            coupled: BTreeMap::new(),
        }
    }

    /// Adds the next order.
    ///
    /// # Errors
    /// If l is beyond the Clebsch–Gordan coefficients.
    pub fn push(&mut self, order: &Order) -> Result<()> {
        let blocks = order.equivariants.iter().map(|block| (block.key, block.n_channels()));
        let place = Place::new(blocks, self.places[self.places.len() - 1].end);
        let mut made = Vec::new();
        for (block, &start) in order.equivariants.iter().zip(&place.starts) {
            let mut of_block = self.made(block.key, order.of, &block.products)?;
            (of_block.combinations, of_block.start) = (block.combinations.clone(), start);
            made.push(of_block);
        }
        self.dots.push(self.dots(order.of, &order.invariants.products));
        self.rotations.push(order.invariants.combinations.as_ref().map(|v| Matrix::new(v.view())));
        self.lower.push(order.lower.as_ref().map(|b| Matrix::new(b.view())));
        self.places.push(place);
        self.made.push(made);
        Ok(())
    }

    /// Features of each order: coefficients of l = 0, and the invariants of ν = 2, 3, …
    pub fn n_of_orders(&self) -> Vec<usize> {
        let first = self.layout.counts.first().copied().unwrap_or(0);
        let made = self.dots.iter().zip(&self.rotations);
        let made = made.map(|(dots, rotation)| rotation.as_ref().map_or(dots.len(), Matrix::n_out));
        std::iter::once(first).chain(made).collect()
    }

    /// All features of eight centres.
    pub fn features(&self, state: &[Lanes], x: &mut [Lanes]) {
        let counts = self.n_of_orders();
        x[..counts[0]].copy_from_slice(&state[..counts[0]]);
        let mut done = counts[0];
        for (k, &n) in counts[1..].iter().enumerate() {
            let (before, own) = x[..done + n].split_at_mut(done);
            match &self.rotations[k] {
                None => self.dots[k].values(state, own),
                Some(rotation) => {
                    let mut z = vec![[0.0; LANES]; self.dots[k].len()];
                    self.dots[k].values(state, &mut z);
                    rotation.forward_lanes(&z, own);
                }
            }
            if let Some(b) = &self.lower[k] {
                subtract(b, before, own);
            }
            done += n;
        }
    }

    /// Products ready to be computed; those of the same two blocks follow each other.
    pub fn made(&mut self, key: BlockKey, of: [usize; 2], products: &[Product]) -> Result<Made> {
        let mut families = Vec::new();
        for same in products.chunk_by(|p, q| p.factors.map(|f| f.block) == q.factors.map(|f| f.block)) {
            let lambda = |side: usize| self.places[of[side] - 1].keys[same[0].factors[side].block].lambda;
            let ls = [lambda(0), lambda(1), key.lambda];
            let coupled = match self.coupled.get(&ls) {
                Some(known) => known.clone(),
                None => Arc::new(Coupled::new(ls[0], ls[1], ls[2])?),
            };
            self.coupled.insert(ls, coupled.clone());
            let pairs = same.iter().map(|product| self.pair(of, product)).collect();
            families.push(Family { coupled, pairs });
        }
        Ok(Made { n_m: key.n_components(), n: products.len(), families, combinations: None, start: 0 })
    }

    /// The same for products of λ = 0.
    pub fn dots(&self, of: [usize; 2], products: &[Product]) -> Dots {
        let lambda = |product: &Product| self.places[of[0] - 1].keys[product.factors[0].block].lambda;
        Dots::new(products.iter().map(|product| (lambda(product), self.pair(of, product))))
    }

    fn pair(&self, of: [usize; 2], product: &Product) -> Pair {
        let [first, second] = [0, 1].map(|side| self.places[of[side] - 1].of(product.factors[side]));
        Pair { first, second, scale: product.scale }
    }

    /// Numbers of a centre in all orders.
    pub fn n_state(&self) -> usize {
        self.places[self.places.len() - 1].end
    }

    /// Equivariants of all orders of eight centres, from coefficients.
    pub fn fill<'s>(&self, c: &[Lanes], state: &'s mut Aligned, scratch: &mut Scratch) -> &'s [Lanes] {
        state.resize(self.n_state() * LANES);
        let state = state.lanes_mut();
        for (to, c) in state.iter_mut().zip(c) {
            *to = c.map(|c| c * self.unit);
        }
        for (place, made) in self.places[1..].iter().zip(&self.made) {
            let (before, own) = state.split_at_mut(place.start());
            made.iter().for_each(|block| block.fill(before, &mut own[block.start - place.start()..], scratch));
        }
        state
    }

    /// The rates at which they change; `c_dot` as `c`.
    pub fn rates<'s>(
        &self,
        state: &[Lanes],
        c_dot: &[Lanes],
        rates: &'s mut Aligned,
        scratch: &mut Scratch,
    ) -> &'s [Lanes] {
        rates.resize(self.n_state() * LANES);
        let rates = rates.lanes_mut();
        for (to, c) in rates.iter_mut().zip(c_dot) {
            *to = c.map(|c| c * self.unit);
        }
        for (place, made) in self.places[1..].iter().zip(&self.made) {
            let (before, own) = rates.split_at_mut(place.start());
            made.iter().for_each(|block| block.rates(state, before, &mut own[block.start - place.start()..], scratch));
        }
        rates
    }

    /// dE/dc, given dE/d(state) of what invariants have seen, which is completed on the way.
    pub fn pull_back(&self, state: &[Lanes], grads: &mut [Lanes], grad_c: &mut [Lanes], scratch: &mut Scratch) {
        for (place, made) in self.places[1..].iter().zip(&self.made).rev() {
            let (before, own) = grads.split_at_mut(place.start());
            made.iter().for_each(|block| block.pull_back(state, before, &own[block.start - place.start()..], scratch));
        }
        for (grad_c, grad) in grad_c.iter_mut().zip(grads) {
            *grad_c = grad.map(|grad| grad * self.unit);
        }
    }
}

/// Buffers of products that are combined.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    products: Aligned,
}

impl Made {
    /// Products, `[product, μ]`.
    pub fn products(&self, state: &[Lanes], out: &mut [Lanes]) {
        let mut first = 0;
        for family in &self.families {
            let end = first + family.pairs.len() * self.n_m;
            family.coupled.products(&family.pairs, state, state, &mut out[first..end]);
            first = end;
        }
    }

    pub fn len(&self) -> usize {
        self.n * self.n_m
    }

    fn fill(&self, before: &[Lanes], own: &mut [Lanes], scratch: &mut Scratch) {
        let Some(u) = &self.combinations else { return self.products(before, own) };
        scratch.products.resize(self.len() * LANES);
        self.products(before, scratch.products.lanes_mut());
        let products = self.matrix(&scratch.products, self.n);
        set_product(self.matrix_mut(own.as_flattened_mut(), u.ncols()), u.t(), products);
    }

    fn rates(&self, state: &[Lanes], before: &[Lanes], own: &mut [Lanes], scratch: &mut Scratch) {
        scratch.products.resize(self.len() * LANES);
        let out = match self.combinations {
            Some(_) => scratch.products.lanes_mut(),
            None => &mut *own,
        };
        let mut first = 0;
        for family in &self.families {
            let end = first + family.pairs.len() * self.n_m;
            family.coupled.rates(&family.pairs, [state; 2], [before; 2], &mut out[first..end]);
            first = end;
        }
        if let Some(u) = &self.combinations {
            let products = self.matrix(&scratch.products, self.n);
            set_product(self.matrix_mut(own.as_flattened_mut(), u.ncols()), u.t(), products);
        }
    }

    fn pull_back(&self, state: &[Lanes], before: &mut [Lanes], own: &[Lanes], scratch: &mut Scratch) {
        let grads = match &self.combinations {
            None => own,
            Some(u) => {
                scratch.products.resize(self.len() * LANES);
                let own = self.matrix(own.as_flattened(), u.ncols());
                set_product(self.matrix_mut(&mut scratch.products, self.n), u.view(), own);
                scratch.products.lanes()
            }
        };
        let mut first = 0;
        for family in &self.families {
            let end = first + family.pairs.len() * self.n_m;
            family.coupled.pull_back(&family.pairs, [state; 2], &grads[first..end], before);
            first = end;
        }
    }

    /// `[channel, (μ, lane)]`.
    fn matrix<'a>(&self, lanes: &'a [f64], n: usize) -> ArrayView2<'a, f64> {
        let width = self.n_m * LANES;
        ArrayView2::from_shape((n, width), &lanes[..n * width]).expect("as long as the shape says")
    }

    fn matrix_mut<'a>(&self, lanes: &'a mut [f64], n: usize) -> ArrayViewMut2<'a, f64> {
        let width = self.n_m * LANES;
        ArrayViewMut2::from_shape((n, width), &mut lanes[..n * width]).expect("as long as the shape says")
    }
}
