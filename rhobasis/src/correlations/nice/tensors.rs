//! Equivariants of some degrees λ as a stage: what models of tensors are linear in, forth and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::ArrayView1;

use super::buffers::{Buffers, with_buffers};
use super::recipe::Recipe;
use crate::correlations::lanes::{Layout, eights};
use crate::correlations::weighted_sum::BySpecies;
use crate::density::BlockKey;
use crate::simd::{Aligned, LANES, Lanes, add_product};
use crate::{Error, Result};

/// Equivariants V of σ = +1 and some λ, of all orders ν, of coefficients.
#[derive(Debug)]
pub(crate) struct NiceTensors {
    recipe: Recipe,
    parts: Vec<Part>,
}

/// Those of one λ.
#[derive(Debug)]
struct Part {
    lambda: usize,
    /// Where the channels of each order begin in the state, and how many they are.
    orders: Vec<(usize, usize)>,
}

impl Part {
    fn n_m(&self) -> usize {
        2 * self.lambda + 1
    }

    /// Where the components of each channel begin in the state.
    fn channels(&self) -> impl Iterator<Item = usize> + Clone {
        let n_m = self.n_m();
        self.orders.iter().flat_map(move |&(start, n)| (0..n).map(move |channel| start + channel * n_m))
    }

    fn n_channels(&self) -> usize {
        self.orders.iter().map(|(_, n)| n).sum()
    }
}

impl NiceTensors {
    /// # Errors
    /// If there is no equivariant of a λ.
    pub(super) fn new(recipe: Recipe, lambdas: &[usize]) -> Result<Self> {
        let part = |&lambda: &usize| {
            let key = BlockKey::density(lambda);
            let place = |place: &super::recipe::Place| {
                let block = place.keys.iter().position(|other| *other == key)?;
                Some((place.starts[block], place.counts[block]))
            };
            Part { lambda, orders: recipe.places.iter().filter_map(place).collect() }
        };
        let parts: Vec<Part> = lambdas.iter().map(part).collect();
        if let Some(Part { lambda, .. }) = parts.iter().find(|part| part.n_channels() == 0) {
            let l_max = recipe.layout.keys.len().saturating_sub(1);
            let problem = format!("there is no equivariant of λ = {lambda} to make this tensor of");
            let remedy = format!("use a basis of l_max = {lambda} or more, and no smaller lambda_max");
            return Err(Error::setting("l_max", l_max, problem, remedy));
        }
        Ok(NiceTensors { recipe, parts })
    }

    /// How the coefficients stand.
    pub fn layout(&self) -> &Layout {
        &self.recipe.layout
    }

    /// Channels of each λ, all orders together, ν slowest.
    pub fn n_channels(&self) -> Vec<usize> {
        self.parts.iter().map(Part::n_channels).collect()
    }

    /// Components μ of all λ.
    pub fn n_components(&self) -> usize {
        self.parts.iter().map(Part::n_m).sum()
    }

    /// Numbers of a centre: for each λ `[μ, channel]`.
    pub fn n_numbers(&self) -> usize {
        self.parts.iter().map(|part| part.n_m() * part.n_channels()).sum()
    }

    /// V of n centres from their coefficients: rows `[center, (λ, μ, channel)]`, overwritten.
    pub fn rows(&self, n: usize, c: &[f64], rows: &mut [f64]) {
        let width = self.n_numbers();
        self.of_eights(n, c, |eight, state, _| {
            for (lane, row) in rows[eight.start * width..eight.end * width].chunks_exact_mut(width).enumerate() {
                let mut numbers = row.iter_mut();
                for part in &self.parts {
                    for mu in 0..part.n_m() {
                        part.channels().zip(&mut numbers).for_each(|(at, to)| *to = state[at + mu][lane]);
                    }
                }
            }
        });
    }

    /// Calls `job` for eight centres at a time, with their equivariants.
    fn of_eights(&self, n: usize, c: &[f64], mut job: impl FnMut(std::ops::Range<usize>, &[Lanes], &mut Rest)) {
        let mut lanes = Aligned::default();
        for eight in eights(n) {
            self.layout().to_lanes(c, n, eight.clone(), &mut lanes);
            with_buffers(|Buffers { state, moving, scratch, .. }| {
                let state = self.recipe.fill(lanes.lanes(), state, scratch);
                job(eight, state, &mut Rest { moving, scratch });
            });
        }
    }
}

/// Memory of a thread besides the equivariants.
struct Rest<'a> {
    moving: &'a mut Aligned,
    scratch: &'a mut super::recipe::Scratch,
}

/// Tensors of atoms that are linear in equivariants, and their derivatives:
///
/// ```text
/// t_{i,λμ} = Σ_k w^λ_{a_i,k} V^λ_{i,k,μ}
/// ```
#[derive(Debug)]
pub(crate) struct TensorSum {
    pub tensors: Arc<NiceTensors>,
    /// For each λ `[channel]`.
    weights: BySpecies,
}

impl TensorSum {
    /// Weights by species of centre: the channels of each λ, one λ after the other.
    pub fn new(tensors: Arc<NiceTensors>, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Self {
        TensorSum { tensors, weights: BySpecies::new(weights, |weights| weights.to_vec()) }
    }

    /// Whether centres of this species have weights.
    pub fn knows(&self, z: u8) -> bool {
        self.weights.knows(z)
    }

    /// t of centres of these species: rows `[center, (λ, μ)]`; and, if asked for, dt/dc of each component (λ, μ), one after the
    /// other, each in the layout of `c`. Both are overwritten. All species must be known.
    ///
    /// The adjoint is taken once for each component, from weights that were contracted before.
    pub fn evaluate(&self, species: &[u8], c: &[f64], rows: &mut [f64], mut gradients: Option<&mut [f64]>) {
        let (layout, n, width) = (self.tensors.layout(), species.len(), self.tensors.n_components());
        let mut weights = Aligned::zeros(self.tensors.n_channels().iter().sum::<usize>() * LANES);
        let mut of_c = Aligned::zeros(layout.len() * LANES);
        self.tensors.of_eights(n, c, |eight, state, Rest { moving, scratch }| {
            self.weights.to_lanes(&species[eight.clone()], weights.lanes_mut()).expect(KNOWN);
            for (column, (place, w)) in self.components(weights.lanes()).enumerate() {
                let mut sum = [0.0; LANES];
                place.clone().zip(w).for_each(|(at, w)| add_product(&mut sum, w, &state[at]));
                eight.clone().zip(sum).for_each(|(center, t)| rows[center * width + column] = t);
                let Some(gradients) = &mut gradients else { continue };
                moving.resize(state.len() * LANES);
                let grads = moving.lanes_mut();
                grads.fill([0.0; LANES]);
                place.zip(w).for_each(|(at, w)| grads[at] = *w);
                self.tensors.recipe.pull_back(state, grads, of_c.lanes_mut(), scratch);
                layout.to_rows(of_c.lanes(), n, eight.clone(), &mut gradients[column * c.len()..][..c.len()]);
            }
        });
    }

    /// For each component (λ, μ): where those of the channels stand in the state, and the weights of these.
    fn components<'a>(
        &'a self,
        weights: &'a [Lanes],
    ) -> impl Iterator<Item = (impl Iterator<Item = usize> + Clone, &'a [Lanes])> {
        let starts = self.tensors.n_channels().into_iter().scan(0, |end, n| {
            *end += n;
            Some(*end - n..*end)
        });
        self.tensors.parts.iter().zip(starts).flat_map(move |(part, own)| {
            let weights = &weights[own];
            (0..part.n_m()).map(move |mu| (part.channels().map(move |at| at + mu), weights))
        })
    }
}

const KNOWN: &str = "a caller has asked for the species";
