//! Reading NumPy's array files: `.npy`, and members of `.npz` as NumPy (plain or compressed) and we write them.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use ndarray::{Array2, ShapeBuilder};
use rhobasis::files::Format;
use rhobasis::{Error, Result, memory};
use zip::ZipArchive;
use zip::result::ZipError;

/// An array of a file, its numbers still to be read.
pub struct Stored<R> {
    file: PathBuf,
    name: String,
    pub shape: Vec<usize>,
    fortran_order: bool,
    dtype: Dtype,
    data: R,
}

#[derive(Clone, Copy)]
enum Dtype {
    F8,
    F4,
    I8,
    I4,
}

impl Dtype {
    fn parse(descr: &str) -> Option<Self> {
        Some(match descr {
            "<f8" => Dtype::F8,
            "<f4" => Dtype::F4,
            "<i8" => Dtype::I8,
            "<i4" => Dtype::I4,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Dtype::F8 | Dtype::I8 => 8,
            Dtype::F4 | Dtype::I4 => 4,
        }
    }
}

/// Calls `read` with array `name` of a `.npz`, or with the array of a `.npy` whatever its name; `None` if the archive has
/// no such array.
pub fn with_array<T>(
    path: &Path,
    name: &str,
    read: impl FnOnce(Stored<&mut dyn Read>) -> Result<T>,
) -> Result<Option<T>> {
    with_bytes(path, name, |data, length| read(Stored::open(path, name, data, length)?))
}

/// The shape of an array, whatever it holds.
pub fn shape_of(path: &Path, name: &str) -> Result<Option<Vec<usize>>> {
    with_bytes(path, name, |data, _| Ok(Header::read(path, name, data)?.shape))
}

/// A text of a `.npz`; `None` if there is no array of this name, or if it holds something else.
pub fn text_of(path: &Path, name: &str) -> Result<Option<String>> {
    let text = with_bytes(path, name, |data, _| {
        let Header { descr, shape, .. } = Header::read(path, name, data)?;
        let length = descr.strip_prefix("<U").and_then(|n| n.parse::<u32>().ok()).filter(|_| shape.is_empty());
        let Some(length) = length else { return Ok(None) };
        let mut bytes = Vec::new();
        data.take(4 * u64::from(length)).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
        let letters = bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().expect("four bytes")));
        Ok(Some(letters.filter_map(char::from_u32).filter(|&c| c != '\0').collect()))
    });
    text.map(Option::flatten)
}

/// Calls `read` with the bytes of an array, and how many they are, where it is known.
fn with_bytes<T>(
    path: &Path,
    name: &str,
    read: impl FnOnce(&mut dyn Read, Option<u64>) -> Result<T>,
) -> Result<Option<T>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    if path.extension().is_some_and(|e| e == "npy") {
        let length = file.metadata().ok().filter(Metadata::is_file).map(|data| data.len());
        return read(&mut BufReader::with_capacity(1 << 20, file), length).map(Some);
    }
    let mut archive = open_archive(path, BufReader::with_capacity(1 << 20, file))?;
    match archive.by_name(&format!("{name}.npy")) {
        Ok(mut data) => {
            let length = Some(data.size());
            read(&mut data, length).map(Some)
        }
        Err(ZipError::FileNotFound) => Ok(None),
        Err(e) => Err(Error::file(path, format!("array '{name}' cannot be read ({e})"), "write the file again")),
    }
}

/// Names of the arrays in a `.npz`.
pub fn names(path: &Path) -> Result<Vec<String>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let archive = open_archive(path, BufReader::new(file))?;
    Ok(archive.file_names().map(|name| name.trim_end_matches(".npy").to_string()).collect())
}

fn open_archive<R: Read + Seek>(path: &Path, file: R) -> Result<ZipArchive<R>> {
    let remedy = "pass an .npz as numpy.savez or 'rhobasis features' writes it";
    ZipArchive::new(file).map_err(|e| {
        let is = Format::of_file(path).map_or(String::new(), |format| format!("is {}, and ", format.name()));
        Error::file(path, format!("{is}is no archive of arrays ({e})"), remedy)
    })
}

/// What stands before the numbers of an array.
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
    /// Its length in bytes.
    length: u64,
}

fn broken(path: &Path, name: &str, what: &str) -> Error {
    Error::file(path, format!("array '{name}' {what}"), "write the file again with NumPy")
}

impl Header {
    fn read(path: &Path, name: &str, data: &mut dyn Read) -> Result<Self> {
        let broken = |what: &str| broken(path, name, what);
        let mut start = [0; 8];
        data.read_exact(&mut start).map_err(|e| Error::io(path, e))?;
        if &start[..6] != b"\x93NUMPY" {
            let is = Format::of_file(path).filter(|_| name.is_empty() || path.extension().is_some_and(|e| e == "npy"));
            return Err(match is {
                Some(format) => broken(&format!("cannot be read: the file is {}", format.name())),
                None => broken("does not begin as NumPy's arrays do"),
            });
        }
        let mut length_of_header = [0; 4];
        let width = if start[6] == 1 { 2 } else { 4 };
        data.read_exact(&mut length_of_header[..width]).map_err(|e| Error::io(path, e))?;
        let header = u32::from_le_bytes(length_of_header);
        if header > 1 << 20 {
            return Err(broken("has a header that is too long"));
        }
        let length = 8 + width as u64 + u64::from(header);
        let mut header = vec![0; header as usize];
        data.read_exact(&mut header).map_err(|e| Error::io(path, e))?;
        let header = String::from_utf8_lossy(&header).into_owned();
        let (descr, fortran_order, shape) =
            parse_header(&header).ok_or_else(|| broken("has a header of no known form"))?;
        Ok(Header { descr, fortran_order, shape, length })
    }
}

impl<'a> Stored<&'a mut dyn Read> {
    /// Reads the header; `length` is that of header and numbers in bytes, where it is known.
    fn open(path: &Path, name: &str, data: &'a mut dyn Read, length: Option<u64>) -> Result<Self> {
        let Header { descr, fortran_order, shape, length: before } = Header::read(path, name, data)?;
        let dtype = Dtype::parse(&descr).ok_or_else(|| {
            let problem = format!("array '{name}' holds '{descr}'");
            Error::file(path, problem, "convert it to float64: X.astype('<f8')")
        })?;
        // Axes of length 0 must not hide the others: no array has more than isize::MAX bytes along them.
        let longest = shape.iter().try_fold(8_usize, |n, &axis| n.checked_mul(axis.max(1)));
        if longest.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
            return Err(broken(path, name, &format!("has the shape {shape:?}, which is too large")));
        }
        let needed = shape.iter().product::<usize>() as u64 * dtype.size() as u64;
        if let Some(held) = length.map(|length| length.saturating_sub(before)).filter(|&held| held < needed) {
            let problem = format!(
                "array '{name}' of shape {shape:?} ends too early: it takes {needed} bytes, and {held} are there"
            );
            return Err(Error::file(path, problem, "write the file again"));
        }
        Ok(Stored { file: path.into(), name: name.into(), shape, fortran_order, dtype, data })
    }

    /// Rows and columns.
    pub fn matrix_shape(&self) -> Result<(usize, usize)> {
        match self.shape[..] {
            [rows, columns] => Ok((rows, columns)),
            _ => {
                let problem = format!("array '{}' has shape {:?}, and is no matrix", self.name, self.shape);
                Err(Error::file(&self.file, problem, "pass an array with axes [sample, feature]"))
            }
        }
    }

    /// Whether rows come one after the other.
    pub fn is_by_rows(&self) -> bool {
        !self.fortran_order
    }

    /// The next `n` numbers as they are stored.
    pub fn read(&mut self, n: usize) -> Result<Vec<f64>> {
        let size = self.dtype.size();
        memory::check(8 * n as u64).map_err(|shortage| {
            let problem = format!("array '{}' of shape {:?}: {shortage}", self.name, self.shape);
            Error::file(&self.file, problem, "take fewer rows or columns")
        })?;
        // Grown as the data come: a wrong shape must not take memory that the file does not fill.
        let mut values = Vec::new();
        let mut bytes = vec![0; n.min(1 << 16) * size];
        while values.len() < n {
            let part = &mut bytes[..(n - values.len()).min(1 << 16) * size];
            self.data.read_exact(part).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => {
                    let problem = format!("array '{}' of shape {:?} ends too early", self.name, self.shape);
                    Error::file(&self.file, problem, "write the file again")
                }
                _ => Error::io(&self.file, e),
            })?;
            let words = part.chunks_exact(size);
            match self.dtype {
                Dtype::F8 => values.extend(words.map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes")))),
                Dtype::I8 => {
                    values.extend(words.map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes")) as f64))
                }
                Dtype::F4 => {
                    values.extend(words.map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four bytes")))))
                }
                Dtype::I4 => {
                    values.extend(words.map(|b| f64::from(i32::from_le_bytes(b.try_into().expect("four bytes")))))
                }
            }
        }
        Ok(values)
    }

    /// All of a matrix.
    pub fn read_matrix(mut self) -> Result<Array2<f64>> {
        let (rows, columns) = self.matrix_shape()?;
        let values = self.read(rows * columns)?;
        let shape = (rows, columns).set_f(self.fortran_order);
        Ok(Array2::from_shape_vec(shape, values).expect("as many numbers as the shape says"))
    }
}

/// Type, order and shape from `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse_header(header: &str) -> Option<(String, bool, Vec<usize>)> {
    let after = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let descr = after("descr")?.strip_prefix('\'')?.split_once('\'')?.0.to_string();
    let fortran_order = after("fortran_order")?.starts_with("True");
    let (shape, _) = after("shape")?.strip_prefix('(')?.split_once(')')?;
    let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
    Some((descr, fortran_order, axes.map(|axis| axis.parse().ok()).collect::<Option<_>>()?))
}
