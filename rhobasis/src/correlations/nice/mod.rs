//! N-body iteration of contracted equivariants (NICE): Eqs. (16), (17), order by order, with what is kept chosen by data.

mod audit;
mod buffers;
mod by_species;
mod checkpoint;
mod choose;
mod dots;
mod file;
mod fit;
mod needed;
mod origin;
mod products;
mod purify;
mod recipe;
mod run;
mod sample;
mod sample_file;
mod settings;
mod stage;
mod sum;
mod tensors;

use std::collections::BTreeMap;

use ndarray::{Array2, s};

pub use audit::AuditRow;
pub use checkpoint::remove_nice_checkpoint;
use needed::needed_for;
use recipe::{Order, Place, Products, Recipe, Scratch};
pub use run::NiceFit;
pub use sample::NiceSample;
pub use settings::{Choice, NiceSelection, NiceSettings, Sequence, Split};
use stage::NiceFeatures;
pub(crate) use tensors::{NiceTensors, TensorSum};

use super::combinations::{Block, Matrix};
use super::lanes::{Layout, eights};
use crate::density::{BlockKey, Channel, Equivariants, SphericalExpansion};
use crate::simd::Aligned;
use crate::structure::{Structure, symbol};
use crate::{Error, Result};

/// Products of the density with itself, order by order, of which what matters for a data set is kept.
///
/// ```text
/// |ρ^ν; σλμ⟩ = Σ_{m m'} ⟨l m; l' m'|λ μ⟩ |ρ^a; s l m⟩ |ρ^b; s' l' m'⟩,   ν = a + b,   σ = s s' (−1)^(l + l' + λ)        Eq. (16)
/// ```
///
/// Of all pairs of channels of the orders a and b those with the largest variances are looked at; of their products some are
/// kept for the next order (for each σ and λ), and some of the invariant ones (σ = 1, λ = 0) are features. See
/// [`NiceSettings`] for what is kept, and [`Nice::audit`] for what was lost.
///
/// ```
/// use rhobasis::correlations::{Invariants, Nice, NiceSample, NiceSettings};
/// use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
/// use rhobasis::Structure;
///
/// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 3 }, l_max: 2, ..Default::default() };
/// let expansion = SphericalExpansion::new(&settings, &[1, 8])?;
/// let water = |x: f64| Structure::molecule(vec![8, 1, 1], vec![[0.0; 3], [x, 0.59, 0.0], [-0.76, 0.59, 0.0]]);
/// let structures: Vec<_> = (0..20).map(|k| water(0.7 + 0.01 * k as f64)).collect();
///
/// let settings = NiceSettings { nu_max: 4, n_equivariants: 20, n_invariants: 30, ..Default::default() };
/// let mut sample = NiceSample::new(&expansion, settings.n_centers)?;
/// sample.add(&structures)?; // any number of times
/// let nice = Nice::fit(&settings, &sample)?;
/// let x = Invariants::nice(&expansion, &nice, false)?.forward(&structures)?;
/// assert_eq!(x.nrows(), 60);
/// for row in nice.audit() {
///     let parts = row.inherited + row.lambda + row.choice + row.contraction + row.kept;
///     assert!(row.nu == 4 || (parts - row.full).abs() < 1e-10 * row.full); // the last order has invariants alone
/// }
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Nice {
    settings: NiceSettings,
    keys: Vec<BlockKey>,
    channels: Vec<Vec<Channel>>,
    /// What coefficients are multiplied with.
    unit: f64,
    orders: Vec<Order>,
    audit: Vec<AuditRow>,
    /// Atoms of the sample.
    n_centers: usize,
    /// Those of centres of each species, where they do not share this one, which then is empty.
    of_species: BTreeMap<u8, Nice>,
}

impl Nice {
    /// How it was built.
    pub fn settings(&self) -> &NiceSettings {
        &self.settings
    }

    /// What each order from 2 on holds and has lost; nothing where there are [`Nice::sequences`] of each species.
    pub fn audit(&self) -> &[AuditRow] {
        &self.audit
    }

    /// Atoms of the sample.
    pub fn n_centers(&self) -> usize {
        self.n_centers
    }

    /// Variances of the features of each order from 2 on, over the sample; as for [`Nice::audit`].
    pub fn variances(&self) -> Vec<&[f64]> {
        self.orders.iter().map(|order| &order.invariants.variances[..]).collect()
    }

    /// Multiplications and additions that the combinations of products of one centre take, features rotated: nearly all of the work
    /// where principal components are kept ([`NiceSelection::Pca`]).
    pub fn contraction_flops(&self) -> usize {
        let flops = |products: &Products| {
            let combined = products.combinations.as_ref().map_or(0, |u| u.len());
            2 * combined * products.key.n_components()
        };
        let of_order = |order: &Order| order.equivariants.iter().chain([&order.invariants]).map(flops).sum::<usize>();
        self.orders.iter().map(of_order).sum()
    }

    /// Whether centres of each species have a sequence of their own.
    pub fn is_per_species(&self) -> bool {
        !self.of_species.is_empty()
    }

    /// The sequence of all centres (`None`), or those of each species, ascending; each is NICE of its own, with its account.
    pub fn sequences(&self) -> Vec<(Option<u8>, &Nice)> {
        match self.is_per_species() {
            false => vec![(None, self)],
            true => self.of_species.iter().map(|(&z, nice)| (Some(z), nice)).collect(),
        }
    }

    /// The sequence of centres of a species.
    ///
    /// # Errors
    /// If there was no such atom when it was fitted.
    pub(super) fn around(&self, z: u8) -> Result<&Nice> {
        if !self.is_per_species() {
            return Ok(self);
        }
        self.of_species.get(&z).ok_or_else(|| {
            let known: Vec<&str> = self.of_species.keys().map(|&z| symbol(z)).collect();
            let problem = format!("products were chosen for centres of {} only", known.join(", "));
            Error::setting("species", symbol(z), problem, "fit NICE to data that have it, or share one sequence")
        })
    }

    /// Equivariants of order ν of all atoms, blocks (σ, λ), of the coefficients it was fitted to. Where each species has a sequence of
    /// its own, channels are those of the species of the centre, and zeros complete them to the largest number.
    ///
    /// # Errors
    /// As [`SphericalExpansion::forward`], for an expansion of other channels, for a species without a sequence, and for an order
    /// of which only invariants are kept.
    pub fn equivariants(
        &self,
        expansion: &SphericalExpansion,
        nu: usize,
        structures: &[Structure],
    ) -> Result<Equivariants> {
        let mut recipes = Vec::new();
        for (center, nice) in self.sequences() {
            nice.check_order(nu)?;
            recipes.push((center, nice.recipe(expansion.keys(), expansion.channels(), &nice.orders)?));
        }
        let c = expansion.forward(structures)?;
        c.centers.iter().try_for_each(|center| self.around(center.species).map(|_| ()))?;
        let mut counts: BTreeMap<(i8, usize), usize> = BTreeMap::new(); // (−σ, λ): as blocks stand
        for (_, Recipe { places, .. }) in &recipes {
            let Place { keys, counts: own, .. } = &places[nu - 1];
            for (key, &n) in keys.iter().zip(own) {
                let count = counts.entry((-key.sigma, key.lambda)).or_default();
                *count = n.max(*count);
            }
        }
        let keys: Vec<BlockKey> = counts.keys().map(|&(sigma, lambda)| BlockKey { sigma: -sigma, lambda }).collect();
        let channels = counts.values().map(|&n| channels_of_all(n)).collect();
        let mut out = Equivariants::zeros(c.centers.clone(), keys, channels);
        let rows: Vec<f64> = c.blocks.iter().flatten().copied().collect();
        for (center, recipe) in &recipes {
            let is_own = |i: &usize| center.is_none_or(|z| c.centers[*i].species == z);
            let own: Vec<usize> = (0..c.centers.len()).filter(is_own).collect();
            equivariants_of(recipe, nu, &recipe.layout.some_rows(&rows, c.centers.len(), &own), &own, &mut out);
        }
        Ok(out)
    }

    /// Refuses an order of which there are no equivariants.
    fn check_order(&self, nu: usize) -> Result<()> {
        let known = (1..=self.orders.len() + 1).filter(|&nu| nu == 1 || !self.orders[nu - 2].equivariants.is_empty());
        let known: Vec<usize> = known.collect();
        if !known.contains(&nu) {
            let remedy = format!("use one of {known:?}, or a larger nu_max");
            return Err(Error::setting("nu", nu, "equivariants of this order are not made", remedy));
        }
        Ok(())
    }

    /// The recipe of some orders, for these coefficients.
    ///
    /// # Errors
    /// If they are others than those it was fitted to.
    fn recipe(&self, keys: &[BlockKey], channels: &[Vec<Channel>], orders: &[Order]) -> Result<Recipe> {
        if keys != self.keys || channels != self.channels {
            let count = |channels: &[Vec<Channel>]| channels.iter().map(Vec::len).collect::<Vec<_>>();
            let (mine, theirs) = (count(&self.channels), count(channels));
            let problem = format!("it was fitted to {mine:?} channels of each l, of its species");
            return Err(Error::setting("basis", format!("{theirs:?}"), problem, "use the basis it was fitted with"));
        }
        let mut recipe = Recipe::new(&Layout::new(&self.keys, &self.channels), self.unit);
        orders.iter().try_for_each(|order| recipe.push(order))?;
        Ok(recipe)
    }

    /// Features of each order from 1 on; of the sequence that has the most.
    pub(super) fn n_of_orders(&self) -> Vec<usize> {
        let first = self.channels.first().map_or(0, Vec::len);
        let largest = |k: usize| {
            let of = |(_, nice): &(_, &Nice)| nice.orders[k].invariants.n_channels();
            self.sequences().iter().map(of).max().unwrap_or(0)
        };
        std::iter::once(first).chain((0..self.settings.nu_max - 1).map(largest)).collect()
    }

    /// The stage from these coefficients to the equivariants of σ = +1 and these λ, of all orders.
    ///
    /// # Errors
    /// If the coefficients are others than those it was fitted to, if each species has a sequence of its own, and for an order or a λ
    /// of which no equivariants are kept.
    pub(crate) fn tensors(
        &self,
        keys: &[BlockKey],
        channels: &[Vec<Channel>],
        lambdas: &[usize],
    ) -> Result<NiceTensors> {
        if self.is_per_species() {
            let problem = "tensors are made of one sequence for all atoms; weights are those of each species anyway";
            return Err(Error::setting("sequence", "per-species", problem, "fit NICE with sequence = \"shared\""));
        }
        if let Some(nu) = (2..=self.settings.nu_max).find(|&nu| !self.settings.keeps_equivariants(nu)) {
            let problem = format!("of order {nu} only invariants are kept, and a tensor is made of equivariants");
            return Err(Error::setting("all_equivariants", false, problem, "fit NICE with all_equivariants = true"));
        }
        let wanted = |key: BlockKey| key.sigma == 1 && lambdas.contains(&key.lambda);
        let recipe = self.recipe(keys, channels, &needed_for(&self.orders, wanted))?;
        NiceTensors::new(recipe, lambdas)
    }

    /// How features are combined of what [`Nice::features`] gives: of order 1, 2, …
    pub(super) fn combinations(&self) -> Vec<Block> {
        let counts = self.n_of_orders();
        if self.is_per_species() {
            return vec![Block::plain(counts.iter().sum())];
        }
        let of_order = |order: &Order| {
            let Products { products, combinations, .. } = &order.invariants;
            let matrix = |v: &Option<Array2<f64>>| v.as_ref().map(|v| Matrix::new(v.view()));
            Block { n: products.len(), v: matrix(combinations), lower: matrix(&order.lower) }
        };
        std::iter::once(Block::plain(counts[0])).chain(self.orders.iter().map(of_order)).collect()
    }
}

fn channels_of_all(n: usize) -> Vec<Channel> {
    (0..n).map(|n| Channel { species: 0, n }).collect()
}

/// Equivariants of order ν of the centres `own`, whose coefficients these are, into the blocks of all centres.
fn equivariants_of(recipe: &Recipe, nu: usize, rows: &[f64], own: &[usize], out: &mut Equivariants) {
    let place = &recipe.places[nu - 1];
    let channels: Vec<Vec<Channel>> = place.counts.iter().map(|&n| channels_of_all(n)).collect();
    let layout = Layout::new(&place.keys, &channels);
    let n = own.len();
    let (mut lanes, mut state, mut scratch) = (Aligned::default(), Aligned::default(), Scratch::default());
    let mut made = vec![0.0; n * layout.len()];
    for eight in eights(n) {
        recipe.layout.to_lanes(rows, n, eight.clone(), &mut lanes);
        recipe.fill(lanes.lanes(), &mut state, &mut scratch);
        layout.to_rows(&state.lanes()[place.start()..place.end], n, eight, &mut made);
    }
    for (key, made) in place.keys.iter().zip(layout.views(&made, n)) {
        let block = out.keys.iter().position(|known| known == key).expect("the blocks of all sequences are there");
        for (&center, made) in own.iter().zip(made.outer_iter()) {
            out.blocks[block].slice_mut(s![center, .., ..made.ncols()]).assign(&made);
        }
    }
}

/// Mean of |ρ¹|².
fn mean_norm(rows: &Array2<f64>) -> Result<f64> {
    let mean = rows.iter().map(|c| c * c).sum::<f64>() / rows.nrows() as f64;
    match mean > 0.0 {
        true => Ok(mean),
        false => Err(Error::setting("structures", "isolated", "no atom has any density", "give denser structures")),
    }
}
