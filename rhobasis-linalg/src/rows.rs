use ndarray::{Array2, ArrayViewMut1, Axis, s};

/// Rows with the same spans, the first q of the first q, and orthonormal: Gram–Schmidt, twice for all digits.
///
/// Rows that depend linearly on those before them give no numbers.
pub fn orthonormal_rows(mut rows: Array2<f64>) -> Array2<f64> {
    for q in 0..rows.nrows() {
        let (before, mut rest) = rows.view_mut().split_at(Axis(0), q);
        let mut row = rest.row_mut(0);
        let norm = row.dot(&row).sqrt();
        row /= norm;
        for _ in 0..2 {
            for earlier in before.rows() {
                let overlap = earlier.dot(&row);
                row.scaled_add(-overlap, &earlier);
            }
            let norm = row.dot(&row).sqrt();
            row /= norm;
        }
    }
    rows
}

/// Orthonormal rows that complete those of `u`.
pub fn complement(u: &Array2<f64>) -> Array2<f64> {
    let (q, m) = u.dim();
    // Of what unit vectors have outside, the longest first.
    let mut basis = u.clone();
    let mut rest: Array2<f64> = Array2::eye(m) - &u.t().dot(u);
    for _ in q..m {
        let lengths: Vec<f64> = rest.rows().into_iter().map(|row| row.dot(&row)).collect();
        let longest = (0..m).max_by(|&a, &b| lengths[a].total_cmp(&lengths[b]).then(b.cmp(&a))).expect("m > 0");
        let mut row = &rest.row(longest) / lengths[longest].sqrt();
        let overlap = basis.dot(&row);
        row -= &overlap.dot(&basis);
        row /= row.dot(&row).sqrt();
        let along = rest.dot(&row);
        for (mut other, along) in rest.rows_mut().into_iter().zip(&along) {
            other.scaled_add(-along, &row);
        }
        basis.push_row(row.view()).expect("as many channels");
    }
    basis.slice(s![q.., ..]).to_owned()
}

/// Turns a row whose component of largest magnitude (of equals, the first) is negative.
pub fn make_largest_positive(mut row: ArrayViewMut1<f64>) {
    let largest = row.iter().copied().fold(0.0_f64, |a, b| if b.abs() > a.abs() { b } else { a });
    if largest < 0.0 {
        row.mapv_inplace(|x| -x);
    }
}
