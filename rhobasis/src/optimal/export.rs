//! A basis for other programs: its radial integrals as numbers, and as the input of featomic.

use std::collections::BTreeMap;

use ndarray::Array2;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::basis::OptimalBasis;
use crate::density::{CutoffFunction, Density, RadialIntegrals, RadialTable};
use crate::settings::Named;
use crate::{Error, Result};

/// Knots beyond which refining is given up.
const MAX_KNOTS: usize = 20_000;
/// Intervals of the first grid where there is no table whose knots could be taken.
const FIRST_INTERVALS: usize = 64;

/// What featomic needs to evaluate a basis.
#[derive(Debug, Clone)]
pub struct FeatomicHypers {
    /// By neighbour species: the arguments of `featomic.SphericalExpansion`.
    pub by_species: BTreeMap<u8, Value>,
    /// Knots of the finest table.
    pub n_knots: usize,
    /// Largest deviation of featomic's splines from ours, relative to each channel's largest value.
    pub error: f64,
}

impl OptimalBasis {
    /// This basis in the words of featomic: for each neighbour species, the arguments of its `SphericalExpansion`.
    ///
    /// featomic splines I_q(r) itself, we splined I_q(r)/r^l: the knots are refined until its cubic Hermite interpolation is
    /// within `accuracy` (of each channel's largest value) of what [`OptimalBasis::transform`] uses. The density is called
    /// δ there, for the Gaussian is already in the integrals; they are those of ∫g = 1, and no factor is left.
    ///
    /// With neighbours of species a, the block of a of the result of a's calculator is ours; a combined basis is the sum
    /// of these blocks over a.
    ///
    /// # Errors
    /// If there is no such kind of centre, `accuracy` is out of range or not reached, or featomic has no such cutoff function: it
    /// has the cosine and the step.
    pub fn to_featomic(&self, center: Option<u8>, accuracy: f64) -> Result<FeatomicHypers> {
        if !(1e-12..=1e-2).contains(&accuracy) {
            return Err(Error::setting(
                "accuracy",
                accuracy,
                "must lie between 1e-12 and 1e-2",
                "1e-9 is a good start",
            ));
        }
        self.kind(center)?;
        let density = &self.settings.expansion.density;
        let function = density.cutoff_function;
        if !matches!(function, CutoffFunction::Cosine | CutoffFunction::Step) {
            return Err(Error::setting(
                "cutoff_function",
                format!("\"{}\"", function.name()),
                "featomic has no such cutoff function",
                "fit the basis with \"cosine\" or \"step\", or export it as a table (csv)",
            ));
        }
        let mut result = FeatomicHypers { by_species: BTreeMap::new(), n_knots: 0, error: 0.0 };
        for &z in &self.species {
            let curves = match self.expansion.table(center, z) {
                Some(table) => refine(density.r_cut, table.n_knots() - 1, accuracy, |r| of_table(table, r))?,
                None => {
                    let integrals = self.radial_integrals(center, z)?;
                    refine(density.r_cut, FIRST_INTERVALS, accuracy, |r| of_integrals(&integrals, r))?
                }
            };
            result.n_knots = result.n_knots.max(curves.points.len());
            result.error = result.error.max(curves.error);
            result.by_species.insert(z, hypers(density, &curves));
        }
        Ok(result)
    }

    /// Radial integrals I_q(r), Eq. (9), of neighbours of `species`, and dI_q/dr, without spline: for each l two arrays
    /// `[r, q]`, in Å^(−3/2) and Å^(−5/2).
    ///
    /// # Errors
    /// As [`OptimalBasis::radial_integrals`].
    pub fn integrals_at(&self, center: Option<u8>, species: u8, r: &[f64]) -> Result<Vec<[Array2<f64>; 2]>> {
        let integrals = self.radial_integrals(center, species)?;
        let points: Vec<Point> = r.par_iter().map(|&r| of_integrals(&integrals, r)).collect();
        let table = |l: usize, part: fn(&Point, usize) -> &Vec<f64>| {
            Array2::from_shape_fn((r.len(), integrals.n_functions(l)), |(k, q)| part(&points[k], l)[q])
        };
        let both = |l| [table(l, |p, l| &p.values[l]), table(l, |p, l| &p.slopes[l])];
        Ok((0..=integrals.l_max()).map(both).collect())
    }
}

/// I_q and dI_q/dr at one distance: `[l][q]`.
struct Point {
    values: Vec<Vec<f64>>,
    slopes: Vec<Vec<f64>>,
}

impl Point {
    /// From I/r^p and its derivative, with p = l or 0: dI/dr = r^p (I/r^p)′ + p r^(p−1) (I/r^p).
    fn new(l_max: usize, divided: bool, r: f64, stored: impl Fn(usize) -> (Vec<f64>, Vec<f64>)) -> Self {
        let (mut values, mut slopes) = (Vec::new(), Vec::new());
        for l in 0..=l_max {
            let (mut v, mut d) = stored(l);
            if divided && l > 0 {
                let (below, power) = (r.powi(l as i32 - 1), r.powi(l as i32));
                for (v, d) in v.iter_mut().zip(&mut d) {
                    *d = power * *d + l as f64 * below * *v;
                    *v *= power;
                }
            }
            values.push(v);
            slopes.push(d);
        }
        Point { values, slopes }
    }
}

fn of_integrals(integrals: &RadialIntegrals, r: f64) -> Point {
    let l_max = integrals.l_max();
    let n = integrals.offset(l_max + 1);
    let (mut values, mut slopes) = (vec![0.0; n], vec![0.0; n]);
    integrals.integrals(r, &mut values, &mut slopes);
    let range = |l| integrals.offset(l)..integrals.offset(l + 1);
    Point::new(l_max, integrals.divided_by_r_to_the_l(), r, |l| (values[range(l)].to_vec(), slopes[range(l)].to_vec()))
}

fn of_table(table: &RadialTable, r: f64) -> Point {
    let rows = &table.rows;
    let (mut values, mut slopes) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
    table.values_and_derivatives(r, &mut values, &mut slopes);
    let range = |l: usize| rows.offsets[l]..rows.offsets[l] + rows.counts[l];
    Point::new(rows.l_max(), table.divided, r, |l| (values[range(l)].to_vec(), slopes[range(l)].to_vec()))
}

/// Equally spaced points on [0, r_cut].
struct Curves {
    step: f64,
    points: Vec<Point>,
    error: f64,
}

/// The fewest equal parts of `intervals` whose cubic Hermite interpolation is within `accuracy` of the curves.
fn refine(r_cut: f64, intervals: usize, accuracy: f64, curve: impl Fn(f64) -> Point + Sync) -> Result<Curves> {
    let mut parts = 1;
    loop {
        let n = intervals * parts;
        let step = r_cut / n as f64;
        let points: Vec<Point> = (0..=n).into_par_iter().map(|k| curve((step * k as f64).min(r_cut))).collect();
        let error = interpolation_error(&points, step, &curve);
        if error <= accuracy {
            return Ok(Curves { step, points, error });
        }
        let predicted = (parts as f64 * (error / accuracy).powf(0.25)).ceil(); // the error falls as step⁴
        parts = (predicted as usize).max(parts + 1);
        if !error.is_finite() || intervals * parts >= MAX_KNOTS {
            return Err(Error::setting(
                "accuracy",
                accuracy,
                format!("not reached: error {error:.1e} with {n} knots"),
                "use a larger value, or a larger sigma",
            ));
        }
    }
}

/// Largest deviation at seven places between each two knots, relative to the channel's largest value, beyond rounding.
fn interpolation_error(points: &[Point], step: f64, curve: &(impl Fn(f64) -> Point + Sync)) -> f64 {
    let channels = || points[0].values.iter().enumerate().flat_map(|(l, v)| (0..v.len()).map(move |q| (l, q)));
    let largest: Vec<f64> =
        channels().map(|(l, q)| points.iter().map(|p| p.values[l][q].abs()).fold(0.0, f64::max)).collect();
    let rounding = 1e-14 * largest.iter().copied().fold(0.0, f64::max);
    let of_interval = |k: usize| {
        let mut worst: f64 = 0.0;
        for t in (1..8).map(|eighth| f64::from(eighth) / 8.0) {
            let (a, b, exact) = (&points[k], &points[k + 1], curve(step * (k as f64 + t)));
            let (rise, t2) = (t * t * (3.0 - 2.0 * t), t * (1.0 - t));
            for ((l, q), &largest) in channels().zip(&largest).filter(|(_, largest)| **largest > 0.0) {
                let slopes = a.slopes[l][q] * (1.0 - t) - b.slopes[l][q] * t;
                let spline = a.values[l][q] * (1.0 - rise) + b.values[l][q] * rise + step * t2 * slopes;
                let error = (spline - exact.values[l][q]).abs() - rounding;
                worst = if error.is_nan() { f64::INFINITY } else { worst.max(error / largest) };
            }
        }
        worst
    };
    (0..points.len() - 1).into_par_iter().map(of_interval).reduce(|| 0.0, f64::max)
}

/// featomic's hyperparameters for neighbours with these integrals. An l without channels has points without values.
fn hypers(density: &Density, curves: &Curves) -> Value {
    let n_l = curves.points[0].values.len();
    let tabulated = |l: usize| {
        let points = curves.points.iter().enumerate().map(|(k, point)| {
            json!({
                "position": curves.step * k as f64,
                "values": point.values[l],
                "derivatives": point.slopes[l],
            })
        });
        json!({"type": "Tabulated", "points": points.collect::<Vec<_>>()})
    };
    let smoothing = if density.cutoff_width > 0.0 {
        json!({"type": "ShiftedCosine", "width": density.cutoff_width})
    } else {
        json!({"type": "Step"})
    };
    let mut delta = json!({"type": "DiracDelta", "center_atom_weight": density.center_weight});
    if let Some(u) = &density.scaling {
        delta["scaling"] = json!({"type": "Willatt2018", "rate": u.rate, "scale": u.scale, "exponent": u.exponent});
    }
    json!({
        "cutoff": {"radius": density.r_cut, "smoothing": smoothing},
        "density": delta,
        "basis": {
            "type": "Explicit",
            "by_angular": (0..n_l).map(|l| (l.to_string(), tabulated(l))).collect::<BTreeMap<_, _>>(),
        },
    })
}
