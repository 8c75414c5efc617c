//! From atoms to energies, forces and virial: the chain of all stages, forth and back, which stands here once.
//!
//! ```text
//! pairs ─> c_i ─> X_i ─> E_i                       Eqs. (4), (8), (13) ─> Eqs. (15), (16) ─> the model
//! forces, virial <─ dE/dr_ji <─ dE/dc_i <─ dE/dX_i
//! ```

use ndarray::{ArrayView2, ArrayViewMut2};

use super::repulsion::{Core, Found};
use super::site::{SiteFunction, no_function};
use crate::Result;
use crate::correlations::{Invariants, Work};
use crate::density::{Adjoint, Run};
use crate::neighbors::VerletList;
use crate::structure::{Structure, Vec3};

/// Writes a number for each centre of a run, of its species and features `[center, feature]`.
pub(super) type OfFeatures<'a> = dyn Fn(&[u8], ArrayView2<f64>, &mut [f64]) + Sync + 'a;

/// Features of atoms, the energy of an atom as a function of them, and what acts beside it between atoms that are too near.
#[derive(Clone, Copy)]
pub(super) struct Chain<'a> {
    pub invariants: &'a Invariants,
    pub site: &'a dyn SiteFunction,
    /// The core, and where to note pairs that are nearer than in training.
    pub core: Option<(&'a Core, &'a Found)>,
}

impl Chain<'_> {
    /// Energy of each centre, in file order. Pairs are searched for, or come from lists, one for each structure.
    ///
    /// # Errors
    /// As [`Invariants::forward`], and for species without a function.
    pub fn energies(self, structures: &[Structure], lists: Option<&[VerletList]>) -> Result<Vec<f64>> {
        let runs = self.invariants.expansion().runs(structures, lists, None)?;
        let mut energies = vec![0.0; runs.n_centers()];
        runs.for_each(self.invariants.pool(), vec![&mut energies], &[1], |run, energies, work| {
            self.forward(run, energies[0], false, work)?;
            if let Some((core, found)) = self.core {
                core.add(run, structures, energies[0], None, found);
            }
            Ok(())
        })?;
        Ok(energies)
    }

    /// Energy of each centre, in file order; forces −dE/dr and virial −dE/dε of each structure, with those of its atoms if
    /// `atom_virials`; and a number of each centre, if there is something that makes it of species and features.
    ///
    /// # Errors
    /// As [`Chain::energies`].
    pub fn energies_and_forces(
        self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        atom_virials: bool,
        number: Option<&OfFeatures>,
    ) -> Result<(Vec<f64>, Vec<Adjoint>, Vec<f64>)> {
        let runs = self.invariants.expansion().runs(structures, lists, None)?.with_atom_virials(atom_virials);
        let mut energies = vec![0.0; runs.n_centers()];
        let width = usize::from(number.is_some());
        let mut numbers = vec![0.0; width * runs.n_centers()];
        let out = vec![&mut energies[..], &mut numbers[..]];
        let adjoints = runs.gather(self.invariants.pool(), out, &[1, width], |run, out, grad_r, work| {
            self.forward(run, out[0], true, work)?;
            if let Some(number) = number {
                self.of_features(run, out[1], number, work);
            }
            self.backward(run, grad_r, work);
            if let Some((core, found)) = self.core {
                core.add(run, structures, out[0], Some(grad_r), found);
            }
            Ok(())
        })?;
        Ok((energies, adjoints, numbers))
    }

    /// What `what` makes of the features of a run, after `forward`.
    fn of_features(
        self,
        run: &Run,
        out: &mut [f64],
        what: impl Fn(&[u8], ArrayView2<f64>, &mut [f64]),
        work: &mut Work,
    ) {
        if self.site.weighted_sum().is_some() {
            self.invariants.features(run, work); // which the energy did without
        }
        let x = ArrayView2::from_shape((run.len(), self.invariants.n_features()), &work.x).expect(AS_LONG);
        what(&run.species, x, out);
    }

    /// dE_i/dc_i of all centres, in file order: for each l, `[center, m, channel]`.
    ///
    /// # Errors
    /// As [`Chain::energies`].
    pub fn coefficient_gradients(self, structures: &[Structure]) -> Result<Vec<Vec<f64>>> {
        let expansion = self.invariants.expansion();
        let runs = expansion.runs(structures, None, None)?;
        let widths: Vec<usize> =
            expansion.channels().iter().enumerate().map(|(l, channels)| (2 * l + 1) * channels.len()).collect();
        let mut gradients: Vec<Vec<f64>> = widths.iter().map(|width| vec![0.0; width * runs.n_centers()]).collect();
        let out = gradients.iter_mut().map(|gradient| &mut gradient[..]).collect();
        runs.for_each(self.invariants.pool(), out, &widths, |run, out, work| {
            let mut energies = vec![0.0; run.len()];
            self.forward(run, &mut energies, true, work)?;
            self.to_coefficients(run, work);
            for (out, of_c) in out.iter_mut().zip(self.invariants.of_coefficients(work, run.len())) {
                out.copy_from_slice(of_c.as_slice().expect(AS_LONG));
            }
            Ok(())
        })?;
        Ok(gradients)
    }

    /// E_i of a run; with `gradient`, dE_i/dX_i too, or dE_i/dc_i where features are not made.
    fn forward(self, run: &Run, energies: &mut [f64], gradient: bool, work: &mut Work) -> Result<()> {
        let Chain { invariants, site, .. } = self;
        invariants.coefficients(run, work); // c_i, [center, m, channel]
        if let Some(sum) = site.weighted_sum() {
            let Work { c, of_c, of_sum, .. } = work;
            of_c.resize(c.len());
            let done = sum.evaluate(&run.species, c, of_c, energies, of_sum); // E_i, dE/dc_i
            let unknown = || run.species.iter().position(|&z| !sum.knows(z)).unwrap_or(0);
            return done.ok_or_else(|| no_function(unknown(), run.species[unknown()]));
        }
        invariants.features(run, work); // X_i, [center, feature]
        let shape = (run.len(), invariants.n_features());
        let Work { x, of_x, of_model, .. } = work;
        of_x.resize(if gradient { x.len() } else { 0 });
        let x = ArrayView2::from_shape(shape, x).expect(AS_LONG);
        let grad_x = gradient.then(|| ArrayViewMut2::from_shape(shape, of_x).expect(AS_LONG));
        site.evaluate(&run.species, x, energies, grad_x, of_model) // E_i, dE/dX_i
    }

    /// dE/dr_ji of a run, after `forward`.
    fn backward(self, run: &Run, grad_r: &mut [Vec3], work: &mut Work) {
        self.to_coefficients(run, work); // dE/dc_i
        self.invariants.density_backward(run, grad_r, work); // dE/dr_ji
    }

    /// dE_i/dc_i of a run, where `forward` has left dE_i/dX_i.
    fn to_coefficients(self, run: &Run, work: &mut Work) {
        let Chain { invariants, site, .. } = self;
        if site.weighted_sum().is_none() {
            let of_x = std::mem::take(&mut work.of_x);
            let grad_x = ArrayView2::from_shape((run.len(), invariants.n_features()), &of_x).expect(AS_LONG);
            invariants.coefficients_backward(&run.species, grad_x, work);
            work.of_x = of_x;
        }
    }
}

/// A number of each centre, in file order, that `what` makes of species and features, `[center, feature]`.
///
/// # Errors
/// As [`Invariants::forward`].
pub(super) fn numbers(
    invariants: &Invariants,
    structures: &[Structure],
    what: impl Fn(&[u8], ArrayView2<f64>, &mut [f64]) + Sync,
) -> Result<Vec<f64>> {
    let runs = invariants.expansion().runs(structures, None, None)?;
    let mut numbers = vec![0.0; runs.n_centers()];
    runs.for_each(invariants.pool(), vec![&mut numbers], &[1], |run, out, work| {
        invariants.coefficients(run, work);
        invariants.features(run, work);
        let x = ArrayView2::from_shape((run.len(), invariants.n_features()), &work.x).expect(AS_LONG);
        what(&run.species, x, out[0]);
        Ok(())
    })?;
    Ok(numbers)
}

const AS_LONG: &str = "as long as the shape says";
