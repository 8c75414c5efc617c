//! What a file is that was given in place of another, by its first bytes.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::Error;
use crate::error::shortened;

/// A format that is known by its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    name: Cow<'static, str>,
    way: Way,
}

/// How structures in a file of this format come into one that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// They are read.
    Read,
    /// ASE reads the format of this name, which it knows by content or by these parts of a file's name.
    Ase(&'static str, &'static [&'static str]),
    /// There may be structures, and a person must take them out.
    Python,
    /// What else to do.
    Other(&'static str),
}

/// ASE knows the format by content.
const BY_CONTENT: &[&str] = &[""];
/// Bytes that are looked at.
const HEAD: usize = 1 << 14;

const SAFETENSORS: &str = "a safetensors file";
const TOML: &str = "a TOML file, such as 'rhobasis train' takes";
const NO_STRUCTURES: Way = Way::Other("it holds no structures: give an extended XYZ file");
const UNPACK: Way = Way::Other("unpack it, or pack it with gzip, zstd or xz");

/// Beginnings of binary files.
const BINARY: &[(&[u8], &str, Way)] = &[
    (b"- of Ulm", "an ASE trajectory (.traj)", Way::Ase("traj", BY_CONTENT)),
    (b"AFFormatASE-Trajectory", "an ASE trajectory (.traj)", Way::Ase("traj", BY_CONTENT)),
    (b"SQLite format 3\0", "an SQLite database, as ase.db writes", Way::Ase("db", &[".db"])),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", Way::Python),
    (b"CDF\x01", "a NetCDF file", Way::Ase("netcdftrajectory", BY_CONTENT)),
    (b"CDF\x02", "a NetCDF file", Way::Ase("netcdftrajectory", BY_CONTENT)),
    (b"CDF\x05", "a NetCDF file", Way::Ase("netcdftrajectory", BY_CONTENT)),
    (b"\x93NUMPY", "a NumPy array (.npy)", Way::Python),
    (b"\x80\x02", "a Python pickle", Way::Python),
    (b"\x80\x03", "a Python pickle", Way::Python),
    (b"\x80\x04", "a Python pickle", Way::Python),
    (b"\x80\x05", "a Python pickle", Way::Python),
    (b"PAR1", "a Parquet table", Way::Python),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"\xff\xfe", "text in UTF-16", Way::Other("save it as UTF-8")),
    (b"\xfe\xff", "text in UTF-16", Way::Other("save it as UTF-8")),
    (b"version https://git-lfs", "a pointer of Git LFS", Way::Other("fetch the file itself: git lfs pull")),
];

/// Beginnings of texts, blanks before them left out, in small letters.
const TEXT: &[(&str, &str, Way)] = &[
    ("<!doctype html", "a web page", Way::Other("download the file itself")),
    ("<html", "a web page", Way::Other("download the file itself")),
    ("<modeling", "an output of VASP (vasprun.xml)", Way::Ase("vasp-xml", &["vasp", ".xml"])),
    ("<?xml", "an XML file", Way::Python),
    ("{", "a JSON file", Way::Ase("json", &[".json"])),
    ("item: timestep", "a LAMMPS dump", Way::Ase("lammps-dump-text", BY_CONTENT)),
    ("vasp.", "an OUTCAR of VASP", Way::Ase("vasp-out", &["OUTCAR"])),
    ("&control", "an input of Quantum ESPRESSO", Way::Ase("espresso-in", &[".pwi"])),
    ("&system", "an input of Quantum ESPRESSO", Way::Ase("espresso-in", &[".pwi"])),
    ("program pwscf", "an output of Quantum ESPRESSO", Way::Ase("espresso-out", BY_CONTENT)),
    ("begin_cfg", "a file of MTP configurations", Way::Python),
    ("%block", "a CASTEP cell", Way::Ase("castep-cell", &[".cell"])),
    ("data_", "a CIF", Way::Ase("cif", &[".cif"])),
    ("header ", "a PDB file", Way::Ase("proteindatabank", &[".pdb"])),
    ("cryst1", "a PDB file", Way::Ase("proteindatabank", &[".pdb"])),
    ("remark ", "a PDB file", Way::Ase("proteindatabank", &[".pdb"])),
    ("compnd ", "a PDB file", Way::Ase("proteindatabank", &[".pdb"])),
    ("title  ", "a PDB file", Way::Ase("proteindatabank", &[".pdb"])),
    ("model  ", "a PDB file", Way::Ase("proteindatabank", &[".pdb"])),
    ("atom  ", "a PDB file", Way::Ase("proteindatabank", &[".pdb"])),
    ("hetatm", "a PDB file", Way::Ase("proteindatabank", &[".pdb"])),
    ("lattice_vector", "a geometry of FHI-aims", Way::Ase("aims", &[".in"])),
    ("animsteps", "an XSF file", Way::Ase("xsf", BY_CONTENT)),
    ("crystal\n", "an XSF file", Way::Ase("xsf", BY_CONTENT)),
    ("@<tripos>", "a MOL2 file", Way::Python),
];

impl Format {
    fn new(name: impl Into<Cow<'static, str>>, way: Way) -> Self {
        Format { name: name.into(), way }
    }

    /// The format of a file that begins so; `None` if it is not known.
    ///
    /// ```
    /// use rhobasis::files::Format;
    /// let format = Format::of(b"- of UlmASE-Trajectory").unwrap();
    /// let error = format.instead_of_structures("md.traj".as_ref()).to_string();
    /// assert_eq!(
    ///     error,
    ///     "md.traj: is an ASE trajectory (.traj), and extended XYZ is read; convert it: ase convert md.traj md.extxyz"
    /// );
    /// ```
    pub fn of(head: &[u8]) -> Option<Format> {
        let head = &head[..head.len().min(HEAD)];
        Self::of_binary(head).or_else(|| of_text(&String::from_utf8_lossy(head)))
    }

    /// The format of a file; `None` if it is not known, or the file cannot be read.
    pub fn of_file(path: &Path) -> Option<Format> {
        let mut head = Vec::new();
        File::open(path).ok()?.take(HEAD as u64).read_to_end(&mut head).ok()?;
        Self::of(&head)
    }

    /// [`Format::of`] among those that are no text.
    pub(crate) fn of_binary(head: &[u8]) -> Option<Format> {
        match head {
            [0x1f, 0x8b, ..] => return Some(Format::new("packed by gzip", Way::Read)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Some(Format::new("packed by Zstandard", Way::Read)),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => return Some(Format::new("packed by xz", Way::Read)),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => return Some(Format::new("packed by bzip2", UNPACK)),
            [b'P', b'K', 3, 4, ..] => return Some(of_zip(head)),
            [_, _, _, _, b'C', b'O', b'R', b'D', ..] => {
                return Some(Format::new("a DCD trajectory", Way::Ase("cp2k-dcd", &[".dcd"])));
            }
            [_, _, _, _, _, _, _, 0, b'{', ..] => return Some(of_safetensors(head)),
            _ if head.get(257..262) == Some(b"ustar") => return Some(Format::new("a tar archive", UNPACK)),
            _ => {}
        }
        let found = BINARY.iter().find(|(start, ..)| head.starts_with(start));
        found.map(|&(_, name, way)| Format::new(name, way))
    }

    /// Whether structures are read from it.
    pub(crate) fn is_structures(&self) -> bool {
        self.way == Way::Read
    }

    /// Whether it is a safetensors file, ours or another.
    pub(super) fn is_safetensors(&self) -> bool {
        self.name.starts_with("a rhobasis") || self.name == SAFETENSORS
    }

    /// Whether it is a file of settings.
    pub fn is_toml(&self) -> bool {
        self.name == TOML
    }

    /// What it is, with its article: `an ASE trajectory (.traj)`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The error for a file of this format where structures are to be read.
    pub fn instead_of_structures(&self, path: &Path) -> Error {
        let remedy = match self.way {
            Way::Read => "give an extended XYZ file".to_string(),
            Way::Ase(format, names) => {
                let from = path.to_string_lossy();
                let known = names.iter().any(|name| from.contains(name));
                let flag = if known { String::new() } else { format!("-i {format} ") };
                let mut to = path.with_extension("extxyz");
                let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if names.iter().any(|known| !known.is_empty() && name.contains(known)) {
                    to.set_file_name(name.to_lowercase()); // else ASE would write a POSCAR again
                }
                format!("convert it: ase convert {flag}{} {}", word(&from), word(&to.to_string_lossy()))
            }
            Way::Python => "if it holds structures, read them in Python and write them with ase.io.write".to_string(),
            Way::Other(remedy) => remedy.to_string(),
        };
        Error::file(path, format!("is {}, and extended XYZ is read", self.name), remedy)
    }
}

/// A word of a command line.
fn word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "_-+./:@%,".contains(c);
    if text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")).into() }
}

/// By the name of the first file in it.
fn of_zip(head: &[u8]) -> Format {
    let length = head.get(26..28).map_or(0, |n| usize::from(u16::from_le_bytes([n[0], n[1]])));
    let first = head.get(30..30 + length).unwrap_or_default();
    match first {
        name if name.ends_with(b".npy") => Format::new("an archive of NumPy arrays (.npz)", Way::Python),
        name if name.ends_with(b"/data.pkl") => Format::new("a file of PyTorch", NO_STRUCTURES),
        _ => Format::new("a zip archive", UNPACK),
    }
}

/// By the kind that our files have in their header.
fn of_safetensors(head: &[u8]) -> Format {
    let text = String::from_utf8_lossy(&head[8..]);
    let kind = text.split_once("\"kind\":\"").and_then(|(_, rest)| rest.split_once('"'));
    match kind {
        Some((kind, _)) => Format::new(format!("a rhobasis {} file", shortened(kind, 40)), NO_STRUCTURES),
        None => Format::new(SAFETENSORS, NO_STRUCTURES),
    }
}

fn of_text(text: &str) -> Option<Format> {
    let lines: Vec<&str> = text.lines().take(64).collect();
    let said = text.split_inclusive('\n').find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let start: String = said.unwrap_or_default().trim_start().chars().take(40).collect();
    let start = start.to_lowercase();
    if start.starts_with("<?xml") && text.contains("<modeling") {
        return of_text("<modeling");
    }
    if let Some(&(_, name, way)) = TEXT.iter().find(|(beginning, ..)| start.starts_with(beginning)) {
        return Some(Format::new(name, way));
    }
    of_lines(&lines)
}

/// By what stands in which line.
fn of_lines(lines: &[&str]) -> Option<Format> {
    let words = |k: usize| lines.get(k).map_or(Vec::new(), |line| line.split_whitespace().collect());
    let is_count = |word: &str| word.parse::<usize>().is_ok();
    let numbers = |k: usize, n: usize| {
        let words: Vec<&str> = words(k);
        words.len() >= n && words[..n].iter().all(|word| word.parse::<f64>().is_ok())
    };
    if numbers(1, 1) && words(1).len() <= 3 && (2..5).all(|k| numbers(k, 3) && words(k).len() == 3) {
        return Some(match lines.iter().any(|line| line.trim_start().starts_with("Direct configuration")) {
            true => Format::new("an XDATCAR of VASP", Way::Ase("vasp-xdatcar", &["XDATCAR"])),
            false => Format::new("a POSCAR of VASP", Way::Ase("vasp", &["POSCAR", "CONTCAR", ".poscar"])),
        });
    }
    match words(0)[..] {
        [n] if is_count(n) => return (lines.len() > 1).then(|| Format::new("an XYZ file of structures", Way::Read)),
        [n, "C" | "S" | "F" | "c" | "s" | "f"] if is_count(n) => {
            return Some(Format::new("a geometry of DFTB+ (.gen)", Way::Ase("gen", &[".gen"])));
        }
        _ => {}
    }
    if (1..lines.len()).any(|k| matches!(words(k)[..], [n, "atoms"] if is_count(n))) {
        return Some(Format::new("a LAMMPS data file", Way::Ase("lammps-data", &[])));
    }
    if lines.get(3).is_some_and(|line| line.contains("V2000") || line.contains("V3000")) {
        return Some(Format::new("a MOL or SDF file", Way::Ase("sdf", &[".sdf"])));
    }
    let columns = |from: usize| lines.get(2)?.get(from..from + 8)?.trim().parse::<f64>().ok();
    if matches!(words(1)[..], [n] if is_count(n)) && [20, 28, 36].into_iter().all(|from| columns(from).is_some()) {
        return Some(Format::new("a geometry of GROMACS (.gro)", Way::Ase("gromacs", &[".gro"])));
    }
    let mut said = lines.iter().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    match said.next() {
        Some(line) if line.starts_with('[') => match line.trim_start_matches(['[', ' ']).chars().next() {
            Some(c) if c.is_alphabetic() => Some(Format::new(TOML, NO_STRUCTURES)),
            _ => Some(Format::new("a JSON file", Way::Ase("json", &[".json"]))),
        },
        Some(line) if line.starts_with("atom ") => {
            Some(Format::new("a geometry of FHI-aims", Way::Ase("aims", &[".in"])))
        }
        _ => None,
    }
}
