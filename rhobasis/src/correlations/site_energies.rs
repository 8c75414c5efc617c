//! Energies of atoms that are functions of their invariant features, and the forces that follow.

use std::fmt::Debug;
use std::ops::Range;

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2};

use super::invariants::{Invariants, along_sphere, features_to_rows, normalize};
use super::lanes::{Shape, to_lanes};
use super::quadratic::QuadraticForm;
use crate::density::{Adjoint, LANES, Scratch, Workspace};
use crate::neighbors::{NeighborList, VerletList};
use crate::structure::Structure;
use crate::{Error, Result};

/// The energy of an atom as a function of its features and its species; it never sees a position.
pub(crate) trait SiteFunction: Debug + Send + Sync {
    /// Energies of centres of these species, from features `[center, column]`; and, if `gradient` is given, dE/dX in the same
    /// layout, overwriting it. `scratch` is memory that is reused.
    ///
    /// # Errors
    /// For a species without a function, naming the first such center.
    fn site_energies(
        &self,
        species: &[u8],
        features: ArrayView2<f64>,
        energies: &mut [f64],
        gradient: Option<ArrayViewMut2<f64>>,
        scratch: &mut Vec<f64>,
    ) -> Result<()>;

    /// The same function of the coefficients, if it is a quadratic form of them.
    fn quadratic_form(&self) -> Option<&QuadraticForm> {
        None
    }
}

/// The error for a centre of a species that a model has no function for; `center` counts those at hand.
pub(crate) fn no_function(center: usize, z: u8) -> Error {
    Error::structure(
        Some(center),
        format!("{} was no centre in the training set of this model", crate::structure::symbol(z)),
        "train it on frames that contain this species, or leave the frame out",
    )
}

impl Invariants {
    /// Energy of each centre, in file order.
    ///
    /// # Errors
    /// As [`Invariants::forward`], and for species without a function.
    pub(crate) fn site_energies(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        function: &dyn SiteFunction,
    ) -> Result<Vec<f64>> {
        let mut energies = vec![0.0; structures.iter().map(Structure::len).sum()];
        self.expansion.fill_rows(structures, lists, vec![&mut energies], &[1], |s, centers, out, work| {
            self.of_some_centers(&structures[s], centers, function, out[0], false, work)
        })?;
        Ok(energies)
    }

    /// Energy of each centre, in file order; forces −dE/dr and virial −dE/dε of each structure.
    ///
    /// # Errors
    /// As [`Invariants::site_energies`].
    pub(crate) fn site_energies_and_forces(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        function: &dyn SiteFunction,
    ) -> Result<(Vec<f64>, Vec<Adjoint>)> {
        let mut energies = vec![0.0; structures.iter().map(Structure::len).sum()];
        let out = vec![&mut energies[..]];
        let adjoints = self.expansion.pull_back(structures, lists, out, |s, centers, _, out, work| {
            self.of_some_centers(&structures[s], centers, function, out[0], true, work)
        })?;
        Ok((energies, adjoints))
    }

    /// Energies of some centres, whose pairs are in `work.neighbors`; with `forces`, dE/dr_ji of the pairs too.
    fn of_some_centers(
        &self,
        structure: &Structure,
        centers: Range<usize>,
        function: &dyn SiteFunction,
        energies: &mut [f64],
        forces: bool,
        work: &mut Workspace,
    ) -> Result<()> {
        let (mut scratch, neighbors) = (std::mem::take(&mut work.scratch), std::mem::take(&mut work.neighbors));
        let mut done =
            self.gradients(structure, &neighbors, centers.clone(), function, energies, forces, &mut scratch, work);
        work.neighbors = neighbors;
        if done.is_ok() && forces {
            let (n, dc) = (centers.len(), &scratch.rows[1]);
            let of_l = |(l, block): (usize, Range<usize>)| {
                let shape = (n, 2 * l + 1, self.correlation.layout().counts[l]);
                ArrayView3::from_shape(shape, &dc[block]).expect("as long as the shape says")
            };
            let blocks: Vec<ArrayView3<f64>> = self.blocks(n).map(of_l).collect();
            done = self.expansion.backward_centers(structure, centers, &blocks, 0, work);
        }
        work.scratch = scratch;
        done
    }

    /// Energies of some centres and, if asked for, dE/dc in `scratch.rows[1]`.
    #[allow(clippy::too_many_arguments)]
    fn gradients(
        &self,
        structure: &Structure,
        neighbors: &NeighborList,
        centers: Range<usize>,
        function: &dyn SiteFunction,
        energies: &mut [f64],
        with_gradient: bool,
        scratch: &mut Scratch,
        work: &mut Workspace,
    ) -> Result<()> {
        let (n, n_features) = (centers.len(), self.n_features());
        let species = &structure.species[centers.clone()];
        let first = centers.start;
        let Scratch { rows: [c_rows, dc_rows], lanes: [c, dc, p, g], features: [x, dx], of_model, .. } = scratch;
        self.coefficients(structure, neighbors, centers, None, c_rows, work)?;
        dc_rows.resize(c_rows.len());
        if let Some(form) = function.quadratic_form() {
            return form.evaluate(species, c_rows, dc_rows, energies).ok_or_else(|| no_form(structure, form, first));
        }
        x.resize(n * n_features);
        p.resize(n_features * LANES);
        let mut of_norms = [[0.0; LANES]; MOST_OCTETS];
        for (octet, of_norm) in octets(n).zip(&mut of_norms) {
            self.to_lanes(c_rows, n, octet.clone(), c);
            self.correlation.forward(c.lanes(), p.lanes_mut());
            if self.normalize {
                *of_norm = normalize(p.lanes_mut());
            }
            features_to_rows(p.lanes(), 0..n_features, x, &starts(&octet, n_features));
        }
        dx.resize(if with_gradient { x.len() } else { 0 });
        const AS_LONG: &str = "as long as the shape says";
        let gradient = with_gradient.then(|| ArrayViewMut2::from_shape((n, n_features), dx).expect(AS_LONG));
        let features = ArrayView2::from_shape((n, n_features), x).expect(AS_LONG);
        function.site_energies(species, features, energies, gradient, of_model).map_err(|e| at_center(e, first))?;
        if !with_gradient {
            return Ok(());
        }
        dc.resize(LANES * self.correlation.layout().len());
        g.resize(n_features * LANES);
        let shape = Shape { n_m: 1, n_q: n_features };
        for (octet, of_norm) in octets(n).zip(&of_norms) {
            let starts = starts(&octet, n_features);
            self.to_lanes(c_rows, n, octet.clone(), c);
            to_lanes(dx, &starts, shape, 0..n_features, g.lanes_mut());
            if self.normalize {
                to_lanes(x, &starts, shape, 0..n_features, p.lanes_mut());
                along_sphere(p.lanes(), of_norm, g.lanes_mut());
            }
            self.correlation.backward(c.lanes(), g.lanes(), dc.lanes_mut());
            self.to_coefficient_rows(dc, n, octet, dc_rows);
        }
        Ok(())
    }
}

/// Octets in the centres that are worked on at a time.
const MOST_OCTETS: usize = 8;

/// At most eight of n centres at a time.
fn octets(n: usize) -> impl Iterator<Item = Range<usize>> {
    debug_assert!(n <= MOST_OCTETS * LANES);
    (0..n).step_by(LANES).map(move |first| first..n.min(first + LANES))
}

fn starts(octet: &Range<usize>, width: usize) -> Vec<usize> {
    octet.clone().map(|row| row * width).collect()
}

fn no_form(structure: &Structure, form: &QuadraticForm, first: usize) -> Error {
    let missing = structure.species[first..].iter().position(|&z| !form.knows(z)).unwrap_or(0);
    no_function(first + missing, structure.species[first + missing])
}

fn at_center(mut e: Error, first: usize) -> Error {
    if let Error::Structure { place, .. } = &mut e {
        place.atom = place.atom.map(|atom| atom + first);
    }
    e
}
