//! NICE files: safetensors of kind `nice`; potentials hold the same inside.
//!
//! Tensors (float64): under `nice/nu{ν}/s{σ}l{λ}/` for equivariants and `nice/nu{ν}/invariants/` (`features/{k}/nice/…` in a
//! potential whose features of number k they are): `products`
//! `[product, (block, channel of A, block, channel of B)]`, `scales` `[product]`, `variances` `[channel]`, and, where products are
//! combined, `combinations` `[product, channel]`; with the invariants `lower` `[lower feature, own]` where they are purified. Sequences
//! of one species of centre are under `nice/{Z}/…`. Metadata `nice` (JSON): settings, the channels of the density, the orders, the
//! account.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::audit::AuditRow;
use super::origin::ChannelNote;
use super::recipe::{Factor, Order, Product, Products};
use super::settings::NiceSettings;
use super::{Nice, Recipe};
use crate::Result;
use crate::correlations::L_MAX_COUPLED;
use crate::correlations::lanes::Layout;
use crate::density::BlockKey;
use crate::files::{Archive, Stored, damaged};

/// Of the metadata, and before the names of all arrays.
pub(super) const NAME: &str = "nice";

#[derive(Serialize, Deserialize)]
struct Note {
    settings: NiceSettings,
    /// Those of the density.
    channels: ChannelNote,
    unit: f64,
    n_centers: usize,
    orders: Vec<OrderNote>,
    audit: Vec<AuditRow>,
    /// Of centres that have sequences of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    species: Vec<u8>,
}

/// The two orders that an order is made of, and σ, λ of its equivariants.
type OrderNote = ([usize; 2], Vec<(i8, usize)>);

impl Stored for Nice {
    const KIND: &'static str = "nice";

    fn archive(&self) -> Archive {
        let mut archive = Archive::default();
        self.store(&mut archive, NAME);
        archive
    }

    fn from_archive(archive: Archive, path: &Path) -> Result<Self> {
        Nice::restore(&archive, path, NAME)
    }
}

impl Nice {
    /// Adds it to a file under this name.
    pub(crate) fn store(&self, archive: &mut Archive, name: &str) {
        let keys = |order: &Order| order.equivariants.iter().map(|block| (block.key.sigma, block.key.lambda)).collect();
        let note = Note {
            settings: self.settings.clone(),
            channels: ChannelNote::of(&self.channels),
            unit: self.unit,
            n_centers: self.n_centers,
            orders: self.orders.iter().map(|order| (order.of, keys(order))).collect(),
            audit: self.audit.clone(),
            species: self.of_species.keys().copied().collect(),
        };
        archive.note(name, &note);
        self.of_species.iter().for_each(|(z, nice)| nice.store(archive, &format!("{name}/{z}")));
        for order in &self.orders {
            order
                .equivariants
                .iter()
                .for_each(|block| insert(archive, &equivariants(name, order.nu, block.key), block));
            insert(archive, &invariants(name, order.nu), &order.invariants);
            if let Some(b) = &order.lower {
                archive.insert(lower(name, order.nu), b);
            }
        }
    }

    /// What [`Nice::store`] has added.
    pub(crate) fn restore(archive: &Archive, path: &Path, name: &str) -> Result<Self> {
        let nice = Nice::restore_some(archive, path, name)?;
        match nice.sequences().iter().all(|(_, own)| own.orders.len() + 1 == nice.settings.nu_max) {
            true => Ok(nice),
            false => Err(damaged(path, "the orders are not those of its nu_max")),
        }
    }

    /// The same, of a fit that need not have come to its end.
    pub(super) fn restore_some(archive: &Archive, path: &Path, name: &str) -> Result<Self> {
        let note: Note = archive.json(path, name)?;
        note.settings.validate().map_err(|e| damaged(path, format!("settings that make no features ({e})")))?;
        if note.orders.len() >= note.settings.nu_max || note.audit.len() != note.orders.len() {
            return Err(damaged(path, "the orders are not those of its nu_max"));
        }
        if !(note.unit.is_finite() && note.unit > 0.0) {
            return Err(damaged(path, format!("coefficients are divided by {}", 1.0 / note.unit)));
        }
        let channels = note.channels.channels();
        let keys: Vec<BlockKey> = (0..channels.len()).map(BlockKey::density).collect();
        note.settings.largest_lambda(keys.len().saturating_sub(1)).map_err(|e| damaged(path, e))?;
        let mut recipe = Recipe::new(&Layout::new(&keys, &channels), note.unit);
        let mut orders = Vec::new();
        for (k, (of, blocks)) in note.orders.into_iter().enumerate() {
            let nu = k + 2;
            if of != note.settings.factors(nu) {
                return Err(damaged(path, format!("order {nu} is made of {of:?}")));
            }
            let read = |key: BlockKey, name: String| products(archive, path, (key, &name), of, &recipe);
            let key = |(sigma, lambda): (i8, usize)| BlockKey { sigma, lambda };
            let equivariants = blocks.into_iter().map(key).map(|key| read(key, equivariants(name, nu, key)));
            let equivariants = equivariants.collect::<Result<_>>()?;
            let invariants = read(BlockKey::density(0), invariants(name, nu))?;
            let lower = match archive.tensors.contains_key(&lower(name, nu)) {
                false => None,
                true => {
                    let shape = (recipe.n_of_orders().iter().sum::<usize>(), invariants.n_channels());
                    Some(archive.array_of(path, &lower(name, nu), shape)?)
                }
            };
            let order = Order { nu, of, equivariants, invariants, lower };
            recipe.push(&order).map_err(|e| damaged(path, e))?;
            orders.push(order);
        }
        let sequence = |&z: &u8| Ok((z, Nice::restore_some(archive, path, &format!("{name}/{z}"))?));
        let of_species: BTreeMap<u8, Nice> = note.species.iter().map(sequence).collect::<Result<_>>()?;
        let differs = |own: &Nice| own.is_per_species() || own.settings != note.settings || own.channels != channels;
        if of_species.values().any(differs) || !(of_species.is_empty() || orders.is_empty()) {
            return Err(damaged(path, "its sequences are of other settings or channels"));
        }
        let Note { settings, unit, n_centers, audit, .. } = note;
        Ok(Nice { settings, keys, channels, unit, orders, audit, n_centers, of_species })
    }
}

fn equivariants(name: &str, nu: usize, key: BlockKey) -> String {
    format!("{name}/nu{nu}/s{:+}l{}", key.sigma, key.lambda)
}

fn invariants(name: &str, nu: usize) -> String {
    format!("{name}/nu{nu}/invariants")
}

fn lower(name: &str, nu: usize) -> String {
    format!("{name}/nu{nu}/invariants/lower")
}

fn insert(archive: &mut Archive, name: &str, block: &Products) {
    let numbers = |product: &Product| product.factors.map(|f| [f.block as f64, f.channel as f64]).concat();
    let products: Vec<f64> = block.products.iter().flat_map(numbers).collect();
    let products = Array2::from_shape_vec((block.products.len(), 4), products).expect("four to a row");
    let scales: Array1<f64> = block.products.iter().map(|product| product.scale).collect();
    archive.insert(format!("{name}/products"), &products);
    archive.insert(format!("{name}/scales"), &scales);
    archive.insert(format!("{name}/variances"), ArrayView1::from(&block.variances));
    if let Some(combinations) = &block.combinations {
        archive.insert(format!("{name}/combinations"), combinations);
    }
}

/// Products whose factors are there, and can be coupled to their key.
fn products(
    archive: &Archive,
    path: &Path,
    (key, name): (BlockKey, &str),
    of: [usize; 2],
    recipe: &Recipe,
) -> Result<Products> {
    let refuse = |problem: String| Err(damaged(path, format!("{name}: {problem}")));
    let rows: Array2<f64> = archive.array(path, &format!("{name}/products"))?;
    if rows.ncols() != 4 {
        return refuse(format!("a product has {} numbers", rows.ncols()));
    }
    let scales: Array1<f64> = archive.array_of(path, &format!("{name}/scales"), rows.nrows())?;
    let mut products = Vec::new();
    for (row, &scale) in rows.rows().into_iter().zip(&scales) {
        let factor = |side: usize| {
            let place = &recipe.places[of[side] - 1];
            let [block, channel] = [row[2 * side], row[2 * side + 1]];
            let known = block >= 0.0 && channel >= 0.0 && block.fract() == 0.0 && channel.fract() == 0.0;
            let factor = Factor { block: block as usize, channel: channel as usize };
            let there = known && place.counts.get(factor.block).is_some_and(|n| factor.channel < *n);
            there.then(|| (factor, place.keys[factor.block]))
        };
        let (Some((a, key_a)), Some((b, key_b))) = (factor(0), factor(1)) else {
            return refuse(format!("{row} is no product of two equivariants"));
        };
        let [la, lb] = [key_a.lambda, key_b.lambda];
        let odd = (la + lb + key.lambda) % 2 == 1;
        let sigma = key_a.sigma * key_b.sigma * if odd { -1 } else { 1 };
        let [least, most] = [la.abs_diff(lb), L_MAX_COUPLED.min(la + lb)];
        if !(least..=most).contains(&key.lambda) || sigma != key.sigma {
            return refuse(format!("{row} has no part of this σ and λ"));
        }
        products.push(Product { factors: [a, b], scale });
    }
    let name_of_combinations = format!("{name}/combinations");
    let combinations = match archive.tensors.contains_key(&name_of_combinations) {
        false => None,
        true => {
            let combinations: Array2<f64> = archive.array(path, &name_of_combinations)?;
            if combinations.nrows() != products.len() {
                return refuse(format!("{} products, combinations of {}", products.len(), combinations.nrows()));
            }
            Some(combinations)
        }
    };
    let n = combinations.as_ref().map_or(products.len(), |u| u.ncols());
    let variances: Array1<f64> = archive.array_of(path, &format!("{name}/variances"), n)?;
    Ok(Products { key, products, combinations, variances: variances.to_vec() })
}
