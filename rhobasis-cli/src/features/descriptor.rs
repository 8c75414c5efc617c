//! What is computed of each centre or structure, and the arrays that hold it.

use ndarray::{ArrayViewMut2, ArrayViewMut3};
use rhobasis::Result;
use rhobasis::correlations::{Invariants, PerStructure};
use rhobasis::density::{Center, Centers, Channel, SphericalExpansion, centers_of};
use rhobasis::structure::Structure;

use crate::matrix::Rows;
use crate::npy::Array;

/// What is computed, and of which atoms.
pub struct Descriptor {
    pub what: Described,
    /// Species of the atoms; all, if none are named.
    pub centers: Option<Vec<u8>>,
}

/// Coefficients of the density, or what is made of them.
pub enum Described {
    Density(SphericalExpansion),
    Invariants(Invariants),
    /// Of whole structures.
    PerStructure(Invariants, PerStructure),
}

/// Some rows of each array, and the length of a row.
pub type Blocks<'a> = Vec<(&'a [f64], usize)>;

impl Descriptor {
    pub fn expansion(&self) -> &SphericalExpansion {
        match &self.what {
            Described::Density(expansion) => expansion,
            Described::Invariants(invariants) | Described::PerStructure(invariants, _) => invariants.expansion(),
        }
    }

    pub fn is_per_structure(&self) -> bool {
        matches!(self.what, Described::PerStructure(..))
    }

    /// Number of rows that a structure has.
    pub fn rows_of(&self, structure: &Structure) -> usize {
        match &self.centers {
            _ if self.is_per_structure() => 1,
            None => structure.len(),
            Some(species) => structure.species.iter().filter(|z| species.contains(z)).count(),
        }
    }

    /// The atoms whose features are rows.
    pub fn centers_of(&self, structures: &[Structure]) -> Vec<Center> {
        self.around(structures).map_or_else(|| centers_of(structures), |centers| centers.table(structures))
    }

    fn around(&self, structures: &[Structure]) -> Option<Centers> {
        self.centers.as_ref().map(|species| Centers::of_species(structures, species))
    }

    /// Names of the arrays that say what rows are.
    pub fn row_labels(&self) -> &'static [&'static str] {
        if self.is_per_structure() { Rows::OF_STRUCTURES } else { Rows::OF_CENTERS }
    }

    /// Features of these structures, or of all their centres, which stand in `buffer`.
    pub fn compute<'a>(&self, structures: &[Structure], buffer: &'a mut Vec<f64>) -> Result<Blocks<'a>> {
        let n: usize = structures.iter().map(|structure| self.rows_of(structure)).sum();
        let arrays = self.arrays();
        let length = n * self.width();
        buffer.reserve_exact(length.saturating_sub(buffer.len()));
        buffer.resize(length, 0.0);
        const AS_LONG: &str = "as long as the shape says";
        let around = self.around(structures);
        match &self.what {
            Described::Invariants(invariants) => {
                let out = ArrayViewMut2::from_shape((n, self.width()), buffer).expect(AS_LONG);
                match &around {
                    None => invariants.forward_to(structures, None, None, out)?,
                    Some(_) => invariants.forward_centers_to(structures, around.as_ref(), out)?,
                }
            }
            Described::PerStructure(invariants, how) => {
                let out = ArrayViewMut2::from_shape((n, self.width()), buffer).expect(AS_LONG);
                invariants.per_structure_to(structures, *how, around.as_ref(), out)?;
            }
            Described::Density(expansion) => {
                let mut rest = &mut buffer[..];
                let block = |(_, row): &(String, Vec<usize>)| {
                    let (block, others) = std::mem::take(&mut rest).split_at_mut(n * row[0] * row[1]);
                    rest = others;
                    ArrayViewMut3::from_shape((n, row[0], row[1]), block).expect(AS_LONG)
                };
                let mut blocks: Vec<_> = arrays.iter().map(block).collect();
                match &around {
                    None => expansion.forward_to(structures, None, None, &mut blocks)?,
                    Some(_) => expansion.forward_centers_to(structures, around.as_ref(), &mut blocks)?,
                }
            }
        }
        let mut rest = &buffer[..];
        let block = |(_, row): (String, Vec<usize>)| {
            let width = row.iter().product();
            let (block, others) = rest.split_at(n * width);
            rest = others;
            (block, width)
        };
        Ok(arrays.into_iter().map(block).collect())
    }

    /// Name of each array, and the shape of its rows.
    pub fn arrays(&self) -> Vec<(String, Vec<usize>)> {
        match &self.what {
            Described::Density(expansion) => {
                let of_l = |(l, c): (usize, &Vec<Channel>)| (format!("l{l}"), vec![2 * l + 1, c.len()]);
                expansion.channels().iter().enumerate().map(of_l).collect()
            }
            Described::Invariants(invariants) => vec![("X".into(), vec![invariants.n_features()])],
            Described::PerStructure(invariants, how) => {
                vec![("X".into(), vec![invariants.n_features_per_structure(*how)])]
            }
        }
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.arrays().iter().map(|(_, row)| row.iter().product::<usize>()).sum()
    }

    /// What the rows of the arrays hold; of one `matrix`, what its columns are.
    pub fn description(&self, matrix: bool) -> Vec<Array> {
        let channels = self.expansion().channels();
        if let (Described::Density(_), true) = (&self.what, matrix) {
            let columns: Vec<i64> = channels.iter().enumerate().flat_map(columns_of).collect();
            return vec![Array::integers("columns", Some(4), &columns)];
        }
        let mut arrays = Vec::new();
        if let Described::Invariants(invariants) | Described::PerStructure(invariants, _) = &self.what {
            let columns = invariants.columns();
            let species: &[u8] = match &self.what {
                Described::PerStructure(_, how) => invariants.blocks_of_species(*how),
                _ => &[],
            };
            let indices: Vec<i64> = columns.iter().map(|&i| i as i64).collect();
            arrays.push(Array::integers("columns", Some(columns.ncols()), &indices.repeat(species.len().max(1))));
            if !species.is_empty() {
                let of: Vec<i64> = species.iter().flat_map(|&z| vec![i64::from(z); columns.nrows()]).collect();
                arrays.push(Array::integers("column_species", None, &of));
            }
        }
        for (l, channels) in channels.iter().enumerate() {
            let table: Vec<i64> = channels.iter().flat_map(|c| [i64::from(c.species), c.n as i64]).collect();
            arrays.push(Array::integers(format!("channels_l{l}"), Some(2), &table));
        }
        arrays
    }

    /// How often the results are in memory at most: rows of structures are summed by the threads before they are added.
    pub fn copies(&self) -> usize {
        if self.is_per_structure() { 3 } else { 1 }
    }

    /// Bytes that a thread works in besides the results: the coefficients of the centres at hand, and eight of them side by
    /// side with what is made of them.
    pub fn working_memory(&self) -> usize {
        const CENTERS: usize = 64;
        const LANES: usize = 8;
        match &self.what {
            Described::Density(_) => 0,
            Described::Invariants(invariants) | Described::PerStructure(invariants, _) => {
                let channels = self.expansion().channels().iter().enumerate();
                let coefficients: usize = channels.map(|(l, c)| (2 * l + 1) * c.len()).sum();
                // Of structures, the features of the centres at hand too.
                let features = if self.is_per_structure() { CENTERS } else { 0 } + LANES;
                8 * ((CENTERS + LANES) * coefficients + features * invariants.n_features())
            }
        }
    }
}

/// Rows (l, m, species or 0, n) of the columns of one l.
fn columns_of((l, channels): (usize, &Vec<Channel>)) -> Vec<i64> {
    let l = l as i64;
    (-l..=l).flat_map(|m| channels.iter().flat_map(move |c| [l, m, i64::from(c.species), c.n as i64])).collect()
}
