//! Features of whole structures: those of their atoms, summed.

use ndarray::{Array2, ArrayViewMut2, s};

use super::invariants::Invariants;
use crate::density::{Centers, Precision};
use crate::settings::named;
use crate::structure::Structure;
use crate::{Error, Result};

/// Sums that wait to be rounded: so many numbers, but rows of at least so many structures, to keep the threads busy.
const SUMS_AT_ONCE: usize = 4 << 20;
const FEWEST_STRUCTURES: usize = 64;

named! {
    /// What a structure's row of features is made of those of its atoms.
    pub enum Reduction {
        /// The sum over the atoms of a structure
        Sum = "sum",
        /// The sum over the atoms of a structure, divided by their number
        Mean = "mean",
    }
}

/// How the features of the atoms of a structure become one row.
///
/// ```text
/// X_A = Σ_{i ∈ A} X_i,      or 1/N_A of it,                    columns [column]
/// X_A^a = Σ_{i ∈ A, a_i = a} X_i,   or 1/N_A of it,             columns [species of centre a, column]
/// ```
///
/// N_A is the number of all atoms of the structure, for blocks of species too: these add up to the row without them, and what is
/// linear in them is a mean of contributions of atoms, with weights for each species. Rows of structures without atoms, and blocks
/// of species that a structure lacks, are zero. Of chosen centres, sums and N_A are over these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerStructure {
    /// Sum or mean.
    pub reduction: Reduction,
    /// Whether atoms of each species are summed apart, into a block of columns for each species of the basis, in ascending order.
    pub by_species: bool,
}

impl Invariants {
    /// Number of columns of [`Invariants::per_structure`].
    pub fn n_features_per_structure(&self, how: PerStructure) -> usize {
        self.blocks_of_species(how).len().max(1) * self.n_features()
    }

    /// Species of centre of each block of columns, ascending; empty if they are not apart.
    pub fn blocks_of_species(&self, how: PerStructure) -> &[u8] {
        if how.by_species { self.expansion.species() } else { &[] }
    }

    /// Features of whole structures, `[structure, column]`, in memory that does not grow with the number of atoms.
    ///
    /// ```
    /// use rhobasis::correlations::{Invariants, PerStructure, Reduction};
    /// use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
    /// use rhobasis::Structure;
    ///
    /// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 3 }, l_max: 2, ..Default::default() };
    /// let expansion = SphericalExpansion::new(&settings, &[1, 8])?;
    /// let water = Structure::molecule(vec![8, 1, 1], vec![[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]]);
    /// let soap = Invariants::power_spectrum(&expansion, None, false)?;
    /// let x = soap.per_structure(&[water.clone()], PerStructure { reduction: Reduction::Mean, by_species: false })?;
    /// assert_eq!(x.dim(), (1, 63));
    /// let blocks = soap.per_structure(&[water], PerStructure { reduction: Reduction::Mean, by_species: true })?;
    /// let (of_hydrogen, of_oxygen) = (blocks[[0, 0]], blocks[[0, 63]]);
    /// assert!((of_hydrogen + of_oxygen - x[[0, 0]]).abs() < 1e-12);
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Invariants::forward`].
    pub fn per_structure(&self, structures: &[Structure], how: PerStructure) -> Result<Array2<f64>> {
        let mut out = Array2::zeros((structures.len(), self.n_features_per_structure(how)));
        self.per_structure_to(structures, how, None, out.view_mut())?;
        Ok(out)
    }

    /// [`Invariants::per_structure`] over some centres (all, if none are given) into memory of the caller, overwriting it, rounded
    /// to the precision of that at the end.
    ///
    /// # Errors
    /// As [`Invariants::forward`], and if `out` has another shape, or the centres are of other structures.
    pub fn per_structure_to<P: Precision>(
        &self,
        structures: &[Structure],
        how: PerStructure,
        centers: Option<&Centers>,
        mut out: ArrayViewMut2<P>,
    ) -> Result<()> {
        let width = self.n_features_per_structure(how);
        if out.dim() != (structures.len(), width) {
            let problem = format!("the shape (structures, columns) is {:?}", (structures.len(), width));
            return Err(Error::setting("out", format!("{:?}", out.dim()), problem, "give a row for each structure"));
        }
        centers.map_or(Ok(()), |centers| centers.check(structures))?;
        if let Some(sums) = out.as_slice_mut().and_then(P::as_doubles) {
            let mut sums = ArrayViewMut2::from_shape((structures.len(), width), sums).expect("of that shape");
            sums.fill(0.0);
            return self.sum_up(structures, how, centers, sums);
        }
        let at_once = (SUMS_AT_ONCE / width.max(1)).max(FEWEST_STRUCTURES);
        for (k, portion) in structures.chunks(at_once).enumerate() {
            let these = k * at_once..k * at_once + portion.len();
            let centers = centers.map(|centers| centers.slice(these.clone()));
            let mut sums = Array2::zeros((portion.len(), width));
            self.sum_up(portion, how, centers.as_ref(), sums.view_mut()).map_err(|e| match &e {
                Error::Structure { place, .. } if place.frame.is_some() => e.after_frames(these.start),
                _ => e,
            })?;
            out.slice_mut(s![these, ..]).zip_mut_with(&sums, |to, &sum| *to = P::rounded(sum));
        }
        Ok(())
    }

    /// Adds up the rows of structures in memory that is zero.
    fn sum_up(
        &self,
        structures: &[Structure],
        how: PerStructure,
        centers: Option<&Centers>,
        mut out: ArrayViewMut2<f64>,
    ) -> Result<()> {
        let (n_features, width) = (self.n_features(), self.n_features_per_structure(how));
        let blocks = self.blocks_of_species(how);
        let first_column = |species: &u8| n_features * blocks.iter().position(|z| z == species).unwrap_or(0);
        let runs = self.expansion.runs_around(structures, centers)?;
        runs.sum_up(&self.pool, out.view_mut(), |run, sums, work| {
            self.coefficients(run, work);
            self.features(run, work);
            let mut k = 0; // of the centre
            for (part, sum) in run.parts.iter().zip(sums.chunks_exact_mut(width.max(1))) {
                for _ in part.atoms.clone() {
                    let x = &work.x[k * n_features..(k + 1) * n_features];
                    let first = first_column(&run.species[k]);
                    sum[first..first + n_features].iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
                    k += 1;
                }
            }
            Ok(())
        })?;
        if how.reduction == Reduction::Mean {
            for (s, (mut row, structure)) in out.outer_iter_mut().zip(structures).enumerate() {
                row /= centers.map_or(structure.len(), |centers| centers.n_of(s)).max(1) as f64;
            }
        }
        Ok(())
    }
}
