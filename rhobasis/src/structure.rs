//! One atomic structure: species, positions, cell, periodicity, and whatever else its frame carried.

use crate::{Error, Result};

/// Symbols of the elements; the index is the atomic number, 0 is unused.
pub const SYMBOLS: [&str; 119] = [
    "X", "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca",
    "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",
    "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce",
    "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir",
    "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm",
    "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc",
    "Lv", "Ts", "Og",
];

/// Symbol of an atomic number, `"Si"` for 14; `"X"` if there is no such element.
pub fn symbol(species: u8) -> &'static str {
    SYMBOLS.get(species as usize).copied().unwrap_or("X")
}

/// Atomic number of a symbol, 14 for `"Si"`.
pub fn atomic_number(symbol: &str) -> Option<u8> {
    SYMBOLS.iter().skip(1).position(|s| *s == symbol).map(|i| i as u8 + 1)
}

/// A 3-vector, in Å for positions and displacements.
pub type Vec3 = [f64; 3];

/// A value of a frame's comment line: a scalar, or a row-major array of `shape`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `T` or `F`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A real number.
    Real(f64),
    /// Text.
    Text(String),
    /// An array of logicals and its shape.
    Bools(Vec<bool>, Vec<usize>),
    /// An array of integers and its shape.
    Ints(Vec<i64>, Vec<usize>),
    /// An array of reals and its shape.
    Reals(Vec<f64>, Vec<usize>),
    /// An array of texts and its shape.
    Texts(Vec<String>, Vec<usize>),
}

/// A column of the per-atom table: `data` is row-major `[atom, width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name, as in `Properties`.
    pub name: String,
    /// Values per atom.
    pub width: usize,
    /// The values.
    pub data: ColumnData,
}

/// The values of a [`Column`], by type letter of `Properties`: R, I, L, S.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnData {
    /// R
    Reals(Vec<f64>),
    /// I
    Ints(Vec<i64>),
    /// L
    Bools(Vec<bool>),
    /// S
    Texts(Vec<String>),
}

/// Atoms in a cell. Lengths in Å, lattice vectors in the rows of `cell` (zero where there is none).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Structure {
    /// Atomic number of each atom.
    pub species: Vec<u8>,
    /// Cartesian position of each atom, in Å; may lie outside the cell.
    pub positions: Vec<Vec3>,
    /// Lattice vectors in rows, in Å.
    pub cell: [Vec3; 3],
    /// Periodicity along each lattice vector.
    pub pbc: [bool; 3],
    /// Key-value pairs of the comment line other than `Lattice`, `Properties`, `pbc`, in file order.
    pub info: Vec<(String, Value)>,
    /// Per-atom columns other than species and positions, in file order.
    pub columns: Vec<Column>,
}

impl Structure {
    /// An isolated molecule.
    pub fn molecule(species: Vec<u8>, positions: Vec<Vec3>) -> Self {
        Structure { species, positions, ..Structure::default() }
    }

    /// A crystal, periodic in all directions.
    pub fn crystal(species: Vec<u8>, positions: Vec<Vec3>, cell: [Vec3; 3]) -> Self {
        Structure { species, positions, cell, pbc: [true; 3], ..Structure::default() }
    }

    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.species.len()
    }

    /// Whether there are no atoms.
    pub fn is_empty(&self) -> bool {
        self.species.is_empty()
    }

    /// Value of a key of the comment line.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.info.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Per-atom column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Volume of the cell, in Å³.
    pub fn volume(&self) -> f64 {
        let [a, b, c] = self.cell;
        dot(a, cross(b, c)).abs()
    }

    /// Checks what every later stage relies on: known species, finite positions, and a cell that spans its periodic directions.
    pub fn validate(&self) -> Result<()> {
        if self.positions.len() != self.species.len() {
            return Err(Error::structure(
                None,
                format!("{} species but {} positions", self.species.len(), self.positions.len()),
                "give one position per atom",
            ));
        }
        for (i, &z) in self.species.iter().enumerate() {
            if z == 0 || z as usize >= SYMBOLS.len() {
                return Err(Error::structure(
                    Some(i),
                    format!("atomic number {z} is no element"),
                    "use atomic numbers from 1 to 118",
                ));
            }
        }
        for (i, r) in self.positions.iter().enumerate() {
            if !r.iter().all(|x| x.is_finite()) {
                return Err(Error::structure(
                    Some(i),
                    format!("position ({}, {}, {}) is not finite", r[0], r[1], r[2]),
                    "remove the frame or repair its coordinates",
                ));
            }
        }
        self.validate_cell()
    }

    fn validate_cell(&self) -> Result<()> {
        if !self.cell.iter().flatten().all(|x| x.is_finite()) {
            return Err(Error::structure(None, format!("cell {:?} is not finite", self.cell), "repair the Lattice"));
        }
        let periodic: Vec<Vec3> = (0..3).filter(|&k| self.pbc[k]).map(|k| self.cell[k]).collect();
        // Volume, area or length spanned by the periodic vectors, relative to the product of their lengths.
        let spanned = match periodic[..] {
            [] => return Ok(()),
            [a] => norm(a),
            [a, b] => norm(cross(a, b)),
            [a, b, c] => dot(a, cross(b, c)).abs(),
            _ => unreachable!("three lattice vectors"),
        };
        let scale: f64 = periodic.iter().map(|&a| norm(a)).product();
        if !(spanned > 1e-8 * scale && spanned > 1e-8) {
            return Err(Error::structure(
                None,
                format!("the cell {:?} has no volume along its periodic directions (pbc {:?})", self.cell, self.pbc),
                "give three independent lattice vectors, or pbc=\"F F F\" for a molecule",
            ));
        }
        Ok(())
    }
}

pub(crate) fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn norm(a: Vec3) -> f64 {
    dot(a, a).sqrt()
}
