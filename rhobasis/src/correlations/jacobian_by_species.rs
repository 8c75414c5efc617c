//! Derivatives of invariant features by positions without those that are zero because of the species of the atom that moves.

use std::collections::BTreeSet;
use std::ops::Range;

use ndarray::Array3;

use super::invariants::Invariants;
use super::jacobian::Out;
use crate::density::{JacobianRow, Variable};
use crate::structure::Structure;
use crate::{Error, Result};

/// The derivatives dX/dr of [`Invariants::jacobian`] whose atom is of one species, or is the centre itself.
#[derive(Debug, Clone, PartialEq)]
pub struct JacobianBySpecies {
    /// Species of the atom that moves; none where it is the centre.
    pub species: Option<u8>,
    /// The features that can change: the columns of all others would be zeros.
    pub columns: Vec<usize>,
    /// `[row, xyz, column]`, in units of X per Å.
    pub values: Array3<f64>,
    /// What the rows are, centres in file order.
    pub rows: Vec<JacobianRow>,
}

/// Rows that wait in lanes until they are copied.
const WAITING: usize = 8;

impl Invariants {
    /// All derivatives by positions, of the centres themselves and then by the species of the atom that moves, in memory: a
    /// neighbour changes only the channels of its own species, so that with four species most of [`Invariants::jacobian`] is zeros.
    ///
    /// Where species are mixed into channels, or features are normalised, each atom changes all features, and nothing is saved.
    ///
    /// ```
    /// # use rhobasis::correlations::Invariants;
    /// # use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
    /// # use rhobasis::Structure;
    /// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 2 }, l_max: 1, ..Default::default() };
    /// let spectrum = Invariants::power_spectrum(&SphericalExpansion::new(&settings, &[1, 8])?, None, false)?;
    /// let water = Structure::molecule(vec![8, 1, 1], vec![[0.0; 3], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]);
    /// let by_species = spectrum.jacobian_by_species(&[water])?;
    /// let shapes: Vec<_> = by_species.iter().map(|part| (part.species, part.values.dim())).collect();
    /// assert_eq!(shapes, [(None, (3, 3, 20)), (Some(1), (4, 3, 14)), (Some(8), (2, 3, 14))]); // of 20 features
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Invariants::forward`], and for a basis whose features are linear combinations: each of all.
    pub fn jacobian_by_species(&self, structures: &[Structure]) -> Result<Vec<JacobianBySpecies>> {
        if self.combinations.is_some() {
            let problem =
                "each feature is a combination of those of all species, so that there are no zeros to leave out";
            return Err(Error::setting("basis", "combined", problem, "use the Jacobian as a whole"));
        }
        let mut cursor = self.jacobian_cursor(Variable::Positions, usize::MAX);
        let part = cursor.next_part(&self.expansion, structures)?.unwrap_or_default();
        let species_of = |structure: usize, center: usize, atom: usize| {
            (atom != center).then(|| structures[structure].species[atom])
        };
        let of_row = |row: &JacobianRow| species_of(row.structure, row.center, row.atom.unwrap_or(row.center));
        let mut found: BTreeSet<Option<u8>> = part.rows.iter().map(of_row).collect();
        found.insert(None);
        let found: Vec<Option<u8>> = found.into_iter().collect();
        let columns: Vec<Vec<Range<usize>>> = found.iter().map(|species| self.changed_by(*species)).collect();
        let place = |species: Option<u8>| found.binary_search(&species).expect("all were looked at");
        let mut rows = vec![Vec::new(); found.len()];
        part.rows.iter().for_each(|row| rows[place(of_row(row))].push(*row));
        let widths: Vec<usize> =
            columns.iter().map(|columns| 3 * columns.iter().map(Range::len).sum::<usize>()).collect();
        let mut values: Vec<Vec<f64>> =
            rows.iter().zip(&widths).map(|(rows, width)| vec![0.0; rows.len() * width]).collect();
        let mut rest: Vec<&mut [f64]> = values.iter_mut().map(Vec::as_mut_slice).collect();
        let in_tiles = self.correlation.first().in_tiles().is_some();
        part.each_run(
            structures,
            &self.pool,
            |run| {
                let mut next = vec![0; found.len()];
                let of_row = run.rows.iter().map(|&(center, atom)| {
                    let part = place(species_of(run.structure, center, atom));
                    next[part] += 1;
                    (part, next[part] - 1)
                });
                let of_row: Vec<(usize, usize)> = of_row.collect();
                let cut = rest.iter_mut().zip(&widths).zip(&next).map(|((rest, width), n)| {
                    let (mine, others) = std::mem::take(rest).split_at_mut(n * width);
                    *rest = others;
                    mine
                });
                (of_row, cut.collect())
            },
            |run, (of_row, out), work| {
                // Tiles are computed atom by atom; of lanes, three times eight hold eight atoms.
                let most = if in_tiles { 1 } else { WAITING };
                let memory = vec![0.0; most * 3 * self.n_features()];
                let mut pieces = Pieces { of_row, columns: &columns, out, memory, placed: Vec::new(), most };
                self.jacobian_of(run, Variable::Positions, &mut pieces, work);
            },
        )?;
        let parts = found.into_iter().zip(columns).zip(rows.into_iter().zip(values));
        let named = parts.map(|((species, columns), (rows, values))| {
            let columns: Vec<usize> = columns.into_iter().flatten().collect();
            let values = Array3::from_shape_vec((rows.len(), 3, columns.len()), values).expect("as it was cut");
            JacobianBySpecies { species, columns, values, rows }
        });
        Ok(named.collect())
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

/// Rows by the species of their atom, of which only some columns are kept.
struct Pieces<'a> {
    /// Of each row of the run: which array, and which row of it.
    of_row: Vec<(usize, usize)>,
    /// Of each array: the columns that are kept.
    columns: &'a [Vec<Range<usize>>],
    out: Vec<&'a mut [f64]>,
    /// All columns of the rows that were placed.
    memory: Vec<f64>,
    placed: Vec<usize>,
    most: usize,
}

impl Out for Pieces<'_> {
    fn place(&mut self, row: usize) -> usize {
        self.placed.push(row);
        self.placed.len() - 1
    }

    fn memory(&mut self) -> &mut [f64] {
        &mut self.memory
    }

    fn take(&mut self, width: usize) {
        for (row, from) in self.placed.drain(..).zip(self.memory.chunks_exact(width)) {
            let (part, row) = self.of_row[row];
            let columns = &self.columns[part];
            let kept: usize = columns.iter().map(Range::len).sum();
            let mut to = &mut self.out[part][3 * row * kept..3 * (row + 1) * kept];
            for component in from.chunks_exact(width / 3) {
                for range in columns {
                    let (here, rest) = to.split_at_mut(range.len());
                    here.copy_from_slice(&component[range.clone()]);
                    to = rest;
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        self.placed.len() == self.most
    }

    /// Arrays are zeros as they are made.
    fn clear(&mut self, _: usize, _: usize) {}
}
