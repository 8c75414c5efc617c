//! Plain aligned text.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows of cells, each column as wide as its widest cell; the first column is flush left, the others flush right.
#[derive(Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Table { rows: vec![header.into_iter().map(Into::into).collect()] }
    }

    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let n = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |k: usize| self.rows.iter().filter_map(|r| r.get(k)).map(|c| c.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..n).map(width).collect();
        for row in &self.rows {
            let mut line = String::from("  ");
            for (k, cell) in row.iter().enumerate() {
                let width = widths[k];
                line += &if k == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A line `name   value` of a header.
pub fn field(out: &mut dyn Write, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "{name:<15} {value}")
}

static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether notes and progress are left out from now on.
pub fn be_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether notes and progress are left out.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A note on standard error, unless these are left out.
pub fn tell(message: impl Display) {
    if !is_quiet() {
        insist(message);
    }
}

/// A warning on standard error, always.
pub fn warn(message: impl Display) {
    insist(format_args!("warning: {message}"));
}

/// A line on standard error, always. That nobody can read it is no reason to stop.
pub fn insist(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// 117748 as `117,748`.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 frame`, `2 frames`.
pub fn plural(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}
