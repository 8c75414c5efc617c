use super::comment::{self, excerpt};
use crate::structure::{Column, ColumnData, SYMBOLS, Structure, Value, Vec3};
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

/// A file that ends inside frame `frame`.
pub(super) fn cut_short(atoms: usize, of: usize, frame: usize) -> Error {
    Error::structure(
        None,
        format!("the file ends after {atoms} of {of} atoms"),
        format!("it was cut short: copy it again, or read the frames before with @:{frame}"),
    )
}

fn skip_blank_lines(bytes: &[u8]) -> usize {
    bytes.iter().position(|&b| b > b' ').unwrap_or(bytes.len())
}

fn atom_count(line: &[u8]) -> Result<usize> {
    let text = std::str::from_utf8(line).ok().map(str::trim);
    text.and_then(|t| t.parse().ok()).ok_or_else(|| {
        Error::structure(
            None,
            format!("the atom count is {:?}, not a whole number", excerpt(&String::from_utf8_lossy(line))),
            "a frame begins with a line that holds its number of atoms; compare the count of the frame before with its rows",
        )
    })
}

/// What the columns of a row are, from `Properties`; kept between frames, which mostly agree.
pub(super) struct Layout {
    properties: String,
    fields: Vec<Field>,
    /// Extra columns are an error where `Properties` names them all.
    strict: bool,
    n_words: usize,
}

struct Field {
    name: String,
    kind: Kind,
    width: usize,
    role: Role,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Real,
    Int,
    Bool,
    Text,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Symbol,
    Number,
    Position,
    /// Symbols beside atomic numbers, which rule, as in ASE.
    Ignored,
    /// Index into `Structure::columns`.
    Other(usize),
}

/// What plain XYZ holds.
const PLAIN: &str = "species:S:1:pos:R:3";

impl Layout {
    fn new(properties: &str, strict: bool) -> Result<Layout> {
        let malformed = |problem: String| {
            Error::structure(
                None,
                format!("Properties={properties}: {problem}"),
                "write NAME:TYPE:COLUMNS for each property, TYPE one of S, R, I, L, as in species:S:1:pos:R:3",
            )
        };
        let parts: Vec<&str> = properties.split(':').collect();
        if !parts.len().is_multiple_of(3) {
            return Err(malformed(format!("{} parts do not make triplets", parts.len())));
        }
        let mut fields: Vec<Field> = Vec::with_capacity(parts.len() / 3);
        for part in parts.chunks_exact(3) {
            let (name, width) = (part[0], part[2]);
            let kind = match part[1] {
                "R" => Kind::Real,
                "I" => Kind::Int,
                "L" => Kind::Bool,
                "S" => Kind::Text,
                other => return Err(malformed(format!("{other:?} is no type"))),
            };
            const WIDEST: usize = 1 << 20;
            let width = width.parse().ok().filter(|&w| (1..=WIDEST).contains(&w));
            let width = width.ok_or_else(|| malformed(format!("{:?} is no number of columns", part[2])))?;
            let role = match (name, kind, width) {
                ("species", Kind::Text, 1) => Role::Symbol,
                ("Z", Kind::Int, 1) => Role::Number,
                ("pos", Kind::Real | Kind::Int, 3) => Role::Position,
                ("species" | "Z" | "pos", ..) => {
                    return Err(malformed(format!("{name} has type {} and {width} columns", part[1])));
                }
                ("", ..) => return Err(malformed("a name is empty".to_string())),
                _ => Role::Other(0),
            };
            if fields.iter().any(|f| f.name == name) {
                return Err(malformed(format!("{name} occurs twice")));
            }
            fields.push(Field { name: name.to_string(), kind, width, role });
        }
        if !fields.iter().any(|f| f.role == Role::Position) {
            return Err(malformed("pos is missing".to_string()));
        }
        if fields.iter().any(|f| f.role == Role::Number) {
            fields.iter_mut().filter(|f| f.role == Role::Symbol).for_each(|f| f.role = Role::Ignored);
        } else if !fields.iter().any(|f| f.role == Role::Symbol) {
            return Err(malformed("species is missing".to_string()));
        }
        let others = fields.iter_mut().filter_map(|f| match &mut f.role {
            Role::Other(i) => Some(i),
            _ => None,
        });
        others.enumerate().for_each(|(i, slot)| *slot = i);
        let n_words = fields.iter().map(|f| f.width).sum();
        Ok(Layout { properties: properties.to_string(), fields, strict, n_words })
    }
}

/// Reads the frame at the beginning of `bytes`, which hold all of it or all there is; `frame` is its index.
/// Returns it with its length in bytes, or `None` if there are only blanks.
pub(super) fn parse(bytes: &[u8], frame: usize, layout: &mut Option<Layout>) -> Result<Option<(Structure, usize)>> {
    let start = skip_blank_lines(bytes);
    if start == bytes.len() {
        return Ok(None);
    }
    let mut rows = Rows { bytes, pos: start, frame, atom: 0, n_atoms: 0 };
    rows.n_atoms = atom_count(rows.line())?;
    if rows.pos == bytes.len() {
        return Err(cut_short(0, rows.n_atoms, frame));
    }
    let line = rows.line();
    let line = std::str::from_utf8(line).map_err(|e| {
        Error::structure(
            None,
            format!(
                "the comment line {:?} is not valid UTF-8 at byte {}",
                excerpt(&String::from_utf8_lossy(line)),
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
    if !layout.as_ref().is_some_and(|l| l.strict == strict && l.properties == properties) {
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
            format!("Lattice={:?}: {problem}", excerpt(text)),
            "give nine numbers, ax ay az bx by bz cx cy cz in Å, in quotes; leave Lattice out for a molecule",
        )
    };
    let mut numbers = [0.0; 9];
    let mut n = 0;
    for word in words(text) {
        let x = comment::real(word).ok_or_else(|| malformed(format!("{word:?} is no number")))?;
        if let Some(slot) = numbers.get_mut(n) {
            *slot = x;
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
            format!("pbc={:?} is not three of T and F", excerpt(text)),
            "write pbc=\"T T T\" for a crystal, pbc=\"F F F\" for a molecule",
        )),
    }
}

/// Cursor over the rows of a frame.
struct Rows<'a> {
    bytes: &'a [u8],
    pos: usize,
    frame: usize,
    atom: usize,
    n_atoms: usize,
}

impl<'a> Rows<'a> {
    /// The rest of the current line, without its line break; moves on to the next.
    fn line(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.pos..];
        match memchr::memchr(b'\n', rest) {
            Some(end) => {
                self.pos += end + 1;
                &rest[..end]
            }
            None => {
                self.pos = self.bytes.len();
                rest
            }
        }
    }

    fn read(&mut self, layout: &Layout, structure: &mut Structure) -> Result<()> {
        // A wrong count must not reserve more than the file can fill: a word takes at least two bytes.
        let n = self.n_atoms.min((self.bytes.len() - self.pos) / (2 * layout.n_words) + 1);
        structure.species.reserve_exact(n);
        structure.positions.reserve_exact(n);
        for field in layout.fields.iter().filter(|f| matches!(f.role, Role::Other(_))) {
            let n = n * field.width;
            let data = match field.kind {
                Kind::Real => ColumnData::Reals(Vec::with_capacity(n)),
                Kind::Int => ColumnData::Ints(Vec::with_capacity(n)),
                Kind::Bool => ColumnData::Bools(Vec::with_capacity(n)),
                Kind::Text => ColumnData::Texts(Vec::with_capacity(n)),
            };
            structure.columns.push(Column { name: field.name.clone(), width: field.width, data });
        }
        for atom in 0..self.n_atoms {
            self.atom = atom;
            let start = self.pos;
            self.row(layout, structure).map_err(|e| self.explain(e, layout, start))?;
        }
        Ok(())
    }

    #[inline]
    fn row(&mut self, layout: &Layout, structure: &mut Structure) -> std::result::Result<(), RowError> {
        for (i, field) in layout.fields.iter().enumerate() {
            match field.role {
                Role::Symbol => {
                    let word = self.word()?;
                    structure.species.push(species(word).ok_or(RowError::Symbol)?);
                }
                Role::Position => structure.positions.push([self.real(i)?, self.real(i)?, self.real(i)?]),
                Role::Number => {
                    let z = self.int(i)?;
                    let z = u8::try_from(z).ok().filter(|&z| z > 0 && (z as usize) < SYMBOLS.len());
                    structure.species.push(z.ok_or(RowError::Symbol)?);
                }
                Role::Ignored => {
                    self.word()?;
                }
                Role::Other(c) => match &mut structure.columns[c].data {
                    ColumnData::Reals(x) => {
                        for _ in 0..field.width {
                            x.push(self.real(i)?);
                        }
                    }
                    ColumnData::Ints(x) => {
                        for _ in 0..field.width {
                            x.push(self.int(i)?);
                        }
                    }
                    ColumnData::Bools(x) => {
                        for _ in 0..field.width {
                            let word = std::str::from_utf8(self.word()?).ok();
                            x.push(word.and_then(comment::logical).ok_or(RowError::Value(i))?);
                        }
                    }
                    ColumnData::Texts(x) => {
                        for _ in 0..field.width {
                            let word = std::str::from_utf8(self.word()?).map_err(|_| RowError::Utf8(i))?;
                            x.push(word.to_string());
                        }
                    }
                },
            }
        }
        self.skip_blanks();
        match self.bytes.get(self.pos) {
            None => {}
            Some(b'\n') => self.pos += 1,
            Some(_) if layout.strict => return Err(RowError::Long),
            Some(_) => {
                self.line();
            }
        }
        Ok(())
    }

    #[inline]
    fn skip_blanks(&mut self) {
        while let Some(&b) = self.bytes.get(self.pos) {
            if b > b' ' || b == b'\n' {
                break;
            }
            self.pos += 1;
        }
    }

    /// The next word of the row.
    #[inline]
    fn word(&mut self) -> std::result::Result<&'a [u8], RowError> {
        self.skip_blanks();
        let rest = &self.bytes[self.pos..];
        let end = rest.iter().position(|&b| b <= b' ').unwrap_or(rest.len());
        self.pos += end;
        match (end, rest.is_empty()) {
            (0, true) => Err(RowError::Cut),
            (0, false) => Err(RowError::Short),
            _ => Ok(&rest[..end]),
        }
    }

    #[inline]
    fn real(&mut self, field: usize) -> std::result::Result<f64, RowError> {
        self.skip_blanks();
        let rest = &self.bytes[self.pos..];
        if let Some((x, n)) = decimal(rest).or_else(|| fast_float2::parse_partial(rest).ok())
            && rest.get(n).is_none_or(|&b| b <= b' ')
        {
            self.pos += n;
            return Ok(x);
        }
        let word = std::str::from_utf8(self.word()?).ok();
        word.and_then(comment::real).ok_or(RowError::Value(field))
    }

    #[inline]
    fn int(&mut self, field: usize) -> std::result::Result<i64, RowError> {
        let word = std::str::from_utf8(self.word()?).ok();
        word.and_then(|w| w.parse().ok()).ok_or(RowError::Value(field))
    }

    /// The message of a bad row that began at `start`.
    #[cold]
    fn explain(&self, error: RowError, layout: &Layout, start: usize) -> Error {
        let row = self.bytes[start..].split(|&b| b == b'\n').next().unwrap_or_default();
        let row = String::from_utf8_lossy(row);
        let n_words = row.split_ascii_whitespace().count();
        // The word before the cursor is the offending one.
        let begin = self.bytes[start..self.pos].iter().rposition(|&b| b <= b' ').map_or(start, |i| start + i + 1);
        let word = String::from_utf8_lossy(&self.bytes[begin..self.pos]);
        let expected =
            || format!("{} columns, but Properties={} asks for {}", n_words, layout.properties, layout.n_words);
        let (problem, remedy) = match error {
            RowError::Cut => return cut_short(self.atom, self.n_atoms, self.frame),
            RowError::Short => (
                format!("the row {:?} has {}", excerpt(&row), expected()),
                format!("complete the row, or correct the atom count {}", self.n_atoms),
            ),
            RowError::Long => (
                format!("the row {:?} has {}", excerpt(&row), expected()),
                "name every column in Properties, or remove the superfluous ones".to_string(),
            ),
            RowError::Symbol => (
                format!("unknown element {word:?}"),
                "use symbols from H to Og (or Z from 1 to 118), and remove dummy atoms".to_string(),
            ),
            RowError::Utf8(field) => (
                format!("{word:?} in column {} is not valid UTF-8", layout.fields[field].name),
                "save the file as UTF-8".to_string(),
            ),
            RowError::Value(field) => {
                let field = &layout.fields[field];
                let kind = match field.kind {
                    Kind::Real => "number",
                    Kind::Int => "whole number",
                    Kind::Bool => "logical (T or F)",
                    Kind::Text => "text",
                };
                (
                    format!("{word:?} in column {} is no {kind}", field.name),
                    format!("repair the row {:?}, or the column's type in Properties", excerpt(&row)),
                )
            }
        };
        Error::structure(Some(self.atom), problem, remedy)
    }
}

/// What is wrong with a row; the number is the field.
enum RowError {
    /// The file ends.
    Cut,
    /// The line ends.
    Short,
    Long,
    Symbol,
    Value(usize),
    Utf8(usize),
}

/// The common case of a number, digits with a point and no exponent, with its length in bytes. Digits below 2^53 over a
/// power of ten up to 10^22 are both exact, so their quotient is correctly rounded.
#[inline]
fn decimal(bytes: &[u8]) -> Option<(f64, usize)> {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let (mut digits, mut n, mut point) = (0u64, start, None);
    while let Some(&b) = bytes.get(n) {
        match b {
            b'0'..=b'9' => digits = 10 * digits + u64::from(b - b'0'),
            b'.' if point.is_none() => point = Some(n),
            _ if b <= b' ' => break,
            _ => return None,
        }
        n += 1;
        // Fifteen digits and a point: within 2^53.
        if n - start > 16 {
            return None;
        }
    }
    let point = point.filter(|_| n - start > 1)?;
    let x = digits as f64 / POWERS[n - point - 1];
    Some((if negative { -x } else { x }, n))
}

/// Atomic numbers by first letter and second (0: none), as `27 * first + second`.
const BY_LETTERS: [u8; 26 * 27] = {
    let mut table = [0; 26 * 27];
    let mut z = 1;
    while z < SYMBOLS.len() {
        let symbol = SYMBOLS[z].as_bytes();
        let second = if symbol.len() == 2 { (symbol[1] - b'a' + 1) as usize } else { 0 };
        table[27 * (symbol[0] - b'A') as usize + second] = z as u8;
        z += 1;
    }
    table
};

/// Atomic number of a symbol in any case, or of a number.
#[inline]
fn species(word: &[u8]) -> Option<u8> {
    let (first, second) = match *word {
        [a] => (a, 0),
        [a, b] if b.is_ascii_alphabetic() => (a, (b.to_ascii_lowercase() - b'a' + 1) as usize),
        _ => (0, 0),
    };
    if first.is_ascii_alphabetic() {
        let first = (first.to_ascii_uppercase() - b'A') as usize;
        return Some(BY_LETTERS[27 * first + second]).filter(|&z| z > 0);
    }
    std::str::from_utf8(word).ok()?.parse().ok().filter(|&z| z > 0 && usize::from(z) < SYMBOLS.len())
}
