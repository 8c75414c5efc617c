//! Sums over Clebsch–Gordan couplings, eight centres in lanes and several channels at a time.
//!
//! Couplings stand in the order of the component that is written to: what it sums up to stays in registers. Channels follow each
//! other, m fastest; those that are coupled to the same channel share the products of coefficient and coupling.

use super::clebsch_gordan::{Coupling, L_MAX_COUPLED};
use crate::simd::{Aligned, LANES, Lanes, add_product, add_scaled};

/// A sum over couplings for each component: entries of the first component, then of the second, and so on.
#[derive(Debug, Clone)]
pub(super) struct Couplings {
    entries: Vec<Entry>,
    /// Where the entries of each component end.
    ends: Vec<u32>,
}

/// A coupling of two components to that which is written to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub first: u32,
    pub second: u32,
    pub value: f64,
}

impl Couplings {
    /// From components `[first, second, written]` of each coupling; there are `n_written`.
    pub fn new(couplings: &[Coupling], n_written: usize, of: impl Fn(&Coupling) -> [usize; 3]) -> Self {
        let mut order: Vec<&Coupling> = couplings.iter().collect();
        order.sort_by_key(|coupling| of(coupling)[2]);
        let entry = |coupling: &&Coupling| {
            let [first, second, _] = of(coupling).map(|component| component as u32);
            Entry { first, second, value: coupling.value }
        };
        let end = |component| order.partition_point(|coupling| of(coupling)[2] <= component) as u32;
        Couplings { entries: order.iter().map(entry).collect(), ends: (0..n_written).map(end).collect() }
    }

    /// The entries of each component.
    #[inline(always)]
    pub fn runs(&self) -> impl Iterator<Item = &[Entry]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let run = &self.entries[start..end as usize];
            start = end as usize;
            run
        })
    }

    /// out_q += Σ value a_first b_q,second for n channels q of b and out.
    #[inline(always)]
    pub fn add_products(&self, a: &[Lanes], b: &[Lanes], out: &mut [Lanes], n: usize, buffer: &mut Buffer) {
        let (of_b, of_out) = (b.len() / n, out.len() / n);
        let blocks = b.chunks(MOST * of_b).zip(out.chunks_mut(MOST * of_out));
        for (b, out) in blocks {
            match b.len() / of_b {
                1 => self.add_some_products::<1>(a, b, out, buffer),
                2 => self.add_some_products::<2>(a, b, out, buffer),
                3 => self.add_some_products::<3>(a, b, out, buffer),
                _ => self.add_some_products::<MOST>(a, b, out, buffer),
            }
        }
    }

    #[inline(always)]
    fn add_some_products<const P: usize>(&self, a: &[Lanes], b: &[Lanes], out: &mut [Lanes], buffer: &mut Buffer) {
        let (b, of_out) = (beside::<P>(b, &mut buffer.0), out.len() / P);
        for (component, run) in self.runs().enumerate() {
            let mut sums = [[0.0; LANES]; P];
            for p in 0..P {
                sums[p] = out[p * of_out + component];
            }
            for entry in run {
                let (a, b) = (a[entry.first as usize].map(|a| entry.value * a), &b[entry.second as usize]);
                for p in 0..P {
                    add_product(&mut sums[p], &a, &b[p]);
                }
            }
            for p in 0..P {
                out[p * of_out + component] = sums[p];
            }
        }
    }

    /// out += Σ value Σ_q a_q,first b_q,second over n channels q of a and b.
    #[inline(always)]
    pub fn add_sum_of_products(&self, a: &[Lanes], b: &[Lanes], out: &mut [Lanes], n: usize, buffer: &mut Buffer) {
        let (of_a, of_b) = (a.len() / n, b.len() / n);
        let blocks = a.chunks(MOST * of_a).zip(b.chunks(MOST * of_b));
        for (a, b) in blocks {
            match a.len() / of_a {
                1 => self.add_sum_of_some::<1>(a, b, out, buffer),
                2 => self.add_sum_of_some::<2>(a, b, out, buffer),
                3 => self.add_sum_of_some::<3>(a, b, out, buffer),
                _ => self.add_sum_of_some::<MOST>(a, b, out, buffer),
            }
        }
    }

    #[inline(always)]
    fn add_sum_of_some<const P: usize>(&self, a: &[Lanes], b: &[Lanes], out: &mut [Lanes], buffer: &mut Buffer) {
        let (a, b) = (beside::<P>(a, &mut buffer.0), beside::<P>(b, &mut buffer.1));
        for (out, run) in out.iter_mut().zip(self.runs()) {
            let mut sum = *out;
            for entry in run {
                let (a, b) = (&a[entry.first as usize], &b[entry.second as usize]);
                let mut products = [0.0; LANES];
                for p in 0..P {
                    add_product(&mut products, &a[p], &b[p]);
                }
                add_scaled(&mut sum, entry.value, &products);
            }
            *out = sum;
        }
    }
}

/// Channels at a time: what they sum up to is in registers.
const MOST: usize = 4;

/// Memory for components of some channels beside each other.
#[derive(Debug)]
pub(super) struct Buffer(Aligned, Aligned);

impl Buffer {
    pub fn new() -> Self {
        let [a, b] = [(); 2].map(|()| Aligned::zeros(LANES * MOST * (2 * L_MAX_COUPLED + 1)));
        Buffer(a, b)
    }
}

/// The same component of P channels beside each other.
#[inline(always)]
fn beside<'a, const P: usize>(channels: &[Lanes], buffer: &'a mut Aligned) -> &'a [[Lanes; P]] {
    let n = channels.len() / P;
    let (components, _) = buffer.lanes_mut()[..P * n].as_chunks_mut::<P>();
    for (m, component) in components.iter_mut().enumerate() {
        for p in 0..P {
            component[p] = channels[p * n + m];
        }
    }
    components
}
