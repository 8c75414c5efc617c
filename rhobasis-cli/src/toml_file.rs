//! Tables of a TOML file whose keys are all known: what nobody asks for is an error that names the nearest key.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rhobasis::files::Format;
use rhobasis::settings::{Given, Source, unknown_key};
use rhobasis::{Error, Result};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most bytes of a file of settings.
const LONGEST: u64 = 16 << 20;
const EXAMPLE: &str = "see examples/model-silicon.toml";

/// The text of a file, and where it lies.
pub struct TomlFile {
    path: PathBuf,
    text: String,
}

impl TomlFile {
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        match read {
            Ok(bytes) if bytes as u64 == LONGEST => {
                Err(Error::file(path, format!("is longer than {} MB", LONGEST >> 20), EXAMPLE))
            }
            Ok(_) => Ok(()),
            Err(e) => Err(other_format(path).unwrap_or_else(|| Error::io(path, e))),
        }?;
        Ok(TomlFile { path: path.to_path_buf(), text })
    }

    /// A file of this text, as it was when it lay there.
    pub fn of_text(path: &Path, text: String) -> Self {
        TomlFile { path: path.to_path_buf(), text }
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Calls `read` with the whole file as a table, and refuses the sections that it has not asked for.
    pub fn with_root<T>(&self, read: impl FnOnce(&Section) -> Result<T>) -> Result<T> {
        let parsed = DeTable::parse(&self.text).map_err(|e| {
            if let Some(other) = other_format(&self.path) {
                return other;
            }
            let place = e.span().map_or(String::new(), |span| format!("line {}: ", line(&self.text, span.start)));
            Error::file(&self.path, format!("{place}{}", e.message().trim()), EXAMPLE)
        })?;
        let root = Section::new(self, String::new(), parsed.get_ref());
        let value = read(&root)?;
        root.finish()?;
        Ok(value)
    }

    /// The text under a key of a section, if there is one: what kind of file it is, before it is read as one.
    pub fn peek(&self, section: &str, key: &str) -> Option<String> {
        let parsed = DeTable::parse(&self.text).ok()?;
        let table = parsed.get_ref().get(section)?.get_ref().as_table()?;
        Some(table.get(key)?.get_ref().as_str()?.to_string())
    }

    /// A path of the file, seen from where the command runs: paths are relative to the folder of the file.
    pub fn beside(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// The error for a file of a format that is known, and another.
fn other_format(path: &Path) -> Option<Error> {
    let format = Format::of_file(path).filter(|format| !format.is_toml())?;
    Some(Error::file(path, format!("is {}, and a TOML file is read", format.name()), EXAMPLE))
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

    pub fn text(&self, key: &'static str) -> Result<Option<String>> {
        self.take(key, "text between quotes", |v| v.get_ref().as_str().map(str::to_string))
    }

    /// One or several texts.
    pub fn texts(&self, key: &'static str) -> Result<Option<Vec<String>>> {
        let text = |v: Value| v.get_ref().as_str().map(str::to_string);
        self.take(key, "text between quotes, or a list of such", |v| match v.get_ref().as_array() {
            Some(items) => items.iter().map(text).collect(),
            None => text(v).map(|text| vec![text]),
        })
    }

    /// What `read` makes of the values of this section; what it refuses is named with its line. A setting with the name of
    /// the section is its `type`.
    pub fn read<T>(&self, read: impl FnOnce(Source) -> Result<T>) -> Result<T> {
        let made = read(&|name| self.get(self.key_of(name)).map(given));
        made.map_err(|e| match e {
            Error::Setting { name, value, problem, remedy } | Error::Type { name, value, problem, remedy } => {
                let (key, line) = (self.key_of(name), self.place(self.key_of(name)));
                let named = if key == "type" { key } else { name };
                Error::file(&self.file.path, format!("{line}{named} = {value}: {problem}"), remedy)
            }
            other => other,
        })
    }

    /// As [`Section::read`], of a section that has no other keys.
    pub fn whole<T>(&self, read: impl FnOnce(Source) -> Result<T>) -> Result<T> {
        let value = self.read(read)?;
        self.finish()?;
        Ok(value)
    }

    fn key_of(&self, setting: &'static str) -> &'static str {
        match setting.split(' ').next() {
            Some(name) if name == self.name => "type",
            Some(key) => key,
            None => setting,
        }
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
        Error::file(&self.file.path, format!("{}{key} {problem}", self.place(key)), remedy)
    }

    /// `line 3: [basis]: `, the line of this key.
    fn place(&self, key: &str) -> String {
        let at = self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(k, _)| k.span().start);
        let line = at.map_or(String::new(), |at| format!("line {}: ", line(&self.file.text, at)));
        format!("{line}{}: ", self.title())
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
            let (problem, remedy) = unknown_key(name, asked.iter().copied());
            let line = line(&self.file.text, key.span().start);
            let problem = format!("line {line}: {}: {problem}", self.title());
            return Err(Error::file(&self.file.path, problem, remedy));
        }
        Ok(())
    }
}

fn given(value: Value) -> Given {
    match value.get_ref() {
        DeValue::String(text) => Given::Text(text.to_string().into()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Given::Count(number),
            Err(_) => Given::Other(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Given::Number(number),
            Err(_) => Given::Other(number.to_string()),
        },
        DeValue::Boolean(flag) => Given::Flag(*flag),
        DeValue::Array(items) => Given::List(items.iter().map(given).collect()),
        DeValue::Table(entries) => {
            let entry = |(key, value): (&Spanned<std::borrow::Cow<str>>, Value)| {
                (Given::Text(key.get_ref().to_string().into()), given(value))
            };
            Given::Table(entries.iter().map(entry).collect())
        }
        DeValue::Datetime(time) => Given::Other(time.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rhobasis::density::Density;

    use super::*;

    fn of<T>(text: &str, read: impl FnOnce(&Section) -> Result<T>) -> Result<T> {
        TomlFile { path: "m.toml".into(), text: text.into() }.with_root(read)
    }

    #[test]
    fn values_are_read_in_all_their_forms() {
        let text = "a = 1_000\nb = 1e-3\nc = 0x10\nd = [1, 2.5]\ne = true\nf = \"none\"\ng = { H = 1 }";
        let expected = [
            ("a", Given::Count(1000)),
            ("b", Given::Number(1e-3)),
            ("c", Given::Count(16)),
            ("d", Given::List(vec![Given::Count(1), Given::Number(2.5)])),
            ("e", Given::Flag(true)),
            ("f", "none".into()),
            ("g", Given::Table(vec![("H".into(), Given::Count(1))])),
        ];
        let check = |source: Source| {
            expected.iter().for_each(|(key, given)| assert_eq!(source(key).as_ref(), Some(given), "{key}"));
            assert_eq!(source("h"), None);
            Ok(())
        };
        of(text, |root| root.read(check)).unwrap();
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let message = |text| of(text, read).unwrap_err().to_string();
        fn read(root: &Section) -> Result<()> {
            let Some(basis) = root.section("basis")? else { return Ok(()) };
            basis.read(Density::read)?;
            basis.finish()
        }
        let said = message("# a file\n[basis]\nr_cat = 5.0\n");
        assert!(
            said.contains("m.toml: line 3: [basis]: unknown key 'r_cat', the nearest known one is 'r_cut'"),
            "{said}"
        );
        assert!(said.contains("known here are center_weight, cutoff_function, cutoff_width, r_cut"), "{said}");
        assert!(
            message("[bases]\n").contains("line 1: the file: unknown key 'bases', the nearest known one is 'basis'")
        );
        assert!(message("[basis]\nr_cut = \"far\"").contains("line 2: [basis]: r_cut = \"far\": must be a number;"));
        assert!(message("[basis]\nscaling = [1, -2, 7]").contains("line 2: [basis]: scaling scale = -2: must be"));
        assert!(message("[basis\n").contains("m.toml: line 1: "));
        assert!(message("basis = 3").contains("give a section [basis]"));
    }
}
