//! The components of a power spectrum that `rhobasis select` has chosen.

use std::path::Path;

use rhobasis::{Error, Result};

use crate::npy_read;

/// Rows [l, α, β] of the array `columns` of a `.npz`, or of a `.npy`.
pub fn read(path: &Path) -> Result<Vec<[usize; 3]>> {
    let remedy = "pass a file that 'rhobasis select' made from a power spectrum";
    let Some(columns) = npy_read::with_array(path, "columns", |stored| stored.read_matrix())? else {
        return Err(Error::file(path, "has no array 'columns'", remedy));
    };
    if columns.ncols() != 3 || columns.nrows() == 0 {
        let problem = format!("array 'columns' has shape {:?}, not (components, 3)", columns.dim());
        return Err(Error::file(path, problem, remedy));
    }
    let component = |row: ndarray::ArrayView1<f64>| -> Option<[usize; 3]> {
        let whole = row.iter().all(|&x| (0.0..1e9).contains(&x) && x.fract() == 0.0);
        whole.then(|| std::array::from_fn(|k| row[k] as usize))
    };
    let rows: Option<Vec<_>> = columns.outer_iter().map(component).collect();
    rows.ok_or_else(|| Error::file(path, "array 'columns' holds other numbers than indices", remedy))
}
