//! The atoms from which an iteration is fitted: a sample of a data set that does not depend on its order.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::density::{Channel, Equivariants, SphericalExpansion};
use crate::files::Digest;
use crate::simd::{LANES, Lanes};
use crate::structure::Structure;
use crate::{Error, Result};

/// Density coefficients of the n atoms whose keys are the smallest, a key being a digest of structure and index of the atom.
///
/// So the sample is spread evenly over the data, and the same for any order of the structures, any cut into calls, and any cut
/// into parts that are merged.
///
/// ```
/// use rhobasis::correlations::NiceSample;
/// use rhobasis::density::{ExpansionSettings, SphericalExpansion};
/// use rhobasis::Structure;
///
/// let expansion = SphericalExpansion::new(&ExpansionSettings { l_max: 2, ..Default::default() }, &[1])?;
/// let dimers: Vec<_> =
///     (0..9).map(|k| Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 0.6 + 0.1 * k as f64]])).collect();
/// let mut sample = NiceSample::new(&expansion, 5)?;
/// sample.add(&dimers)?;
/// let (mut first, mut second) = (NiceSample::new(&expansion, 5)?, NiceSample::new(&expansion, 5)?);
/// first.add(&dimers[4..])?;
/// second.add(&dimers[..4])?;
/// first.merge(second)?;
/// assert_eq!(sample.coefficients(), first.coefficients());
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NiceSample {
    expansion: SphericalExpansion,
    n_max: usize,
    n_structures: usize,
    /// Key and coefficients: block slowest, then channel, m fastest. More than `n_max` of them until they are asked for.
    rows: Vec<(u64, Vec<f64>)>,
    /// Larger keys are of no use.
    bound: u64,
}

impl NiceSample {
    /// An empty sample of at most `n_max` atoms.
    ///
    /// # Errors
    /// If `n_max` is 0.
    pub fn new(expansion: &SphericalExpansion, n_max: usize) -> Result<Self> {
        if n_max == 0 {
            return Err(Error::setting("n_centers", 0, "a sample of no atoms", "use 10000"));
        }
        Ok(NiceSample { expansion: expansion.clone(), n_max, n_structures: 0, rows: Vec::new(), bound: u64::MAX })
    }

    /// Adds structures.
    ///
    /// # Errors
    /// As [`SphericalExpansion::forward`]; nothing of this call is then added.
    pub fn add(&mut self, structures: &[Structure]) -> Result<()> {
        let keys: Vec<Vec<u64>> = structures.par_iter().map(keys).collect();
        let wanted: Vec<usize> =
            (0..structures.len()).filter(|&s| keys[s].iter().any(|key| *key <= self.bound)).collect();
        let chosen: Vec<Structure> = wanted.iter().map(|&s| structures[s].clone()).collect();
        let before = self.n_structures;
        let c = self.expansion.forward(&chosen).map_err(|mut e| {
            if let Error::Structure { place, .. } = &mut e {
                place.frame = place.frame.map(|frame| wanted[frame]);
            }
            e.after_frames(before)
        })?;
        for (i, center) in c.centers.iter().enumerate() {
            let key = keys[wanted[center.structure]][center.atom];
            if key <= self.bound {
                self.rows.push((key, row(&c, i)));
            }
        }
        self.n_structures += structures.len();
        if self.rows.len() >= 2 * self.n_max {
            self.shorten();
        }
        Ok(())
    }

    /// Adds what another sample has seen.
    ///
    /// # Errors
    /// If it is of other channels or of another size.
    pub fn merge(&mut self, other: NiceSample) -> Result<()> {
        if other.expansion.channels() != self.expansion.channels() || other.n_max != self.n_max {
            let problem = "the other sample is of another basis or size";
            return Err(Error::setting("sample", other.n_max, problem, "take both with the same settings"));
        }
        self.rows.extend(other.rows);
        self.n_structures += other.n_structures;
        self.shorten();
        Ok(())
    }

    /// Structures added.
    pub fn n_structures(&self) -> usize {
        self.n_structures
    }

    /// What the coefficients are coefficients of.
    pub fn expansion(&self) -> &SphericalExpansion {
        &self.expansion
    }

    /// Coefficients of the atoms of the sample, by key: `[atom, (block, channel, m)]`.
    pub fn coefficients(&self) -> Array2<f64> {
        let mut sample = self.clone();
        sample.shorten();
        let width = sample.expansion.widths().iter().sum();
        let mut c = Array2::zeros((sample.rows.len(), width));
        for (mut to, (_, row)) in c.axis_iter_mut(Axis(0)).zip(&sample.rows) {
            to.iter_mut().zip(row).for_each(|(to, c)| *to = *c);
        }
        c
    }

    fn shorten(&mut self) {
        let by_key = |a: &(u64, Vec<f64>), b: &(u64, Vec<f64>)| {
            let numbers = || a.1.iter().zip(&b.1).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
            a.0.cmp(&b.0).then_with(|| numbers().unwrap_or(std::cmp::Ordering::Equal))
        };
        self.rows.sort_by(by_key);
        self.rows.truncate(self.n_max);
        if self.rows.len() == self.n_max {
            self.bound = self.rows[self.n_max - 1].0;
        }
    }
}

/// A number for each atom that looks random, and depends on nothing but the structure and the index of the atom.
fn keys(structure: &Structure) -> Vec<u64> {
    let of = |digest: Digest| u64::from_str_radix(&digest.hex()[..16], 16).expect("sixteen hexadecimal digits");
    let mut digest = Digest::default();
    digest.structure(structure);
    let of_atom = |atom: usize| {
        let mut digest = digest.clone();
        digest.update((atom as u64).to_le_bytes());
        of(digest)
    };
    (0..structure.len()).map(of_atom).collect()
}

fn row(c: &Equivariants, i: usize) -> Vec<f64> {
    let channels = |(block, channels): (usize, &Vec<Channel>)| (0..channels.len()).map(move |q| (block, q));
    let channels = c.channels.iter().enumerate().flat_map(channels);
    let components = |(block, q): (usize, usize)| (0..c.keys[block].n_components()).map(move |m| (block, q, m));
    channels.flat_map(components).map(|(block, q, m)| c.blocks[block][[i, m, q]]).collect()
}

/// Rows in lanes, eight at a time; zeros complete the last.
pub(super) fn eights(rows: &Array2<f64>) -> Vec<Vec<Lanes>> {
    let eight = |first: usize| {
        let number = |k: usize, lane: usize| rows.get((first + lane, k)).copied().unwrap_or(0.0);
        (0..rows.ncols()).map(|k| std::array::from_fn(|lane| number(k, lane))).collect()
    };
    (0..rows.nrows()).step_by(LANES).map(eight).collect()
}
