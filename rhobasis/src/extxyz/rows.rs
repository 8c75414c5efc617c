use super::comment::{self, excerpt};
use super::layout::{Kind, Layout, Role, shown};
use crate::error::in_quotes;
use crate::structure::{Column, ColumnData, SYMBOLS, Structure, isotope_remedy};
use crate::{Error, Result};

/// Cursor over the rows of a frame.
pub(super) struct Rows<'a> {
    bytes: &'a [u8],
    pub pos: usize,
    frame: usize,
    atom: usize,
    pub n_atoms: usize,
}

impl<'a> Rows<'a> {
    /// From byte `pos` on, where frame `frame` begins.
    pub fn new(bytes: &'a [u8], pos: usize, frame: usize) -> Self {
        Rows { bytes, pos, frame, atom: 0, n_atoms: 0 }
    }

    /// The rest of the current line, without its line break; moves on to the next.
    pub fn line(&mut self) -> &'a [u8] {
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

    /// Reads all rows.
    pub fn read(&mut self, layout: &Layout, structure: &mut Structure) -> Result<()> {
        // A wrong count must not reserve more than the text can fill: a word takes at least two bytes, but for the very last.
        let n = self.n_atoms.min((self.bytes.len() - self.pos + 1) / (2 * layout.n_words));
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
        let word = excerpt(&String::from_utf8_lossy(&self.bytes[begin..self.pos]));
        let expected =
            || format!("{} columns, but Properties={} asks for {}", n_words, shown(&layout.properties), layout.n_words);
        let (problem, remedy) = match error {
            RowError::Cut => return cut_short(self.atom, self.n_atoms, self.frame),
            RowError::Short => (
                format!("the row {} has {}", in_quotes(&excerpt(&row)), expected()),
                format!("complete the row, or correct the atom count {}", self.n_atoms),
            ),
            RowError::Long => (
                format!("the row {} has {}", in_quotes(&excerpt(&row)), expected()),
                "name every column in Properties, or remove the superfluous ones".to_string(),
            ),
            RowError::Symbol => (
                format!("unknown element {}", in_quotes(&word)),
                match isotope_remedy(&word) {
                    Some(remedy) => remedy.to_string(),
                    None => "use symbols from H to Og (or Z from 1 to 118), and remove dummy atoms".to_string(),
                },
            ),
            RowError::Utf8(field) => (
                format!("{} in column {} is not valid UTF-8", in_quotes(&word), excerpt(&layout.fields[field].name)),
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
                    format!("{} in column {} is no {kind}", in_quotes(&word), excerpt(&field.name)),
                    format!("repair the row {}, or the column's type in Properties", in_quotes(&excerpt(&row))),
                )
            }
        };
        Error::structure(Some(self.atom), problem, remedy)
    }
}

/// A file that ends inside frame `frame`.
pub(super) fn cut_short(atoms: usize, of: usize, frame: usize) -> Error {
    Error::structure(
        None,
        format!("the file ends after {atoms} of {of} atoms"),
        format!("it was cut short: copy it again, or read the frames before with @:{frame}"),
    )
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
