use super::comment::{self, excerpt};
use super::layout::{Layout, PLAIN};
use super::rows::{Rows, cut_short};
use crate::error::in_quotes;
use crate::structure::{Structure, Value, Vec3};
use crate::{Error, Result};

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

fn skip_blank_lines(bytes: &[u8]) -> usize {
    bytes.iter().position(|&b| b > b' ').unwrap_or(bytes.len())
}

fn atom_count(line: &[u8]) -> Result<usize> {
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
    let mut pbc = None;
    let mut properties = None;
    structure.info.reserve_exact(pairs.len());
    for comment::Pair { key, value } in pairs {
        match (key.as_str(), value) {
            ("Lattice", value) => {
                structure.cell = lattice(&value.unwrap_or_default())?;
                pbc = pbc.or(Some([true; 3]));
            }
            ("Properties", value) => properties = Some(value.unwrap_or_default()),
            ("pbc", value) => pbc = Some(periodicity(&value.unwrap_or_default())?),
            (_, value) => {
                let value = value.map_or(Value::Bool(true), |text| comment::value(&key, text));
                match structure.info.iter_mut().find(|(k, _)| *k == key) {
                    Some(entry) => entry.1 = value,
                    None => structure.info.push((key, value)),
                }
            }
        }
    }
    structure.pbc = pbc.unwrap_or_default();
    let strict = properties.is_some();
    let properties = properties.as_deref().unwrap_or(PLAIN);
    if !layout.as_ref().is_some_and(|l| l.is(properties, strict)) {
        *layout = Some(Layout::new(properties, strict)?);
    }
    Ok(())
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
