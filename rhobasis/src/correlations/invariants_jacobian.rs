//! All derivatives of invariant features, whole or in parts.

use std::ops::Range;

use ndarray::Array3;

use super::invariants::{Invariants, along_sphere, features_to_rows, normalize};
use super::lanes::{Layout, Shape, to_lanes};
use super::power_spectrum::PowerSpectrum;
use super::power_spectrum_rows::{DIRECTIONS, Tiles, tangent_rows};
use crate::density::{
    Aligned, Gradient, JacobianCursor, JacobianPart, JacobianRow, LANES, Lanes, Run, Scratch, Variable, Workspace,
};
use crate::structure::Structure;
use crate::{Error, Result};

/// dX/dr, dX/dε or dX/dH of invariant features.
#[derive(Debug, Clone, PartialEq)]
pub struct InvariantsJacobian {
    /// `[row, component, column]`: 3 components, or 9 for strain and cell (p slowest); in units of X per Å, or of X for strain.
    pub values: Array3<f64>,
    /// What the rows are, centres in file order.
    pub rows: Vec<JacobianRow>,
}

impl Invariants {
    /// All derivatives of the features of all centres, in memory. Forces cost far less with [`Invariants::backward`].
    ///
    /// # Errors
    /// As for [`Invariants::forward`].
    pub fn jacobian(&self, structures: &[Structure], variable: Variable) -> Result<InvariantsJacobian> {
        let mut cursor = self.jacobian_cursor(variable, usize::MAX);
        let part = cursor.next_part(&self.expansion, structures)?.unwrap_or_default();
        let mut values = Array3::zeros((part.rows.len(), variable.n_components(), self.n_features()));
        self.fill_jacobian(&part, structures, values.as_slice_mut().expect("a new array is contiguous"))?;
        Ok(InvariantsJacobian { values, rows: part.rows })
    }

    /// The derivatives in parts of at most `most_bytes`, or one centre: take each with [`JacobianCursor::next_part`] of the
    /// [`Invariants::expansion`], and compute it with [`Invariants::fill_jacobian`].
    pub fn jacobian_cursor(&self, variable: Variable, most_bytes: usize) -> JacobianCursor {
        JacobianCursor::with_row_length(variable, most_bytes, self.n_features())
    }

    /// Computes a part of the derivatives, `[row, component, column]`, overwriting `out`, in parallel.
    ///
    /// # Errors
    /// If the structures are not those that the part was made for, or `out` has another length than rows × components ×
    /// columns.
    pub fn fill_jacobian(&self, part: &JacobianPart, structures: &[Structure], out: &mut [f64]) -> Result<()> {
        let Some(variable) = part.variable else { return Ok(()) };
        let width = variable.n_components() * self.n_features();
        if out.len() != part.rows.len() * width {
            let problem = format!("this part has {} numbers", part.rows.len() * width);
            return Err(Error::setting("out", out.len(), problem, "give as many: rows × components × columns"));
        }
        part.fill_rows(&self.expansion, structures, vec![out], &[width], |structure, run, out, work| {
            let mut scratch = std::mem::take(&mut work.scratch);
            let done = self.jacobian_of_run(structure, variable, run, out[0], &mut scratch, work);
            work.scratch = scratch;
            done
        })
    }

    fn jacobian_of_run(
        &self,
        structure: &Structure,
        variable: Variable,
        run: &Run,
        out: &mut [f64],
        scratch: &mut Scratch,
        work: &mut Workspace,
    ) -> Result<()> {
        let (n, n_features) = (run.centers.len(), self.n_features());
        let (n_components, layout) = (variable.n_components(), self.correlation.layout());
        let width = n_components * n_features;
        let Scratch { rows: [c_rows, of_center], lanes: [c, dc, p, dp], moving, .. } = scratch;
        self.coefficients(structure, &run.neighbors, run.centers.clone(), None, c_rows, work)?;
        for (place, (center, rows)) in run.each_center().enumerate() {
            self.to_lanes(c_rows, n, place..place + 1, c);
            let mut unit = None;
            if self.normalize {
                p.resize(n_features * LANES);
                self.correlation.forward(c.lanes(), p.lanes_mut());
                let of_norm = normalize(p.lanes_mut())[0];
                unit = Some((of_norm, p.lanes()));
            }
            let atoms = &run.rows[rows.clone()];
            let out = &mut out[rows.start * width..rows.end * width];
            let center_of = Center { c: c.lanes().iter().map(|lanes| lanes[0]).collect(), unit };
            let mut directions = Directions::new(self, center_of, [&mut *moving, &mut *dc, &mut *dp], out);
            if let Some((tiles, _)) = &mut directions.tiles {
                let block = |(_, block): (usize, Range<usize>)| &c_rows[block.start + place * (block.len() / n)..];
                tiles.set(layout, self.blocks(n).map(block), layout.counts.iter().map(|&n| 0..n));
            }
            of_center.resize(n_components * layout.len());
            of_center.fill(0.0);
            let mut of_center_blocks = self.cut_blocks(of_center, n_components);
            let mut reached = vec![false; atoms.len()];
            self.expansion.each_gradient(structure, &run.neighbors, center, variable, work, |gradient| {
                if gradient.atom == center.0 {
                    (0..n_components).for_each(|k| gradient.store(k, k, &mut of_center_blocks));
                    return;
                }
                let row =
                    atoms.binary_search_by_key(&gradient.atom, |row| row.1).expect("a row for each atom in reach");
                reached[row] = true;
                directions.add(gradient, row * n_components..(row + 1) * n_components);
            })?;
            directions.flush();
            let own = atoms.binary_search_by_key(&center.0, |row| row.1).expect("a row for the centre");
            directions.add_whole(of_center, own * n_components..(own + 1) * n_components);
            reached[own] = true;
            // Neighbours that no channel sees.
            for row in (0..atoms.len()).filter(|&row| !reached[row]) {
                directions.out[row * width..(row + 1) * width].fill(0.0);
            }
        }
        Ok(())
    }
}

/// The centre whose features change.
struct Center<'a> {
    /// Coefficients, as the layout says.
    c: Vec<f64>,
    /// Inverse norm and normalised features, if they are normalised; the same in all lanes.
    unit: Option<(f64, &'a [Lanes])>,
}

/// Directions in which the coefficients of one centre change: eight at a time, or three for a whole power spectrum.
struct Directions<'a> {
    invariants: &'a Invariants,
    center: Center<'a>,
    /// dc of at most eight directions: blocks `[direction, m, channel]`.
    blocks: Vec<&'a mut [f64]>,
    dc: &'a mut Aligned,
    dp: &'a mut Aligned,
    /// c, and dc of some directions, for a whole power spectrum.
    tiles: Option<(Tiles, [Tiles; DIRECTIONS])>,
    /// Row of each direction that waits.
    waiting: Vec<usize>,
    /// The channels that change in these directions, and the features that do.
    active: Vec<Range<usize>>,
    touched: Vec<Range<usize>>,
    /// `[row, feature]`.
    out: &'a mut [f64],
}

impl<'a> Directions<'a> {
    fn new(
        invariants: &'a Invariants,
        center: Center<'a>,
        [rows, dc, dp]: [&'a mut Aligned; 3],
        out: &'a mut [f64],
    ) -> Self {
        let length = center.c.len();
        rows.resize(LANES * length);
        let blocks = invariants.cut_blocks(rows, LANES);
        let layout = invariants.correlation.layout();
        let zeros = || Tiles::zeros(layout);
        let tiles = invariants.correlation.whole_power_spectrum().map(|_| (zeros(), std::array::from_fn(|_| zeros())));
        if tiles.is_none() {
            dc.resize(LANES * length);
            dp.resize(LANES * invariants.n_features());
        }
        let waiting = Vec::with_capacity(LANES);
        Directions { invariants, center, blocks, dc, dp, tiles, waiting, active: Vec::new(), touched: Vec::new(), out }
    }

    /// Adds the components of a gradient, whose derivatives belong to these rows.
    fn add(&mut self, gradient: &Gradient, rows: Range<usize>) {
        if !gradient.channels().eq(self.active.iter().cloned()) {
            self.flush();
            self.set_active(gradient.channels().collect());
        }
        for (component, row) in rows.enumerate() {
            gradient.store(component, self.waiting.len(), &mut self.blocks);
            self.push(row);
        }
    }

    /// Adds directions in which all channels change: blocks `[direction, m, channel]`.
    fn add_whole(&mut self, dc: &[f64], rows: Range<usize>) {
        let Layout { counts, offsets } = self.invariants.correlation.layout();
        self.set_active(counts.iter().map(|&n| 0..n).collect());
        let n = rows.len();
        for (direction, row) in rows.enumerate() {
            for (l, to) in offsets.windows(2).zip(&mut self.blocks) {
                let width = l[1] - l[0];
                let from = &dc[n * l[0] + direction * width..][..width];
                to[self.waiting.len() * width..][..width].copy_from_slice(from);
            }
            self.push(row);
        }
        self.flush();
    }

    /// Takes the direction that was written to the blocks, behind those that wait.
    fn push(&mut self, row: usize) {
        self.waiting.push(row);
        if self.waiting.len() == if self.tiles.is_some() { DIRECTIONS } else { LANES } {
            self.flush();
        }
    }

    /// Computes three directions of a whole power spectrum, whose rows follow each other.
    fn finish_tiles(&mut self, spectrum: &PowerSpectrum) {
        let (n_features, layout) = (self.invariants.n_features(), self.invariants.correlation.layout());
        let Some((c, dc)) = &mut self.tiles else { return };
        for (direction, dc) in dc.iter_mut().enumerate() {
            let width = |l: usize| layout.offsets[l + 1] - layout.offsets[l];
            let blocks = self.blocks.iter().enumerate().map(|(l, block)| &block[direction * width(l)..]);
            dc.set(layout, blocks, self.active.iter().cloned());
        }
        let out = &mut self.out[self.waiting[0] * n_features..][..DIRECTIONS * n_features];
        tangent_rows(spectrum, c, dc, &self.active, out);
        if let Some((of_norm, unit)) = self.center.unit {
            for row in out.chunks_exact_mut(n_features.max(1)) {
                let dot: f64 = unit.iter().zip(row.iter()).map(|(unit, x)| unit[0] * x).sum();
                row.iter_mut().zip(unit).for_each(|(x, unit)| *x = (*x - unit[0] * dot) * of_norm);
            }
        }
        self.waiting.clear();
    }

    fn set_active(&mut self, active: Vec<Range<usize>>) {
        if let Some((_, dc)) = &mut self.tiles {
            dc.iter_mut().for_each(Tiles::clear);
        } else {
            self.dc.fill(0.0);
            self.touched = match self.center.unit {
                None => self.invariants.correlation.touched(&active),
                Some(_) => std::iter::once(0..self.invariants.n_features()).collect(), // with the norm
            };
        }
        self.active = active;
    }

    /// Computes the directions that wait.
    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let correlation = &self.invariants.correlation;
        if let Some(spectrum) = correlation.whole_power_spectrum() {
            return self.finish_tiles(spectrum);
        }
        let (n_features, Layout { counts, offsets }) = (self.invariants.n_features(), correlation.layout());
        for (l, active) in self.active.iter().enumerate() {
            let width = (2 * l + 1) * counts[l];
            let starts: [usize; LANES] = std::array::from_fn(|k| k * width);
            let (starts, shape) = (&starts[..self.waiting.len()], Shape { n_m: 2 * l + 1, n_q: counts[l] });
            to_lanes(self.blocks[l], starts, shape, active.clone(), &mut self.dc.lanes_mut()[offsets[l]..]);
        }
        if self.center.unit.is_some() {
            self.dp.fill(0.0);
        }
        correlation.tangent_of_one(&self.center.c, self.dc.lanes(), &self.active, self.dp.lanes_mut());
        if let Some((of_norm, unit)) = self.center.unit {
            along_sphere(unit, &[of_norm; LANES], self.dp.lanes_mut());
        }
        let starts: Vec<usize> = self.waiting.drain(..).map(|row| row * n_features).collect();
        let mut end = 0;
        for touched in &self.touched {
            starts.iter().for_each(|start| self.out[start + end..start + touched.start].fill(0.0));
            features_to_rows(self.dp.lanes(), touched.clone(), self.out, &starts);
            end = touched.end;
        }
        starts.iter().for_each(|start| self.out[start + end..start + n_features].fill(0.0));
    }
}
