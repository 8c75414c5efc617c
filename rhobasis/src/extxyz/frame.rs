use std::collections::HashMap;

use super::comment::{self, excerpt};
use super::layout::{Layout, PLAIN};
use super::misspelt::refuse_misspelt;
use super::rows::{Rows, cut_short};
use crate::error::in_quotes;
use crate::structure::{Structure, Value, Vec3};
use crate::{Error, Result};

/// Most bytes of a line: what is longer is no text of structures, and is refused before it fills the memory.
pub(super) const LONGEST_LINE: usize = 64 << 20;
/// Bytes after which an atom count has ended.
const LONGEST_COUNT: usize = 1 << 10;

/// Where the frame at the beginning of some bytes ends.
pub(super) enum Extent {
    /// After that many bytes.
    Frame(usize),
    /// Beyond the bytes, which hold that many of its atoms.
    Cut { atoms: usize, of: usize },
    /// There are only blanks.
    Blank,
}

/// Finds the end of a frame by its lines alone. With `at_end` nothing follows, and a last line needs no line break.
pub(super) fn extent(bytes: &[u8], at_end: bool) -> Result<Extent> {
    let start = skip_blank_lines(bytes);
    if start == bytes.len() {
        return Ok(Extent::Blank);
    }
    let Some(end) = memchr::memchr(b'\n', &bytes[start..]) else {
        if !at_end {
            if let Some(count) = bytes.get(start..start + LONGEST_COUNT) {
                atom_count(count)?; // else a file without lines would be read to its end
            }
            return Ok(Extent::Cut { atoms: 0, of: 0 });
        }
        return Ok(Extent::Cut { atoms: 0, of: atom_count(&bytes[start..])? });
    };
    let n_atoms = atom_count(&bytes[start..start + end])?;
    let body = start + end + 1;
    let mut lines = 0;
    for line_break in memchr::memchr_iter(b'\n', &bytes[body..]) {
        lines += 1;
        if lines > n_atoms {
            return Ok(Extent::Frame(body + line_break + 1));
        }
    }
    let open_line = bytes.last() != Some(&b'\n');
    if at_end && open_line && lines == n_atoms {
        return Ok(Extent::Frame(bytes.len()));
    }
    let lines = lines + usize::from(open_line);
    Ok(Extent::Cut { atoms: lines.saturating_sub(1), of: n_atoms })
}

/// Zero bytes, which a crash or a full disk leaves in place of text, are no blanks.
fn skip_blank_lines(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(bytes.len())
}

/// The error for the line at the beginning of `text`, or a later one.
pub(super) fn line_too_long(text: &[u8]) -> Error {
    let line = text.iter().rposition(|&b| b == b'\n').map_or(text, |end| &text[end + 1..]);
    let start = String::from_utf8_lossy(&line[..line.len().min(256)]).into_owned();
    let problem = format!("a line that begins with {:?} is longer than {} MB", excerpt(&start), LONGEST_LINE >> 20);
    Error::structure(None, problem, "extended XYZ has a line for each atom: check that this is such a file, and whole")
}

fn atom_count(line: &[u8]) -> Result<usize> {
    if line.first() == Some(&0) {
        return Err(Error::structure(
            None,
            "there are zero bytes where a frame should begin",
            "a full disk or a crash leaves such files: copy or make it again",
        ));
    }
    let text = std::str::from_utf8(line).ok().map(str::trim);
    text.and_then(|t| t.parse().ok()).ok_or_else(|| {
        Error::structure(
            None,
            format!("the atom count is {}, not a whole number", in_quotes(&excerpt(&String::from_utf8_lossy(line)))),
            "a frame begins with a line that holds its number of atoms; compare the count of the frame before with its rows",
        )
    })
}

/// Reads the frame at the beginning of `bytes`, which hold all of it or all there is; `frame` is its index.
/// Returns it with its length in bytes, or `None` if there are only blanks.
pub(super) fn parse(bytes: &[u8], frame: usize, layout: &mut Option<Layout>) -> Result<Option<(Structure, usize)>> {
    let start = skip_blank_lines(bytes);
    if start == bytes.len() {
        return Ok(None);
    }
    let mut rows = Rows::new(bytes, start, frame);
    rows.n_atoms = atom_count(rows.line())?;
    if rows.pos == bytes.len() {
        return Err(cut_short(0, rows.n_atoms, frame));
    }
    let line = rows.line();
    if line.len() > LONGEST_LINE {
        return Err(line_too_long(line));
    }
    let line = std::str::from_utf8(line).map_err(|e| {
        Error::structure(
            None,
            format!(
                "the comment line {} is not valid UTF-8 at byte {}",
                in_quotes(&excerpt(&String::from_utf8_lossy(line))),
                e.valid_up_to()
            ),
            "save the file as UTF-8",
        )
    })?;
    let mut structure = Structure::default();
    read_comment(line, &mut structure, layout)?;
    if let Some(layout) = layout {
        rows.read(layout, &mut structure)?;
    }
    Ok(Some((structure, rows.pos)))
}

fn read_comment(line: &str, structure: &mut Structure, layout: &mut Option<Layout>) -> Result<()> {
    let pairs = match comment::pairs(line) {
        // Free text, as plain XYZ has it, may hold a lone apostrophe.
        Err(_) if !line.contains('=') => {
            vec![comment::Pair { key: "comment".to_string(), value: Some(line.trim().to_string()) }]
        }
        pairs => pairs?,
    };
    let (mut has_lattice, mut pbc, mut properties) = (false, None, None);
    structure.info.reserve_exact(pairs.len());
    let mut places = Places::new(pairs.len());
    for comment::Pair { key, value } in pairs {
        match (key.as_str(), value) {
            ("Lattice", value) => {
                structure.cell = lattice(&value.unwrap_or_default())?;
                has_lattice = true;
            }
            ("Properties", value) => properties = Some(value.unwrap_or_default()),
            ("pbc", value) => pbc = Some(periodicity(&value.unwrap_or_default())?),
            (_, value) => {
                let value = value.map_or(Value::Bool(true), |text| comment::value(&key, text));
                match places.find(&structure.info, &key) {
                    Some(place) => structure.info[place].1 = value,
                    None => structure.info.push((key, value)),
                }
            }
        }
    }
    structure.pbc = pbc.unwrap_or([has_lattice; 3]);
    refuse_misspelt(structure, |key| match key {
        "Lattice" => has_lattice,
        "pbc" => pbc.is_some(),
        _ => properties.is_some(),
    })?;
    let strict = properties.is_some();
    let properties = properties.as_deref().unwrap_or(PLAIN);
    if !layout.as_ref().is_some_and(|l| l.is(properties, strict)) {
        *layout = Some(Layout::new(properties, strict)?);
    }
    Ok(())
}

/// Where the keys of a comment line are: of a few they are looked through, of many there is a table.
struct Places {
    table: Option<HashMap<String, usize>>,
}

impl Places {
    fn new(n_keys: usize) -> Self {
        const FEW: usize = 64;
        Places { table: (n_keys > FEW).then(|| HashMap::with_capacity(n_keys)) }
    }

    /// The place of `key`; if it is not there, it will be the next.
    fn find(&mut self, info: &[(String, Value)], key: &str) -> Option<usize> {
        let Some(table) = &mut self.table else { return info.iter().position(|(k, _)| k == key) };
        let found = table.get(key).copied();
        if found.is_none() {
            table.insert(key.to_string(), info.len());
        }
        found
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', ',']).filter(|w| !w.is_empty())
}

/// Nine numbers: the lattice vectors, one after the other.
fn lattice(text: &str) -> Result<[Vec3; 3]> {
    let malformed = |problem: String| {
        Error::structure(
            None,
            format!("Lattice={}: {problem}", in_quotes(&excerpt(text))),
            "give nine numbers, ax ay az bx by bz cx cy cz in Å, in quotes; leave Lattice out for a molecule",
        )
    };
    let mut numbers = [0.0; 9];
    let mut n = 0;
    for word in words(text) {
        let x = comment::real(word).ok_or_else(|| malformed(format!("{} is no number", in_quotes(word))))?;
        if let Some(number) = numbers.get_mut(n) {
            *number = x;
        }
        n += 1;
    }
    if n != 9 {
        return Err(malformed(format!("it holds {n} numbers")));
    }
    let [ax, ay, az, bx, by, bz, cx, cy, cz] = numbers;
    Ok([[ax, ay, az], [bx, by, bz], [cx, cy, cz]])
}

fn periodicity(text: &str) -> Result<[bool; 3]> {
    let flag = |word: &str| match word {
        "1" => Some(true),
        "0" => Some(false),
        word => comment::logical(word),
    };
    let flags: Option<Vec<bool>> = words(text).map(flag).collect();
    match flags.as_deref() {
        Some(&[all]) => Ok([all; 3]),
        Some(&[a, b, c]) => Ok([a, b, c]),
        _ => Err(Error::structure(
            None,
            format!("pbc={} is not three of T and F", in_quotes(&excerpt(text))),
            "write pbc=\"T T T\" for a crystal, pbc=\"F F F\" for a molecule",
        )),
    }
}
