//! Which frames to label next: those that a potential extrapolates to most, and that differ from one another.
//!
//! Leverages are posterior deviations, so that it is known beforehand what labels of a frame would leave of those of all others:
//!
//! ```text
//! v = R⁻ᵀ φ(X) / max h,   g² = vᵀ S v,   S ← S − S v vᵀ S / (1 + vᵀ S v)
//! ```
//!
//! S = 1 at first, where g is the [extrapolation](Potential::extrapolation) of an atom. The frame that has the atom with the largest g is
//! taken, S is updated with its atoms, and so on: the greedy way to the largest determinant of the normal equations (D-optimality).
//! An atom that was taken has g < 1, and so have its near-duplicates.

use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate};

use super::model::Potential;
use crate::linalg::{set_product, solve_lower};
use crate::structure::Structure;
use crate::{Error, Result};

/// Atoms of a frame that are looked at, those with the largest leverage.
const ATOMS: usize = 8;

/// Frames to choose from, by what a potential knows of them.
#[derive(Debug)]
pub struct Candidates<'a> {
    potential: &'a Potential,
    /// v of atoms, `[atom, parameter]`, in parts as they came.
    parts: Vec<Array2<f64>>,
    /// Frame of each of them.
    frame_of: Vec<usize>,
    n_frames: usize,
}

/// A frame that was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Index among all that were added.
    pub frame: usize,
    /// The largest extrapolation of its atoms, by the potential as it is.
    pub extrapolation: f64,
    /// The same, had the frames before been learned.
    pub remaining: f64,
}

impl<'a> Candidates<'a> {
    /// No frames yet.
    ///
    /// # Errors
    /// For potentials without [extrapolation](Potential::extrapolation).
    pub fn new(potential: &'a Potential) -> Result<Self> {
        potential.known_leverage()?;
        Ok(Candidates { potential, parts: Vec::new(), frame_of: Vec::new(), n_frames: 0 })
    }

    /// Adds frames.
    ///
    /// # Errors
    /// As [`Potential::extrapolation`].
    pub fn add(&mut self, frames: &[Structure]) -> Result<()> {
        for (frame, grades) in frames.iter().zip(self.potential.extrapolation(frames)?) {
            let mut atoms: Vec<usize> = (0..frame.len()).collect();
            atoms.sort_by(|&a, &b| grades[b].total_cmp(&grades[a]));
            atoms.truncate(ATOMS);
            let part = self.whitened(frame, &atoms)?;
            self.frame_of.extend(std::iter::repeat_n(self.n_frames, part.nrows()));
            self.parts.push(part);
            self.n_frames += 1;
        }
        Ok(())
    }

    /// v of some atoms of a frame.
    fn whitened(&self, frame: &Structure, atoms: &[usize]) -> Result<Array2<f64>> {
        let (leverage, posterior) = self.potential.known_leverage()?;
        let x = self.potential.invariants.forward(std::slice::from_ref(frame))?;
        let species: Vec<u8> = atoms.iter().map(|&i| frame.species[i]).collect();
        let rows = posterior.functions.rows_of_centers(&species, x.select(Axis(0), atoms).view());
        let mut v = rows.t().to_owned();
        solve_lower(posterior.factor.r().t(), v.view_mut());
        for (mut v, z) in v.columns_mut().into_iter().zip(&species) {
            // Of a species whose atoms were all alone, any other one is infinitely far off.
            let largest = leverage.largest.get(z).copied().filter(|h| *h > 0.0).unwrap_or(f64::MIN_POSITIVE.sqrt());
            v /= largest;
        }
        Ok(v.reversed_axes())
    }

    /// Up to `n` frames in order of choice.
    ///
    /// # Errors
    /// If there are no frames, or `n` is zero.
    pub fn choose(&self, n: usize) -> Result<Vec<Choice>> {
        if n == 0 || self.n_frames == 0 {
            let problem = format!("there are {} frames to choose from", self.n_frames);
            return Err(Error::setting("n", n, problem, "choose one at least, of some frames"));
        }
        let views: Vec<_> = self.parts.iter().map(|part| part.view()).collect();
        let v = concatenate(Axis(0), &views).expect("the same columns");
        let first: Vec<f64> = v.rows().into_iter().map(|v| v.dot(&v)).collect();
        let (mut g2, mut taken, mut directions) = (first.clone(), vec![false; self.n_frames], Vec::new());
        let mut chosen = Vec::new();
        while chosen.len() < n.min(self.n_frames) {
            let open = (0..g2.len()).filter(|&row| !taken[self.frame_of[row]]);
            let Some(best) = open.reduce(|a, b| if g2[b] > g2[a] { b } else { a }) else { break };
            let frame = self.frame_of[best];
            taken[frame] = true;
            let rows: Vec<usize> = (0..g2.len()).filter(|&row| self.frame_of[row] == frame).collect();
            let extrapolation = rows.iter().map(|&row| first[row]).fold(0.0, f64::max).sqrt();
            chosen.push(Choice { frame, extrapolation, remaining: g2[best].max(0.0).sqrt() });
            for row in rows {
                let u = learned(v.row(row), &directions);
                let u_column = u.view().insert_axis(Axis(1));
                let mut products = Array2::zeros((v.nrows(), 1));
                set_product(products.view_mut(), v.view(), u_column);
                g2.iter_mut().zip(&products).for_each(|(g2, p)| *g2 -= p * p);
                directions.push(u);
            }
        }
        Ok(chosen)
    }
}

/// u of S − u uᵀ, the change of S = 1 − Σ u uᵀ by learning `v`.
fn learned(v: ArrayView1<f64>, directions: &[Array1<f64>]) -> Array1<f64> {
    let mut s = v.to_owned();
    for u in directions {
        s.scaled_add(-u.dot(&v), u);
    }
    let left = v.dot(&s).max(0.0);
    s / (1.0 + left).sqrt()
}
