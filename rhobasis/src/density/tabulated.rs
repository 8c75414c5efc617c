//! Radial functions that a user gives as a table φ_nl(r_k), r_0 = 0 < r_1 < …, orthonormalised symmetrically (Löwdin) for each l:
//!
//! ```text
//! R_nl = Σ_k (S^{-1/2})_nk φ_kl/|φ_kl|,   S_nk = ∫ x² φ_nl φ_kl dx/(|φ_nl| |φ_kl|),   |φ|² = ∫ x² φ² dx
//! ```
//!
//! so that functions which are orthonormal already stay as they are. Between the radii φ is a spline of fifth degree, beyond the
//! last one it is 0.

use std::f64::consts::PI;
use std::fmt::{self, Write as _};

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::nodes::{LARGEST_COUNT, Nodes};
use crate::error::{Error, Result};
use crate::linalg;
use crate::settings::{Given, Value};
use crate::special::gauss_legendre::GaussLegendre;
use crate::special::spline::Spline;

/// The smallest singular value of normalised functions with which they still are told apart: orthonormal combinations of them have
/// lost so many of their 16 digits.
const SMALLEST: f64 = 1e-8;

/// Last radii that are no mistake, in Å: between them nothing overflows or vanishes.
const ENDS: std::ops::RangeInclusive<f64> = 1e-3..=1e6;

/// Radial functions as numbers at some radii: [`Primitive::Tabulated`](super::Primitive::Tabulated).
///
/// Between the radii they are splines of fifth degree, whose error falls as the sixth power of the step, beyond the last one 0. For
/// each l they are normalised and then orthonormalised symmetrically: R = S^{-1/2} φ/|φ|, with S the overlaps of φ/|φ| for the
/// weight x². Functions that are orthonormal already stay as they are.
///
/// ```
/// use rhobasis::density::{RadialIntegrals, Tabulated};
///
/// let r: Vec<f64> = (0..=64).map(|k| f64::from(k) / 16.0).collect(); // up to 4 Å
/// let power = |n: i32| r.iter().map(|x| (1.0 - x / 4.0).powi(n)).collect();
/// let functions = vec![vec![power(2), power(3), power(4)]]; // for all l
/// let radial = RadialIntegrals::new(&Tabulated { r, functions }.into(), 4.0, 0.3, 2)?;
/// assert_eq!(radial.n_functions(2), 3);
/// assert!((radial.gram(1)[[0, 0]] - 1.0).abs() < 1e-12 && radial.gram(1)[[0, 1]].abs() < 1e-12);
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tabulated {
    /// Radii r_k in Å, ascending from 0; six or more.
    pub r: Vec<f64>,
    /// φ_nl(r_k) as `[l][n][k]`, in any unit; with one entry, the functions of all l.
    #[serde(rename = "R")]
    pub functions: Vec<Vec<Vec<f64>>>,
}

impl Tabulated {
    /// Number of functions, the same for every l.
    pub fn n_max(&self) -> usize {
        self.functions.first().map_or(0, Vec::len)
    }

    /// From what was given as `r` and `R`, which has axes `[l, n, k]`, or `[n, k]` for the same functions at every l.
    pub(super) fn read(entries: &[(Given, Given)]) -> Result<Self> {
        let of = |name: &str| entries.iter().find(|(key, _)| key.to_text() == name).map(|(_, value)| value);
        let refused = |problem: &str| {
            let remedy = "give radii r in Å, and functions R [n][k] or [l][n][k] at these radii";
            Err(Error::setting("primitive", "(a table)", problem, remedy))
        };
        let (Some(r), Some(functions)) = (of("r"), of("R")) else {
            return refused("a table has r and R");
        };
        let Some(r) = numbers(r) else { return refused("r are no numbers") };
        let for_all_l = rows(functions).map(|functions| vec![functions]);
        let by_l = || match functions {
            Given::List(items) => items.iter().map(rows).collect(),
            _ => None,
        };
        match for_all_l.or_else(by_l) {
            Some(functions) => Ok(Tabulated { r, functions }),
            None => refused("R are no numbers, or have other axes"),
        }
    }

    /// Refuses tables that make no functions for l = 0 … `l_max`, by what is wrong with them.
    pub(super) fn validate(&self, l_max: usize) -> Result<()> {
        let count = self.r.len();
        if count < Spline::LEAST {
            let problem = format!("too few radii for a spline of fifth degree, which takes {} or more", Spline::LEAST);
            return Err(Error::setting("r", format!("{count} radii"), problem, "tabulate on a finer grid"));
        }
        let ascending = "give radii in Å, ascending from 0";
        if self.r[0] != 0.0 {
            return Err(Error::setting("r", format!("{}, …", self.r[0]), "the first radius is not 0", ascending));
        }
        if let Some(k) = (1..count).find(|&k| !(self.r[k] > self.r[k - 1] && self.r[k].is_finite())) {
            let value = format!("{}, {}", self.r[k - 1], self.r[k]);
            return Err(Error::setting("r", value, format!("radius {k} is not above the one before it"), ascending));
        }
        let end = self.r[count - 1];
        if !ENDS.contains(&end) {
            let problem = format!("the last radius must lie between {} and {:e} Å", ENDS.start(), ENDS.end());
            return Err(Error::setting("r", format!("…, {end}"), problem, ascending));
        }
        let n_max = self.n_max();
        for (l, of_l) in self.functions.iter().enumerate() {
            if of_l.len() != n_max {
                let problem = format!("{} functions for l = {l}, {n_max} for l = 0", of_l.len());
                return Err(Error::setting("R", "(a table)", problem, "give as many for every l"));
            }
            for (n, function) in of_l.iter().enumerate() {
                if function.len() != count {
                    let problem =
                        format!("{} values of function n = {n} of l = {l}, but {count} radii", function.len());
                    return Err(Error::setting("R", "(a table)", problem, "give a value at each radius"));
                }
                if let Some(k) = function.iter().position(|value| !value.is_finite()) {
                    let problem = format!("not finite: function n = {n} of l = {l} at r = {} Å", self.r[k]);
                    let remedy = if k == 0 { "give the limit at r = 0" } else { "give finite values" };
                    return Err(Error::setting("R", function[k], problem, remedy));
                }
                if function.iter().all(|&value| value == 0.0) {
                    let problem = format!("function n = {n} of l = {l} is 0 everywhere");
                    return Err(Error::setting("R", 0, problem, "leave it out"));
                }
            }
        }
        if self.functions.len() > 1 && self.functions.len() <= l_max {
            let held = self.functions.len() - 1;
            let problem = format!("the table of primitive functions ends with l = {held}");
            let remedy = format!("use l_max <= {held}, tabulate more l, or give functions R [n, k] that serve all l");
            return Err(Error::setting("l_max", l_max, problem, remedy));
        }
        Ok(())
    }

    /// Nodes as near to each other as the radii everywhere: those of a rule of N are π √(x(L − x))/N apart.
    fn n_nodes(&self, length: f64, sigma: f64) -> Result<usize> {
        let of_pair = |pair: &[f64]| {
            let middle = 0.5 * (pair[0] + pair[1]);
            PI * (middle * (length - middle)).sqrt() / (pair[1] - pair[0])
        };
        let needed = self.r.windows(2).map(of_pair).fold(0.0, f64::max).ceil();
        if needed > LARGEST_COUNT {
            let nearest = self.r.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
            return Err(Error::setting(
                "r",
                format!("{} radii up to {length}", self.r.len()),
                format!("radii as near as {nearest:.1e} Å need {needed} quadrature nodes"),
                format!("use fewer radii, or wider apart: up to {LARGEST_COUNT} nodes are taken"),
            ));
        }
        Nodes::count(400.max(needed as usize), length, sigma)
    }
}

/// How many functions and radii, and the beginning of a digest that tells tables of one size apart.
impl fmt::Display for Tabulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hash = Sha256::new();
        let numbers = self.r.iter().chain(self.functions.iter().flatten().flatten());
        numbers.for_each(|x| hash.update(x.to_le_bytes()));
        let digest = hash.finalize()[..4].iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a text takes what is written to it");
            text
        });
        let (n, count, end) = (self.n_max(), self.r.len(), self.r.last().copied().unwrap_or(0.0));
        let of_l = if self.functions.len() > 1 { " for each l" } else { "" };
        write!(f, "{n} functions{of_l} at {count} radii up to {end} Å, {digest}")
    }
}

fn numbers(given: &Given) -> Option<Vec<f64>> {
    let Given::List(items) = given else { return None };
    items.iter().map(f64::of).collect()
}

fn rows(given: &Given) -> Option<Vec<Vec<f64>>> {
    let Given::List(items) = given else { return None };
    items.iter().map(numbers).collect()
}

/// Node matrix √w_k x_k R_nl(x_k) for each l, one if it serves all, and the functions themselves.
pub(super) fn nodes(table: &Tabulated, r_cut: f64, sigma: f64, l_max: usize) -> Result<(Nodes, Vec<Spline>)> {
    table.validate(l_max)?;
    let length = table.r[table.r.len() - 1];
    if sigma == 0.0 && length < r_cut {
        return Err(Error::setting(
            "sigma",
            sigma,
            format!("the coefficients of a δ density are values of the functions, and their table ends at {length} Å"),
            format!("tabulate up to r_cut = {r_cut}, or use sigma > 0"),
        ));
    }
    let rule = GaussLegendre::new(table.n_nodes(length, sigma)?, length);
    let (mut u, mut splines) = (Vec::new(), Vec::new());
    for (l, functions) in table.functions.iter().take(l_max + 1).enumerate() {
        // As large as 1, so that squares of any unit are numbers.
        let largest: Vec<f64> = functions.iter().map(|f| f.iter().fold(0.0_f64, |most, x| most.max(x.abs()))).collect();
        let of = |(k, n): (usize, usize)| functions[n][k] / largest[n];
        let values = Array2::from_shape_fn((table.r.len(), table.n_max()), of);
        let spline = Spline::through(&table.r, values.view());
        let mut a = Array2::zeros((rule.nodes.len(), table.n_max()));
        for (k, mut row) in a.rows_mut().into_iter().enumerate() {
            let root = rule.weights[k].sqrt() * rule.nodes[k];
            row.iter_mut().zip(spline.evaluate(rule.nodes[k]).0).for_each(|(a, value)| *a = root * value);
        }
        let inverse_norms: Array1<f64> = a.columns().into_iter().map(|c| 1.0 / linalg::norm(&c)).collect();
        a *= &inverse_norms;
        let (left, s, right) = linalg::svd_thin(a.view());
        let (largest, smallest) = (s[0], s[s.len() - 1]);
        if s.len() < table.n_max() || smallest < SMALLEST * largest {
            let of_l = if table.functions.len() > 1 { format!(" of l = {l}") } else { String::new() };
            return Err(Error::setting(
                "R",
                format!("{} functions{of_l}", table.n_max()),
                format!("they are linearly dependent: smallest singular value {smallest:.1e}, largest {largest:.1e}"),
                "give fewer functions, or combinations of them that are orthonormal",
            ));
        }
        // (S^{-1/2})_nk of normalised functions, from A = U s V: U V = A Vᵀ s⁻¹ V. Then of the splines.
        let scaled = &right / &Array1::from(s).insert_axis(ndarray::Axis(1));
        let to_orthonormal = linalg::matmul(right.t(), scaled.view()) * &inverse_norms;
        splines.push(spline.combined(to_orthonormal.view()));
        u.push(linalg::matmul(left.view(), right.view()));
    }
    Ok((Nodes { rule, u }, splines))
}
