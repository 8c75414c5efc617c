//! The rows of all frames as one triangle for each fold, of which only one is open at a time.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, ArrayView2};

use crate::extxyz::Shard;
use crate::files::{Archive, count, damaged};
use crate::linalg::MOST_STEPS;
use crate::models::{Factor, LeastSquares, PackedTriangle, Solver};
use crate::{Error, Result};

/// Layout of checkpoints: files without the word, of older versions, hold an open problem for each fold.
const LAYOUT: &str = "a triangle for each fold that is done";

/// What names of arrays of the open fold begin with.
const OPEN: &str = "open/";

/// Sums of rows by fold, of all frames or a shard of them. Frames come fold by fold, so that there is one block of waiting rows, and
/// of each fold that is done half a square of numbers.
#[derive(Debug)]
pub(super) struct FoldSums {
    n_parameters: usize,
    solver: Solver,
    /// Fold of each frame.
    folds: Vec<usize>,
    /// Frames by fold, and by index within.
    order: Vec<usize>,
    done: Vec<PackedTriangle>,
    open: Option<LeastSquares>,
    /// Whether the sums of a fold were too large.
    failed: bool,
}

impl FoldSums {
    /// No rows yet; `folds` holds the fold of each frame.
    pub fn new(n_parameters: usize, folds: Vec<usize>, solver: Solver) -> Self {
        let mut order: Vec<usize> = (0..folds.len()).collect();
        order.sort_by_key(|&frame| folds[frame]);
        FoldSums { n_parameters, solver, folds, order, done: Vec::new(), open: None, failed: false }
    }

    /// Those of the frames of a shard alone; folds are as they were.
    pub fn of_shard(mut self, shard: Shard) -> Self {
        self.order.retain(|&frame| shard.next(frame) == frame);
        self
    }

    /// All rows, as the triangle of each fold that was summed elsewhere.
    pub fn set_triangles(&mut self, triangles: Vec<PackedTriangle>) {
        (self.done, self.open) = (triangles, None);
    }

    /// Number of folds.
    pub fn n_folds(&self) -> usize {
        self.folds.iter().max().map_or(0, |last| last + 1)
    }

    /// Frames in the order in which they are to be added.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// How the problem is solved.
    pub fn solver(&self) -> Solver {
        self.solver
    }

    /// Adds the rows of the frame that is the `k`-th in order, `x` `[row, parameter]`, `y` `[row, 1]`.
    ///
    /// # Errors
    /// If sums are too large.
    pub fn add(&mut self, k: usize, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<()> {
        if self.done.len() < self.fold(k) && !self.failed {
            self.close(self.fold(k))?;
        }
        if self.failed {
            let problem = "the sums of an earlier fold were too large";
            return Err(Error::setting("frames", self.order.len(), problem, "scale labels or sigmas, and begin anew"));
        }
        let new = || LeastSquares::new(self.n_parameters, 1, self.solver);
        self.open.get_or_insert_with(new).add(x, y)
    }

    /// Fold of the frame that is the k-th in order.
    fn fold(&self, k: usize) -> usize {
        self.folds[self.order[k]]
    }

    /// Ends the open fold, and all before `fold`: those that a shard has no frame of are empty.
    fn close(&mut self, fold: usize) -> Result<()> {
        if let Some(open) = self.open.take() {
            self.failed = true;
            self.done.push(open.into_triangle()?);
            self.failed = false;
        }
        let empty = || PackedTriangle::new(self.n_parameters, 1).compact();
        self.done.resize_with(fold.max(self.done.len()), empty);
        Ok(())
    }

    /// The triangle of each fold.
    ///
    /// # Errors
    /// If sums are too large.
    pub fn triangles(mut self) -> Result<Vec<PackedTriangle>> {
        self.close(self.n_folds())?;
        Ok(self.done)
    }

    /// The factor of all rows, of one fold, and √λ · 1.
    ///
    /// # Errors
    /// If sums are too large.
    pub fn factor_with(self, lambda: f64) -> Result<Factor> {
        let solver = self.solver;
        let mut all = PackedTriangle::new(self.n_parameters, 1);
        for triangle in self.triangles()? {
            all = triangle.complete();
        }
        all.regularise(lambda)?;
        Ok(Factor::of_packed(all, solver))
    }

    /// Bytes that are held at most, where rows that wait to be added take `rows`: while they are added, where a fold is closed, while
    /// an alpha is chosen, and while the factor is made and written.
    pub fn memory(&self, rows: usize) -> usize {
        let n = self.n_parameters;
        let n_folds = self.n_folds().max(1);
        let (triangle, square) = (PackedTriangle::memory(n, 1), 8 * n * (n + 1));
        let adding = LeastSquares::memory(n, 1, self.solver) + rows;
        let closing = match self.solver {
            Solver::Qr => 0,
            Solver::Cholesky => LeastSquares::memory_of_end(n, 1, self.solver),
        };
        let vectors = 8 * n * MOST_STEPS + PackedTriangle::memory_of_step(n, 1);
        let choosing = if n_folds > 1 { (n_folds + 1) * triangle + vectors } else { 0 };
        let ending = (triangle + square + vectors).max(2 * square);
        ((n_folds - 1) * triangle + adding.max(closing)).max(choosing).max(ending)
    }

    /// Moves what is done into a checkpoint, for which there is no room twice, and copies what is open: [`FoldSums::take_back`] is to follow.
    pub fn store(&mut self, archive: &mut Archive) {
        archive.note("layout", &LAYOUT);
        store_triangles(self.done.drain(..), archive);
        for (name, array) in self.open.iter().flat_map(LeastSquares::to_arrays) {
            archive.tensors.insert(format!("{OPEN}{name}"), array.into_dyn());
        }
    }

    /// Takes back what [`FoldSums::store`] has moved.
    ///
    /// # Errors
    /// If the archive is another one.
    pub fn take_back(&mut self, archive: &mut Archive, path: &Path) -> Result<()> {
        self.done = stored_triangles(self.n_parameters, archive, path)?;
        Ok(())
    }

    /// Takes the sums of the first `done` frames in order out of a checkpoint.
    ///
    /// # Errors
    /// If it is of an older version, or holds other sums.
    pub fn restore(&mut self, mut archive: Archive, path: &Path, done: usize) -> Result<()> {
        let layout: Option<String> =
            archive.metadata.contains_key("layout").then(|| archive.json(path, "layout")).transpose()?;
        if layout.as_deref() != Some(LAYOUT) {
            let problem = "its sums are laid out as another version of rhobasis does";
            return Err(Error::file(
                path,
                problem,
                "remove it to start anew, or continue with the version that wrote it",
            ));
        }
        self.take_back(&mut archive, path)?;
        let n_closed = if done == 0 { 0 } else { self.fold(done - 1) };
        if self.done.len() != n_closed {
            let problem = format!("{} of {n_closed} folds are there", self.done.len());
            return Err(damaged(path, problem));
        }
        self.open = None;
        if done > 0 {
            let mut arrays = BTreeMap::new();
            for (name, array) in std::mem::take(&mut archive.tensors) {
                if let (Some(name), Ok(array)) = (name.strip_prefix(OPEN), array.into_dimensionality()) {
                    arrays.insert(name.to_string(), array);
                }
            }
            let open = LeastSquares::from_arrays(self.solver, &arrays);
            let open = open.map_err(|e| Error::file(path, e.to_string(), "remove it to start anew"))?;
            if (open.n_columns(), open.n_targets()) != (self.n_parameters, 1) {
                return Err(damaged(path, format!("its rows have {} columns", open.n_columns())));
            }
            self.open = Some(open);
        }
        Ok(())
    }
}

/// Moves the triangle of each fold into an archive.
pub(super) fn store_triangles(triangles: impl Iterator<Item = PackedTriangle>, archive: &mut Archive) {
    for (k, triangle) in triangles.enumerate() {
        archive.note(&format!("{k}/n_rows"), &triangle.n_rows());
        archive.insert(format!("{k}/left"), triangle.left());
        let numbers = Array1::from(triangle.into_numbers()).into_dyn();
        archive.tensors.insert(format!("{k}/triangle"), numbers);
    }
}

/// Moves the triangles of so many columns out of an archive.
///
/// # Errors
/// If they are others.
pub(super) fn stored_triangles(n: usize, archive: &mut Archive, path: &Path) -> Result<Vec<PackedTriangle>> {
    let n_folds = (0..).take_while(|k| archive.tensors.contains_key(&format!("{k}/triangle"))).count();
    let of = |k: usize| {
        let n_rows = format!("{k}/n_rows");
        let n_rows = count(path, &n_rows, archive.json(path, &n_rows)?)?;
        let left: Array1<f64> = archive.array_of(path, &format!("{k}/left"), 1)?;
        let name = format!("{k}/triangle");
        let numbers = archive.tensors.remove(&name).into_iter().flatten().collect();
        PackedTriangle::of_numbers(n, numbers, left, n_rows)
            .ok_or_else(|| damaged(path, format!("array '{name}' is no triangle of {n} columns")))
    };
    (0..n_folds).map(of).collect()
}
