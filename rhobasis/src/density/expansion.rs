//! The one sum over neighbours, Eqs. (4), (8), (13), its derivative along a motion, and its adjoint.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayView3, ArrayViewMut3, Axis};

use super::block::PAIRS;
use super::channels::{Around, Groups};
use super::equivariants::{BlockKey, Channel, Equivariants, centers_of};
use super::evaluated::Radial;
use super::finder::{Finder, Source};
use super::harmonics::Y00;
use super::kernel::{self, CenterGradient};
use super::motion::{Adjoint, Motion};
use super::narrow;
use super::run::{CENTERS, Part, Run, cut_rows};
use super::runs::Runs;
use super::settings::Density;
use super::shared::{Shared, Workspace};
use super::table::{RadialTable, Rows, SplineError};
use crate::neighbors::{Search, VerletList};
use crate::simd::{LANES, Lanes};
use crate::structure::{Structure, Vec3};
use crate::{Error, Result};

/// Why a species is known in a run.
pub(super) const KNOWN: &str = "unknown species are refused where pairs are found";

/// Density coefficients as a sum over neighbours, in a primitive or a contracted basis.
///
/// ```text
/// ⟨anlm|ρ_i⟩ = Σ_j δ_{a a_j} f(r_ji) ⟨anl|r_ji; g⟩ Y_lm(r̂_ji)          Eqs. (4), (8)
/// ⟨qlm|ρ_i⟩  = Σ_j f(r_ji) ⟨a_j ql|r_ji; g⟩ Y_lm(r̂_ji)                 Eq. (13), combined
/// ```
///
/// plus the centre itself at r = 0, in the channel (or through the functions) of its own species.
///
/// ```
/// use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
/// use rhobasis::Structure;
///
/// let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 2, ..Default::default() };
/// let water = Structure::molecule(vec![8, 1, 1], vec![[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]]);
/// let expansion = SphericalExpansion::new(&settings, &[1, 8])?;
/// let c = expansion.forward(&[water])?;
/// assert_eq!(c.blocks[2].dim(), (3, 5, 8)); // centers, m, channels (a, n)
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SphericalExpansion {
    pub(super) shared: Arc<Shared>,
    pub(super) groups: Groups,
    pub(super) channels: Vec<Vec<Channel>>,
}

impl SphericalExpansion {
    /// The density that is expanded.
    pub fn density(&self) -> &Density {
        &self.shared.density
    }

    /// Largest angular momentum, included.
    pub fn l_max(&self) -> usize {
        self.shared.l_max()
    }

    /// Neighbour species, ascending.
    pub fn species(&self) -> &[u8] {
        &self.groups.species
    }

    /// What the blocks are: (+1, l) for each l.
    pub fn keys(&self) -> &[BlockKey] {
        &self.shared.keys
    }

    /// Channels of each l.
    pub fn channels(&self) -> &[Vec<Channel>] {
        &self.channels
    }

    /// Largest errors of the splines; `None` if the integrals are exact.
    pub fn spline_error(&self) -> Option<SplineError> {
        self.shared.spline_error
    }

    /// The radial integrals of neighbours of `species` around a species of centre (or all, where they do not differ); `None`
    /// without splines, or where there is no such centre or neighbour.
    pub fn table(&self, center: Option<u8>, species: u8) -> Option<&RadialTable> {
        let radial = self.groups.around(center.unwrap_or(0))?.radial(species)?;
        match &self.shared.radials[radial as usize] {
            Radial::Splined(table) => Some(table),
            Radial::Exact(..) => None,
        }
    }

    /// Coefficients of all centres of all structures, in file order.
    ///
    /// # Errors
    /// [`Error::Structure`] naming frame and atom: not finite, no volume, atoms that coincide, unknown species.
    pub fn forward(&self, structures: &[Structure]) -> Result<Equivariants> {
        let mut out = Equivariants::zeros(centers_of(structures), self.keys().to_vec(), self.channels.clone());
        self.forward_to(structures, None, None, &mut out.views_mut())?;
        Ok(out)
    }

    /// dc/dt of all centres for one [`Motion`] of each structure: the Jacobian times a vector, at two to three times the
    /// cost of [`SphericalExpansion::forward`].
    ///
    /// # Errors
    /// As for `forward`, and if a motion has another number of atoms than its structure, or is not finite.
    pub fn tangent(&self, structures: &[Structure], motions: &[Motion]) -> Result<Equivariants> {
        let mut out = Equivariants::zeros(centers_of(structures), self.keys().to_vec(), self.channels.clone());
        self.forward_to(structures, None, Some(motions), &mut out.views_mut())?;
        Ok(out)
    }

    /// [`SphericalExpansion::forward`] (or `tangent`, given motions) into memory of the caller, overwriting it: block l has
    /// axes `[center, m, channel]` over the centres of all structures. With lists, one for each structure, these say what
    /// centres and pairs there are.
    ///
    /// # Errors
    /// As for `forward`, and if the blocks have another shape or are not contiguous, or the lists are of other structures or
    /// another cutoff.
    pub fn forward_to(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        motions: Option<&[Motion]>,
        out: &mut [ArrayViewMut3<f64>],
    ) -> Result<()> {
        let runs = self.runs(structures, lists, motions)?;
        self.check_shape("out", runs.n_centers(), out.iter().map(|block| block.dim()).collect())?;
        let rows = contiguous(out)?;
        runs.for_each(&self.shared.workspaces, rows, &self.widths(), |run, out, work| {
            self.forward_run(run, motions.is_some(), out, work);
            Ok(())
        })
    }

    /// Forces −dE/dr and virial −dE/dε of each structure, given dE/dc: the adjoint of [`SphericalExpansion::forward`].
    ///
    /// `gradient` has the shape that `forward` gives for the same structures, see [`Equivariants::views`].
    ///
    /// ```
    /// # use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
    /// # use rhobasis::Structure;
    /// # let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 1, ..Default::default() };
    /// # let expansion = SphericalExpansion::new(&settings, &[1])?;
    /// let dimer = [Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 0.7]])];
    /// let c = expansion.forward(&dimer)?; // of E = ½ Σ c², dE/dc is c itself
    /// let adjoint = &expansion.backward(&dimer, &c.views())?[0];
    /// assert!((adjoint.forces[0][2] + adjoint.forces[1][2]).abs() < 1e-12);
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for `forward`, and if the shapes differ or a gradient that is not finite makes such forces.
    pub fn backward(&self, structures: &[Structure], gradient: &[ArrayView3<f64>]) -> Result<Vec<Adjoint>> {
        self.backward_with(structures, None, gradient)
    }

    /// [`SphericalExpansion::backward`] with lists, one for each structure, that say what centres and pairs there are.
    ///
    /// Two atoms of a chain of period 2 Å, as another program would hand them over: the centre, and the ghosts around it that
    /// are neighbours only. What falls on ghosts is theirs to send back to the atoms that they are images of.
    ///
    /// ```
    /// # use rhobasis::density::{ExpansionSettings, Primitive, SphericalExpansion};
    /// # use rhobasis::neighbors::VerletList;
    /// # use rhobasis::Structure;
    /// # use ndarray::Array3;
    /// # let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 1, ..Default::default() };
    /// # let expansion = SphericalExpansion::new(&settings, &[14])?;
    /// let positions = vec![[0.0; 3], [2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]; // one centre, two ghosts
    /// let atoms = [Structure::molecule(vec![14; 3], positions)];
    /// let lists = [VerletList::given(expansion.density().r_cut, &[0, 2], &[1, 2])?];
    /// let mut blocks: Vec<_> = [4, 12].map(|n| Array3::<f64>::zeros((1, n / 4, 4))).into();
    /// let mut views: Vec<_> = blocks.iter_mut().map(|block| block.view_mut()).collect();
    /// expansion.forward_to(&atoms, Some(&lists), None, &mut views)?;
    /// let gradient: Vec<_> = blocks.iter().map(|block| block.view()).collect();
    /// let adjoint = &expansion.backward_with(&atoms, Some(&lists), &gradient)?[0];
    /// let total: f64 = adjoint.forces.iter().map(|force| force[0]).sum();
    /// assert!(adjoint.forces[1][0] != 0.0 && total.abs() < 1e-12);
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for `backward`, and if the lists are of other structures or another cutoff.
    pub fn backward_with(
        &self,
        structures: &[Structure],
        lists: Option<&[VerletList]>,
        gradient: &[ArrayView3<f64>],
    ) -> Result<Vec<Adjoint>> {
        let runs = self.runs(structures, lists, None)?;
        self.check_shape("gradient", runs.n_centers(), gradient.iter().map(|block| block.dim()).collect())?;
        let adjoints = runs.gather(&self.shared.workspaces, Vec::new(), &[], |run, _, of_pairs, work| {
            self.backward_run(run, gradient, run.first, of_pairs, work);
            Ok(())
        })?;
        match adjoints.iter().all(Adjoint::is_finite) {
            true => Ok(adjoints),
            false => Err(not_finite(gradient)),
        }
    }

    /// All centres of some structures, cut into runs. Pairs are searched for, or come from lists, one for each structure.
    ///
    /// # Errors
    /// If lists or motions do not belong to the structures.
    pub(crate) fn runs<'a>(
        &'a self,
        structures: &'a [Structure],
        lists: Option<&'a [VerletList]>,
        motions: Option<&'a [Motion]>,
    ) -> Result<Runs<'a>> {
        Runs::new(&self.groups, &self.shared.finders, structures, lists, motions)
    }

    /// Coefficients of the centres of a run, Eqs. (4), (8), (13), or, if `moving`, dc/dt along its motion: rows of blocks
    /// `[center, m, channel]`, which are overwritten.
    pub(crate) fn forward_run(&self, run: &Run, moving: bool, out: &mut [&mut [f64]], work: &mut Workspace) {
        self.shared.fit(work);
        let tools = self.shared.tools();
        for (k, &z) in run.species.iter().enumerate() {
            let around = self.around(z);
            if !(around.covers && self.busy_groups(run, k, around).count() == around.layouts.len()) {
                self.clear_row(k, out);
            }
            for (group, rows, pairs) in self.busy_groups(run, k, around) {
                if rows.in_lanes() > 0 && !moving {
                    self.forward_narrow(run, (group, rows, pairs), k, out, work);
                    continue;
                }
                let sums = &mut work.sums.lanes_mut()[..kernel::n_sums(rows)];
                sums.fill([0.0; LANES]);
                for first in pairs.clone().step_by(PAIRS) {
                    let pairs = first..pairs.end.min(first + PAIRS);
                    work.block.fill(&run.pairs, pairs.clone());
                    if moving {
                        work.block.fill_velocity(&run.pairs, pairs);
                        kernel::tangent_block(&tools, rows, &mut work.block, sums);
                    } else {
                        kernel::forward_block(&tools, rows, &mut work.block, sums);
                    }
                }
                self.store(sums, rows, group, k, out);
            }
            if !moving {
                self.add_center(k, z, around, out);
            }
        }
    }

    /// Coefficients of centre k of a run in the few channels of one group.
    fn forward_narrow(
        &self,
        run: &Run,
        (group, rows, pairs): (usize, &Rows, Range<usize>),
        k: usize,
        out: &mut [&mut [f64]],
        work: &mut Workspace,
    ) {
        let tools = self.shared.tools();
        let sums = &mut work.sums.lanes_mut()[..narrow::n_sums(rows)];
        sums.fill([0.0; LANES]);
        for first in pairs.clone().step_by(PAIRS) {
            work.block.fill(&run.pairs, first..pairs.end.min(first + PAIRS));
            narrow::forward_block(&tools, rows, &mut work.block, sums);
        }
        let mut sums = sums.iter();
        for (l, out) in out.iter_mut().enumerate() {
            let (n_m, width) = (2 * l + 1, self.channels[l].len());
            let start = self.groups.starts[l][group];
            for q in start..start + rows.counts[l] {
                for (m, sum) in (0..n_m).zip(&mut sums) {
                    out[(k * n_m + m) * width + q] = narrow::over_lanes(sum);
                }
            }
        }
    }

    /// Adds the density of centre k of a run itself, at r = 0.
    fn add_center(&self, k: usize, z: u8, around: &Around, out: &mut [&mut [f64]]) {
        let weight = self.density().center_weight * Y00;
        let group = self.groups.of(z).expect(KNOWN);
        let at_origin = &self.shared.at_origin[around.radial(z).expect(KNOWN) as usize];
        let start = k * self.channels[0].len() + self.groups.starts[0][group];
        for (c, value) in out[0][start..].iter_mut().zip(at_origin) {
            *c += weight * value;
        }
    }

    /// dE/dr_ji of all pairs of a run, given dE/dc: the rows from `first` on of the blocks of `gradient`.
    pub(crate) fn backward_run(
        &self,
        run: &Run,
        gradient: &[ArrayView3<f64>],
        first: usize,
        of_pairs: &mut [Vec3],
        work: &mut Workspace,
    ) {
        self.shared.fit(work);
        let tools = self.shared.tools();
        let Workspace { block, sums, gradient: of_center, narrow_gradient, .. } = work;
        let mut of_block = [[0.0; 3]; PAIRS];
        for (k, &z) in run.species.iter().enumerate() {
            for (group, rows, pairs) in self.busy_groups(run, k, self.around(z)) {
                let few = rows.in_lanes() > 0;
                match few {
                    true => {
                        let starts = |l: usize| self.groups.starts[l][group];
                        narrow_gradient.load(gradient, first + k, rows, starts, |l| self.shared.terms_of(l));
                    }
                    false => self.load(gradient, first + k, rows, group, sums.lanes_mut(), of_center),
                }
                for first in pairs.clone().step_by(PAIRS) {
                    let pairs = first..pairs.end.min(first + PAIRS);
                    block.fill(&run.pairs, pairs.clone());
                    match few {
                        true => narrow::backward_block(&tools, rows, block, narrow_gradient, &mut of_block),
                        false => kernel::backward_block(&tools, rows, block, of_center, &mut of_block),
                    }
                    of_pairs[pairs.clone()].copy_from_slice(&of_block[..pairs.len()]);
                }
            }
        }
    }

    pub(super) fn around(&self, z: u8) -> &Around {
        self.groups.around(z).expect(KNOWN)
    }

    /// Zeros for one row of all blocks.
    pub(super) fn clear_row(&self, row: usize, out: &mut [&mut [f64]]) {
        for ((out, key), channels) in out.iter_mut().zip(self.keys()).zip(&self.channels) {
            let width = key.n_components() * channels.len();
            out[row * width..(row + 1) * width].fill(0.0);
        }
    }

    /// Groups of a centre that have pairs and channels: index, layout of their rows, pairs.
    #[inline(always)]
    pub(super) fn busy_groups<'a>(
        &'a self,
        run: &'a Run,
        k: usize,
        around: &'a Around,
    ) -> impl Iterator<Item = (usize, &'a Rows, Range<usize>)> {
        let of = |(group, pairs): (usize, _)| (group, self.shared.radials[around.layouts[group]].rows(), pairs);
        run.pairs.groups_of(k).map(of).filter(|(_, rows, _)| rows.len() > 0)
    }

    /// Copies the padded sums of one group to its channels of one row.
    pub(super) fn store(&self, sums: &[Lanes], rows: &Rows, group: usize, row: usize, out: &mut [&mut [f64]]) {
        let mut sums = sums.iter();
        for (l, out) in out.iter_mut().enumerate() {
            let (n_m, width, start) = (2 * l + 1, self.channels[l].len(), self.groups.starts[l][group]);
            for done in (0..rows.counts[l]).step_by(LANES) {
                let take = LANES.min(rows.counts[l] - done);
                for m in 0..n_m {
                    let sum = sums.next().expect("a sum for each (l, c, m)");
                    let to = &mut out[(row * n_m + m) * width + start + done..][..take];
                    match <&mut Lanes>::try_from(&mut *to) {
                        Ok(to) => *to = *sum,
                        Err(_) => to.copy_from_slice(&sum[..take]),
                    }
                }
            }
        }
    }

    /// dE/dc of one centre and group, turned into [`CenterGradient`].
    fn load(
        &self,
        gradient: &[ArrayView3<f64>],
        row: usize,
        rows: &Rows,
        group: usize,
        lanes: &mut [Lanes],
        out: &mut CenterGradient,
    ) {
        out.constant.clear();
        out.lowered.resize(kernel::n_lowered(rows));
        out.lowered.fill(0.0);
        let mut start = 0;
        for l in 0..=rows.l_max() {
            let block = gradient[l].index_axis(Axis(0), row);
            let first = self.groups.starts[l][group];
            for done in (0..rows.counts[l]).step_by(LANES) {
                let take = LANES.min(rows.counts[l] - done);
                let channels = first + done..first + done + take;
                let lanes = &mut lanes[..2 * l + 1];
                for (to, from) in lanes.iter_mut().zip(block.outer_iter()) {
                    *to = [0.0; LANES];
                    match from.as_slice() {
                        Some(from) => to[..take].copy_from_slice(&from[channels.clone()]),
                        None => to.iter_mut().zip(channels.clone()).for_each(|(to, q)| *to = from[q]),
                    }
                }
                if l == 0 {
                    out.constant.push(lanes[0].map(|g| g * Y00));
                    continue;
                }
                let lowered = &mut out.lowered_mut()[start..start + 2 * l - 1];
                start += 2 * l - 1;
                kernel::add_lowered(self.shared.terms_of(l), l, lanes, lowered);
            }
        }
    }

    /// Coefficients of some atoms of one structure, for which `search` is prepared: blocks `[center, m, channel]`, overwritten.
    ///
    /// # Errors
    /// As for `forward`, without the frame.
    pub(crate) fn forward_atoms(
        &self,
        structure: &Structure,
        atoms: Range<usize>,
        search: &Search,
        mut out: Vec<&mut [f64]>,
        work: &mut Workspace,
    ) -> Result<()> {
        let widths = self.widths();
        self.shared.finders.lend(Finder::default, |finder| {
            for first in atoms.clone().step_by(CENTERS) {
                let part = Part { structure: 0, atoms: first..atoms.end.min(first + CENTERS) };
                let mut rows = cut_rows(&mut out, &widths, part.atoms.len());
                let run = finder.find(&self.groups, structure, part, Source::Search(search))?;
                self.forward_run(run, false, &mut rows, work);
            }
            Ok(())
        })
    }

    /// Numbers of one centre in each block.
    pub(crate) fn widths(&self) -> Vec<usize> {
        self.keys().iter().zip(&self.channels).map(|(key, channels)| key.n_components() * channels.len()).collect()
    }

    /// Refuses blocks that do not have axes (centers, m, channels) of this expansion.
    pub(super) fn check_shape(
        &self,
        name: &'static str,
        n_centers: usize,
        blocks: Vec<(usize, usize, usize)>,
    ) -> Result<()> {
        if blocks.len() > self.channels.len() {
            return Err(Error::setting(
                name,
                format!("{} blocks", blocks.len()),
                format!("this expansion has l_max = {}", self.l_max()),
                "give one block for each l",
            ));
        }
        for (l, channels) in self.channels.iter().enumerate() {
            let expected = (n_centers, 2 * l + 1, channels.len());
            let found = blocks.get(l);
            if found != Some(&expected) {
                return Err(Error::setting(
                    name,
                    found.map_or("missing".into(), |found| format!("{found:?}")),
                    format!("block l = {l} must have the shape (centers, m, channels) = {expected:?}"),
                    "give one block for each l, in the layout of the coefficients",
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn contiguous<'a, P>(blocks: &'a mut [ArrayViewMut3<P>]) -> Result<Vec<&'a mut [P]>> {
    let strided =
        || Error::setting("out", "a strided view", "blocks must be contiguous", "give whole arrays in C order");
    blocks.iter_mut().map(|block| block.as_slice_mut().ok_or_else(strided)).collect()
}

/// The error for forces that are not finite.
fn not_finite(gradient: &[ArrayView3<f64>]) -> Error {
    for (l, block) in gradient.iter().enumerate() {
        if let Some(((i, m, q), value)) = block.indexed_iter().find(|(_, x)| !x.is_finite()) {
            let problem = format!("not finite, at l = {l}, center {i}, component {m}, channel {q}");
            return Error::setting("gradient", value, problem, "look for the step of the model that made it");
        }
    }
    Error::setting("gradient", "too large", "forces overflow", "check the unit of the energy")
}
