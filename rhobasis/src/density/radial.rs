//! Radial functions and their integrals with the Gaussian of a neighbour at distance r, Eq. (5):
//!
//! ```text
//! <nl|r;g> = 4π (2πσ²)^{-3/2} e^{-r²/2σ²} ∫_0^∞ x² R_nl(x) e^{-x²/2σ²} i_l(xr/σ²) dx
//! ```
//!
//! Every basis is a matrix √w_k x_k R_nl(x_k) with orthonormal columns on one set of quadrature nodes, so that the integral
//! is a matrix-vector product and the contraction of Eqs. (9) and (10) a product with U.

use super::laplacian::Eigenstate;
use super::nodes::Nodes;
use super::primitive::Primitive;
use super::settings::{L_MAX, LARGEST_L, N_MAX, R_CUT, SIGMA};
use super::{dvr, gto, laplacian, tabulated};
use crate::error::Result;
use crate::linalg;
use crate::special::bessel;
use crate::special::spline::Spline;
use ndarray::Array2;
use std::f64::consts::PI;

/// Primitive or contracted radial functions R_nl and their integrals <nl|r;g>, Eq. (5), for one sigma.
///
/// Flat arrays run over (l, n), l slowest.
///
/// ```
/// use rhobasis::density::{Primitive, RadialIntegrals};
///
/// let radial = RadialIntegrals::new(&Primitive::Gto { n_max: 8 }, 5.0, 0.4, 3)?;
/// let (mut values, mut derivatives) = (vec![0.0; 8 * 4], vec![0.0; 8 * 4]);
/// radial.integrals(1.7, &mut values, &mut derivatives); // I_nl(r) / r^l and its derivative
/// let i_l2_n5 = values[radial.offset(2) + 5] * 1.7_f64.powi(2);
/// # assert!(i_l2_n5.is_finite());
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RadialIntegrals {
    sigma: f64,
    nodes: Nodes,
    /// Position of (l, n = 0); one more than l_max + 1 entries.
    offsets: Vec<usize>,
    /// DVR functions behave as 1/x at the origin.
    regular_at_origin: bool,
    kernel: Kernel,
}

/// How the integrals follow from the functions.
#[derive(Debug, Clone)]
enum Kernel {
    /// sigma > 0: sums over the quadrature nodes.
    Gaussian,
    /// sigma = 0, I = R, from the functions and their derivatives `[l][k, n]` on the nodes.
    PointOnNodes { functions: Vec<Array2<f64>>, slopes: Vec<Array2<f64>> },
    /// sigma = 0, I = R, from the eigenstates themselves and the contraction `[l][q, n]`.
    PointEigenstates { states: Vec<Vec<Eigenstate>>, contraction: Option<Vec<Array2<f64>>> },
    /// sigma = 0, I = R, from the splines of a table, one for each l.
    PointSplines(Vec<Spline>),
}

impl RadialIntegrals {
    /// The functions of `primitive` for l = 0 … `l_max`, with `r_cut` and `sigma` in Å; sigma = 0 is the δ density.
    ///
    /// # Errors
    /// A setting outside its range, linearly dependent functions, `sigma` = 0 with DVR functions, an `l_max` for which there is no
    /// Laplacian eigenstate or no table, and a table that makes no functions, or with `sigma` = 0 ends before `r_cut`.
    pub fn new(primitive: &Primitive, r_cut: f64, sigma: f64, l_max: usize) -> Result<Self> {
        let n_max = primitive.n_max();
        R_CUT.check(r_cut)?;
        SIGMA.check(sigma)?;
        LARGEST_L.check(l_max)?;
        N_MAX.check(n_max)?;
        let (mut nodes, point) = match *primitive {
            Primitive::Gto { n_max } => (gto::nodes(n_max, r_cut, sigma)?, None),
            Primitive::Dvr { n_max, quadrature } => (dvr::nodes(n_max, quadrature, r_cut, sigma)?, None),
            Primitive::LaplacianEigenstates { n_max } => {
                let (nodes, states) = laplacian::nodes(n_max, r_cut, sigma, l_max)?;
                (nodes, Some(Kernel::PointEigenstates { states, contraction: None }))
            }
            Primitive::Tabulated(ref table) => {
                let (nodes, mut splines) = tabulated::nodes(table, r_cut, sigma, l_max)?;
                if splines.len() == 1 {
                    splines = vec![splines[0].clone(); l_max + 1];
                }
                (nodes, Some(Kernel::PointSplines(splines)))
            }
        };
        if nodes.u.len() == 1 {
            nodes.u = vec![nodes.u[0].clone(); l_max + 1];
        }
        let kernel = match point {
            _ if sigma > 0.0 => Kernel::Gaussian,
            Some(kernel) => kernel,
            None => {
                let functions = nodes.functions(0);
                let slopes = linalg::matmul(nodes.rule.differentiation().view(), functions.view());
                Kernel::PointOnNodes { functions: vec![functions; l_max + 1], slopes: vec![slopes; l_max + 1] }
            }
        };
        let regular_at_origin = !matches!(primitive, Primitive::Dvr { .. });
        Ok(RadialIntegrals { sigma, offsets: offsets(&nodes.u), nodes, regular_at_origin, kernel })
    }

    /// The largest l.
    pub fn l_max(&self) -> usize {
        self.nodes.u.len() - 1
    }

    /// Number of functions of angular momentum `l`.
    pub fn n_functions(&self, l: usize) -> usize {
        self.nodes.u[l].ncols()
    }

    /// Position of (l, n = 0) in flat arrays; `offset(l_max + 1)` is their length.
    pub fn offset(&self, l: usize) -> usize {
        self.offsets[l]
    }

    /// The contracted functions of Eq. (10), R_ql = Σ_n U^l[q, n] R_nl, and with them the integrals of Eq. (9).
    ///
    /// `u[l]` has axes `[q, n]`. Done on the node matrices, so a contracted function costs what a primitive one does.
    ///
    /// # Panics
    /// If `u` does not hold l_max + 1 matrices with a column for each function.
    #[must_use]
    pub fn contract(&self, u: &[Array2<f64>]) -> Self {
        assert_eq!(u.len(), self.nodes.u.len(), "one matrix for each l");
        let contract_all = |matrices: &[Array2<f64>]| -> Vec<Array2<f64>> {
            matrices.iter().zip(u).map(|(matrix, u)| linalg::matmul(matrix.view(), u.t())).collect()
        };
        let nodes = Nodes { rule: self.nodes.rule.clone(), u: contract_all(&self.nodes.u) };
        let kernel = match &self.kernel {
            Kernel::Gaussian => Kernel::Gaussian,
            Kernel::PointOnNodes { functions, slopes } => {
                Kernel::PointOnNodes { functions: contract_all(functions), slopes: contract_all(slopes) }
            }
            Kernel::PointEigenstates { states, contraction } => Kernel::PointEigenstates {
                states: states.clone(),
                contraction: Some(match contraction {
                    Some(before) => u.iter().zip(before).map(|(u, b)| linalg::matmul(u.view(), b.view())).collect(),
                    None => u.to_vec(),
                }),
            },
            Kernel::PointSplines(splines) => {
                Kernel::PointSplines(splines.iter().zip(u).map(|(spline, u)| spline.combined(u.view())).collect())
            }
        };
        let offsets = offsets(&nodes.u);
        RadialIntegrals { sigma: self.sigma, nodes, offsets, regular_at_origin: self.regular_at_origin, kernel }
    }

    /// R_nl(x) for all n, Eq. (10), in Å^{-3/2}; zero beyond the interval of the basis. DVR functions diverge as 1/x at x = 0.
    pub fn functions(&self, l: usize, x: f64) -> Vec<f64> {
        let rule = &self.nodes.rule;
        if x > rule.length {
            return vec![0.0; self.n_functions(l)];
        }
        if self.regular_at_origin {
            return rule.interpolate(self.nodes.functions(l).view(), x);
        }
        let times_x =
            Array2::from_shape_fn(self.nodes.u[l].dim(), |(k, n)| self.nodes.u[l][[k, n]] / rule.weights[k].sqrt());
        rule.interpolate(times_x.view(), x).into_iter().map(|value| value / x).collect()
    }

    /// Whether [`integrals`](Self::integrals) gives I/r^l and its derivative (all cases but one) or I and dI/dr themselves
    /// (sigma = 0 with functions that do not vanish as r^l: GTO, tables).
    pub fn divided_by_r_to_the_l(&self) -> bool {
        !matches!(self.kernel, Kernel::PointOnNodes { .. } | Kernel::PointSplines(_))
    }

    /// Integrals I_nl(r)/r^l, finite and exact at r = 0, and their derivatives to r, in flat (l, n) order.
    ///
    /// For GTO and tables with sigma = 0 they are not divided, see [`divided_by_r_to_the_l`](Self::divided_by_r_to_the_l).
    ///
    /// # Panics
    /// If the slices are shorter than `offset(l_max + 1)`.
    pub fn integrals(&self, r: f64, values: &mut [f64], derivatives: &mut [f64]) {
        let total = self.offset(self.l_max() + 1);
        let (values, derivatives) = (&mut values[..total], &mut derivatives[..total]);
        values.fill(0.0);
        derivatives.fill(0.0);
        let rule = &self.nodes.rule;
        if matches!(self.kernel, Kernel::Gaussian) {
            self.gaussian_integrals(r, values, derivatives);
            return;
        }
        if r > rule.length {
            return;
        }
        for l in 0..=self.l_max() {
            let here = self.offset(l)..self.offset(l + 1);
            let (values, derivatives) = (&mut values[here.clone()], &mut derivatives[here]);
            match &self.kernel {
                Kernel::Gaussian => {}
                Kernel::PointOnNodes { functions, slopes } => {
                    values.copy_from_slice(&rule.interpolate(functions[l].view(), r));
                    derivatives.copy_from_slice(&rule.interpolate(slopes[l].view(), r));
                }
                Kernel::PointSplines(splines) => {
                    let (of_l, slopes) = splines[l].evaluate(r);
                    values.copy_from_slice(&of_l);
                    derivatives.copy_from_slice(&slopes);
                }
                Kernel::PointEigenstates { states, contraction } => {
                    for (n, state) in states[l].iter().enumerate() {
                        let (value, derivative) = state.over_power(l, r);
                        match contraction {
                            None => (values[n], derivatives[n]) = (value, derivative),
                            Some(u) => {
                                for q in 0..values.len() {
                                    values[q] += u[l][[q, n]] * value;
                                    derivatives[q] += u[l][[q, n]] * derivative;
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Sum over the nodes of √w x R (√w x κ_l), with the kernel κ_l = K_l/r^l and z = xr/σ²:
    ///
    /// ```text
    /// κ_l = 4π (2πσ²)^{-3/2} e^{-(x-r)²/2σ²} (x/σ²)^l e^{-z} i_l(z)/z^l,   dκ_l/dr = (r/σ²) (x κ_{l+1} − κ_l)
    /// ```
    fn gaussian_integrals(&self, r: f64, values: &mut [f64], derivatives: &mut [f64]) {
        let l_max = self.l_max();
        let inverse = 1.0 / (self.sigma * self.sigma);
        let prefactor = 4.0 * PI * (2.0 * PI * self.sigma * self.sigma).powf(-1.5);
        let mut kappa = [0.0; L_MAX + 2];
        let rule = &self.nodes.rule;
        for (k, (&x, &w)) in rule.nodes.iter().zip(&rule.weights).enumerate() {
            let exponent = 0.5 * inverse * (x - r).powi(2);
            if exponent > 100.0 {
                continue; // below 1e-25 of the largest, also after (x/σ²)^l with l = 20
            }
            bessel::scaled_i_over_power(x * r * inverse, l_max + 1, &mut kappa);
            let mut power = prefactor * (-exponent).exp() * w.sqrt() * x;
            for kappa in &mut kappa[..l_max + 2] {
                *kappa *= power;
                power *= x * inverse;
            }
            for l in 0..=l_max {
                let (value, derivative) = (kappa[l], r * inverse * (x * kappa[l + 1] - kappa[l]));
                let here = self.offsets[l]..self.offsets[l + 1];
                let count = here.len();
                let row = &self.nodes.u[l].as_slice().expect("node matrices are contiguous")[k * count..][..count];
                let sums = values[here.clone()].iter_mut().zip(&mut derivatives[here]);
                for ((sum, slope), u) in sums.zip(row) {
                    *sum += value * u;
                    *slope += derivative * u;
                }
            }
        }
    }

    /// Gram matrix ∫ x² R_n R_n' dx of the functions of angular momentum `l`: the identity, up to rounding.
    pub fn gram(&self, l: usize) -> Array2<f64> {
        linalg::matmul(self.nodes.u[l].t(), self.nodes.u[l].view())
    }
}

fn offsets(u: &[Array2<f64>]) -> Vec<usize> {
    let mut offsets = vec![0];
    for matrix in u {
        offsets.push(offsets[offsets.len() - 1] + matrix.ncols());
    }
    offsets
}
