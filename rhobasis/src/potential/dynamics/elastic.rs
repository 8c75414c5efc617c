//! What a crystal is asked for first: lattice constants, elastic constants, equation of state.

use ndarray::Array2;

use super::evaluated::Evaluated;
use super::relax::{RelaxSettings, relax};
use super::settings::GPA;
use crate::linalg::{eigh, svd_thin};
use crate::structure::{Structure, Vec3, dot, norm};
use crate::{Error, Result};

/// Lengths of the lattice vectors in Å, and the angles between b and c, a and c, a and b in degrees.
pub fn lattice_constants(structure: &Structure) -> [f64; 6] {
    let cell = structure.cell;
    let angle = |p: usize, q: usize| {
        let cosine = dot(cell[p], cell[q]) / (norm(cell[p]) * norm(cell[q]));
        libm::acos(cosine.clamp(-1.0, 1.0)).to_degrees()
    };
    [norm(cell[0]), norm(cell[1]), norm(cell[2]), angle(1, 2), angle(0, 2), angle(0, 1)]
}

/// Components in the order xx, yy, zz, yz, xz, xy.
const VOIGT: [[usize; 2]; 6] = [[0, 0], [1, 1], [2, 2], [1, 2], [0, 2], [0, 1]];

/// The stiffness of a crystal, in GPa.
#[derive(Debug, Clone, PartialEq)]
pub struct ElasticConstants {
    /// C_ij in Voigt's order xx, yy, zz, yz, xz, xy, symmetric: dσ_i/dε_j, shears as γ = 2 ε, ions relaxed.
    pub c: [[f64; 6]; 6],
    /// By how much C_ij and C_ji differed before their mean was taken, at most.
    pub asymmetry: f64,
}

impl ElasticConstants {
    /// Of a crystal at rest, whose stress is zero: from the stress at strains ±`strain` of each kind, all ions at rest within
    /// `relaxation`, whose cell is not looked at.
    ///
    /// # Errors
    /// As [`relax`], and unless `strain` lies between 1e-5 and 0.05.
    pub fn of<R: Into<Evaluated>>(
        crystal: &Structure,
        strain: f64,
        relaxation: &RelaxSettings,
        mut evaluate: impl FnMut(&Structure) -> Result<R>,
    ) -> Result<Self> {
        if !(1e-5..=0.05).contains(&strain) {
            let problem = "must lie between 0.00001 and 0.05";
            return Err(Error::setting("strain", strain, problem, "0.003 is usual"));
        }
        let relaxation = RelaxSettings { cell: None, ..*relaxation };
        let mut c = [[0.0; 6]; 6];
        for (j, [p, q]) in VOIGT.into_iter().enumerate() {
            let mut stress = |sign: f64| -> Result<[f64; 6]> {
                let mut tensor = [[0.0; 3]; 3];
                let part = if p == q { 1.0 } else { 0.5 };
                tensor[p][q] = sign * part * strain;
                tensor[q][p] = tensor[p][q];
                let at_rest = relax(strained(crystal, tensor), &relaxation, &mut evaluate)?;
                stress_of(&at_rest.structure, &at_rest.evaluated)
            };
            let (up, down) = (stress(1.0)?, stress(-1.0)?);
            (0..6).for_each(|i| c[i][j] = (up[i] - down[i]) / (2.0 * strain));
        }
        let asymmetry = (0..6).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| (c[i][j] - c[j][i]).abs());
        let asymmetry = asymmetry.fold(0.0, f64::max);
        let c = std::array::from_fn(|i| std::array::from_fn(|j| 0.5 * (c[i][j] + c[j][i])));
        Ok(ElasticConstants { c, asymmetry })
    }

    /// Bulk modulus by Voigt, (C_11 + C_22 + C_33 + 2 C_12 + 2 C_13 + 2 C_23)/9, in GPa.
    pub fn bulk_voigt(&self) -> f64 {
        let c = &self.c;
        (c[0][0] + c[1][1] + c[2][2] + 2.0 * (c[0][1] + c[0][2] + c[1][2])) / 9.0
    }

    /// Shear modulus by Voigt, in GPa.
    pub fn shear_voigt(&self) -> f64 {
        let c = &self.c;
        let [on, off, shear] = [c[0][0] + c[1][1] + c[2][2], c[0][1] + c[0][2] + c[1][2], c[3][3] + c[4][4] + c[5][5]];
        (on - off + 3.0 * shear) / 15.0
    }

    /// Bulk and shear modulus by Reuss, in GPa: from the compliance S = C⁻¹; none if the crystal is not stable.
    pub fn reuss(&self) -> Option<[f64; 2]> {
        let (u, s, vt) = svd_thin(self.matrix().view());
        if self.smallest() <= 0.0 {
            return None;
        }
        let s = |i: usize, j: usize| (0..6).map(|k| vt[[k, i]] * u[[j, k]] / s[k]).sum::<f64>();
        let [on, off, shear] = [s(0, 0) + s(1, 1) + s(2, 2), s(0, 1) + s(0, 2) + s(1, 2), s(3, 3) + s(4, 4) + s(5, 5)];
        Some([1.0 / (on + 2.0 * off), 15.0 / (4.0 * (on - off) + 3.0 * shear)])
    }

    /// The smallest eigenvalue of C, in GPa: below zero, a strain lowers the energy, and the crystal is not stable (Born).
    pub fn smallest(&self) -> f64 {
        eigh(self.matrix().view()).0.into_iter().fold(f64::INFINITY, f64::min)
    }

    fn matrix(&self) -> Array2<f64> {
        Array2::from_shape_fn((6, 6), |(i, j)| self.c[i][j])
    }
}

/// r (1 + ε) of cell and atoms.
fn strained(structure: &Structure, strain: [Vec3; 3]) -> Structure {
    let moved = |r: Vec3| std::array::from_fn(|d| r[d] + (0..3).map(|k| r[k] * strain[k][d]).sum::<f64>());
    let mut strained = structure.clone();
    strained.cell = structure.cell.map(moved);
    strained.positions.iter_mut().for_each(|r| *r = moved(*r));
    strained
}

/// In Voigt's order, in GPa.
fn stress_of(structure: &Structure, here: &Evaluated) -> Result<[f64; 6]> {
    let none = || Error::structure(None, "there is no virial, which stresses come from", "give it with the energy");
    let virial = here.virial.ok_or_else(none)?;
    Ok(VOIGT.map(|[p, q]| -virial[p][q] / structure.volume() / GPA))
}

/// Energies over volumes: the cell scaled as it is, the ions at rest within `relaxation`.
///
/// Pairs of volume in Å³ and energy in eV, for each of `scales`, of the volume.
///
/// # Errors
/// As [`relax`].
pub fn energies_of_volumes<R: Into<Evaluated>>(
    crystal: &Structure,
    scales: &[f64],
    relaxation: &RelaxSettings,
    mut evaluate: impl FnMut(&Structure) -> Result<R>,
) -> Result<Vec<[f64; 2]>> {
    let relaxation = RelaxSettings { cell: None, ..*relaxation };
    let of = |scale: &f64| {
        let e = libm::cbrt(*scale) - 1.0;
        let start = strained(crystal, [[e, 0.0, 0.0], [0.0, e, 0.0], [0.0, 0.0, e]]);
        let at_rest = relax(start, &relaxation, &mut evaluate)?;
        Ok([at_rest.structure.volume(), at_rest.evaluated.energy])
    };
    scales.iter().map(of).collect()
}

/// The equation of state of Birch and Murnaghan, third order: E is a cubic polynomial of x = V^(−2/3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BirchMurnaghan {
    /// Volume of least energy, in Å³.
    pub volume: f64,
    /// Energy there, in eV.
    pub energy: f64,
    /// Bulk modulus there, in GPa.
    pub bulk: f64,
    /// Its derivative by the pressure.
    pub derivative: f64,
    /// Largest distance of a point from the curve, in eV.
    pub error: f64,
    /// Of E as a polynomial of (V/`unit`)^(−2/3) − 1.
    coefficients: [f64; 4],
    unit: f64,
}

impl BirchMurnaghan {
    /// Through points of volume (Å³) and energy (eV), by least squares.
    ///
    /// # Errors
    /// With fewer than five points, and if their energies have no minimum among these volumes.
    pub fn fit(points: &[[f64; 2]]) -> Result<Self> {
        let refused = |problem: &str, remedy: &str| Err(Error::setting("volumes", points.len(), problem, remedy));
        if points.len() < 5 {
            return refused("four numbers are fitted to these points", "give seven or more");
        }
        let [least, most] = [f64::min, f64::max].map(|f| points.iter().map(|p| p[0]).reduce(f).unwrap_or(f64::NAN));
        let unit = 0.5 * (least + most);
        let x = |volume: f64| libm::pow(volume / unit, -2.0 / 3.0) - 1.0;
        let mean = points.iter().map(|p| p[1]).sum::<f64>() / points.len() as f64;
        let design = Array2::from_shape_fn((points.len(), 4), |(k, p)| x(points[k][0]).powi(p as i32));
        let (u, s, vt) = svd_thin(design.view());
        let along = |k: usize| points.iter().enumerate().map(|(i, p)| u[[i, k]] * (p[1] - mean)).sum::<f64>() / s[k];
        let along: Vec<f64> = (0..4).map(along).collect();
        let mut c: [f64; 4] = std::array::from_fn(|p| (0..4).map(|k| vt[[k, p]] * along[k]).sum());
        c[0] += mean;
        let root = c[2] * c[2] - 3.0 * c[1] * c[3];
        // The root that stays where d vanishes: −b/(2c).
        let at = -c[1] / (c[2] + root.max(0.0).sqrt());
        let curve = BirchMurnaghan {
            volume: unit * libm::pow(at + 1.0, -1.5),
            energy: 0.0,
            bulk: 0.0,
            derivative: 0.0,
            error: 0.0,
            coefficients: c,
            unit,
        };
        if root < 0.0 || !(least..=most).contains(&curve.volume) {
            return refused("their energies have no minimum among these volumes", "relax the cell first");
        }
        Ok(curve.with_derivatives(at, points))
    }

    /// E'' and E''' by the volume from those by x, E' being zero.
    fn with_derivatives(self, x: f64, points: &[[f64; 2]]) -> Self {
        let BirchMurnaghan { coefficients: c, volume: v, .. } = self;
        let [second, third] = [2.0 * c[2] + 6.0 * c[3] * x, 6.0 * c[3]];
        let y = x + 1.0;
        let [slope, curvature] = [-2.0 / 3.0 * y / v, 10.0 / 9.0 * y / (v * v)];
        let e2 = second * slope * slope;
        let e3 = third * slope * slope * slope + 3.0 * second * slope * curvature;
        let error = points.iter().map(|p| (self.at(p[0]) - p[1]).abs()).fold(0.0, f64::max);
        BirchMurnaghan { energy: self.at(v), bulk: v * e2 / GPA, derivative: -1.0 - v * e3 / e2, error, ..self }
    }

    /// The energy at a volume (Å³), in eV.
    pub fn at(&self, volume: f64) -> f64 {
        let x = libm::pow(volume / self.unit, -2.0 / 3.0) - 1.0;
        self.coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
    }

    /// −dE/dV at a volume (Å³), in GPa.
    pub fn pressure(&self, volume: f64) -> f64 {
        let y = libm::pow(volume / self.unit, -2.0 / 3.0);
        let [_, b, c, d] = self.coefficients;
        let x = y - 1.0;
        (b + x * (2.0 * c + 3.0 * d * x)) * (2.0 / 3.0) * y / volume / GPA
    }
}
