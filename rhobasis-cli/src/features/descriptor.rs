//! What is computed of each centre, and the arrays that hold it.

use ndarray::{ArrayViewMut2, ArrayViewMut3};
use rhobasis::Result;
use rhobasis::correlations::Invariants;
use rhobasis::density::{Channel, SphericalExpansion};
use rhobasis::structure::Structure;

use crate::npy::Array;

/// Coefficients of the density, or what is made of them.
pub enum Descriptor {
    Density(SphericalExpansion),
    Invariants(Invariants),
}

/// Rows of each array for some centres, and the length of a row.
pub type Blocks<'a> = Vec<(&'a [f64], usize)>;

impl Descriptor {
    pub fn expansion(&self) -> &SphericalExpansion {
        match self {
            Descriptor::Density(expansion) => expansion,
            Descriptor::Invariants(invariants) => invariants.expansion(),
        }
    }

    /// Features of all centres of these structures, which stand in `buffer`.
    pub fn compute<'a>(&self, structures: &[Structure], buffer: &'a mut Vec<f64>) -> Result<Blocks<'a>> {
        let n: usize = structures.iter().map(Structure::len).sum();
        let arrays = self.arrays();
        let length = n * self.width();
        buffer.reserve_exact(length.saturating_sub(buffer.len()));
        buffer.resize(length, 0.0);
        const AS_LONG: &str = "as long as the shape says";
        match self {
            Descriptor::Invariants(invariants) => {
                let out = ArrayViewMut2::from_shape((n, self.width()), buffer).expect(AS_LONG);
                invariants.forward_to(structures, None, None, out)?;
            }
            Descriptor::Density(expansion) => {
                let mut rest = &mut buffer[..];
                let block = |(_, row): &(String, Vec<usize>)| {
                    let (block, others) = std::mem::take(&mut rest).split_at_mut(n * row[0] * row[1]);
                    rest = others;
                    ArrayViewMut3::from_shape((n, row[0], row[1]), block).expect(AS_LONG)
                };
                expansion.forward_to(structures, None, None, &mut arrays.iter().map(block).collect::<Vec<_>>())?;
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
        match self {
            Descriptor::Density(expansion) => {
                let of_l = |(l, c): (usize, &Vec<Channel>)| (format!("l{l}"), vec![2 * l + 1, c.len()]);
                expansion.channels().iter().enumerate().map(of_l).collect()
            }
            Descriptor::Invariants(invariants) => vec![("X".into(), vec![invariants.n_features()])],
        }
    }

    /// Numbers per centre.
    pub fn width(&self) -> usize {
        self.arrays().iter().map(|(_, row)| row.iter().product::<usize>()).sum()
    }

    /// What the rows of the arrays hold; of one `matrix`, what its columns are.
    pub fn description(&self, matrix: bool) -> Vec<Array> {
        let channels = self.expansion().channels();
        if let (Descriptor::Density(_), true) = (self, matrix) {
            let columns: Vec<i64> = channels.iter().enumerate().flat_map(columns_of).collect();
            return vec![Array::integers("columns", Some(4), &columns)];
        }
        let mut arrays = Vec::new();
        if let Descriptor::Invariants(invariants) = self {
            let columns = invariants.columns();
            let indices: Vec<i64> = columns.iter().map(|&i| i as i64).collect();
            arrays.push(Array::integers("columns", Some(columns.ncols()), &indices));
        }
        for (l, channels) in channels.iter().enumerate() {
            let table: Vec<i64> = channels.iter().flat_map(|c| [i64::from(c.species), c.n as i64]).collect();
            arrays.push(Array::integers(format!("channels_l{l}"), Some(2), &table));
        }
        arrays
    }

    /// Bytes that a thread works in besides the results: the coefficients of the centres at hand, and eight of them side by
    /// side with what is made of them.
    pub fn working_memory(&self) -> usize {
        const CENTERS: usize = 64;
        const LANES: usize = 8;
        match self {
            Descriptor::Density(_) => 0,
            Descriptor::Invariants(invariants) => {
                let channels = self.expansion().channels().iter().enumerate();
                let coefficients: usize = channels.map(|(l, c)| (2 * l + 1) * c.len()).sum();
                8 * ((CENTERS + LANES) * coefficients + LANES * invariants.n_features())
            }
        }
    }
}

/// Rows (l, m, species or 0, n) of the columns of one l.
fn columns_of((l, channels): (usize, &Vec<Channel>)) -> Vec<i64> {
    let l = l as i64;
    (-l..=l).flat_map(|m| channels.iter().flat_map(move |c| [l, m, i64::from(c.species), c.n as i64])).collect()
}
