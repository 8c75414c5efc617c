//! A feature matrix on disk: one `.npy`, or a sequence of them with at most so many rows each, with `.meta.npz` beside.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rhobasis::density::Center;
use rhobasis::files::{self, Draft};
use rhobasis::structure::Structure;
use rhobasis::{Error, Result};

use crate::interrupt;
use crate::npy::{self, Array, Reals, Spool};
use crate::output;
use crate::text::plural;

/// What some rows are: integers of each of some names.
pub struct Rows {
    pub len: usize,
    columns: Vec<Vec<i64>>,
}

impl Rows {
    /// Arrays that say what rows of centres are.
    pub const OF_CENTERS: &[&str] = &["structure", "atom", "species"];
    /// Arrays that say what rows of structures are.
    pub const OF_STRUCTURES: &[&str] = &["structure", "n_atoms"];

    pub fn of_centers(centers: &[Center]) -> Self {
        let columns: [fn(&Center) -> i64; 3] = [|c| c.structure as i64, |c| c.atom as i64, |c| i64::from(c.species)];
        let columns = columns.iter().map(|of| centers.iter().map(of).collect()).collect();
        Rows { len: centers.len(), columns }
    }

    /// Of structures that are numbered from `first`.
    pub fn of_structures(first: usize, structures: &[Structure]) -> Self {
        let numbers = (first..first + structures.len()).map(|k| k as i64).collect();
        let n_atoms = structures.iter().map(|structure| structure.len() as i64).collect();
        Rows { len: structures.len(), columns: vec![numbers, n_atoms] }
    }
}

/// What the rows are: arrays of integers, one for each row.
pub struct RowLabels(Vec<Spool>);

impl RowLabels {
    /// Arrays of these names, kept in files beside `output`.
    pub fn new(output: &Path, names: &[&str]) -> Result<Self> {
        names.iter().map(|name| Spool::integers(output, *name)).collect::<Result<_>>().map(RowLabels)
    }

    pub fn add(&mut self, rows: &Rows) -> Result<()> {
        self.add_some(rows, 0..rows.len)
    }

    fn add_some(&mut self, rows: &Rows, which: Range<usize>) -> Result<()> {
        let mut columns = self.0.iter_mut().zip(&rows.columns);
        columns.try_for_each(|(spool, column)| spool.write_integers(&column[which.clone()]))
    }

    pub fn spools(&mut self) -> impl Iterator<Item = &mut Spool> {
        self.0.iter_mut()
    }
}

/// Values of an array, and the length of its rows.
type Block<'a> = (&'a [f64], usize);

/// What a matrix looks like whatever its rows: columns, precision, names of the arrays that say what rows are.
#[derive(Clone, Copy)]
pub struct Layout<'a> {
    pub width: usize,
    pub reals: Reals,
    pub names: &'a [&'a str],
}

/// One matrix that grows by rows.
struct Matrix {
    path: PathBuf,
    draft: Draft,
    labels: RowLabels,
    width: usize,
    reals: Reals,
    rows: usize,
}

impl Matrix {
    fn new(path: PathBuf, Layout { width, reals, names }: Layout) -> Result<Self> {
        let mut draft = Draft::new(&path)?;
        draft.write_all(&npy::header(reals.dtype(), &[0, width])).map_err(|e| Error::io(&path, e))?;
        Ok(Matrix { labels: RowLabels::new(&path, names)?, path, draft, width, reals, rows: 0 })
    }

    /// Adds rows of these arrays, one beside the other.
    fn add(&mut self, blocks: &[Block], labels: &Rows, rows: Range<usize>) -> Result<()> {
        let (file, mut bytes) = (&mut self.draft, Vec::new());
        let mut write_rows = || -> io::Result<()> {
            for i in rows.clone() {
                bytes.clear();
                for (values, width) in blocks {
                    self.reals.write(&values[i * width..(i + 1) * width], &mut bytes);
                }
                file.write_all(&bytes)?;
            }
            Ok(())
        };
        write_rows().map_err(|e| Error::io(&self.path, e))?;
        self.labels.add_some(labels, rows.clone())?;
        self.rows += rows.len();
        Ok(())
    }

    /// Writes the number of rows; the description comes first, so that a matrix that is there has one.
    fn finish(mut self, meta: &[Array]) -> Result<()> {
        let io = |e| Error::io(&self.path, e);
        let file = &mut self.draft;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        file.write_all(&npy::header(self.reals.dtype(), &[self.rows, self.width])).map_err(io)?;
        write_meta(&self.path, self.rows, &mut self.labels, meta)?;
        self.draft.finish()
    }
}

/// Writes `X.meta.npz` beside `X.npy`.
fn write_meta(path: &Path, n_rows: usize, labels: &mut RowLabels, meta: &[Array]) -> Result<()> {
    files::write_atomically(&meta_path(path), |file| npy::write_npz(file, n_rows, labels.spools(), meta))
}

pub fn meta_path(path: &Path) -> PathBuf {
    path.with_extension("meta.npz")
}

/// `X-00000.npy` of `X.npy`.
pub fn first_chunk(path: &Path) -> PathBuf {
    chunk(path, 0)
}

fn chunk(path: &Path, k: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{k:05}.npy"))
}

/// The matrix of one run.
pub struct Matrices<'a> {
    path: &'a Path,
    layout: Layout<'a>,
    /// Most rows of a file.
    chunk_rows: Option<usize>,
    /// Description of each file, except of its rows.
    meta: Vec<Array>,
    open: Option<Matrix>,
    /// Of all files.
    labels: Option<RowLabels>,
    rows: usize,
    /// Rows in files that an earlier run has completed.
    done: usize,
}

impl<'a> Matrices<'a> {
    /// One file `path`, described by `meta` when it is complete.
    pub fn whole(path: &'a Path, layout: Layout<'a>) -> Result<Self> {
        let open = Some(Matrix::new(path.to_path_buf(), layout)?);
        Ok(Matrices { path, layout, chunk_rows: None, meta: Vec::new(), open, labels: None, rows: 0, done: 0 })
    }

    /// Files `path`-00000, `path`-00001, …, each described by `meta`, whose first array tells whether files that are there
    /// already belong to this run: then it goes on after them.
    ///
    /// # Errors
    /// If there are files of another run.
    pub fn in_chunks(path: &'a Path, layout: Layout<'a>, chunk_rows: usize, meta: Vec<Array>) -> Result<Self> {
        let labels = Some(RowLabels::new(path, layout.names)?);
        let mut matrices =
            Matrices { path, layout, chunk_rows: Some(chunk_rows), meta, open: None, labels, rows: 0, done: 0 };
        matrices.refuse_others()?;
        while matrices.is_complete(matrices.done / chunk_rows) {
            matrices.done += chunk_rows;
            matrices.keeps(matrices.done);
        }
        Ok(matrices)
    }

    /// Rows that an earlier run has left complete.
    pub fn done(&self) -> usize {
        self.done
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds all rows of some structures; `blocks` may be missing where all of them are done.
    pub fn add(&mut self, rows: &Rows, blocks: Option<&[Block]>) -> Result<()> {
        if let Some(labels) = &mut self.labels {
            labels.add(rows)?;
        }
        let mut row = self.done.saturating_sub(self.rows).min(rows.len);
        let first = self.rows;
        self.rows += rows.len;
        let Some(blocks) = blocks else { return Ok(()) };
        while row < rows.len {
            let end = self.chunk_rows.map_or(rows.len, |n| rows.len.min(row.saturating_add(n - (first + row) % n)));
            let mut matrix = match self.open.take() {
                Some(matrix) => matrix,
                None => Matrix::new(self.chunk(first + row), self.layout)?,
            };
            matrix.add(blocks, rows, row..end)?;
            row = end;
            match self.chunk_rows {
                Some(n) if (first + row).is_multiple_of(n) => {
                    matrix.finish(&self.meta)?;
                    self.keeps(first + row);
                }
                _ => self.open = Some(matrix),
            }
        }
        Ok(())
    }

    /// Says what an interrupted run would leave.
    fn keeps(&self, rows: usize) {
        let first = self.chunk(0);
        let kept = format!("{} are in {}, …; the same command goes on", plural(rows, "row"), first.display());
        interrupt::keeps(kept);
    }

    /// Completes the last file, and describes all rows in `path`.meta.npz.
    pub fn finish(mut self, meta: &[Array]) -> Result<()> {
        if let Some(last) = self.open.take() {
            last.finish(if self.chunk_rows.is_some() { &self.meta } else { meta })?;
        }
        match &mut self.labels {
            Some(labels) => write_meta(self.path, self.rows, labels, meta),
            None => Ok(()),
        }
    }

    /// The file that holds this row of all.
    fn chunk(&self, row: usize) -> PathBuf {
        chunk(self.path, row / self.chunk_rows.unwrap_or(usize::MAX))
    }

    /// Refuses files of this name that another run has left: a reader of all would take them too.
    fn refuse_others(&self) -> Result<()> {
        let folder = output::folder_of(self.path);
        let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
        let mut found: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|p| self.is_chunk(p)).collect();
        found.sort();
        for path in found {
            if !self.meta[0].is_in(&std::fs::read(meta_path(&path)).unwrap_or_default()) {
                let problem = "was written by another run: of other data, basis or rows per file";
                return Err(Error::file(path, problem, "remove these files, or choose another name"));
            }
        }
        Ok(())
    }

    fn is_chunk(&self, path: &Path) -> bool {
        let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (stem, found) = (name(self.path), name(path));
        let number = found.strip_prefix(&stem).and_then(|rest| rest.strip_prefix('-')).unwrap_or("");
        path.extension().is_some_and(|e| e == "npy") && number.len() >= 5 && number.bytes().all(|b| b.is_ascii_digit())
    }

    /// Whether file k is there, with all its rows.
    fn is_complete(&self, k: usize) -> bool {
        let n = self.chunk_rows.unwrap_or(usize::MAX);
        let path = self.chunk(k * n);
        let expected = npy::header(self.layout.reals.dtype(), &[n, self.layout.width]);
        let mut header = vec![0; expected.len()];
        File::open(&path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header == expected
    }
}
