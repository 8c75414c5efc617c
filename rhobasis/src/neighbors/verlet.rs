//! Neighbour lists that are not made for each structure anew: one of ours while atoms move little, or one from outside.

use std::ops::Range;

use super::frame::TOO_CLOSE;
use super::list::{NeighborList, overlap};
use crate::structure::{Vec3, dot, periodicity};
use crate::{Error, Result, Structure};

/// A list of all pairs within `r_cut + skin`, which serves as long as no atom has moved by more than `skin / 2` and nothing
/// else has changed (Verlet, Phys. Rev. 159, 98 (1967)): pairs within `r_cut` are then picked from it.
///
/// ```
/// use rhobasis::{Structure, neighbors::VerletList};
/// let mut list = VerletList::new(3.0, 0.4)?;
/// let dimer = |d: f64| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]);
/// assert!(list.update(&dimer(2.4))?); // made
/// assert!(!list.update(&dimer(2.5))?); // still good
/// assert!(list.update(&dimer(2.9))?); // made anew
/// # Ok::<(), rhobasis::Error>(())
/// ```
///
/// Or a list that another program keeps ([`VerletList::given`]), as the engines of molecular dynamics do: of atoms without
/// periodicity, the first of which are centres and the others, such as images of these, neighbours only.
#[derive(Debug, Clone)]
pub struct VerletList {
    r_cut: f64,
    skin: f64,
    /// All pairs within r_cut + skin of the structure as it was when the list was made; the vector of a pair is S·H.
    list: NeighborList,
    origin: Origin,
}

/// What the list is good for.
#[derive(Debug, Clone)]
enum Origin {
    /// Nothing yet.
    Empty,
    /// Structures near the one that it was made for.
    Search { positions: Vec<Vec3>, cell: [Vec3; 3], pbc: [bool; 3] },
    /// Structures of so many atoms at least, as another program says.
    Given { n_atoms: usize },
}

impl VerletList {
    /// An empty list; lengths in Å.
    ///
    /// # Errors
    /// If `r_cut` is not positive, or `skin` negative or not finite.
    pub fn new(r_cut: f64, skin: f64) -> Result<Self> {
        if !(r_cut.is_finite() && r_cut > 0.0) {
            return Err(Error::setting("r_cut", r_cut, "must be a positive number", "give it in Å, for example 5.0"));
        }
        if !(skin.is_finite() && skin >= 0.0) {
            return Err(Error::setting("skin", skin, "must be zero or a positive number", "0.3 Å is usual"));
        }
        Ok(VerletList { r_cut, skin, list: NeighborList::default(), origin: Origin::Empty })
    }

    /// A list from outside: atoms 0, 1, … are centres, and the atoms `neighbor[start[i]..start[i + 1]]` hold at least all that
    /// are nearer to centre i than `r_cut`, but not i itself; of these, the pairs within `r_cut` are taken. Structures have no
    /// periodicity; images are atoms of their own, behind the centres. When it has to be made anew, the other program knows.
    ///
    /// ```
    /// use rhobasis::neighbors::VerletList;
    /// // Of three atoms the first is a centre; the others are its neighbours.
    /// let list = VerletList::given(5.0, &[0, 2], &[1, 2])?;
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// If `r_cut` is not positive, or `start` does not begin with 0, ascend, and end with the length of `neighbor`.
    pub fn given(r_cut: f64, start: &[usize], neighbor: &[u32]) -> Result<Self> {
        let mut list = VerletList::new(r_cut, 0.0)?;
        if start.first() != Some(&0) || !start.is_sorted() || start.last() != Some(&neighbor.len()) {
            let problem = format!("must be offsets into {} neighbours", neighbor.len());
            return Err(Error::setting(
                "start",
                format!("{} numbers", start.len()),
                problem,
                "begin with 0 and ascend",
            ));
        }
        list.list.start = start.to_vec();
        list.list.neighbor = neighbor.to_vec();
        list.list.shift = vec![[0; 3]; neighbor.len()];
        list.list.vector = vec![[0.0; 3]; neighbor.len()];
        let n_centers = start.len() - 1;
        list.origin = Origin::Given { n_atoms: neighbor.iter().map(|&j| j as usize + 1).fold(n_centers, usize::max) };
        Ok(list)
    }

    /// Centres of a structure that it serves: all atoms, or the first of them if the list is from outside.
    pub(crate) fn n_centers(&self, structure: &Structure) -> usize {
        match self.origin {
            Origin::Given { .. } => self.list.start.len() - 1,
            _ => structure.len(),
        }
    }

    /// Makes the list anew if the structure has moved too far from that of which it was made; whether it did. A list from
    /// outside stays as it is.
    ///
    /// # Errors
    /// As [`NeighborList::new`]; if the list is from outside, and the structure periodic or too small for it.
    pub fn update(&mut self, structure: &Structure) -> Result<bool> {
        structure.validate()?;
        if self.serves(structure) {
            return Ok(false);
        }
        if let Origin::Given { n_atoms } = self.origin {
            let problem =
                format!("{} atoms, pbc {}: not those of the list", structure.len(), periodicity(structure.pbc));
            let remedy = format!("give at least {n_atoms} atoms without periodicity, or the list of this structure");
            return Err(Error::structure(None, problem, remedy));
        }
        self.origin = Origin::Empty;
        self.list.update(structure, self.r_cut + self.skin)?;
        let image = |s: &[i32; 3]| -> Vec3 {
            std::array::from_fn(|d| (0..3).map(|k| f64::from(s[k]) * structure.cell[k][d]).sum())
        };
        self.list.vector.iter_mut().zip(&self.list.shift).for_each(|(vector, shift)| *vector = image(shift));
        let Structure { positions, cell, pbc, .. } = structure;
        self.origin = Origin::Search { positions: positions.clone(), cell: *cell, pbc: *pbc };
        Ok(true)
    }

    /// Bytes that its pairs and the positions it was made for take.
    pub(super) fn memory(&self) -> usize {
        const OF_PAIR: usize = size_of::<u32>() + size_of::<Vec3>() + size_of::<[i32; 3]>();
        const OF_ATOM: usize = size_of::<usize>() + size_of::<Vec3>();
        OF_PAIR * self.list.len() + OF_ATOM * self.list.start.len()
    }

    /// Positions and cell of the structure that it was made for; none of a list that is empty or from outside. The order of pairs, and
    /// with it the last bit of what is summed over them, is that of this structure.
    pub fn made_for(&self) -> Option<(&[Vec3], &[Vec3; 3])> {
        match &self.origin {
            Origin::Search { positions, cell, .. } => Some((positions, cell)),
            Origin::Empty | Origin::Given { .. } => None,
        }
    }

    /// Largest distance of a pair, in Å.
    pub fn r_cut(&self) -> f64 {
        self.r_cut
    }

    /// Whether its pairs are all there are in this structure.
    pub(crate) fn serves(&self, structure: &Structure) -> bool {
        let (positions, cell, pbc) = match &self.origin {
            Origin::Empty => return false,
            Origin::Given { n_atoms } => return structure.len() >= *n_atoms && structure.pbc == [false; 3],
            Origin::Search { positions, cell, pbc } => (positions, cell, pbc),
        };
        let most = 0.25 * self.skin * self.skin;
        let moved = |(a, b): (&Vec3, &Vec3)| (0..3).map(|d| (a[d] - b[d]).powi(2)).sum::<f64>();
        positions.len() == structure.len()
            && (cell, pbc) == (&structure.cell, &structure.pbc)
            && positions.iter().zip(&structure.positions).all(|pair| moved(pair) <= most)
    }

    /// Appends the pairs within `r_cut` of some centres of a structure that the list serves.
    pub(crate) fn fill(&self, structure: &Structure, centers: Range<usize>, out: &mut NeighborList) -> Result<()> {
        let (r_cut2, close2) = (self.r_cut * self.r_cut, TOO_CLOSE * TOO_CLOSE);
        for i in centers {
            let r_i = structure.positions[i];
            let pairs = self.list.pairs(i);
            let vector = |pair: usize| -> Vec3 {
                let r_j = structure.positions[self.list.neighbor[pair] as usize];
                std::array::from_fn(|d| (r_j[d] - r_i[d]) + self.list.vector[pair][d])
            };
            let n = out.neighbor.len();
            out.neighbor.resize(n + pairs.len(), 0);
            out.vector.resize(n + pairs.len(), [0.0; 3]);
            out.shift.resize(n + pairs.len(), [0; 3]);
            let (atoms, vectors) = (&mut out.neighbor[n..], &mut out.vector[n..]);
            let shifts = &mut out.shift[n..];
            let (mut next, mut too_close) = (0, false);
            for pair in pairs.clone() {
                let r_ji = vector(pair);
                let r2 = dot(r_ji, r_ji);
                (atoms[next], vectors[next], shifts[next]) = (self.list.neighbor[pair], r_ji, self.list.shift[pair]);
                too_close |= r2 < close2;
                next += usize::from(r2 < r_cut2);
            }
            if too_close {
                let all = pairs.map(|p| (self.list.neighbor[p] as usize, vector(p), self.list.shift[p]));
                return Err(overlap(i, all));
            }
            out.neighbor.truncate(n + next);
            out.vector.truncate(n + next);
            out.shift.truncate(n + next);
            out.start.push(n + next);
        }
        Ok(())
    }
}
