//! Radial integrals at one distance, Eqs. (5), (8): from a table, or by quadrature.

use super::radial::RadialIntegrals;
use super::table::{RadialTable, Rows};

/// Radial integrals of one neighbour species, ready to evaluate.
#[derive(Debug, Clone)]
pub(crate) enum Radial {
    /// From a table, Eq. (8).
    Splined(RadialTable),
    /// By quadrature for each pair, Eq. (5).
    Exact(RadialIntegrals, Rows),
}

impl Radial {
    pub fn rows(&self) -> &Rows {
        match self {
            Radial::Splined(table) => &table.rows,
            Radial::Exact(_, rows) => rows,
        }
    }

    fn divided(&self) -> bool {
        match self {
            Radial::Splined(table) => table.divided,
            Radial::Exact(integrals, _) => integrals.divided_by_r_to_the_l(),
        }
    }

    #[inline(always)]
    pub fn values(&self, r: f64, weight: f64, values: &mut [f64]) {
        match self {
            Radial::Splined(table) => table.values(r, weight, values),
            Radial::Exact(integrals, rows) => {
                exact_rows(integrals, rows, r, values, None);
                values.iter_mut().for_each(|v| *v *= weight);
            }
        }
        if !self.divided() {
            divide(self.rows(), r, values, None);
        }
    }

    /// s̃ = f s and ã = (f′ s + f s′)/r with s = I/r^l: what multiplies ∂(r^l Y_lm) and r⃗ r^l Y_lm in a gradient.
    #[inline(always)]
    pub fn slopes(&self, r: f64, (f, df): (f64, f64), values: &mut [f64], slopes: &mut [f64]) {
        let (of_value, of_derivative) = (df / r, f / r);
        match self {
            Radial::Splined(table) if table.divided => table.slopes(r, f, of_value, of_derivative, values, slopes),
            _ => {
                self.values_and_derivatives(r, values, slopes);
                for (s, ds) in values.iter_mut().zip(slopes) {
                    (*s, *ds) = (f * *s, of_value * *s + of_derivative * *ds);
                }
            }
        }
    }

    /// [`Radial::values`] of few functions, without padding between l.
    #[inline(always)]
    pub fn compact_values(&self, r: f64, weight: f64, values: &mut [f64]) {
        if let Radial::Splined(table) = self {
            table.compact_values(r, weight, values);
        }
    }

    /// [`Radial::slopes`] of few functions, without padding between l.
    #[inline(always)]
    pub fn compact_slopes(&self, r: f64, (f, df): (f64, f64), rows: [&mut [f64]; 2]) {
        if let Radial::Splined(table) = self {
            table.compact_slopes(r, [f, df / r, f / r], rows);
        }
    }

    /// s = I/r^l and ds/dr where speed does not count.
    #[inline(never)]
    fn values_and_derivatives(&self, r: f64, values: &mut [f64], derivatives: &mut [f64]) {
        match self {
            Radial::Splined(table) => table.values_and_derivatives(r, values, derivatives),
            Radial::Exact(integrals, rows) => exact_rows(integrals, rows, r, values, Some(derivatives)),
        }
        if !self.divided() {
            divide(self.rows(), r, values, Some(derivatives));
        }
    }

    /// I_q0(0), to which the centre itself adds.
    pub fn at_origin(&self) -> Vec<f64> {
        let rows = self.rows();
        let mut values = vec![0.0; rows.len()];
        match self {
            Radial::Splined(table) => table.values(0.0, 1.0, &mut values),
            Radial::Exact(integrals, rows) => exact_rows(integrals, rows, 0.0, &mut values, None),
        }
        values.truncate(rows.counts[0]);
        values
    }
}

#[inline(never)]
fn exact_rows(integrals: &RadialIntegrals, rows: &Rows, r: f64, values: &mut [f64], derivatives: Option<&mut [f64]>) {
    let n = integrals.offset(integrals.l_max() + 1);
    let (mut v, mut d) = (vec![0.0; n], vec![0.0; n]);
    integrals.integrals(r, &mut v, &mut d);
    rows.pad(&v, values);
    if let Some(derivatives) = derivatives {
        rows.pad(&d, derivatives);
    }
}

/// I/r^l and its derivative from I and dI/dr.
#[inline(never)]
fn divide(rows: &Rows, r: f64, values: &mut [f64], mut derivatives: Option<&mut [f64]>) {
    for l in 1..=rows.l_max() {
        let inverse = r.powi(-(l as i32));
        for q in rows.offsets[l]..rows.offsets[l + 1] {
            values[q] *= inverse;
            if let Some(d) = &mut derivatives {
                d[q] = d[q] * inverse - l as f64 / r * values[q];
            }
        }
    }
}
