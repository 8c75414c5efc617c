//! Norms of the ν-spectrum of each environment, before and after truncation, Eq. (20), summed over a data set.

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::rotation_average::{RotationAverage, pack_kernel};
use crate::density::{BlockKey, Channel, Equivariants, SphericalExpansion};
use crate::optimal::{NU, OptimalBasis};
use crate::stream::Stream;
use crate::structure::Structure;
use crate::{Error, Result};

/// Environments and truncations whose rotated overlaps are there at once.
const COLUMNS: usize = 64;

/// Channels kept of each block (a, l) of each kind of centre, in the order of [`OptimalBasis::kinds`] and their blocks.
pub type Kept = Vec<Vec<usize>>;

/// Sums over environments of |P c_i|^{2ν}, the squared norm of the full ν-spectrum, Eq. (20), and of its invariant part.
///
/// ```text
/// |ρ_i^⊗ν|² = (Σ_{alm q} c²)^ν,      |inv_ν(c_i)|² = ∫_O(3) dR (Σ_l tr(D^l(R) G_l))^ν
/// ```
///
/// P keeps the leading channels that a truncation names. No feature is built. The sums have the same bits for any number of
/// threads and any cut into calls.
///
/// ```
/// use rhobasis::correlations::SpectrumNorms;
/// use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
/// use rhobasis::Structure;
///
/// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 2, ..Default::default() };
/// let mut norms = SpectrumNorms::of_expansion(&SphericalExpansion::new(&settings, &[14])?, &[1, 2], true)?;
/// norms.add(&[Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, 2.4]])])?;
/// let (all, invariant) = (norms.equivariant(), norms.invariant().unwrap());
/// assert!(invariant[[0, 1]] < all[[0, 1]]); // ν = 2: the power spectrum is a part of ρ ⊗ ρ
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SpectrumNorms {
    of: Truncated,
    /// `[truncation, (equivariant ν …, invariant ν …)]`.
    sums: Stream<Array2<f64>>,
    n_centers: usize,
}

/// Coefficients, truncated in several ways, and the orders of correlation that are made of them.
#[derive(Debug, Clone)]
struct Truncated {
    expansion: SphericalExpansion,
    nus: Vec<usize>,
    rotations: Option<RotationAverage>,
    /// Atomic numbers of the kinds of centre; `None` for all.
    centers: Vec<Option<u8>>,
    /// Channels kept, `[truncation][kind of centre][l]`.
    kept: Vec<Vec<Vec<Vec<usize>>>>,
}

impl SpectrumNorms {
    /// Norms in a basis as it is: one row.
    ///
    /// # Errors
    /// Unless 1 ≤ ν ≤ 12, or if `invariant` and l_max is above 13.
    pub fn of_expansion(expansion: &SphericalExpansion, nus: &[usize], invariant: bool) -> Result<Self> {
        let all = expansion.channels().iter().map(|channels| (0..channels.len()).collect()).collect();
        Self::new(expansion, vec![None], vec![vec![all]], nus, invariant)
    }

    /// Norms for each of some truncations of a basis: a row for each.
    ///
    /// # Errors
    /// As [`SpectrumNorms::of_expansion`], and if a truncation does not name a number for each block.
    pub fn of_truncations(basis: &OptimalBasis, truncations: &[Kept], nus: &[usize], invariant: bool) -> Result<Self> {
        let kinds = basis.kinds();
        for kept in truncations {
            let fits = kept.len() == kinds.len() && kept.iter().zip(kinds).all(|(c, k)| c.len() == k.blocks.len());
            if !fits {
                let problem = "a truncation names a number of channels for each block of each kind of centre";
                return Err(Error::setting("truncations", format!("{kept:?}"), problem, "follow OptimalBasis::kinds"));
            }
        }
        let channels = basis.expansion().channels();
        let of_kind = |k: usize, counts: &[usize]| -> Vec<Vec<usize>> {
            let stays = |l: usize, channel: &Channel| {
                let blocks = kinds[k].blocks.iter().zip(counts);
                let mut of =
                    blocks.filter(|(b, _)| b.key == BlockKey::density(l) && b.species.unwrap_or(0) == channel.species);
                of.next().is_some_and(|(_, &count)| channel.n < count)
            };
            let of_l = |(l, channels): (usize, &Vec<Channel>)| {
                channels.iter().enumerate().filter(|(_, c)| stays(l, c)).map(|(q, _)| q).collect()
            };
            channels.iter().enumerate().map(of_l).collect()
        };
        let kept = truncations.iter().map(|t| t.iter().enumerate().map(|(k, counts)| of_kind(k, counts)).collect());
        let centers = kinds.iter().map(|k| k.center).collect();
        Self::new(basis.expansion(), centers, kept.collect(), nus, invariant)
    }

    fn new(
        expansion: &SphericalExpansion,
        centers: Vec<Option<u8>>,
        kept: Vec<Vec<Vec<Vec<usize>>>>,
        nus: &[usize],
        invariant: bool,
    ) -> Result<Self> {
        nus.iter().try_for_each(|&nu| NU.check(nu))?;
        let most = nus.iter().copied().max().unwrap_or(1);
        let rotations = invariant.then(|| RotationAverage::new(expansion.l_max(), most)).transpose()?;
        let sums = Stream::new(Array2::zeros((kept.len(), nus.len() * (1 + usize::from(invariant)))));
        let of = Truncated { expansion: expansion.clone(), nus: nus.to_vec(), rotations, centers, kept };
        Ok(SpectrumNorms { of, sums, n_centers: 0 })
    }

    /// Adds the environments of structures, in parallel.
    ///
    /// # Errors
    /// As [`SphericalExpansion::forward`], naming the structure by its index since the sums were begun; nothing of this call
    /// is then added.
    pub fn add(&mut self, structures: &[Structure]) -> Result<()> {
        let of = &self.of;
        self.sums.add(
            structures,
            usize::MAX,
            || (),
            |part, sum, ()| {
                *sum += &of.norms(part.structure)?;
                Ok(())
            },
        )?;
        self.n_centers += structures.iter().map(Structure::len).sum::<usize>();
        Ok(())
    }

    /// Orders of correlation, as asked for.
    pub fn nus(&self) -> &[usize] {
        &self.of.nus
    }

    /// Structures added.
    pub fn n_structures(&self) -> usize {
        self.sums.n_structures
    }

    /// Environments added.
    pub fn n_centers(&self) -> usize {
        self.n_centers
    }

    /// Σ_i |P c_i|^{2ν}: `[truncation, ν]`.
    pub fn equivariant(&self) -> Array2<f64> {
        self.sums.sum().slice_move(s![.., ..self.of.nus.len()])
    }

    /// Σ_i |inv_ν(P c_i)|²: `[truncation, ν]`, if asked for.
    pub fn invariant(&self) -> Option<Array2<f64>> {
        let sums = || self.sums.sum().slice_move(s![.., self.of.nus.len()..]);
        self.of.rotations.as_ref().map(|_| sums())
    }
}

impl Truncated {
    /// Sums over one structure.
    fn norms(&self, structure: &Structure) -> Result<Array2<f64>> {
        let c = self.expansion.forward(std::slice::from_ref(structure))?;
        let n_columns = self.nus.len() * if self.rotations.is_some() { 2 } else { 1 };
        let mut sums = Array2::zeros((self.kept.len(), n_columns));
        for (i, center) in c.centers.iter().enumerate() {
            let kind = self.kind_of_center(center.species);
            let squares: Vec<Vec<f64>> = c.blocks.iter().map(|b| squares(b.index_axis(Axis(0), i))).collect();
            for (kept, mut sums) in self.kept.iter().zip(sums.rows_mut()) {
                let channels =
                    kept[kind].iter().zip(&squares).flat_map(|(kept, squares)| kept.iter().map(|&q| squares[q]));
                let norm: f64 = channels.sum();
                sums.iter_mut().zip(&self.nus).for_each(|(sum, &nu)| *sum += norm.powi(nu as i32));
            }
        }
        if let Some(rotations) = &self.rotations {
            self.add_invariants(rotations, &c, &mut sums);
        }
        Ok(sums)
    }

    /// Columns are (environment, truncation), some at a time.
    fn add_invariants(&self, rotations: &RotationAverage, c: &Equivariants, sums: &mut Array2<f64>) {
        let columns: Vec<(usize, usize)> =
            (0..c.centers.len()).flat_map(|i| (0..self.kept.len()).map(move |t| (i, t))).collect();
        let norms = |columns: &[(usize, usize)]| {
            let mut packed = rotations.widths().map(|width| Vec::with_capacity(width * columns.len()));
            for &(i, t) in columns {
                let kept = &self.kept[t][self.kind_of_center(c.centers[i].species)];
                for (l, block) in c.blocks.iter().enumerate() {
                    pack_kernel(block.index_axis(Axis(0), i), kept[l].iter().copied(), &mut packed[l % 2]);
                }
            }
            rotations.norms_of_kernels(&packed, columns.len(), &self.nus)
        };
        let parts: Vec<Array2<f64>> = columns.par_chunks(COLUMNS).map(norms).collect();
        for (columns, norms) in columns.chunks(COLUMNS).zip(&parts) {
            for (&(_, t), norms) in columns.iter().zip(norms.rows()) {
                let mut row = sums.row_mut(t);
                let invariant = row.slice_mut(s![self.nus.len()..]);
                invariant.into_iter().zip(norms).for_each(|(sum, norm)| *sum += norm);
            }
        }
    }

    fn kind_of_center(&self, species: u8) -> usize {
        self.centers.iter().position(|&z| z == Some(species)).unwrap_or(0)
    }
}

/// Σ_m c² of each channel.
fn squares(c: ArrayView2<f64>) -> Vec<f64> {
    let mut sums = vec![0.0; c.ncols()];
    for row in c.rows() {
        sums.iter_mut().zip(row).for_each(|(sum, c)| *sum += c * c);
    }
    sums
}
