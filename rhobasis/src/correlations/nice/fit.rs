//! Fitting the iteration, order by order: pairs, covariance of their products, choice.

use std::collections::BTreeMap;

use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use super::audit::{AuditRow, Norms, invariant_norm, norm, overlaps};
use super::choose::Kept;
use super::purify::Regression;
use super::recipe::{Factor, Made, Order, Place, Product, Products, Recipe, Scratch};
use super::settings::{Choice, NiceSelection, NiceSettings};
use crate::Result;
use crate::correlations::lanes::Layout;
use crate::density::{BlockKey, Channel};
use crate::linalg::add_gram_in_chunks;
use crate::simd::{Aligned, LANES, Lanes};

/// Eights of centres whose products are there at once.
const AT_ONCE: usize = 32;
/// Rows of products that one thread moves.
const ROWS: usize = 64;

/// An iteration that is being fitted.
pub(super) struct Fit {
    settings: NiceSettings,
    /// Coefficients of the sample.
    eights: Vec<Vec<Lanes>>,
    n_centers: usize,
    lambda_max: usize,
    recipe: Recipe,
    pub orders: Vec<Order>,
    pub audit: Vec<AuditRow>,
    /// By order, block and channel: mean squared norm over the sample, and the sum of n and l.
    variances: Vec<Vec<Vec<f64>>>,
    degrees: Vec<Vec<Vec<usize>>>,
}

/// A pair of channels of two orders.
struct Ranked {
    factors: [Factor; 2],
    scale: f64,
    /// The larger, the earlier.
    rank: f64,
}

/// Sums of squares of products over the sample; then their means.
#[derive(Default)]
struct Sums {
    /// Of all products of the whole density.
    full: f64,
    /// Of all products of what is left of the two orders.
    factors: f64,
    /// Of those with λ ≤ λ_max.
    up_to_lambda_max: f64,
    /// Of those that are looked at.
    candidates: f64,
    /// Of all invariant ones.
    invariants: f64,
}

impl Fit {
    /// `channels` are those of the density, `eights` the coefficients of the sample.
    ///
    /// # Errors
    /// If l_max is beyond the Clebsch–Gordan coefficients.
    pub fn new(
        settings: &NiceSettings,
        (layout, channels): (&Layout, &[Vec<Channel>]),
        (eights, n_centers): (Vec<Vec<Lanes>>, usize),
        unit: f64,
    ) -> Result<Self> {
        let l_max = layout.keys.iter().map(|key| key.lambda).max().unwrap_or(0);
        let lambda_max = settings.largest_lambda(l_max)?;
        let recipe = Recipe::new(layout, unit);
        let degree = |(key, channels): (&BlockKey, &Vec<Channel>)| -> Vec<usize> {
            channels.iter().map(|channel| channel.n + key.lambda).collect()
        };
        let degrees = vec![layout.keys.iter().zip(channels).map(degree).collect()];
        let variances = vec![first_variances(&recipe, &eights, n_centers)];
        let (orders, audit, settings) = (Vec::new(), Vec::new(), settings.clone());
        Ok(Fit { settings, eights, n_centers, lambda_max, recipe, orders, audit, variances, degrees })
    }

    /// Orders that are there, ν = 1 among them.
    pub fn done(&self) -> usize {
        1 + self.orders.len()
    }

    /// Adds an order that was fitted before.
    ///
    /// # Errors
    /// As [`Fit::new`].
    pub fn take(&mut self, order: Order, audit: AuditRow) -> Result<()> {
        self.recipe.push(&order)?;
        self.variances.push(order.equivariants.iter().map(|block| block.variances.clone()).collect());
        let degrees = |block: &Products| block.products.iter().map(|product| self.degree(order.of, product)).collect();
        let degrees = order.equivariants.iter().map(degrees).collect();
        self.degrees.push(degrees);
        self.orders.push(order);
        self.audit.push(audit);
        Ok(())
    }

    /// Fits the next order.
    ///
    /// # Errors
    /// As [`Fit::new`].
    pub fn next(&mut self) -> Result<()> {
        let nu = self.done() + 1;
        let of = self.settings.factors(nu);
        let pairs = self.pairs(of);
        let candidates =
            if self.settings.keeps_equivariants(nu) { self.equivariant_candidates(&pairs, of) } else { Vec::new() };
        let invariant_candidates = self.invariant_candidates(&pairs, of);
        let n_lower = if self.settings.purify { self.recipe.n_of_orders().iter().sum() } else { 0 };
        let (mut covariances, of_invariants, sums) =
            self.covariances(nu, of, &candidates, &invariant_candidates, n_lower)?;
        let mut equivariants = Vec::new();
        for ((key, products), covariance) in candidates.iter().zip(covariances.drain(..)) {
            let kept = self.kept(of, products, &covariance, self.settings.n_equivariants, false);
            equivariants.push(products_of(*key, products, kept));
        }
        let looked_at = of_invariants.diag().slice(s![n_lower..]).sum();
        let regression = (n_lower > 0).then(|| Regression::new(&of_invariants, n_lower));
        let of_invariants = regression.as_ref().map_or(&of_invariants, |regression| &regression.residual);
        let kept = match regression {
            Some(_) if invariant_candidates.len() <= self.settings.n_invariants => {
                Kept::not_explained(of_invariants.view())
            }
            _ => self.kept(of, &invariant_candidates, of_invariants, self.settings.n_invariants, self.settings.rotate),
        };
        let lower = regression.as_ref().map(|regression| regression.of_kept(&kept));
        let invariants = products_of(BlockKey::density(0), &invariant_candidates, kept);
        let total = |variances: &[f64]| variances.iter().sum::<f64>();
        let kept: f64 = equivariants.iter().map(|block| total(&block.variances)).sum();
        let kept_invariants = total(&invariants.variances);
        let mut row = AuditRow {
            nu,
            full: sums.full,
            inherited: sums.full - sums.factors,
            invariants: sums.invariants,
            invariants_choice: sums.invariants - looked_at,
            invariants_purified: if n_lower > 0 { looked_at - of_invariants.diag().sum() } else { 0.0 },
            invariants_contraction: of_invariants.diag().sum() - kept_invariants,
            invariants_kept: kept_invariants,
            ..AuditRow::default()
        };
        if self.settings.keeps_equivariants(nu) {
            row.lambda = sums.factors - sums.up_to_lambda_max;
            row.choice = sums.up_to_lambda_max - sums.candidates;
            row.contraction = sums.candidates - kept;
            row.kept = kept;
        }
        self.take(Order { nu, of, equivariants, invariants, lower }, row)
    }

    fn degree(&self, of: [usize; 2], product: &Product) -> usize {
        (0..2).map(|side| self.degrees[of[side] - 1][product.factors[side].block][product.factors[side].channel]).sum()
    }

    /// All pairs of channels, best first.
    fn pairs(&self, of: [usize; 2]) -> Vec<Ranked> {
        let importances = of.map(|nu| self.importances(nu));
        let same = of[0] == of[1];
        let channels = |side: usize| {
            let counts = self.recipe.places[of[side] - 1].counts.iter().enumerate();
            counts.flat_map(|(block, &n)| (0..n).map(move |channel| Factor { block, channel })).collect::<Vec<_>>()
        };
        let (first, second) = (channels(0), channels(1));
        let mut pairs = Vec::new();
        for &a in &first {
            for &b in second.iter().filter(|b| !same || a <= **b) {
                let square: f64 = if same && a != b { 2.0 } else { 1.0 };
                let of = |side: usize, f: Factor| importances[side][f.block][f.channel];
                let rank = match self.settings.choice {
                    Choice::Degree => of(0, a) + of(1, b),
                    _ => square * of(0, a) * of(1, b),
                };
                pairs.push(Ranked { factors: [a, b], scale: square.sqrt(), rank });
            }
        }
        pairs.sort_by(|x, y| y.rank.total_cmp(&x.rank)); // stable: equals by index
        pairs
    }

    fn importances(&self, nu: usize) -> Vec<Vec<f64>> {
        let variances = &self.variances[nu - 1];
        match self.settings.choice {
            Choice::Variance => variances.clone(),
            Choice::PerChannel => {
                let fractions = |block: &Vec<f64>| {
                    let total: f64 = block.iter().sum();
                    block.iter().map(|v| if total > 0.0 { v / total } else { 0.0 }).collect()
                };
                variances.iter().map(fractions).collect()
            }
            Choice::Degree => {
                let of_block = |block: &Vec<usize>| block.iter().map(|degree| -(*degree as f64)).collect();
                self.degrees[nu - 1].iter().map(of_block).collect()
            }
        }
    }

    /// Products of the best pairs of each parity, by σ and λ, as [`Products`] has them.
    fn equivariant_candidates(&self, pairs: &[Ranked], of: [usize; 2]) -> Vec<(BlockKey, Vec<Product>)> {
        let places = of.map(|nu| &self.recipe.places[nu - 1]);
        let keys = |pair: &Ranked| [0, 1].map(|side| places[side].keys[pair.factors[side].block]);
        let mut by_key: BTreeMap<(i8, usize), Vec<Product>> = BTreeMap::new();
        for even in [true, false] {
            let is_of =
                |pair: &&Ranked| keys(pair).iter().filter(|key| parity(**key) < 0).count() % 2 == usize::from(!even);
            for pair in pairs.iter().filter(is_of).take(self.settings.n_candidates) {
                let [a, b] = keys(pair);
                let same = of[0] == of[1] && pair.factors[0] == pair.factors[1];
                for lambda in a.lambda.abs_diff(b.lambda)..=self.lambda_max.min(a.lambda + b.lambda) {
                    let odd = (a.lambda + b.lambda + lambda) % 2 == 1;
                    if same && odd {
                        continue; // A × A = 0
                    }
                    let sigma = a.sigma * b.sigma * if odd { -1 } else { 1 };
                    let product = Product { factors: pair.factors, scale: pair.scale };
                    by_key.entry((-sigma, lambda)).or_default().push(product);
                }
            }
        }
        let of_key = |((sigma, lambda), mut products): ((i8, usize), Vec<Product>)| {
            sort(&mut products);
            (BlockKey { sigma: -sigma, lambda }, products)
        };
        by_key.into_iter().map(of_key).collect()
    }

    fn invariant_candidates(&self, pairs: &[Ranked], of: [usize; 2]) -> Vec<Product> {
        let places = of.map(|nu| &self.recipe.places[nu - 1]);
        let key = |pair: &Ranked, side: usize| places[side].keys[pair.factors[side].block];
        let matching = pairs.iter().filter(|pair| key(pair, 0) == key(pair, 1));
        let chosen = matching.take(self.settings.n_invariant_candidates);
        let mut products: Vec<Product> =
            chosen.map(|pair| Product { factors: pair.factors, scale: pair.scale }).collect();
        sort(&mut products);
        products
    }

    fn kept(&self, of: [usize; 2], products: &[Product], covariance: &Array2<f64>, n: usize, rotate: bool) -> Kept {
        if self.settings.choice == Choice::Degree && self.settings.selection == NiceSelection::Cholesky {
            let mut order: Vec<usize> = (0..products.len()).collect();
            order.sort_by_key(|&k| self.degree(of, &products[k]));
            order.truncate(n);
            return Kept::some(order, covariance.view());
        }
        Kept::choose(self.settings.selection, covariance.view(), n, rotate)
    }

    /// Covariances of the candidates of each (σ, λ), and of the invariants, with the `n_lower` features of lower orders before
    /// them: means over the sample.
    fn covariances(
        &mut self,
        nu: usize,
        of: [usize; 2],
        candidates: &[(BlockKey, Vec<Product>)],
        invariants: &[Product],
        n_lower: usize,
    ) -> Result<(Vec<Array2<f64>>, Array2<f64>, Sums)> {
        let made: Vec<Made> =
            candidates.iter().map(|(key, products)| self.recipe.made(*key, of, products)).collect::<Result<_>>()?;
        let dots = self.recipe.dots(of, invariants);
        let recipe = &self.recipe;
        let places = of.map(|nu| &recipe.places[nu - 1]);
        let norms = if candidates.is_empty() { None } else { Some(Norms::new(places[0], places[1], self.lambda_max)?) };
        let norms = norms.filter(Norms::cuts);
        let square = |n: usize| Array2::<f64>::zeros((n, n));
        let mut grams: Vec<Array2<f64>> = candidates.iter().map(|(_, products)| square(products.len())).collect();
        let mut of_invariants = square(n_lower + invariants.len());
        let mut sums = Sums::default();
        for eights in self.eights.chunks(AT_ONCE) {
            let states: Vec<Aligned> = eights
                .par_iter()
                .map(|c| {
                    let mut state = Aligned::default();
                    recipe.fill(c, &mut state, &mut Scratch::default());
                    state
                })
                .collect();
            for (made, gram) in made.iter().zip(&mut grams) {
                add_gram_of(&states, made.len(), gram, |state, out| made.products(state, out));
            }
            add_gram_of(&states, n_lower + dots.len(), &mut of_invariants, |state, out| {
                let (lower, own) = out.split_at_mut(n_lower);
                if n_lower > 0 {
                    recipe.features(state, lower);
                }
                dots.values(state, own);
            });
            for part in sums_of(nu, places, norms.as_ref(), &recipe.places[0], &states) {
                sums.full += part.full;
                sums.factors += part.factors;
                sums.up_to_lambda_max += part.up_to_lambda_max;
                sums.invariants += part.invariants;
            }
        }
        let n = self.n_centers.max(1) as f64;
        for gram in grams.iter_mut().chain([&mut of_invariants]) {
            complete(gram, 1.0 / n);
        }
        let sums = Sums {
            full: sums.full / n,
            factors: sums.factors / n,
            up_to_lambda_max: if norms.is_some() { sums.up_to_lambda_max } else { sums.factors } / n,
            candidates: grams.iter().map(|gram| gram.diag().sum()).sum(),
            invariants: sums.invariants / n,
        };
        Ok((grams, of_invariants, sums))
    }
}

/// σ (−1)^λ: what inversion multiplies with.
fn parity(key: BlockKey) -> i8 {
    key.sigma * if key.lambda.is_multiple_of(2) { 1 } else { -1 }
}

/// By first block, second block, first channel, second channel.
fn sort(products: &mut [Product]) {
    products.sort_by_key(|Product { factors: [a, b], .. }| (a.block, b.block, a.channel, b.channel));
}

fn products_of(key: BlockKey, candidates: &[Product], kept: Kept) -> Products {
    let Kept { products, scales, combinations, variances } = kept;
    let scaled = |(k, scale): (usize, f64)| Product { scale: candidates[k].scale * scale, ..candidates[k] };
    Products { key, products: products.into_iter().zip(scales).map(scaled).collect(), combinations, variances }
}

/// Mean squared norm of each channel of the density.
fn first_variances(recipe: &Recipe, eights: &[Vec<Lanes>], n_centers: usize) -> Vec<Vec<f64>> {
    let place = &recipe.places[0];
    let of_channel = |block: usize, channel: usize| {
        let start = place.of(Factor { block, channel });
        let components = start..start + place.keys[block].n_components();
        let squares = |c: &Vec<Lanes>| c[components.clone()].as_flattened().iter().map(|c| c * c).sum::<f64>();
        eights.iter().map(squares).sum::<f64>() * recipe.unit.powi(2) / n_centers.max(1) as f64
    };
    (0..place.keys.len()).map(|block| (0..place.counts[block]).map(|q| of_channel(block, q)).collect()).collect()
}

/// Adds Σ p pᵀ of products `[product, μ]` of eights of centres, to the lower triangle.
fn add_gram_of(states: &[Aligned], n: usize, gram: &mut Array2<f64>, make: impl Fn(&[Lanes], &mut [Lanes]) + Sync) {
    let n_products = gram.nrows();
    if n_products == 0 {
        return;
    }
    let of_eight = |state: &Aligned| {
        let mut products = Aligned::zeros(n * LANES);
        make(state.lanes(), products.lanes_mut());
        products
    };
    let products: Vec<Aligned> = states.par_iter().map(of_eight).collect();
    let width = n / n_products * LANES;
    let mut rows = Array2::zeros((n_products, width * states.len()));
    let chunks: Vec<_> = rows.axis_chunks_iter_mut(Axis(0), ROWS).enumerate().collect();
    chunks.into_par_iter().for_each(|(chunk, mut rows)| {
        for (k, mut row) in rows.axis_iter_mut(Axis(0)).enumerate() {
            let row = row.as_slice_mut().expect("rows are contiguous");
            for (to, products) in row.chunks_exact_mut(width).zip(&products) {
                to.copy_from_slice(&products[(chunk * ROWS + k) * width..][..width]);
            }
        }
    });
    add_gram_in_chunks(gram.view_mut(), rows.t());
}

/// The upper triangle from the lower one, all multiplied.
fn complete(gram: &mut Array2<f64>, factor: f64) {
    for i in 0..gram.nrows() {
        for j in 0..=i {
            let value = gram[[i, j]] * factor;
            gram[[i, j]] = value;
            gram[[j, i]] = value;
        }
    }
}

/// Sums for the account of order ν, one for each eight.
fn sums_of(nu: usize, places: [&Place; 2], norms: Option<&Norms>, density: &Place, states: &[Aligned]) -> Vec<Sums> {
    let of_eight = |state: &Aligned| {
        let state = state.lanes();
        let of_density = norm(density, &overlaps(density, state));
        let [a, b] = places.map(|place| overlaps(place, state));
        let (norm_a, norm_b) = (norm(places[0], &a), norm(places[1], &b));
        let sum = |lanes: Lanes| lanes.iter().sum::<f64>();
        Sums {
            full: sum(of_density.map(|norm| norm.powi(nu as i32))),
            factors: sum(std::array::from_fn(|k| norm_a[k] * norm_b[k])),
            up_to_lambda_max: norms.map_or(0.0, |norms| sum(norms.up_to_lambda_max(places, [&a, &b]))),
            invariants: sum(invariant_norm(places, [&a, &b])),
            candidates: 0.0,
        }
    };
    states.par_iter().map(of_eight).collect()
}
