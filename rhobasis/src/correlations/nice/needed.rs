//! Which equivariants are needed: the others are not made.

use ndarray::Axis;

use super::recipe::{Order, Product, Products};
use crate::density::BlockKey;

/// The orders without channels that no feature is made of, whatever the way.
pub(super) fn needed(orders: &[Order]) -> Vec<Order> {
    without_unused(orders.to_vec(), |_| false)
}

/// The orders without features, and without channels that no equivariant with such a key is made of.
pub(super) fn needed_for(orders: &[Order], is_wanted: impl Fn(BlockKey) -> bool) -> Vec<Order> {
    let mut orders = orders.to_vec();
    for Order { invariants, .. } in &mut orders {
        (invariants.products, invariants.combinations) = (Vec::new(), None);
        invariants.variances.clear();
    }
    without_unused(orders, is_wanted)
}

fn without_unused(mut orders: Vec<Order>, is_wanted: impl Fn(BlockKey) -> bool) -> Vec<Order> {
    for k in (0..orders.len()).rev() {
        let nu = orders[k].nu;
        let blocks = orders[k].equivariants.iter();
        let mut used: Vec<Vec<bool>> = blocks.map(|block| vec![is_wanted(block.key); block.n_channels()]).collect();
        for higher in &orders[k + 1..] {
            each_factor(higher, nu, |block, channel| used[block][channel] = true);
        }
        let renumbered: Vec<Vec<usize>> = used.iter().map(|used| ranks(used)).collect();
        for (block, used) in orders[k].equivariants.iter_mut().zip(&used) {
            keep(block, used);
        }
        for higher in &mut orders[k + 1..] {
            for product in higher.equivariants.iter_mut().chain([&mut higher.invariants]).flat_map(|b| &mut b.products)
            {
                for (factor, _) in product.factors.iter_mut().zip(higher.of).filter(|(_, of)| *of == nu) {
                    factor.channel = renumbered[factor.block][factor.channel];
                }
            }
        }
    }
    orders
}

/// Block and channel of all factors that are of this order.
fn each_factor(order: &Order, nu: usize, mut job: impl FnMut(usize, usize)) {
    let blocks = order.equivariants.iter().chain([&order.invariants]);
    for Product { factors, .. } in blocks.flat_map(|block| &block.products) {
        for (factor, _) in factors.iter().zip(order.of).filter(|(_, of)| *of == nu) {
            job(factor.block, factor.channel);
        }
    }
}

/// How many are used before each.
fn ranks(used: &[bool]) -> Vec<usize> {
    let mut before = 0;
    let rank = |used: &bool| {
        before += usize::from(*used);
        before - usize::from(*used)
    };
    used.iter().map(rank).collect()
}

fn keep(block: &mut Products, used: &[bool]) {
    let kept: Vec<usize> = (0..used.len()).filter(|&channel| used[channel]).collect();
    if kept.is_empty() {
        (block.products, block.combinations) = (Vec::new(), None);
    }
    match &mut block.combinations {
        Some(u) => *u = u.select(Axis(1), &kept),
        None => block.products = kept.iter().map(|&channel| block.products[channel]).collect(),
    }
    block.variances = kept.iter().map(|&channel| block.variances[channel]).collect();
}
