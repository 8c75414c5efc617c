//! Tables of a TOML file whose keys are all known: what nobody asks for is an error that names the nearest key.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use rhobasis::{Error, Result};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text of a file, and where it lies.
pub struct TomlFile {
    path: PathBuf,
    text: String,
}

impl TomlFile {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        Ok(TomlFile { path: path.to_path_buf(), text })
    }

    /// Calls `read` with the whole file as a table, and refuses the sections that it has not asked for.
    pub fn with_root<T>(&self, read: impl FnOnce(&Section) -> Result<T>) -> Result<T> {
        let parsed = DeTable::parse(&self.text).map_err(|e| {
            let place = e.span().map_or(String::new(), |span| format!("line {}: ", line(&self.text, span.start)));
            Error::file(&self.path, format!("{place}{}", e.message().trim()), "see examples/model-silicon.toml")
        })?;
        let root = Section::new(self, String::new(), parsed.get_ref());
        let value = read(&root)?;
        root.finish()?;
        Ok(value)
    }

    /// A path of the file, seen from where the command runs: paths are relative to the folder of the file.
    pub fn beside(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&b| b == b'\n').count()
}

/// A table, and which of its keys have been asked for.
pub struct Section<'a> {
    file: &'a TomlFile,
    name: String,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    fn new(file: &'a TomlFile, name: String, table: &'a DeTable<'a>) -> Self {
        Section { file, name, table, asked: RefCell::default() }
    }

    fn get(&self, key: &'static str) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn refused(&self, key: &str, value: Value, expected: &str) -> Error {
        let text = self.file.text.get(value.span()).unwrap_or("").lines().next().unwrap_or("").trim();
        self.error(value, format!("{}: {key} = {text}", self.title()), format!("give {expected}"))
    }

    fn error(&self, value: Value, problem: String, remedy: String) -> Error {
        let line = line(&self.file.text, value.span().start);
        Error::file(&self.file.path, format!("line {line}: {problem}"), remedy)
    }

    fn title(&self) -> String {
        if self.name.is_empty() { "the file".into() } else { format!("[{}]", self.name) }
    }

    /// Of a key, what `take` makes of its value; an error that says what is expected where it makes nothing of it.
    fn take<T>(&self, key: &'static str, expected: &str, take: impl Fn(Value<'a>) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        take(value).map(Some).ok_or_else(|| self.refused(key, value, expected))
    }

    pub fn real(&self, key: &'static str) -> Result<Option<f64>> {
        self.take(key, "a number", real)
    }

    pub fn count(&self, key: &'static str) -> Result<Option<usize>> {
        self.take(key, "a whole number", |v| integer(v)?.try_into().ok())
    }

    pub fn seed(&self, key: &'static str) -> Result<Option<u64>> {
        self.take(key, "a whole number that is not negative", |v| integer(v)?.try_into().ok())
    }

    pub fn flag(&self, key: &'static str) -> Result<Option<bool>> {
        self.take(key, "true or false", |v| v.get_ref().as_bool())
    }

    pub fn text(&self, key: &'static str) -> Result<Option<String>> {
        self.take(key, "text between quotes", |v| v.get_ref().as_str().map(str::to_string))
    }

    /// A number, or a word that stands for something else.
    pub fn real_or(&self, key: &'static str, word: &str) -> Result<Option<Option<f64>>> {
        self.take(key, &format!("a number, or \"{word}\""), |v| match v.get_ref().as_str() {
            Some(text) => (text == word).then_some(None),
            None => real(v).map(Some),
        })
    }

    /// One or several texts.
    pub fn texts(&self, key: &'static str) -> Result<Option<Vec<String>>> {
        let text = |v: Value| v.get_ref().as_str().map(str::to_string);
        self.take(key, "text between quotes, or a list of such", |v| match v.get_ref().as_array() {
            Some(items) => items.iter().map(text).collect(),
            None => text(v).map(|text| vec![text]),
        })
    }

    /// One or several numbers; whether they were a list.
    pub fn reals(&self, key: &'static str) -> Result<Option<(Vec<f64>, bool)>> {
        self.take(key, "a number, or a list of numbers", |v| match v.get_ref().as_array() {
            Some(items) => Some((items.iter().map(real).collect::<Option<_>>()?, true)),
            None => Some((vec![real(v)?], false)),
        })
    }

    /// Numbers by name.
    pub fn named_reals(&self, key: &'static str) -> Result<Option<Vec<(String, f64)>>> {
        self.take(key, "numbers by name, as in { H = 0.3, C = 0.4 }", |v| {
            v.get_ref().as_table()?.iter().map(|(name, v)| Some((name.get_ref().to_string(), real(v)?))).collect()
        })
    }

    /// Whether the value of a key is a table.
    pub fn is_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(|v| v.get_ref().is_table())
    }

    /// One of some words.
    pub fn choice<T: Clone>(&self, key: &'static str, choices: &[(&'static str, T)]) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let quoted: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let expected = format!("one of {}", quoted.join(", "));
        let Some(text) = value.get_ref().as_str() else { return Err(self.refused(key, value, &expected)) };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(Some(choice.clone()));
        }
        let near = nearest(text, choices.iter().map(|(word, _)| *word)).unwrap_or("");
        let problem = format!("{}: {key} = \"{text}\" is unknown, the nearest known one is \"{near}\"", self.title());
        Err(self.error(value, problem, format!("give {expected}")))
    }

    /// A section of its own; `None` if the file has none of this name.
    pub fn section(&self, key: &'static str) -> Result<Option<Section<'a>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.get_ref().as_table() {
            Some(table) => Ok(Some(Section::new(self.file, self.under(key), table))),
            None => Err(self.refused(key, value, &format!("a section [{}]", self.under(key)))),
        }
    }

    /// The sections whose names are free to choose: all tables that nobody has asked for.
    pub fn others(&self) -> Vec<(String, Section<'a>)> {
        let asked = self.asked.borrow();
        let free = self.table.iter().filter(|(key, _)| !asked.contains(&&**key.get_ref()));
        let table = |v: Value<'a>| v.get_ref().as_table();
        let section = |(key, v)| {
            let key: &Spanned<std::borrow::Cow<str>> = key;
            let name = self.under(&format!("{:?}", key.get_ref()));
            Some((key.get_ref().to_string(), Section::new(self.file, name, table(v)?)))
        };
        free.filter_map(section).collect()
    }

    fn under(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_string() } else { format!("{}.{key}", self.name) }
    }

    /// An error about the value of a key, for what only its user can judge.
    pub fn wrong(&self, key: &str, problem: &str, remedy: &str) -> Error {
        let line = self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(k, _)| k.span().start);
        let place = line.map_or(String::new(), |at| format!("line {}: ", self::line(&self.file.text, at)));
        Error::file(&self.file.path, format!("{place}{}: {key} {problem}", self.title()), remedy)
    }

    /// Refuses keys that have not been asked for.
    pub fn finish(&self) -> Result<()> {
        self.finish_but_tables(false)
    }

    /// As [`Section::finish`], where tables bear names that are free to choose.
    pub fn finish_but_tables(&self, tables_are_free: bool) -> Result<()> {
        let asked = self.asked.borrow();
        for (key, value) in self.table.iter() {
            let name: &str = key.get_ref();
            if asked.contains(&name) || tables_are_free && value.get_ref().is_table() {
                continue;
            }
            let near = nearest(name, asked.iter().copied()).unwrap_or("");
            let mut known = asked.clone();
            known.sort_unstable();
            known.dedup();
            let line = line(&self.file.text, key.span().start);
            let problem =
                format!("line {line}: {}: unknown key '{name}', the nearest known one is '{near}'", self.title());
            let remedy = format!("known here are {}", known.join(", "));
            return Err(Error::file(&self.file.path, problem, remedy));
        }
        Ok(())
    }
}

fn integer(value: Value) -> Option<i64> {
    let number = value.get_ref().as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn real(value: Value) -> Option<f64> {
    match value.get_ref().as_float() {
        Some(number) => number.as_str().parse().ok(),
        None => integer(value).map(|i| i as f64),
    }
}

/// The word that takes the fewest letters changed, left out or added; the first of equals.
pub fn nearest<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    words.into_iter().min_by_key(|word| distance(text, word))
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(1 + row[j]).min(1 + diagonal);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_numbers_of_edits() {
        for (a, b, n) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("r_cut", "r_cutt", 1), ("zeta", "zeta", 0), ("ab", "ba", 2)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (n, n), "{a} {b}");
        }
        assert_eq!(nearest("enrgy_sigma", ["force_sigma", "energy_sigma"]), Some("energy_sigma"));
    }

    fn of<T>(text: &str, read: impl FnOnce(&Section) -> Result<T>) -> Result<T> {
        TomlFile { path: "m.toml".into(), text: text.into() }.with_root(read)
    }

    #[test]
    fn numbers_are_read_in_all_their_forms() {
        let text = "a = 1_000\nb = 1e-3\nc = 0x10\nd = [1, 2.5]\ne = 7\nf = \"none\"\ng = { H = 1, C = 2.0 }";
        of(text, |s| {
            assert_eq!((s.count("a")?, s.real("b")?, s.count("c")?), (Some(1000), Some(1e-3), Some(16)));
            assert_eq!((s.reals("d")?, s.reals("e")?), (Some((vec![1.0, 2.5], true)), Some((vec![7.0], false))));
            assert_eq!((s.real_or("f", "none")?, s.real("h")?), (Some(None), None));
            assert_eq!(s.named_reals("g")?.map(|g| g.len()), Some(2));
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let message = |text, read: fn(&Section) -> Result<()>| of(text, read).unwrap_err().to_string();
        let read: fn(&Section) -> Result<()> = |root| {
            let Some(basis) = root.section("basis")? else { return Ok(()) };
            basis.real("r_cut")?;
            basis.count("n_max")?;
            basis.choice("kind", &[("gto", 1), ("dvr", 2)])?;
            basis.finish()
        };
        let said = message("# a file\n[basis]\nr_cat = 5.0\n", read);
        assert!(
            said.contains("m.toml: line 3: [basis]: unknown key 'r_cat', the nearest known one is 'r_cut'"),
            "{said}"
        );
        assert!(said.contains("known here are kind, n_max, r_cut"), "{said}");
        assert!(
            message("[bases]\n", read)
                .contains("line 1: the file: unknown key 'bases', the nearest known one is 'basis'")
        );
        assert!(message("[basis]\nr_cut = \"far\"", read).contains("line 2: [basis]: r_cut = \"far\"; give a number"));
        assert!(message("[basis]\nn_max = -1", read).contains("n_max = -1; give a whole number"));
        assert!(message("[basis]\nkind = \"gtos\"", read).contains("the nearest known one is \"gto\""));
        assert!(message("[basis\n", read).contains("m.toml: line 1: "));
        assert!(message("basis = 3", read).contains("give a section [basis]"));
    }
}
