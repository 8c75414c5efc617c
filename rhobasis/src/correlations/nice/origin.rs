//! What coefficients are coefficients of, so that those of different bases are not taken for one.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::density::{BlockKey, Channel, SphericalExpansion};
use crate::structure::{Structure, symbols};
use crate::{Error, Result};

/// Distance of the atoms of a probe, as a fraction of the cutoff.
const DISTANCE: f64 = 0.37;
/// By which numbers of the same basis may differ from machine to machine.
const ROUNDING: f64 = 1e-6;

/// Blocks and channels of coefficients, and numbers by which their basis is known.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub keys: Vec<BlockKey>,
    pub channels: Vec<Vec<Channel>>,
    /// Species of atoms that it knows, ascending.
    pub species: Vec<u8>,
    /// `[center, l]`: of all dimers of the species of the basis, Σ_q (q + 1) c\[l, m = 0, q\] around either atom.
    pub probe: Array2<f64>,
}

/// What a file says of it: species and n of the channels of each l.
#[derive(Serialize, Deserialize)]
pub(super) struct ChannelNote(Vec<Vec<(u8, usize)>>);

impl ChannelNote {
    pub fn of(channels: &[Vec<Channel>]) -> Self {
        let of_l = |channels: &Vec<Channel>| channels.iter().map(|channel| (channel.species, channel.n)).collect();
        ChannelNote(channels.iter().map(of_l).collect())
    }

    pub fn channels(&self) -> Vec<Vec<Channel>> {
        let of_l = |of_l: &Vec<(u8, usize)>| of_l.iter().map(|&(species, n)| Channel { species, n }).collect();
        self.0.iter().map(of_l).collect()
    }
}

impl Origin {
    /// # Errors
    /// As [`SphericalExpansion::forward`].
    pub fn of(expansion: &SphericalExpansion) -> Result<Self> {
        let (species, d) = (expansion.species(), DISTANCE * expansion.density().r_cut);
        let dimer = |a: u8, b: u8| Structure::molecule(vec![a, b], vec![[0.0; 3], [0.0, 0.0, d]]);
        let with = |(k, &a): (usize, &u8)| species[k..].iter().map(move |&b| dimer(a, b)).collect::<Vec<_>>();
        let dimers: Vec<Structure> = species.iter().enumerate().flat_map(with).collect();
        let c = expansion.forward(&dimers)?;
        let number = |i: usize, l: usize| -> f64 {
            (0..c.channels[l].len()).map(|q| (q + 1) as f64 * c.blocks[l][[i, l, q]]).sum()
        };
        let probe = Array2::from_shape_fn((c.centers.len(), c.keys.len()), |(i, l)| number(i, l));
        let (keys, channels) = (expansion.keys().to_vec(), expansion.channels().to_vec());
        Ok(Origin { keys, channels, species: species.to_vec(), probe })
    }

    /// Numbers of each centre.
    pub fn width(&self) -> usize {
        self.keys.iter().zip(&self.channels).map(|(key, channels)| key.n_components() * channels.len()).sum()
    }

    /// Refuses another basis.
    ///
    /// # Errors
    /// If it is one.
    pub fn same(&self, other: &Origin) -> Result<()> {
        let count = |origin: &Origin| origin.channels.iter().map(Vec::len).collect::<Vec<_>>();
        let refused = |value: String, problem: String| {
            Err(Error::setting("basis", value, problem, "take all samples with the same basis"))
        };
        if self.channels != other.channels {
            return refused(format!("{:?}", count(self)), format!("the other sample has {:?} channels", count(other)));
        }
        if self.species != other.species {
            let symbols = |origin: &Origin| symbols(&origin.species);
            return refused(symbols(self), format!("the other sample is of a basis of {}", symbols(other)));
        }
        let largest = self.probe.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
        let differs = |(a, b): (&f64, &f64)| (a - b).abs() > ROUNDING * largest;
        match self.probe.dim() != other.probe.dim() || self.probe.iter().zip(&other.probe).any(differs) {
            true => refused("another".into(), "the other sample has other radial functions".into()),
            false => Ok(()),
        }
    }
}

/// 64 bits as two numbers that are exact in float64.
pub(super) fn halves(key: u64) -> [f64; 2] {
    [(key >> 32) as f64, (key & u64::from(u32::MAX)) as f64]
}

/// The key with these halves; none if they are none.
pub(super) fn key_of(high: f64, low: f64) -> Option<u64> {
    let half = |x: f64| (x >= 0.0 && x <= f64::from(u32::MAX) && x.fract() == 0.0).then_some(x as u64);
    Some(half(high)? << 32 | half(low)?)
}
