//! Derivatives of invariant features by positions without those that are zero because of the species of the atom that moves.

use std::collections::BTreeSet;
use std::ops::Range;

use super::invariants::Invariants;
use super::jacobian::Out;
use crate::density::{JacobianPart, JacobianRow, RowsOfRun, Variable};
use crate::simd::Aligned;
use crate::structure::Structure;
use crate::{Error, Result};

/// What the derivatives dX/dr of some structures consist of, without the zeros: an array for each species of the atom that moves.
#[derive(Debug)]
pub struct JacobianBySpecies {
    /// The centres themselves, and then species by species.
    pub parts: Vec<PartOfSpecies>,
    all: JacobianPart,
}

/// The derivatives whose atom is of one species, or is the centre itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartOfSpecies {
    /// Species of the atom that moves; none where it is the centre.
    pub species: Option<u8>,
    /// The features that can change: all others have zeros.
    pub columns: Vec<Range<usize>>,
    /// What the rows are, centres in file order.
    pub rows: Vec<JacobianRow>,
}

impl PartOfSpecies {
    /// Number of features that can change.
    pub fn n_columns(&self) -> usize {
        self.columns.iter().map(Range::len).sum()
    }

    /// Numbers of its array `[row, xyz, column]`.
    pub fn n_numbers(&self) -> usize {
        self.rows.len() * 3 * self.n_columns()
    }
}

/// Rows that wait in lanes until they are copied.
const WAITING: usize = 8;

impl Invariants {
    /// What all derivatives by positions consist of, without the zeros: a neighbour changes only the channels of its own species, so
    /// that with four species more than half of [`Invariants::jacobian`] is zeros. [`Invariants::fill_jacobian_by_species`] computes
    /// them.
    ///
    /// Where species are mixed into channels, or features are normalised, each atom changes all features, and nothing is saved.
    ///
    /// ```
    /// # use rhobasis::correlations::Invariants;
    /// # use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
    /// # use rhobasis::Structure;
    /// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 2 }, l_max: 1, ..Default::default() };
    /// let spectrum = Invariants::power_spectrum(&SphericalExpansion::new(&settings, &[1, 8])?, None, false)?;
    /// let water = [Structure::molecule(vec![8, 1, 1], vec![[0.0; 3], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])];
    /// let jacobian = spectrum.jacobian_by_species(&water)?;
    /// let shapes: Vec<_> = jacobian.parts.iter().map(|part| (part.species, part.rows.len(), part.n_columns())).collect();
    /// assert_eq!(shapes, [(None, 3, 20), (Some(1), 4, 14), (Some(8), 2, 14)]); // of 20 features
    /// let mut values: Vec<Vec<f64>> = jacobian.parts.iter().map(|part| vec![0.0; part.n_numbers()]).collect();
    /// let arrays = values.iter_mut().map(|numbers| &mut numbers[..]).collect();
    /// spectrum.fill_jacobian_by_species(&jacobian, &water, arrays)?; // [row, xyz, column], in units of X per Å
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Invariants::forward`], and for a basis whose features are linear combinations: each of all.
    pub fn jacobian_by_species(&self, structures: &[Structure]) -> Result<JacobianBySpecies> {
        if self.combinations.is_some() {
            let problem =
                "each feature is a combination of those of all species, so that there are no zeros to leave out";
            return Err(Error::setting("basis", "combined", problem, "use the Jacobian as a whole"));
        }
        let mut cursor = self.jacobian_cursor(Variable::Positions, usize::MAX);
        let all = cursor.next_part(&self.expansion, structures)?.unwrap_or_default();
        let of_row = |row: &JacobianRow| moved(structures, row.structure, (row.center, row.atom.unwrap_or(row.center)));
        let found: BTreeSet<Option<u8>> = all.rows.iter().map(of_row).chain([None]).collect();
        let part = |species| PartOfSpecies { species, columns: self.changed_by(species), rows: Vec::new() };
        let mut parts: Vec<PartOfSpecies> = found.into_iter().map(part).collect();
        for row in &all.rows {
            let part = place(&parts, of_row(row));
            parts[part].rows.push(*row);
        }
        Ok(JacobianBySpecies { parts, all })
    }

    /// Computes derivatives into an array `[row, xyz, column]` for each part, overwriting `out`, in parallel.
    ///
    /// # Errors
    /// If the structures are not those that the parts were made for, or an array has another length than
    /// [`PartOfSpecies::n_numbers`].
    pub fn fill_jacobian_by_species(
        &self,
        jacobian: &JacobianBySpecies,
        structures: &[Structure],
        mut out: Vec<&mut [f64]>,
    ) -> Result<()> {
        let JacobianBySpecies { parts, all } = jacobian;
        if !parts.iter().map(PartOfSpecies::n_numbers).eq(out.iter().map(|out| out.len())) {
            let needed: Vec<usize> = parts.iter().map(PartOfSpecies::n_numbers).collect();
            let problem = format!("the parts have {needed:?} numbers");
            return Err(Error::setting("out", format!("{} arrays", out.len()), problem, "give one of each length"));
        }
        let most = if self.correlation.first().in_tiles().is_some() { 1 } else { WAITING };
        let share = |run: &RowsOfRun| {
            let mut next = vec![0; parts.len()];
            let of_row = run.rows.iter().map(|&row| {
                let part = place(parts, moved(structures, run.structure, row));
                next[part] += 1;
                (part, next[part] - 1)
            });
            let of_row: Vec<(usize, usize)> = of_row.collect();
            let cut = out.iter_mut().zip(parts).zip(&next).map(|((rest, part), n)| {
                let (mine, others) = std::mem::take(rest).split_at_mut(n * 3 * part.n_columns());
                *rest = others;
                mine
            });
            (of_row, cut.collect())
        };
        all.each_run(structures, &self.pool, share, |run, (of_row, out), work| {
            let mut memory = std::mem::take(&mut work.z);
            memory.resize(most * 3 * self.n_features());
            let mut pieces = Pieces { of_row, parts, out, memory: &mut memory, placed: Vec::new(), most };
            self.jacobian_of(run, Variable::Positions, &mut pieces, work);
            work.z = memory;
        })
    }

    /// The features that change where an atom of this species moves; all, where the centre does.
    fn changed_by(&self, species: Option<u8>) -> Vec<Range<usize>> {
        let layout = self.correlation.layout();
        let all = || layout.counts.iter().map(|&n| 0..n).collect();
        let channels: Vec<Range<usize>> = match species {
            None => all(),
            Some(species) => self.expansion.channels_of_species(species).unwrap_or_else(all),
        };
        self.correlation.first().touched(&channels)
    }
}

/// Species of the atom that moves, if it is not the centre.
fn moved(structures: &[Structure], structure: usize, (center, atom): (usize, usize)) -> Option<u8> {
    (atom != center).then(|| structures[structure].species[atom])
}

/// Which part is of a species.
fn place(parts: &[PartOfSpecies], species: Option<u8>) -> usize {
    parts.binary_search_by_key(&species, |part| part.species).expect("all species were looked at")
}

/// Rows by the species of their atom, of which only some columns are kept.
struct Pieces<'a> {
    /// Of each row of the run: which part, and which row of it.
    of_row: Vec<(usize, usize)>,
    parts: &'a [PartOfSpecies],
    out: Vec<&'a mut [f64]>,
    /// All columns of the rows that were placed.
    memory: &'a mut Aligned,
    placed: Vec<usize>,
    /// Atoms whose rows are computed together: in tiles one; of lanes, three times eight hold eight.
    most: usize,
}

impl Pieces<'_> {
    /// The numbers of a row, of all components.
    fn row(&mut self, row: usize) -> (&mut [f64], &[Range<usize>]) {
        let (part, row) = self.of_row[row];
        let n = 3 * self.parts[part].n_columns();
        (&mut self.out[part][row * n..(row + 1) * n], &self.parts[part].columns)
    }
}

impl Out for Pieces<'_> {
    fn place(&mut self, row: usize) -> usize {
        self.placed.push(row);
        self.placed.len() - 1
    }

    fn memory(&mut self) -> &mut [f64] {
        self.memory
    }

    fn take(&mut self, width: usize) {
        let placed = std::mem::take(&mut self.placed);
        let memory = std::mem::take(self.memory);
        for (&row, from) in placed.iter().zip(memory.chunks_exact(width)) {
            let (mut to, columns) = self.row(row);
            for component in from.chunks_exact(width / 3) {
                for range in columns {
                    let (here, rest) = to.split_at_mut(range.len());
                    here.copy_from_slice(&component[range.clone()]);
                    to = rest;
                }
            }
        }
        *self.memory = memory;
    }

    fn is_full(&self) -> bool {
        self.placed.len() == self.most
    }

    fn clear(&mut self, row: usize, _: usize) {
        self.row(row).0.fill(0.0);
    }
}
