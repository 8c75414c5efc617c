//! One atomic structure: species, positions, cell, periodicity, and whatever else its frame carried.

use std::fmt;

use crate::error::in_quotes;
use crate::{Error, Result, memory};

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

/// A list of symbols for messages.
pub(crate) fn symbols(species: &[u8]) -> String {
    species.iter().map(|&z| symbol(z)).collect::<Vec<_>>().join(" ")
}

/// Atomic number of a symbol, 14 for `"Si"`.
pub fn atomic_number(symbol: &str) -> Option<u8> {
    SYMBOLS.iter().skip(1).position(|s| *s == symbol).map(|i| i as u8 + 1)
}

/// What to do about the symbol of an isotope, which is that of no element: `D` or `T`.
pub fn isotope_remedy(symbol: &str) -> Option<&'static str> {
    matches!(symbol, "D" | "T").then_some("write H for an isotope of hydrogen: density and energy know no masses")
}

/// Periodicity as extended XYZ has it, `T T F` for a slab.
pub fn periodicity(pbc: [bool; 3]) -> String {
    pbc.map(|periodic| if periodic { "T" } else { "F" }).join(" ")
}

/// Standard atomic weights of 2013, conventional values where the standard is an interval (J. Meija et al., Pure Appl. Chem. 88,
/// 265 (2016)); where an element has none, the mass of a long-lived isotope. The index is the atomic number.
#[rustfmt::skip]
const MASSES: [f64; 119] = [
    0.0, 1.008, 4.002602, 6.94, 9.0121831, 10.81, 12.011, 14.007, 15.999, 18.998403163, 20.1797, 22.98976928, 24.305,
    26.9815385, 28.085, 30.973761998, 32.06, 35.45, 39.948, 39.0983, 40.078, 44.955908, 47.867, 50.9415, 51.9961,
    54.938044, 55.845, 58.933194, 58.6934, 63.546, 65.38, 69.723, 72.63, 74.921595, 78.971, 79.904, 83.798, 85.4678,
    87.62, 88.90584, 91.224, 92.90637, 95.95, 97.90721, 101.07, 102.9055, 106.42, 107.8682, 112.414, 114.818, 118.71,
    121.76, 127.6, 126.90447, 131.293, 132.90545196, 137.327, 138.90547, 140.116, 140.90766, 144.242, 144.91276,
    150.36, 151.964, 157.25, 158.92535, 162.5, 164.93033, 167.259, 168.93422, 173.054, 174.9668, 178.49, 180.94788,
    183.84, 186.207, 190.23, 192.217, 195.084, 196.966569, 200.592, 204.38, 207.2, 208.9804, 208.98243, 209.98715,
    222.01758, 223.01974, 226.02541, 227.02775, 232.0377, 231.03588, 238.02891, 237.04817, 244.06421, 243.06138,
    247.07035, 247.07031, 251.07959, 252.083, 257.09511, 258.09843, 259.101, 262.11, 267.122, 268.126, 271.134,
    270.133, 269.1338, 278.156, 281.165, 281.166, 285.177, 286.182, 289.19, 289.194, 293.204, 293.208, 294.214,
];

/// Standard atomic weight in amu, 28.085 for 14: the values that ASE takes.
///
/// ```
/// assert_eq!(rhobasis::structure::mass(14), Some(28.085));
/// assert_eq!(rhobasis::structure::mass(0), None);
/// ```
pub fn mass(species: u8) -> Option<f64> {
    MASSES.get(species as usize).copied().filter(|&mass| mass > 0.0)
}

/// Covalent radius of an element, in Å (B. Cordero et al., Dalton Trans. 2008, 2832); none beyond curium.
///
/// ```
/// assert_eq!(rhobasis::structure::covalent_radius(14), Some(1.11));
/// ```
pub fn covalent_radius(species: u8) -> Option<f64> {
    COVALENT_RADII.get(species as usize).copied().filter(|&radius| radius > 0.0)
}

/// By atomic number; of carbon that of sp³, of manganese, iron and cobalt that of low spin.
#[rustfmt::skip]
const COVALENT_RADII: [f64; 97] = [
    0.0, 0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11, 1.07, 1.05, 1.02, 1.06,
    2.03, 1.76, 1.7, 1.6, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.2, 1.19, 1.2, 1.2, 1.16, 2.2, 1.95,
    1.9, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38, 1.39, 1.4, 2.44, 2.15, 2.07,
    2.04, 2.03, 2.01, 1.99, 1.98, 1.98, 1.96, 1.94, 1.92, 1.92, 1.89, 1.9, 1.87, 1.87, 1.75, 1.7, 1.62, 1.51, 1.44,
    1.41, 1.36, 1.36, 1.32, 1.45, 1.46, 1.48, 1.4, 1.5, 1.5, 2.6, 2.21, 2.15, 2.06, 2.0, 1.96, 1.9, 1.87, 1.8, 1.69,
];

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

impl fmt::Display for Value {
    /// As messages show it: the first few of an array.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn listed<T>(x: &[T], shown: impl Fn(&T) -> String) -> String {
            const MOST: usize = 12;
            let more = if x.len() > MOST { ", ..." } else { "" };
            format!("[{}{more}]", x.iter().take(MOST).map(shown).collect::<Vec<_>>().join(", "))
        }
        let logical = |b: &bool| if *b { "T" } else { "F" }.to_string();
        let shown = match self {
            Value::Bool(b) => logical(b),
            Value::Int(i) => i.to_string(),
            Value::Real(x) => x.to_string(),
            Value::Text(text) => in_quotes(text),
            Value::Bools(x, _) => listed(x, logical),
            Value::Ints(x, _) => listed(x, i64::to_string),
            Value::Reals(x, _) => listed(x, f64::to_string),
            Value::Texts(x, _) => listed(x, |text| in_quotes(text)),
        };
        f.write_str(&shown)
    }
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

    /// Bytes of memory that it takes, labels and other columns included.
    pub fn memory(&self) -> usize {
        const ALLOCATION: usize = 16; // what the allocator adds
        let text = |t: &String| size_of::<String>() + t.capacity() + ALLOCATION;
        let value = |v: &Value| match v {
            Value::Bool(_) | Value::Int(_) | Value::Real(_) => 0,
            Value::Text(t) => t.capacity() + ALLOCATION,
            Value::Bools(x, _) => x.capacity() + 3 * ALLOCATION,
            Value::Ints(x, _) => 8 * x.capacity() + 3 * ALLOCATION,
            Value::Reals(x, _) => 8 * x.capacity() + 3 * ALLOCATION,
            Value::Texts(x, _) => x.iter().map(text).sum::<usize>() + 3 * ALLOCATION,
        };
        let column = |c: &Column| match &c.data {
            ColumnData::Reals(x) => 8 * x.capacity(),
            ColumnData::Ints(x) => 8 * x.capacity(),
            ColumnData::Bools(x) => x.capacity(),
            ColumnData::Texts(x) => x.iter().map(text).sum(),
        };
        let info: usize = self.info.iter().map(|(key, v)| text(key) + size_of::<Value>() + value(v)).sum();
        let columns: usize = self.columns.iter().map(|c| size_of::<Column>() + text(&c.name) + column(c)).sum();
        let atoms = self.species.capacity() + size_of::<[f64; 3]>() * self.positions.capacity();
        size_of::<Structure>() + 4 * ALLOCATION + atoms + info + columns
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

    /// N_1 × N_2 × N_3 cells as one, without labels and other columns.
    ///
    /// # Errors
    /// If a cell is to be repeated along a lattice vector that is zero, or there is no memory for so many atoms.
    ///
    /// ```
    /// use rhobasis::Structure;
    /// let cell = [[2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 4.0]];
    /// let pair = Structure::crystal(vec![14], vec![[0.5; 3]], cell).repeated([2, 1, 1])?;
    /// assert_eq!(pair.positions, [[0.5; 3], [2.5, 0.5, 0.5]]);
    /// assert_eq!(pair.cell[0], [4.0, 0.0, 0.0]);
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    pub fn repeated(&self, times: [usize; 3]) -> Result<Structure> {
        for (k, (&n, vector)) in times.iter().zip(&self.cell).enumerate() {
            if n > 1 && *vector == [0.0; 3] {
                let problem = format!("there is no lattice vector {} to repeat the cell along", k + 1);
                return Err(Error::structure(None, problem, "repeat it along the others only"));
            }
        }
        let mut all = Structure { pbc: self.pbc, ..Structure::default() };
        let n_atoms = times.iter().fold(self.len(), |n, &times| n.saturating_mul(times));
        let room = memory::check((n_atoms as u64).saturating_mul(25)) // of species and positions together
            .and_then(|()| memory::reserve(&mut all.species, n_atoms))
            .and_then(|()| memory::reserve(&mut all.positions, n_atoms));
        room.map_err(|shortage| {
            let [a, b, c] = times;
            let problem = format!("{a} × {b} × {c} cells of {} atoms: {shortage}", self.len());
            Error::structure(None, problem, "repeat it fewer times")
        })?;
        for a in 0..times[0] {
            for b in 0..times[1] {
                for c in 0..times[2] {
                    let n = [a, b, c].map(|n| n as f64);
                    let shift = |m: usize| (0..3).map(|k| n[k] * self.cell[k][m]).sum::<f64>();
                    let moved = |r: &Vec3| std::array::from_fn(|m| r[m] + shift(m));
                    all.species.extend(&self.species);
                    all.positions.extend(self.positions.iter().map(moved));
                }
            }
        }
        all.cell = std::array::from_fn(|k| self.cell[k].map(|x| times[k] as f64 * x));
        Ok(all)
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
                format!(
                    "the cell {:?} has no volume along its periodic directions (pbc {})",
                    self.cell,
                    periodicity(self.pbc)
                ),
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
