//! `rhobasis features`: the coefficients of a basis, as NumPy arrays.

use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rhobasis::Result;
use rhobasis::density::{Center, Channel, Equivariants, centers_of};
use rhobasis::extxyz::Options;
use rhobasis::neighbors::NeighborList;
use rhobasis::optimal::{OptimalBasis, SourceFile};
use rhobasis::structure::Structure;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::input::{Chunk, Input};
use crate::matrix::{Matrices, RowLabels, meta_path};
use crate::npy::{self, Array, Spool};
use crate::output;
use crate::text::{count, plural};

/// Bytes of coefficients computed at a time, for each thread.
const AT_A_TIME: usize = 4_000_000;

/// Compute features of all atoms of a data set and write them as NumPy arrays
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Features {
    /// Extended XYZ files, plain or packed, each with an optional slice: data.xyz@:1000
    #[arg(required = true)]
    data: Vec<String>,
    /// Basis file, *.rho
    #[arg(long, value_name = "FILE.rho")]
    basis: PathBuf,
    /// What to compute
    #[arg(long, value_enum, default_value_t = Kind::Density)]
    kind: Kind,
    /// *.npz: arrays l0, l1, … with axes [center, m, channel] and what their rows and channels are; *.npy: one matrix
    /// [center, (l, m, channel)] that can be memory-mapped, and *.meta.npz beside it
    #[arg(short, long)]
    output: PathBuf,
    /// Write a matrix X.npy as X-00000.npy, X-00001.npy, … of N rows each, every one complete once it is there, with its
    /// X-00000.meta.npz; the same command goes on after those that are
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    chunk_rows: Option<u32>,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Kind {
    /// Coefficients of the density, Eqs. (8), (13)
    Density,
}

const EXAMPLE: &str = "\
Example:
  rhobasis features silicon.xyz.xz --basis silicon.rho --kind density -o silicon.npz
  python -c \"import numpy; print(numpy.load('silicon.npz')['l2'].shape)\"";

impl Features {
    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        let Kind::Density = self.kind;
        output::check(&self.output, &["npz", "npy"])?;
        let npz = self.output.extension().is_some_and(|e| e == "npz");
        if npz && self.chunk_rows.is_some() {
            return Err(Failure::usage("--chunk-rows: only a matrix is written in pieces; name the output *.npy"));
        }
        let basis = OptimalBasis::load(&self.basis)?;
        let input = Input::open(&self.data, &Options::default())?;
        let (n_centers, shape) = if npz { self.write_npz(&basis, input)? } else { self.write_npy(&basis, input, out)? };
        writeln!(out, "{}: {shape}", plural(n_centers, "centre"))?;
        let file = match self.chunk_rows {
            Some(_) => self.output.with_extension("").display().to_string() + "-00000.npy",
            None => self.output.display().to_string(),
        };
        writeln!(out, "wrote {}", if self.chunk_rows.is_some() { file.clone() + ", …" } else { file.clone() })?;
        let show = if npz { "['l0']" } else { "" };
        writeln!(out, "next: python -c \"import numpy; print(numpy.load('{file}'){show}.shape)\"")?;
        Ok(())
    }

    fn write_npz(&self, basis: &OptimalBasis, input: Input) -> Result<(usize, String)> {
        let channels = basis.expansion().channels();
        let spool =
            |(l, c): (usize, &Vec<Channel>)| Spool::reals(&self.output, format!("l{l}"), vec![2 * l + 1, c.len()]);
        let mut spools = channels.iter().enumerate().map(spool).collect::<Result<Vec<_>>>()?;
        let mut labels = RowLabels::new(&self.output)?;
        let mut n_centers = 0;
        let files = for_each_block(basis, input, 0, |centers, values| {
            for (spool, block) in spools.iter_mut().zip(values.iter().flat_map(|c| &c.blocks)) {
                spool.write(block.as_slice().expect("blocks are contiguous"))?;
            }
            n_centers += centers.len();
            labels.add(centers)
        })?;
        let mut arrays = Vec::new();
        for (l, channels) in channels.iter().enumerate() {
            let table: Vec<i64> = channels.iter().flat_map(|c| [i64::from(c.species), c.n as i64]).collect();
            arrays.push(Array::integers(format!("channels_l{l}"), Some(2), &table));
        }
        arrays.push(self.settings(basis, json!({ "files": files }))?);
        let all = spools.iter_mut().chain(labels.spools());
        rhobasis::files::write_atomically(&self.output, |file| npy::write_npz(file, n_centers, all, &arrays))?;
        let l_max = channels.len() - 1;
        Ok((n_centers, format!("arrays l0 to l{l_max}, axes [center, m, channel]")))
    }

    fn write_npy(&self, basis: &OptimalBasis, mut input: Input, out: &mut dyn Write) -> Result<(usize, String)> {
        let width = row_length(basis);
        let columns: Vec<i64> = basis.expansion().channels().iter().enumerate().flat_map(columns_of).collect();
        let columns = || Array::integers("columns", Some(4), &columns);
        let mut matrices = match self.chunk_rows {
            None => Matrices::whole(&self.output, width)?,
            Some(n) => {
                let data = json!({ "files": input.hash()?, "chunk_rows": n });
                Matrices::in_chunks(&self.output, width, n as usize, vec![self.settings(basis, data)?, columns()])?
            }
        };
        let done = matrices.done();
        if done > 0 {
            // The message is a courtesy: a closed pipe is reported with the last line.
            let _ = writeln!(out, "{} are there already", plural(done, "row"));
        }
        let files = for_each_block(basis, input, done, |centers, values| matrices.add(centers, values))?;
        let data = match self.chunk_rows {
            None => json!({ "files": files }),
            Some(n) => json!({ "files": files, "chunk_rows": n }),
        };
        let n_rows = matrices.rows();
        matrices.finish(&[columns(), self.settings(basis, data)?])?;
        let (width, meta) = (count(width), meta_path(&self.output));
        let what = self.chunk_rows.map_or("matrix".into(), |n| format!("matrices of {} rows", count(n as usize)));
        Ok((n_rows, format!("{what} with {width} columns; rows and columns are described in {}", meta.display())))
    }

    /// How the numbers were made, as JSON, with these entries too.
    fn settings(&self, basis: &OptimalBasis, more: serde_json::Value) -> Result<Array> {
        let mut settings = json!({
            "kind": "density",
            "rhobasis": env!("CARGO_PKG_VERSION"),
            "basis": basis.settings(),
            "basis_file": {
                "path": self.basis.display().to_string(),
                "sha256": crate::input::sha256(&self.basis)?,
            },
        });
        if let (Some(settings), serde_json::Value::Object(more)) = (settings.as_object_mut(), more) {
            settings.extend(more);
        }
        Ok(Array::text("settings", &settings.to_string()))
    }
}

/// Numbers per centre.
fn row_length(basis: &OptimalBasis) -> usize {
    basis.expansion().channels().iter().enumerate().map(|(l, c)| (2 * l + 1) * c.len()).sum()
}

/// Centres and coefficients of all frames, some frames at a time, with structures numbered over all files; the coefficients
/// of frames within the first `done` rows are left out.
fn for_each_block(
    basis: &OptimalBasis,
    input: Input,
    done: usize,
    mut write: impl FnMut(&[Center], Option<&Equivariants>) -> Result<()>,
) -> Result<Vec<SourceFile>> {
    let most_atoms = (AT_A_TIME * rayon::current_num_threads() / (8 * row_length(basis)).max(1)).max(1);
    let (mut rows, mut announced) = (0, false);
    let before = output::held_memory();
    input.for_each_chunk("computing", |chunk| {
        if !std::mem::replace(&mut announced, true) {
            announce_memory(basis, before, &chunk, most_atoms);
        }
        for frames in portions(&chunk, most_atoms) {
            let (first, structures) = (frames.start, &chunk.structures[frames]);
            let mut centers = centers_of(structures);
            rows += centers.len();
            let values = if rows <= done {
                None
            } else {
                Some(basis.transform(structures).map_err(|e| chunk.locate(e, |frame| frame + first))?)
            };
            centers.iter_mut().for_each(|c| c.structure += first + chunk.first);
            write(&centers, values.as_ref())?;
        }
        Ok(())
    })
}

/// What the process takes already, the frames that are read ahead, the largest block of coefficients, and the neighbours of
/// its frames.
fn announce_memory(basis: &OptimalBasis, before: f64, chunk: &Chunk, most_atoms: usize) {
    let atoms_of = |frames: &[Structure]| frames.iter().map(Structure::len).sum::<usize>();
    let portions = portions(chunk, most_atoms).into_iter().map(|frames| &chunk.structures[frames]);
    let largest = portions.max_by_key(|frames| atoms_of(frames)).unwrap_or_default();
    let row_bytes = 8 * row_length(basis);
    output::announce_memory(
        before + chunk.reading_memory() + (atoms_of(largest) * row_bytes) as f64 + neighbors_memory(basis, largest),
        &format!("however many frames; disk {} bytes per atom", count(row_bytes)),
    );
}

/// Bytes of the neighbour lists that exist at a time, one on each thread, all like that of the largest frame.
fn neighbors_memory(basis: &OptimalBasis, frames: &[Structure]) -> f64 {
    let r_cut = basis.settings().expansion.density.r_cut;
    let at_a_time = frames.len().min(rayon::current_num_threads()) as f64;
    let Some(largest) = frames.iter().max_by_key(|frame| frame.len()) else { return 0.0 };
    let Ok(list) = NeighborList::new(largest, r_cut) else { return 0.0 }; // the frame is refused when its turn comes
    let of_pairs = 4 * list.neighbor.capacity() + 24 * list.vector.capacity() + 12 * list.shift.capacity();
    at_a_time * of_pairs as f64
}

/// Consecutive frames of at most so many atoms, or single frames that have more.
fn portions(chunk: &Chunk, most_atoms: usize) -> Vec<Range<usize>> {
    let mut portions: Vec<Range<usize>> = Vec::new();
    let mut atoms = 0;
    for (k, n) in chunk.structures.iter().map(Structure::len).enumerate() {
        match portions.last_mut() {
            Some(last) if atoms + n <= most_atoms => {
                last.end = k + 1;
                atoms += n;
            }
            _ => {
                portions.push(k..k + 1);
                atoms = n;
            }
        }
    }
    portions
}

/// Rows (l, m, species or 0, n) of the columns of one l.
fn columns_of((l, channels): (usize, &Vec<Channel>)) -> Vec<i64> {
    let l = l as i64;
    (-l..=l).flat_map(|m| channels.iter().flat_map(move |c| [l, m, i64::from(c.species), c.n as i64])).collect()
}
