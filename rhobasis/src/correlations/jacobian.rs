//! All derivatives of invariant features, whole or in parts.

use std::ops::Range;

use ndarray::Array3;

use super::correlation::{Correlation, TangentInTiles};
use super::invariants::{Invariants, Work};
use super::lanes::{Layout, Shape, starts, to_lanes};
use super::stage::features_to_rows;
use super::tiles::{DIRECTIONS, Tiles};
use crate::density::{Gradient, JacobianCursor, JacobianPart, JacobianRow, RowsOfRun, Variable};
use crate::simd::{Aligned, LANES, Lanes};
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
        part.fill_rows(structures, &self.pool, vec![out], &[width], |rows, out, work| {
            let mut z = std::mem::take(&mut work.z);
            self.combine(out[0], &mut z, |z| self.jacobian_of(rows, variable, &mut Whole(z), work));
            work.z = z;
        })
    }

    pub(super) fn jacobian_of(&self, rows: &RowsOfRun, variable: Variable, out: &mut dyn Out, work: &mut Work) {
        self.coefficients(&rows.run, work);
        let (n, n_features, layout) = (rows.run.len(), self.correlation.n_features(), self.correlation.layout());
        let n_components = variable.n_components();
        let Work { density, eight, c: c_rows, of_c: of_center, moving, .. } = work;
        for (k, own_rows) in rows.each_center() {
            layout.to_lanes(c_rows, n, k..k + 1, &mut eight.c);
            let correlation = self.correlation.around(rows.run.species[k]);
            let mut kept = vec![[0.0; LANES]; correlation.n_kept()];
            if correlation.reads_features() {
                eight.x.resize(n_features * LANES);
                correlation.forward(eight.c.lanes(), eight.x.lanes_mut(), &mut kept);
            }
            let atoms = &rows.rows[own_rows.clone()];
            let c = eight.c.lanes().iter().map(|lanes| lanes[0]).collect();
            let center = Center { c, x: eight.x.lanes(), kept };
            let buffers = [&mut *moving, &mut eight.of_c, &mut eight.of_x];
            let mut directions = Directions::new(correlation, center, buffers, n_components, out);
            if let Some((_, tiles, _)) = &mut directions.tiles {
                let block = |(shape, block): (Shape, Range<usize>)| &c_rows[block.start + k * shape.n_m * shape.n_q..];
                tiles.set(layout, layout.blocks(n).map(block), layout.counts.iter().map(|&n| 0..n));
            }
            of_center.resize(n_components * layout.len());
            of_center.fill(0.0);
            let mut of_center_blocks = layout.cut(of_center, n_components);
            let mut reached = vec![false; atoms.len()];
            let i = rows.run.center(k).atom;
            self.expansion.each_gradient(&rows.run, k, variable, density, |gradient| {
                if gradient.atom == i {
                    (0..n_components).for_each(|component| gradient.store(component, component, &mut of_center_blocks));
                    return;
                }
                let row =
                    atoms.binary_search_by_key(&gradient.atom, |row| row.1).expect("a row for each atom in reach");
                reached[row] = true;
                directions.add(gradient, own_rows.start + row);
            });
            directions.settle();
            let own = atoms.binary_search_by_key(&i, |row| row.1).expect("a row for the centre");
            directions.add_whole(of_center, own_rows.start + own);
            reached[own] = true;
            // Neighbours that no channel sees.
            for row in (0..atoms.len()).filter(|&row| !reached[row]) {
                directions.out.clear(own_rows.start + row, n_components * n_features);
            }
        }
    }
}

/// Where the derivatives of the centres of a run go, row by row.
pub(super) trait Out {
    /// Memory for a row and some before and after it, and which it is of these.
    fn place(&mut self, row: usize) -> usize;

    fn memory(&mut self) -> &mut [f64];

    /// Takes the rows that were placed and are now computed, of so many numbers each.
    fn take(&mut self, width: usize);

    /// Whether rows should be computed before more are placed.
    fn is_full(&self) -> bool;

    /// Fills a row, of so many numbers, with zeros.
    fn clear(&mut self, row: usize, width: usize);
}

/// All numbers of all rows.
struct Whole<'a>(&'a mut [f64]);

impl Out for Whole<'_> {
    fn place(&mut self, row: usize) -> usize {
        row
    }

    fn memory(&mut self) -> &mut [f64] {
        self.0
    }

    fn take(&mut self, _: usize) {}

    fn is_full(&self) -> bool {
        false
    }

    fn clear(&mut self, row: usize, width: usize) {
        self.0[row * width..(row + 1) * width].fill(0.0);
    }
}

/// The centre whose features change.
struct Center<'a> {
    /// Coefficients, as the layout says.
    c: Vec<f64>,
    /// Features, the same in all lanes, and what the correlation keeps of them, if it reads them.
    x: &'a [Lanes],
    kept: Vec<Lanes>,
}

/// Directions in which the coefficients of one centre change: eight at a time, or three in tiles.
struct Directions<'a> {
    correlation: &'a dyn Correlation,
    center: Center<'a>,
    /// dc of at most eight directions: blocks `[direction, m, channel]`.
    blocks: Vec<&'a mut [f64]>,
    c_dot: &'a mut Aligned,
    x_dot: &'a mut Aligned,
    /// Where there is such a thing: the derivative in tiles, c, and dc of some directions.
    tiles: Option<(&'a dyn TangentInTiles, Tiles, [Tiles; DIRECTIONS])>,
    /// Components of each row, and the place of each direction that waits.
    n_components: usize,
    waiting: Vec<usize>,
    /// The channels that change in these directions, and the features that do.
    active: Vec<Range<usize>>,
    touched: Vec<Range<usize>>,
    out: &'a mut dyn Out,
}

impl<'a> Directions<'a> {
    fn new(
        correlation: &'a dyn Correlation,
        center: Center<'a>,
        [rows, c_dot, x_dot]: [&'a mut Aligned; 3],
        n_components: usize,
        out: &'a mut dyn Out,
    ) -> Self {
        let layout = correlation.layout();
        rows.resize(LANES * layout.len());
        let blocks = layout.cut(rows, LANES);
        let zeros = || Tiles::zeros(layout);
        let tiles = correlation.in_tiles().map(|tangent| (tangent, zeros(), std::array::from_fn(|_| zeros())));
        if tiles.is_none() {
            c_dot.resize(LANES * layout.len());
            x_dot.resize(LANES * correlation.n_features());
        }
        let (waiting, active, touched) = (Vec::with_capacity(LANES), Vec::new(), Vec::new());
        Directions { correlation, center, blocks, c_dot, x_dot, tiles, n_components, waiting, active, touched, out }
    }

    /// Adds the components of a gradient, whose derivatives belong to this row.
    fn add(&mut self, gradient: &Gradient, row: usize) {
        let same = gradient.channels().eq(self.active.iter().cloned());
        if !same || self.out.is_full() {
            self.settle();
        }
        if !same {
            self.set_active(gradient.channels().collect());
        }
        let place = self.out.place(row) * self.n_components;
        for component in 0..self.n_components {
            gradient.store(component, self.waiting.len(), &mut self.blocks);
            self.push(place + component);
        }
    }

    /// Adds directions in which all channels change: blocks `[direction, m, channel]`.
    fn add_whole(&mut self, dc: &[f64], row: usize) {
        let Layout { counts, offsets, .. } = self.correlation.layout();
        self.set_active(counts.iter().map(|&n| 0..n).collect());
        let (n, place) = (self.n_components, self.out.place(row) * self.n_components);
        for direction in 0..n {
            for (l, to) in offsets.windows(2).zip(&mut self.blocks) {
                let width = l[1] - l[0];
                let from = &dc[n * l[0] + direction * width..][..width];
                to[self.waiting.len() * width..][..width].copy_from_slice(from);
            }
            self.push(place + direction);
        }
        self.settle();
    }

    /// Computes what waits, and hands over what was placed.
    fn settle(&mut self) {
        self.flush();
        self.out.take(self.n_components * self.correlation.n_features());
    }

    /// Takes the direction that was written to the blocks, behind those that wait.
    fn push(&mut self, row: usize) {
        self.waiting.push(row);
        if self.waiting.len() == if self.tiles.is_some() { DIRECTIONS } else { LANES } {
            self.flush();
        }
    }

    /// Computes three directions in tiles, whose rows follow each other; whether there are tiles.
    fn flush_tiles(&mut self) -> bool {
        let (n_features, layout) = (self.correlation.n_features(), self.correlation.layout());
        let Some((tangent, c, c_dot)) = &mut self.tiles else { return false };
        for (direction, c_dot) in c_dot.iter_mut().enumerate() {
            let blocks = self.blocks.iter().zip(layout.widths()).map(|(block, width)| &block[direction * width..]);
            c_dot.set(layout, blocks, self.active.iter().cloned());
        }
        let out = &mut self.out.memory()[self.waiting[0] * n_features..][..DIRECTIONS * n_features];
        tangent.tangent_in_tiles(self.center.x, &self.center.kept, c, c_dot, &self.active, out);
        self.waiting.clear();
        true
    }

    fn set_active(&mut self, active: Vec<Range<usize>>) {
        match &mut self.tiles {
            Some((_, _, c_dot)) => c_dot.iter_mut().for_each(Tiles::clear),
            None => {
                self.c_dot.fill(0.0);
                self.touched = self.correlation.touched(&active);
            }
        }
        self.active = active;
    }

    /// Computes the directions that wait.
    fn flush(&mut self) {
        if self.waiting.is_empty() || self.flush_tiles() {
            return;
        }
        let correlation = self.correlation;
        let (n_features, Layout { offsets, .. }) = (correlation.n_features(), correlation.layout());
        for (block, (shape, _)) in correlation.layout().blocks(LANES).enumerate() {
            let starts = starts(0, 0, shape.n_m * shape.n_q);
            let to = &mut self.c_dot.lanes_mut()[offsets[block]..];
            to_lanes(self.blocks[block], &starts[..self.waiting.len()], shape, self.active[block].clone(), to);
        }
        let Center { c, x, kept } = &self.center;
        correlation.tangent_of_one(c, x, kept, self.c_dot.lanes(), &self.active, self.x_dot.lanes_mut());
        let starts: Vec<usize> = self.waiting.drain(..).map(|row| row * n_features).collect();
        let (out, mut end) = (self.out.memory(), 0);
        for touched in &self.touched {
            starts.iter().for_each(|start| out[start + end..start + touched.start].fill(0.0));
            features_to_rows(self.x_dot.lanes(), touched.clone(), out, &starts);
            end = touched.end;
        }
        starts.iter().for_each(|start| out[start + end..start + n_features].fill(0.0));
    }
}
