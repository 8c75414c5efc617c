//! `rhobasis features`: the coefficients of a basis, as NumPy arrays.

use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rhobasis::density::{Center, Channel, Equivariants};
use rhobasis::extxyz::Options;
use rhobasis::optimal::{OptimalBasis, SourceFile};
use rhobasis::structure::Structure;
use rhobasis::{Error, Result};

use crate::failure::Outcome;
use crate::input::{Chunk, Input};
use crate::npy::{self, Array, Spool};
use crate::output;
use crate::text::{count, plural};

/// Bytes of coefficients computed at a time.
const AT_A_TIME: usize = 64_000_000;

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
        let basis = OptimalBasis::load(&self.basis)?;
        let input = Input::open(&self.data, &Options::default())?;
        let row_bytes = 8 * row_length(&basis);
        output::announce_memory(
            3e7 + 2.5 * AT_A_TIME as f64,
            &format!("(or the largest frame), however many frames; disk {} bytes per atom", count(row_bytes)),
        );
        let (n_centers, shape) = if self.output.extension().is_some_and(|e| e == "npz") {
            self.write_npz(&basis, input)?
        } else {
            self.write_npy(&basis, input)?
        };
        writeln!(out, "{}: {shape}", plural(n_centers, "centre"))?;
        writeln!(out, "wrote {}", self.output.display())?;
        let show = if self.output.extension().is_some_and(|e| e == "npz") { "['l0']" } else { "" };
        let file = self.output.display();
        writeln!(out, "next: python -c \"import numpy; print(numpy.load('{file}'){show}.shape)\"")?;
        Ok(())
    }

    fn write_npz(&self, basis: &OptimalBasis, input: Input) -> Result<(usize, String)> {
        let channels = basis.expansion().channels();
        let spool =
            |(l, c): (usize, &Vec<Channel>)| Spool::new(&self.output, format!("l{l}"), vec![2 * l + 1, c.len()]);
        let mut spools = channels.iter().enumerate().map(spool).collect::<Result<Vec<_>>>()?;
        let mut centers = Vec::new();
        let files = for_each_block(basis, input, &mut centers, |c| {
            for (spool, block) in spools.iter_mut().zip(&c.blocks) {
                spool.write(block.dim().0, block.as_slice().expect("blocks are contiguous"))?;
            }
            Ok(())
        })?;
        let mut arrays = rows_of(&centers);
        for (l, channels) in channels.iter().enumerate() {
            let table: Vec<i64> = channels.iter().flat_map(|c| [i64::from(c.species), c.n as i64]).collect();
            arrays.push(Array::integers(format!("channels_l{l}"), Some(2), &table));
        }
        arrays.push(self.settings(basis, &files)?);
        rhobasis::files::write_atomically(&self.output, |file| npy::write_npz(file, &mut spools, &arrays))?;
        let l_max = channels.len() - 1;
        Ok((centers.len(), format!("arrays l0 to l{l_max}, axes [center, m, channel]")))
    }

    fn write_npy(&self, basis: &OptimalBasis, input: Input) -> Result<(usize, String)> {
        let width = row_length(basis);
        let mut centers = Vec::new();
        let path = &self.output;
        output::write(path, |file| {
            let io = |e| Error::io(path, e);
            file.write_all(&npy::header("<f8", &[0, width])).map_err(io)?;
            let files = for_each_block(basis, input, &mut centers, |c| write_rows(file, c).map_err(io))?;
            file.seek(SeekFrom::Start(0)).map_err(io)?;
            file.write_all(&npy::header("<f8", &[centers.len(), width])).map_err(io)?;
            let mut arrays = rows_of(&centers);
            let columns: Vec<i64> = basis.expansion().channels().iter().enumerate().flat_map(columns_of).collect();
            arrays.push(Array::integers("columns", Some(4), &columns));
            arrays.push(self.settings(basis, &files)?);
            rhobasis::files::write_atomically(&meta_path(path), |file| npy::write_npz(file, &mut [], &arrays))
        })?;
        let meta = meta_path(path);
        Ok((
            centers.len(),
            format!("matrix with {} columns; rows and columns are described in {}", count(width), meta.display()),
        ))
    }

    /// How the numbers were made, as JSON.
    fn settings(&self, basis: &OptimalBasis, files: &[SourceFile]) -> Result<Array> {
        let settings = serde_json::json!({
            "kind": "density",
            "rhobasis": env!("CARGO_PKG_VERSION"),
            "basis": basis.settings(),
            "basis_file": {
                "path": self.basis.display().to_string(),
                "sha256": crate::input::sha256(&self.basis)?,
            },
            "files": files,
        });
        Ok(Array::text("settings", &settings.to_string()))
    }
}

/// Numbers per centre.
fn row_length(basis: &OptimalBasis) -> usize {
    basis.expansion().channels().iter().enumerate().map(|(l, c)| (2 * l + 1) * c.len()).sum()
}

fn meta_path(path: &Path) -> PathBuf {
    path.with_extension("meta.npz")
}

/// Coefficients of all frames, some frames at a time; `centers` collects the rows, with structures numbered over all files.
fn for_each_block(
    basis: &OptimalBasis,
    input: Input,
    centers: &mut Vec<Center>,
    mut write: impl FnMut(&Equivariants) -> Result<()>,
) -> Result<Vec<SourceFile>> {
    let most_atoms = (AT_A_TIME / (8 * row_length(basis)).max(1)).max(1);
    input.for_each_chunk("computing", |chunk| {
        for frames in portions(&chunk, most_atoms) {
            let first = frames.start;
            let c = basis.transform(&chunk.structures[frames]).map_err(|e| chunk.locate(e, |frame| frame + first))?;
            let numbered = |c: &Center| Center { structure: c.structure + first + chunk.first, ..*c };
            centers.extend(c.centers.iter().map(numbered));
            write(&c)?;
        }
        Ok(())
    })
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

/// One row for each centre: l slowest, then m, then channel.
fn write_rows(file: &mut impl Write, c: &Equivariants) -> std::io::Result<()> {
    let blocks: Vec<(&[f64], usize)> =
        c.blocks.iter().map(|b| (b.as_slice().expect("blocks are contiguous"), b.dim().1 * b.dim().2)).collect();
    for i in 0..c.centers.len() {
        for (values, width) in &blocks {
            for value in &values[i * width..(i + 1) * width] {
                file.write_all(&value.to_le_bytes())?;
            }
        }
    }
    Ok(())
}

/// Rows (l, m, species or 0, n) of the columns of one l.
fn columns_of((l, channels): (usize, &Vec<Channel>)) -> Vec<i64> {
    let l = l as i64;
    (-l..=l).flat_map(|m| channels.iter().flat_map(move |c| [l, m, i64::from(c.species), c.n as i64])).collect()
}

fn rows_of(centers: &[Center]) -> Vec<Array> {
    let column =
        |name: &str, of: fn(&Center) -> i64| Array::integers(name, None, &centers.iter().map(of).collect::<Vec<_>>());
    vec![
        column("structure", |c| c.structure as i64),
        column("atom", |c| c.atom as i64),
        column("species", |c| i64::from(c.species)),
    ]
}
