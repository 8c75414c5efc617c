use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::comment::{logical_text, pair_text};
use super::source::Source;
use crate::error::in_quotes;
use crate::files::{Content, Draft};
use crate::structure::{ColumnData, SYMBOLS, Structure, symbol};
use crate::{Error, Result};

/// Writes frames to an extended XYZ file that ASE and [`super::Reader`] read back exactly.
///
/// The name's ending decides on packing: `.gz`, `.zst`, `.xz`. Frames go to a temporary file beside the target, which
/// [`Writer::finish`] renames; a writer that is dropped without it leaves nothing behind. Pipes and devices are written to
/// as frames come.
///
/// ```
/// # fn main() -> rhobasis::Result<()> {
/// use rhobasis::{Structure, extxyz::Writer};
/// let path = std::env::temp_dir().join(format!("rhobasis-doc-{}.xyz", std::process::id()));
/// let mut writer = Writer::create(&path)?;
/// writer.write(&Structure::molecule(vec![2], vec![[0.0; 3]]))?;
/// assert!(!path.exists());
/// writer.finish()?;
/// assert!(std::fs::read_to_string(&path).is_ok_and(|text| text.starts_with("1\n")));
/// # std::fs::remove_file(&path).ok();
/// # Ok(())
/// # }
/// ```
pub struct Writer {
    path: PathBuf,
    sink: Sink,
    text: Vec<u8>,
    n_frames: usize,
}

enum Sink {
    Plain(Draft),
    Gzip(Box<flate2::write::GzEncoder<Draft>>),
    Zstd(ZstdWriter),
    Xz(Box<lzma_rust2::XzWriter<Draft>>),
}

/// Refuses to write frames over a file that holds anything else.
///
/// # Errors
/// If there is such a file, or it cannot be read.
pub fn check_replaceable(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let packed = path.is_file() && Content::of(path).is_ok_and(|found| found == Content::Packed);
    if !packed {
        return Content::Xyz.check_replaces(path);
    }
    let holds_frames = |mut source: Source| {
        let (text, _) = source.frame()?;
        Ok(Content::of_text(&text[..text.len().min(1 << 12)]) == Content::Xyz)
    };
    match Source::open(path).and_then(holds_frames) {
        Ok(true) => Ok(()),
        _ => Err(Content::Xyz.refuse_to_replace(path, &Content::Packed)),
    }
}

impl Writer {
    /// Begins the file `path`; the system's error if its folder cannot be written to.
    pub fn create(path: impl AsRef<Path>) -> Result<Writer> {
        let path = path.as_ref();
        if path.file_name().is_none() {
            return Err(Error::file(path, "is no file name", "name the file to write, as in frames.xyz"));
        }
        if path.is_dir() {
            return Err(Error::file(path, "is a directory", "name the file to write, as in frames.xyz"));
        }
        check_replaceable(path)?;
        let draft = Draft::new(path)?;
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let sink = match ending {
            "gz" => Sink::Gzip(Box::new(flate2::write::GzEncoder::new(draft, flate2::Compression::default()))),
            "zst" => Sink::Zstd(ZstdWriter { file: draft, pending: Vec::new() }),
            "xz" => {
                let options = lzma_rust2::XzOptions::with_preset(6);
                let writer = lzma_rust2::XzWriter::new(draft, options).map_err(|e| Error::io(path, e))?;
                Sink::Xz(Box::new(writer))
            }
            _ => Sink::Plain(draft),
        };
        Ok(Writer { path: path.to_path_buf(), sink, text: Vec::new(), n_frames: 0 })
    }

    /// Appends a frame. Columns that do not fit the atoms and texts that the format cannot hold are errors.
    pub fn write(&mut self, structure: &Structure) -> Result<()> {
        self.text.clear();
        frame_text(structure, &mut self.text).map_err(|e| e.at_frame(self.n_frames).in_file(&self.path))?;
        self.sink.write_all(&self.text).map_err(|e| Error::io(&self.path, e))?;
        self.n_frames += 1;
        Ok(())
    }

    /// Completes the file and gives it its name.
    pub fn finish(self) -> Result<()> {
        self.sink.finish().map_err(|e| Error::io(&self.path, e))?.finish()
    }
}

impl Sink {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Plain(w) => w.write_all(bytes),
            Sink::Gzip(w) => w.write_all(bytes),
            Sink::Zstd(w) => w.write_all(bytes),
            Sink::Xz(w) => w.write_all(bytes),
        }
    }

    /// What remains of the packing, and the file.
    fn finish(self) -> io::Result<Draft> {
        match self {
            Sink::Plain(w) => Ok(w),
            Sink::Gzip(w) => w.finish(),
            Sink::Zstd(w) => w.finish(),
            Sink::Xz(w) => w.finish(),
        }
    }
}

/// Zstandard in frames of a few megabytes: the encoder wants its whole input at once and reports no write errors.
struct ZstdWriter {
    file: Draft,
    pending: Vec<u8>,
}

impl ZstdWriter {
    const FRAME: usize = 1 << 23;

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= Self::FRAME { self.pack() } else { Ok(()) }
    }

    fn pack(&mut self) -> io::Result<()> {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let packed = ruzstd::encoding::compress_to_vec(self.pending.as_slice(), level);
        self.pending.clear();
        self.file.write_all(&packed)
    }

    fn finish(mut self) -> io::Result<Draft> {
        if !self.pending.is_empty() {
            self.pack()?;
        }
        Ok(self.file)
    }
}

/// Writes `structures` to `path`, packed by its ending, in one go or not at all.
pub fn write<'a>(path: impl AsRef<Path>, structures: impl IntoIterator<Item = &'a Structure>) -> Result<()> {
    let mut writer = Writer::create(path)?;
    for structure in structures {
        writer.write(structure)?;
    }
    writer.finish()
}

pub(super) fn frame_text(structure: &Structure, out: &mut Vec<u8>) -> Result<()> {
    check(structure)?;
    let mut line = String::new();
    if structure.cell.iter().flatten().any(|&x| x != 0.0) {
        let numbers: Vec<String> = structure.cell.iter().flatten().map(|x| format!("{x:?}")).collect();
        line = format!("Lattice=\"{}\" ", numbers.join(" "));
    }
    line += "Properties=species:S:1:pos:R:3";
    for column in &structure.columns {
        let kind = match column.data {
            ColumnData::Reals(_) => 'R',
            ColumnData::Ints(_) => 'I',
            ColumnData::Bools(_) => 'L',
            ColumnData::Texts(_) => 'S',
        };
        line += &format!(":{}:{kind}:{}", column.name, column.width);
    }
    for (key, value) in &structure.info {
        line.push(' ');
        line += &pair_text(key, value)?;
    }
    let [a, b, c] = structure.pbc.map(logical_text);
    line += &format!(" pbc=\"{a} {b} {c}\"");
    write_rows(structure, &line, out).map_err(|e| Error::structure(None, e.to_string(), "free some memory"))
}

fn write_rows(structure: &Structure, line: &str, out: &mut Vec<u8>) -> io::Result<()> {
    writeln!(out, "{}\n{line}", structure.len())?;
    for (i, (&z, [x, y, zz])) in structure.species.iter().zip(&structure.positions).enumerate() {
        // `{:?}` of a float is the shortest text that reads back as the same number.
        write!(out, "{:<2} {x:?} {y:?} {zz:?}", symbol(z))?;
        for column in &structure.columns {
            let cells = i * column.width..(i + 1) * column.width;
            match &column.data {
                ColumnData::Reals(v) => v[cells].iter().try_for_each(|v| write!(out, " {v:?}"))?,
                ColumnData::Ints(v) => v[cells].iter().try_for_each(|v| write!(out, " {v}"))?,
                ColumnData::Bools(v) => v[cells].iter().try_for_each(|&v| write!(out, " {}", logical_text(v)))?,
                ColumnData::Texts(v) => v[cells].iter().try_for_each(|v| write!(out, " {v}"))?,
            }
        }
        out.push(b'\n');
    }
    Ok(())
}

/// What a row can hold.
fn check(structure: &Structure) -> Result<()> {
    let n_atoms = structure.len();
    if structure.positions.len() != n_atoms {
        return Err(Error::structure(
            None,
            format!("{n_atoms} species but {} positions", structure.positions.len()),
            "give one position per atom",
        ));
    }
    if let Some(i) = structure.species.iter().position(|&z| z == 0 || z as usize >= SYMBOLS.len()) {
        return Err(Error::structure(
            Some(i),
            format!("atomic number {} is no element", structure.species[i]),
            "use atomic numbers from 1 to 118",
        ));
    }
    for (c, column) in structure.columns.iter().enumerate() {
        let name = &column.name;
        let unusable = name.is_empty()
            || matches!(name.as_str(), "species" | "pos" | "Z")
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || r#":="'{}[]\"#.contains(c))
            || structure.columns[..c].iter().any(|other| other.name == *name);
        if unusable {
            return Err(Error::structure(
                None,
                format!("column name {} cannot be written", in_quotes(name)),
                "use a name of its own without blanks, colons, quotes or brackets",
            ));
        }
        let len = match &column.data {
            ColumnData::Reals(v) => v.len(),
            ColumnData::Ints(v) => v.len(),
            ColumnData::Bools(v) => v.len(),
            ColumnData::Texts(v) => v.len(),
        };
        if column.width == 0 || len != n_atoms * column.width {
            return Err(Error::structure(
                None,
                format!("column {name} has {len} values for {n_atoms} atoms and width {}", column.width),
                "give width × atoms values, at least one per atom",
            ));
        }
        if let ColumnData::Texts(v) = &column.data {
            let bad = |t: &String| t.is_empty() || t.contains(|c: char| c.is_whitespace() || c.is_control());
            if let Some(i) = v.iter().position(bad) {
                return Err(Error::structure(
                    Some(i / column.width),
                    format!("text {} in column {name} is empty or holds blanks", in_quotes(&v[i])),
                    "a cell of a text column is one word",
                ));
            }
        }
    }
    Ok(())
}
