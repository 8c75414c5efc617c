//! The axes of the neighbour search: a compact cell, and its way back to the cell as given.

use crate::structure::{Vec3, cross, dot, norm};
use crate::{Error, Result, Structure};

/// Two atoms nearer than this, in Å, are taken for a mistake in the input.
pub(super) const TOO_CLOSE: f64 = 1e-3;
/// More neighbours of one centre than this mean that the cell or `r_cut` is in the wrong unit.
const MAX_NEIGHBORS: f64 = 1e7;

/// A centre: its wrapped position, how it was shifted there, its place among the boxes and in the filter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Center {
    pub wrapped: Vec3,
    pub shift: [i32; 3],
    pub boxes: Vec3,
    pub filter: [f32; 3],
}

/// The axes along which atoms are wrapped and sorted: a compact choice of the periodic lattice vectors, completed by
/// unit vectors at right angles to them.
pub(super) struct Frame {
    pub periodic: [bool; 3],
    pub vectors: [Vec3; 3],
    /// Row k gives the coordinate of r along vector k: f_k = r · dual_k.
    pub dual: [Vec3; 3],
    /// Distance of the two faces that vector k connects, in Å.
    pub width: Vec3,
    /// The compact vectors in terms of the lattice vectors as given: vectors = turn · H.
    turn: [[i64; 3]; 3],
}

/// Shifts beyond this are refused, so that differences of two fit in 32 bits.
const MAX_SHIFT: i64 = 1 << 29;

impl Frame {
    pub fn new(structure: &Structure) -> Result<Self> {
        let periodic = structure.pbc;
        let flat = || {
            let problem = format!("the cell {:?} has no volume along its periodic directions", structure.cell);
            Error::structure(None, problem, "give independent lattice vectors, or pbc=\"F F F\" for a molecule")
        };
        let (mut vectors, turn) = reduce(&structure.cell, periodic).ok_or_else(flat)?;
        for k in (0..3).filter(|&k| periodic[k]) {
            if !norm(vectors[k]).is_normal() {
                return Err(flat());
            }
            if norm(vectors[k]) < TOO_CLOSE {
                return Err(Error::structure(
                    None,
                    format!("every atom is only {:.3e} Å from its own image (shift {:?})", norm(vectors[k]), turn[k]),
                    "check the length unit of the cell",
                ));
            }
        }
        for k in (0..3).filter(|&k| !periodic[k]) {
            vectors[k] = [0.0; 3];
        }
        // Each open direction: at right angles to two known vectors, or to one and the axis that is farthest from it.
        for k in (0..3).filter(|&k| !periodic[k]) {
            let (a, b) = (vectors[(k + 1) % 3], vectors[(k + 2) % 3]);
            let known = if norm(a) > 0.0 { a } else { b };
            let axis = (0..3).min_by(|&p, &q| known[p].abs().total_cmp(&known[q].abs())).unwrap_or(0);
            let unit: Vec3 = std::array::from_fn(|m| f64::from(u8::from(m == axis)));
            vectors[k] = match (norm(a) > 0.0, norm(b) > 0.0) {
                (true, true) => normalized(cross(normalized(a), normalized(b))),
                (false, false) => std::array::from_fn(|m| f64::from(u8::from(m == k))),
                _ => normalized(cross(normalized(known), unit)),
            };
        }
        let unit = vectors.map(normalized);
        let volume = dot(unit[0], cross(unit[1], unit[2]));
        if volume.is_nan() || volume.abs() < 1e-12 {
            return Err(flat());
        }
        let dual: [Vec3; 3] = std::array::from_fn(|k| {
            let normal = cross(unit[(k + 1) % 3], unit[(k + 2) % 3]);
            normal.map(|x| x / (volume * norm(vectors[k])))
        });
        Ok(Frame { periodic, vectors, dual, width: dual.map(|d| 1.0 / norm(d)), turn })
    }

    /// Upper bound of Σ_k h_k² / |x|², h_k = x · n_k: the largest eigenvalue of (n_k · n_m), by row sums.
    pub fn skew(&self) -> f64 {
        let normal = self.dual.map(normalized);
        let row = |k: usize| (0..3).map(|m| dot(normal[k], normal[m]).abs()).sum::<f64>();
        row(0).max(row(1)).max(row(2)) + 1e-12
    }

    /// How far images must reach beyond the cell, in units of the vectors (0 along open directions).
    pub fn padding(&self, n_atoms: usize, reach: f64) -> Result<Vec3> {
        let padding: Vec3 = std::array::from_fn(|k| if self.periodic[k] { reach / self.width[k] } else { 0.0 });
        let images = padding.iter().fold(1.0, |n, p| n * (2.0 * p).max(1.0));
        // The ball fills π/6 of its bounding box.
        if images > 1.0 && images * n_atoms as f64 * 0.52 > MAX_NEIGHBORS {
            return Err(Error::structure(
                None,
                format!("about {:.1e} neighbours per atom in the cell {:?}", images * n_atoms as f64, self.vectors),
                format!("use a smaller r_cut than {reach:.3} Å, or check the length unit of the cell"),
            ));
        }
        let n_sites = padding.iter().fold(n_atoms as f64, |n, p| n * (1.0 + 2.0 * p));
        let largest = self.original_bound(padding);
        if !(n_sites < 5e8 && largest < MAX_SHIFT as f64) {
            return Err(Error::structure(
                None,
                format!("{n_sites:.1e} atoms and images, cell shifts up to {largest:.1e}"),
                "use a smaller r_cut, a smaller structure or a less skewed cell",
            ));
        }
        Ok(padding)
    }

    fn original_bound(&self, padding: Vec3) -> f64 {
        (0..9).map(|m| (padding[m / 3] + 2.0) * self.turn[m / 3][m % 3].abs() as f64).fold(0.0, |a, b| a + b)
    }

    /// A shift in terms of the lattice vectors as given.
    pub fn original(&self, g: [i64; 3]) -> [i64; 3] {
        std::array::from_fn(|m| (0..3).map(|k| g[k] * self.turn[k][m]).sum())
    }

    /// Moves atom i into the compact cell; `boxes` gets its coordinates f. Also a bound on the numbers that went in.
    pub fn wrap(&self, i: usize, r: Vec3) -> Result<(Center, f64)> {
        let f = self.dual.map(|d| dot(r, d));
        let turns: Vec3 = std::array::from_fn(|k| if self.periodic[k] { -f[k].floor() } else { 0.0 });
        let finite = r.iter().chain(&f).all(|x| x.is_finite());
        let shift = self.original(turns.map(|t| t as i64).map(|t| t.clamp(-MAX_SHIFT, MAX_SHIFT)));
        if !finite || turns.iter().any(|t| t.abs() >= MAX_SHIFT as f64) || shift.iter().any(|s| s.abs() >= MAX_SHIFT) {
            return Err(Error::structure(
                Some(i),
                format!("position {r:?} is not finite or too many cells away from the cell"),
                "wrap the atoms into the cell, or repair the coordinates",
            ));
        }
        let (mut wrapped, mut shift32) = (r, [0; 3]);
        if turns != [0.0; 3] {
            let moved = combine(turns, &self.vectors);
            wrapped = std::array::from_fn(|k| r[k] + moved[k]);
            shift32 = shift.map(|s| s as i32);
        }
        let boxes = std::array::from_fn(|k| f[k] + turns[k]);
        let far = r.iter().map(|x| x.abs()).sum();
        Ok((Center { wrapped, shift: shift32, boxes, filter: [0.0; 3] }, far))
    }
}

/// Shortest equivalents of the periodic lattice vectors, and the integers that make them; `None` if those get too large.
fn reduce(cell: &[Vec3; 3], periodic: [bool; 3]) -> Option<([Vec3; 3], [[i64; 3]; 3])> {
    let mut turn = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    let build = |t: [i64; 3]| combine(t.map(|x| x as f64), cell);
    let mut vectors: [Vec3; 3] = *cell;
    for _ in 0..200 {
        let before = turn;
        for k in (0..3).filter(|&k| periodic[k]) {
            let (p, q) = ((k + 1) % 3, (k + 2) % 3);
            let steps = |m: usize| match periodic[m] {
                true => (dot(vectors[k], vectors[m]) / dot(vectors[m], vectors[m])).round(),
                false => 0.0,
            };
            let signs = |m: usize| if periodic[m] { [-1, 1] } else { [0, 0] };
            let mut trials = vec![(-steps(p) as i64, 0), (0, -steps(q) as i64)];
            trials.extend(signs(p).iter().flat_map(|&s| signs(q).map(|t| (s, t))));
            for (s, t) in trials {
                if s.unsigned_abs().max(t.unsigned_abs()) >= MAX_SHIFT.unsigned_abs() {
                    return None;
                }
                let trial: [i64; 3] = std::array::from_fn(|m| turn[k][m] + s * turn[p][m] + t * turn[q][m]);
                if trial.iter().any(|x| x.abs() >= MAX_SHIFT) {
                    return None;
                }
                let vector = build(trial);
                if dot(vector, vector) < (1.0 - 1e-9) * dot(vectors[k], vectors[k]) {
                    (turn[k], vectors[k]) = (trial, vector);
                }
            }
        }
        if turn == before {
            break;
        }
    }
    Some((vectors, turn))
}

fn normalized(a: Vec3) -> Vec3 {
    let length = norm(a);
    a.map(|x| x / length)
}

/// c_0 v_0 + c_1 v_1 + c_2 v_2; exactly odd in c.
pub(super) fn combine(c: Vec3, vectors: &[Vec3; 3]) -> Vec3 {
    std::array::from_fn(|k| c[0] * vectors[0][k] + c[1] * vectors[1][k] + c[2] * vectors[2][k])
}
