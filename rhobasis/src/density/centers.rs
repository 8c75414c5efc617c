//! Some atoms of structures as centres, the others being neighbours only, and numbers of chosen precision.

use std::ops::Range;

use super::equivariants::Center;
use crate::structure::{Structure, symbol, symbols};
use crate::{Error, Result};

/// Which atoms of some structures are centres; all of them stay neighbours.
///
/// ```
/// use rhobasis::Structure;
/// use rhobasis::correlations::Invariants;
/// use rhobasis::density::{Centers, ExpansionSettings, Primitive, SphericalExpansion};
///
/// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 3 }, l_max: 2, ..Default::default() };
/// let water = [Structure::molecule(vec![8, 1, 1], vec![[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])];
/// let soap = Invariants::power_spectrum(&SphericalExpansion::new(&settings, &[1, 8])?, None, false)?;
/// let hydrogens = Centers::of_species(&water, &[1]);
/// let mut x = ndarray::Array2::<f32>::zeros((hydrogens.len(), soap.n_features()));
/// soap.forward_centers_to(&water, Some(&hydrogens), x.view_mut())?;
/// assert_eq!(x.nrows(), 2);
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Centers {
    /// Of each structure, ascending; an empty range where it has none, so that it is checked with the others.
    of_structure: Vec<Vec<Range<usize>>>,
}

impl Centers {
    /// The atoms of these species.
    pub fn of_species(structures: &[Structure], species: &[u8]) -> Self {
        let chosen = |s: &Structure| ranges(s.species.iter().map(|z| species.contains(z)));
        Centers { of_structure: structures.iter().map(chosen).collect() }
    }

    /// The atoms of these indices, a list for each structure, in any order.
    ///
    /// # Errors
    /// For another number of lists, an atom that does not exist, and one that is named twice.
    pub fn of_atoms(structures: &[Structure], atoms: &[Vec<i64>]) -> Result<Self> {
        if atoms.len() != structures.len() {
            let problem = format!("a list of indices is needed for each structure, and there are {}", structures.len());
            return Err(Error::setting("centers", format!("{} lists", atoms.len()), problem, "give a list for each"));
        }
        let of = |(s, (structure, atoms)): (usize, (&Structure, &Vec<i64>))| -> Result<_> {
            let mut chosen = vec![false; structure.len()];
            for &atom in atoms {
                let place = usize::try_from(atom).ok().and_then(|atom| chosen.get_mut(atom));
                let refused = |problem: String, remedy: &str| {
                    Err(Error::setting("centers", atom, format!("frame {s} {problem}"), remedy))
                };
                match place {
                    None => {
                        let problem = format!("has {} atoms, counted from 0", structure.len());
                        return refused(problem, "name atoms of that frame");
                    }
                    Some(true) => return refused("has this atom in its list twice".into(), "name each atom once"),
                    Some(place) => *place = true,
                }
            }
            Ok(ranges(chosen.into_iter()))
        };
        Ok(Centers { of_structure: structures.iter().zip(atoms).enumerate().map(of).collect::<Result<_>>()? })
    }

    /// The atoms for which `mask`, over the atoms of all structures, is true.
    ///
    /// # Errors
    /// For a mask of another length.
    pub fn of_mask(structures: &[Structure], mask: &[bool]) -> Result<Self> {
        let n_atoms: usize = structures.iter().map(Structure::len).sum();
        if mask.len() != n_atoms {
            let found = format!("a mask of {}", mask.len());
            let problem = format!("the frames ({}) have {n_atoms} atoms", structures.len());
            return Err(Error::setting("centers", found, problem, "give true or false for each atom of all frames"));
        }
        let mut rest = mask.iter().copied();
        Ok(Centers { of_structure: structures.iter().map(|s| ranges(rest.by_ref().take(s.len()))).collect() })
    }

    /// Number of centres.
    pub fn len(&self) -> usize {
        (0..self.of_structure.len()).map(|s| self.n_of(s)).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of centres of one structure.
    pub fn n_of(&self, structure: usize) -> usize {
        self.of_structure[structure].iter().map(ExactSizeIterator::len).sum()
    }

    /// Those of some of the structures.
    #[must_use]
    pub fn slice(&self, structures: Range<usize>) -> Self {
        Centers { of_structure: self.of_structure[structures].to_vec() }
    }

    /// The centres, in file order.
    pub fn table(&self, structures: &[Structure]) -> Vec<Center> {
        let of = |(structure, (s, ranges)): (usize, (&Structure, &Vec<Range<usize>>))| {
            let atoms: Vec<usize> = ranges.iter().cloned().flatten().collect();
            let species = s.species.clone();
            atoms.into_iter().map(move |atom| Center { structure, atom, species: species[atom] })
        };
        structures.iter().zip(&self.of_structure).enumerate().flat_map(of).collect()
    }

    pub(super) fn of(&self, structure: usize) -> &[Range<usize>] {
        &self.of_structure[structure]
    }

    /// Refuses structures that these are not of.
    pub(crate) fn check(&self, structures: &[Structure]) -> Result<()> {
        let fits = |(s, ranges): (&Structure, &Vec<Range<usize>>)| ranges.last().is_none_or(|last| last.end <= s.len());
        match self.of_structure.len() == structures.len() && structures.iter().zip(&self.of_structure).all(fits) {
            true => Ok(()),
            false => {
                let found = format!("those of {} structures", self.of_structure.len());
                Err(Error::setting("centers", found, "they are of other structures", "choose them of these"))
            }
        }
    }
}

/// Refuses species of centres of which the structures have no atom.
///
/// # Errors
/// Names the first, and the species that occur.
pub fn check_centers_occur(species: &[u8], occurring: &[u8]) -> Result<()> {
    match species.iter().find(|z| !occurring.contains(z)) {
        None => Ok(()),
        Some(&z) => {
            let there_are = if occurring.is_empty() { "none".into() } else { symbols(occurring) };
            let problem = format!("no atom is of this species; there are {there_are}");
            Err(Error::setting("centers", symbol(z), problem, "name species that occur"))
        }
    }
}

/// Where a mask is true; an empty range if nowhere.
fn ranges(mask: impl Iterator<Item = bool>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (atom, _) in mask.enumerate().filter(|(_, chosen)| *chosen) {
        match ranges.last_mut() {
            Some(last) if last.end == atom => last.end += 1,
            _ => ranges.push(atom..atom + 1),
        }
    }
    if ranges.is_empty() { std::iter::once(0..0).collect() } else { ranges }
}

/// Numbers that results are rounded to: everything is computed in double precision.
pub trait Precision: Copy + Default + Send + Sync + sealed::Sealed + 'static {
    /// The nearest such number.
    fn rounded(x: f64) -> Self;

    /// The same memory, where these are the numbers that are computed.
    fn as_doubles(numbers: &mut [Self]) -> Option<&mut [f64]> {
        let _ = numbers;
        None
    }
}

impl Precision for f64 {
    fn rounded(x: f64) -> f64 {
        x
    }

    fn as_doubles(numbers: &mut [f64]) -> Option<&mut [f64]> {
        Some(numbers)
    }
}

impl Precision for f32 {
    fn rounded(x: f64) -> f32 {
        x as f32
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// Rounds numbers into memory of the same length.
pub(crate) fn round_to<P: Precision>(from: &[f64], to: &mut [P]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = P::rounded(from));
}
