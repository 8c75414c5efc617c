//! N-body iteration of contracted equivariants (NICE): Eqs. (16), (17), order by order, with what is kept chosen by data.

mod audit;
mod buffers;
mod checkpoint;
mod choose;
mod dots;
mod file;
mod fit;
mod needed;
mod origin;
mod products;
mod recipe;
mod run;
mod sample;
mod sample_file;
mod settings;
mod stage;
mod sum;

use ndarray::Array2;

pub use audit::AuditRow;
pub use checkpoint::remove_nice_checkpoint;
use needed::needed;
use recipe::{Order, Products, Recipe, Scratch};
pub use run::NiceFit;
pub use sample::NiceSample;
pub use settings::{Choice, NiceSelection, NiceSettings, Split};
pub(super) use stage::NiceFeatures;

use super::combinations::{Block, Matrix};
use super::lanes::{Layout, eights};
use crate::density::{BlockKey, Channel, Equivariants, SphericalExpansion};
use crate::simd::Aligned;
use crate::structure::Structure;
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
}

impl Nice {
    /// Fits the iteration to a sample.
    ///
    /// # Errors
    /// As [`NiceFit::new`].
    pub fn fit(settings: &NiceSettings, sample: &NiceSample) -> Result<Self> {
        Nice::fit_to_part(settings, sample, None, None)
    }

    /// [`Nice::fit`] to the leading channels of each species and l up to some, all if not given.
    ///
    /// # Errors
    /// As [`Nice::fit`], and if there are fewer.
    pub fn fit_to_part(
        settings: &NiceSettings,
        sample: &NiceSample,
        q_max: Option<usize>,
        l_max: Option<usize>,
    ) -> Result<Self> {
        let mut fit = NiceFit::new(settings, sample, q_max, l_max)?;
        while fit.done() < settings.nu_max {
            fit.next_order()?;
        }
        fit.finish()
    }

    /// How it was built.
    pub fn settings(&self) -> &NiceSettings {
        &self.settings
    }

    /// What each order from 2 on holds and has lost.
    pub fn audit(&self) -> &[AuditRow] {
        &self.audit
    }

    /// Atoms of the sample.
    pub fn n_centers(&self) -> usize {
        self.n_centers
    }

    /// Variances of the features of each order from 2 on, over the sample.
    pub fn variances(&self) -> Vec<&[f64]> {
        self.orders.iter().map(|order| &order.invariants.variances[..]).collect()
    }

    /// Equivariants of order ν of all atoms, blocks (σ, λ), of the coefficients it was fitted to.
    ///
    /// # Errors
    /// As [`SphericalExpansion::forward`], for an expansion of other channels, and for an order of which only invariants are
    /// kept.
    pub fn equivariants(
        &self,
        expansion: &SphericalExpansion,
        nu: usize,
        structures: &[Structure],
    ) -> Result<Equivariants> {
        let recipe = self.recipe(expansion.keys(), expansion.channels(), &self.orders)?;
        let known = (1..=self.orders.len() + 1).filter(|&nu| nu == 1 || !self.orders[nu - 2].equivariants.is_empty());
        let known: Vec<usize> = known.collect();
        if !known.contains(&nu) {
            let remedy = format!("use one of {known:?}, or a larger nu_max");
            return Err(Error::setting("nu", nu, "equivariants of this order are not made", remedy));
        }
        let c = expansion.forward(structures)?;
        let place = &recipe.places[nu - 1];
        let channels = |n: &usize| (0..*n).map(|n| Channel { species: 0, n }).collect();
        let channels = place.counts.iter().map(channels).collect();
        let mut out = Equivariants::zeros(c.centers.clone(), place.keys.clone(), channels);
        let own = Layout::new(&place.keys, &out.channels);
        let rows: Vec<f64> = c.blocks.iter().flatten().copied().collect();
        let n = c.centers.len();
        let (mut lanes, mut state, mut scratch) = (Aligned::default(), Aligned::default(), Scratch::default());
        let mut made = vec![0.0; n * own.len()];
        for eight in eights(n) {
            recipe.layout.to_lanes(&rows, n, eight.clone(), &mut lanes);
            recipe.fill(lanes.lanes(), &mut state, &mut scratch);
            own.to_rows(&state.lanes()[place.start()..place.end], n, eight, &mut made);
        }
        let mut made = &made[..];
        for block in &mut out.blocks {
            let (of_block, rest) = made.split_at(block.len());
            block.as_slice_mut().expect("a new array is contiguous").copy_from_slice(of_block);
            made = rest;
        }
        Ok(out)
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

    /// The stage from these coefficients to features, or, unless `combined`, to what they are combinations of.
    pub(super) fn features(
        &self,
        keys: &[BlockKey],
        channels: &[Vec<Channel>],
        combined: bool,
    ) -> Result<NiceFeatures> {
        let mut recipe = self.recipe(keys, channels, &needed(&self.orders))?;
        if !combined {
            recipe.rotations.iter_mut().for_each(|rotation| *rotation = None);
        }
        Ok(NiceFeatures::new(recipe))
    }

    /// How features are combined of products: of order 1, 2, …
    pub(super) fn combinations(&self) -> Vec<Block> {
        let first = Block { n: self.channels.first().map_or(0, Vec::len), v: None };
        let of_order = |order: &Order| {
            let Products { products, combinations, .. } = &order.invariants;
            Block { n: products.len(), v: combinations.as_ref().map(|v| Matrix::new(v.view())) }
        };
        std::iter::once(first).chain(self.orders.iter().map(of_order)).collect()
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
