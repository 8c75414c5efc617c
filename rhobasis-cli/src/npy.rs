//! NumPy's array files: `.npy`, and `.npz`, which is a zip archive of them (stored, not packed).

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use crate::output::scratch;

/// Bytes before the data: fixed, so that the shape can be filled in when the number of rows is known.
const HEADER: usize = 192;

/// The first [`HEADER`] bytes of an array file in C order; `dtype` as NumPy writes it: `<f8`, `<i8`, `<U12`.
pub fn header(dtype: &str, shape: &[usize]) -> Vec<u8> {
    let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(((HEADER - 10) as u16).to_le_bytes());
    header.extend(format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({axes})}}").bytes());
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

/// An array file in memory.
#[derive(Clone)]
pub struct Array {
    name: String,
    bytes: Vec<u8>,
}

impl Array {
    /// Integers `[rows, width]`, or `[rows]` if `width` is `None`.
    pub fn integers(name: impl Into<String>, width: Option<usize>, values: &[i64]) -> Self {
        let mut shape = vec![values.len() / width.unwrap_or(1).max(1)];
        shape.extend(width);
        let mut bytes = header("<i8", &shape);
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        Array { name: name.into(), bytes }
    }

    /// Float64 numbers `[rows]`.
    pub fn reals(name: impl Into<String>, values: &[f64]) -> Self {
        let mut bytes = header("<f8", &[values.len()]);
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        Array { name: name.into(), bytes }
    }

    /// A text, as an array without axes.
    pub fn text(name: impl Into<String>, text: &str) -> Self {
        let mut bytes = header(&format!("<U{}", text.chars().count().max(1)), &[]);
        bytes.extend(text.chars().flat_map(|c| u32::from(c).to_le_bytes()));
        bytes.resize(bytes.len().max(HEADER + 4), 0);
        Array { name: name.into(), bytes }
    }
}

impl Array {
    /// Whether an archive written by [`write_npz`] holds this very array.
    pub fn is_in(&self, archive: &[u8]) -> bool {
        archive.windows(self.bytes.len()).any(|part| part == self.bytes)
    }
}

/// How real numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reals {
    Double,
    Single,
}

impl Reals {
    /// As NumPy writes it.
    pub fn dtype(self) -> &'static str {
        match self {
            Reals::Double => "<f8",
            Reals::Single => "<f4",
        }
    }

    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Reals::Double => size_of::<f64>(),
            Reals::Single => size_of::<f32>(),
        }
    }

    /// Numbers as they are stored, rounded where these have fewer digits.
    pub fn write(self, values: &[f64], bytes: &mut Vec<u8>) {
        match self {
            Reals::Double => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Reals::Single => bytes.extend(values.iter().flat_map(|&v| (v as f32).to_le_bytes())),
        }
    }
}

/// Rows of numbers that are collected in a file of their own, without a name, until their number is known.
pub struct Spool {
    name: String,
    /// None for integers.
    reals: Option<Reals>,
    /// Shape of a row.
    row: Vec<usize>,
    values: usize,
    output: PathBuf,
    file: BufWriter<File>,
    checksum: Hasher,
}

impl Spool {
    /// An empty array of rows of this shape, kept on the disk of `output`.
    fn new(output: &Path, name: impl Into<String>, reals: Option<Reals>, row: Vec<usize>) -> rhobasis::Result<Self> {
        let (name, file) = (name.into(), BufWriter::new(scratch(output)?));
        Ok(Spool { name, reals, row, values: 0, output: output.to_path_buf(), file, checksum: Hasher::new() })
    }

    /// Rows of this shape of real numbers.
    pub fn reals(output: &Path, name: impl Into<String>, reals: Reals, row: Vec<usize>) -> rhobasis::Result<Self> {
        Spool::new(output, name, Some(reals), row)
    }

    /// Integers, one for each row.
    pub fn integers(output: &Path, name: impl Into<String>) -> rhobasis::Result<Self> {
        Spool::new(output, name, None, Vec::new())
    }

    fn dtype(&self) -> &'static str {
        self.reals.map_or("<i8", Reals::dtype)
    }

    fn size(&self) -> usize {
        self.reals.map_or(size_of::<i64>(), Reals::size)
    }

    /// Adds rows of an array of [`Spool::reals`].
    pub fn write(&mut self, values: &[f64]) -> rhobasis::Result<()> {
        let reals = self.reals.expect("an array of real numbers");
        self.write_pieces(values, |piece, bytes| reals.write(piece, bytes))
    }

    /// Adds numbers to [`Spool::integers`].
    pub fn write_integers(&mut self, values: &[i64]) -> rhobasis::Result<()> {
        self.write_pieces(values, |piece, bytes| bytes.extend(piece.iter().flat_map(|v| v.to_le_bytes())))
    }

    fn write_pieces<T>(&mut self, values: &[T], to_bytes: impl Fn(&[T], &mut Vec<u8>)) -> rhobasis::Result<()> {
        let mut bytes = Vec::new();
        for piece in values.chunks(8192) {
            bytes.clear();
            to_bytes(piece, &mut bytes);
            self.checksum.update(&bytes);
            self.file.write_all(&bytes).map_err(|e| rhobasis::Error::io(&self.output, e))?;
        }
        self.values += values.len();
        Ok(())
    }

    /// Shape of the whole array. Rows without numbers are not known to it: their number is that of the other arrays.
    fn shape(&self, n_rows: usize) -> Vec<usize> {
        [n_rows].into_iter().chain(self.row.iter().copied()).collect()
    }
}

/// Writes a `.npz`: the collected arrays, all of `n_rows` rows, then those in memory.
pub fn write_npz<'a>(
    out: &mut impl Write,
    n_rows: usize,
    spools: impl IntoIterator<Item = &'a mut Spool>,
    arrays: &[Array],
) -> io::Result<()> {
    let mut zip = Zip { entries: Vec::new(), written: 0 };
    for spool in spools {
        let shape = spool.shape(n_rows);
        debug_assert_eq!(spool.values, shape.iter().product::<usize>(), "rows of {}", spool.name);
        let header = header(spool.dtype(), &shape);
        let mut checksum = Hasher::new();
        checksum.update(&header);
        checksum.combine(&spool.checksum);
        let size = (HEADER + spool.size() * shape.iter().product::<usize>()) as u64;
        zip.begin(out, &spool.name, checksum.finalize(), size)?;
        out.write_all(&header)?;
        let file = spool.file.by_ref();
        file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = file.get_mut().read(&mut buffer)?;
            if n == 0 {
                break;
            }
            out.write_all(&buffer[..n])?;
        }
    }
    for array in arrays {
        zip.begin(out, &array.name, crc32fast::hash(&array.bytes), array.bytes.len() as u64)?;
        out.write_all(&array.bytes)?;
    }
    zip.end(out)
}

/// A zip archive of stored members, always with 64-bit sizes.
struct Zip {
    entries: Vec<Entry>,
    /// Bytes: a pipe does not tell.
    written: u64,
}

struct Entry {
    name: String,
    checksum: u32,
    size: u64,
    offset: u64,
}

/// The version of zip that knows 64-bit sizes.
const VERSION: u16 = 45;
/// Stands for "see the 64-bit field".
const SEE_64: u32 = u32::MAX;
/// 1 January 1980 00:00, the first date of zip: the same content gives the same bytes.
const TIME_AND_DATE: [u8; 4] = [0, 0, 0x21, 0];

impl Zip {
    fn begin(&mut self, out: &mut impl Write, name: &str, checksum: u32, size: u64) -> io::Result<()> {
        let entry = Entry { name: format!("{name}.npy"), checksum, size, offset: self.written };
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]); // flags, method: stored
        entry.common(&mut bytes);
        bytes.extend(20_u16.to_le_bytes());
        bytes.extend(entry.name.bytes());
        bytes.extend([1, 0, 16, 0]);
        bytes.extend(size.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        self.entries.push(entry);
        self.written += bytes.len() as u64 + size;
        out.write_all(&bytes)
    }

    fn end(&self, out: &mut impl Write) -> io::Result<()> {
        let start = self.written;
        let mut bytes = Vec::new();
        for entry in &self.entries {
            bytes.extend(b"PK\x01\x02");
            bytes.extend(VERSION.to_le_bytes());
            bytes.extend(VERSION.to_le_bytes());
            bytes.extend([0; 4]);
            entry.common(&mut bytes);
            bytes.extend(28_u16.to_le_bytes());
            bytes.extend([0; 10]); // comment, disk, attributes
            bytes.extend(SEE_64.to_le_bytes());
            bytes.extend(entry.name.bytes());
            bytes.extend([1, 0, 24, 0]);
            bytes.extend([entry.size, entry.size, entry.offset].iter().flat_map(|v| v.to_le_bytes()));
        }
        let (length, n) = (bytes.len() as u64, self.entries.len() as u64);
        bytes.extend(b"PK\x06\x06");
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 8]); // disks
        bytes.extend([n, n, length, start].iter().flat_map(|v| v.to_le_bytes()));
        bytes.extend(b"PK\x06\x07");
        bytes.extend([0; 4]);
        bytes.extend((start + length).to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(b"PK\x05\x06");
        bytes.extend([0; 4]);
        bytes.extend([0xff; 12]); // counts, length and start: see above
        bytes.extend([0; 2]);
        out.write_all(&bytes)
    }
}

impl Entry {
    /// Date, checksum, sizes and length of the name, which both headers of a member hold.
    fn common(&self, bytes: &mut Vec<u8>) {
        bytes.extend(TIME_AND_DATE);
        bytes.extend(self.checksum.to_le_bytes());
        bytes.extend(SEE_64.to_le_bytes());
        bytes.extend(SEE_64.to_le_bytes());
        bytes.extend((self.name.len() as u16).to_le_bytes());
    }
}
