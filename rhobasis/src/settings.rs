//! Declaring a setting once, and reading what a person gives for it: with a flag, in a model file, in Python.
//!
//! A [`Setting`] stands beside the struct that holds its value, with unit, default, range and a sentence. Those who are asked
//! for values hand over [`Given`]s by name, whatever they read them from; conversion, checks and words are the same for all.
//!
//! ```
//! use rhobasis::density::Density;
//! use rhobasis::settings::Given;
//!
//! let density = Density::read(&|name| (name == "r_cut").then_some(Given::Count(4)))?;
//! assert_eq!(density, Density { r_cut: 4.0, ..Density::default() });
//! let refused = Density::read(&|name| (name == "r_cut").then(|| "far".into())).unwrap_err();
//! assert_eq!(refused.to_string(), "r_cut = \"far\": must be a number; give it in Å, for example 5");
//! # Ok::<(), rhobasis::Error>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::structure::{SYMBOLS, atomic_number, symbol};
use crate::{Error, Result};

/// A value as it was given, before anything is known about the setting that it is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// Nothing: None in Python.
    Nothing,
    /// true or false.
    Flag(bool),
    /// A whole number.
    Count(i64),
    /// Any other number.
    Number(f64),
    /// Text.
    Text(Cow<'static, str>),
    /// Values in a row.
    List(Vec<Given>),
    /// Values by name or number.
    Table(Vec<(Given, Given)>),
    /// Something that no setting takes, as it is to be shown.
    Other(String),
}

/// What was given for a setting of this name, if anything was.
pub type Source<'s> = &'s dyn Fn(&'static str) -> Option<Given>;

impl Given {
    /// From the text of a flag: `5`, `exact`, `1,2,7`, `H=0.3,C=0.4`.
    pub fn from_text(text: &str) -> Given {
        let one = |text: &str| match (text.parse(), text.parse()) {
            (Ok(count), _) => Given::Count(count),
            (_, Ok(number)) => Given::Number(number),
            _ => Given::Text(text.to_string().into()),
        };
        let parts = || text.split(',');
        let named = |part: &str| part.split_once('=').map(|(name, value)| (one(name), one(value)));
        match parts().map(named).collect() {
            Some(entries) => Given::Table(entries),
            None if text.contains(',') => Given::List(parts().map(one).collect()),
            None => one(text),
        }
    }

    /// As a flag takes it.
    pub fn to_text(&self) -> String {
        match self {
            Given::Text(text) => text.to_string(),
            other => other.to_string(),
        }
    }

    fn number(&self) -> Option<f64> {
        match *self {
            Given::Number(x) => Some(x),
            Given::Count(n) => Some(n as f64),
            _ => None,
        }
    }

    /// An atomic number, from a number or the symbol of an element.
    fn species(&self) -> Option<u8> {
        let known = |z: &u8| *z > 0 && usize::from(*z) < SYMBOLS.len();
        match self {
            Given::Count(z) => u8::try_from(*z).ok().filter(known),
            Given::Text(text) => text.parse().ok().or_else(|| atomic_number(text)).filter(known),
            _ => None,
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |items: Vec<String>, between: &str| items.join(between);
        match self {
            Given::Nothing => f.write_str("none"),
            Given::Flag(flag) => flag.fmt(f),
            Given::Count(n) => n.fmt(f),
            Given::Number(x) => f.write_str(format!("{x:?}").trim_end_matches(".0")),
            Given::Text(text) => write!(f, "\"{text}\""),
            Given::List(items) => write!(f, "[{}]", listed(items.iter().map(Given::to_string).collect(), ", ")),
            Given::Table(entries) => {
                let name = |key: &Given| key.species().map_or_else(|| key.to_text(), |z| symbol(z).to_string());
                let entry = |(key, value): &(Given, Given)| format!("{}={value}", name(key));
                f.write_str(&listed(entries.iter().map(entry).collect(), ","))
            }
            Given::Other(shown) => f.write_str(shown),
        }
    }
}

impl From<f64> for Given {
    fn from(x: f64) -> Self {
        Given::Number(x)
    }
}

impl From<usize> for Given {
    fn from(n: usize) -> Self {
        Given::Count(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Given {
    fn from(flag: bool) -> Self {
        Given::Flag(flag)
    }
}

impl From<&'static str> for Given {
    fn from(text: &'static str) -> Self {
        Given::Text(text.into())
    }
}

impl<T: Named> From<T> for Given {
    fn from(value: T) -> Self {
        value.name().into()
    }
}

impl<T: Into<Given>> From<Option<T>> for Given {
    fn from(value: Option<T>) -> Self {
        value.map_or(Given::Nothing, Into::into)
    }
}

impl From<&BTreeMap<u8, f64>> for Given {
    fn from(by_species: &BTreeMap<u8, f64>) -> Self {
        Given::Table(by_species.iter().map(|(&z, &x)| (usize::from(z).into(), x.into())).collect())
    }
}

/// What a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// A number.
    Number,
    /// A number, or this word for none.
    NumberOr(&'static str),
    /// A number, or a list of numbers to choose from.
    Numbers,
    /// A number, or numbers by species.
    NumberOrBySpecies,
    /// Numbers by species.
    BySpecies,
    /// A number for each of these settings.
    Row(&'static [&'static Setting]),
    /// A whole number.
    Count,
    /// true or false.
    Flag,
    /// One of some words.
    Word(&'static [Word]),
}

/// Where the numbers of a setting lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Anywhere.
    Finite,
    /// Above 0.
    Positive,
    /// At 0 or above.
    NotNegative,
    /// At this number or above.
    AtLeast(f64),
    /// Between these, both included.
    Between(f64, f64),
    /// Above 0 and at most at 1.
    Fraction,
}

impl Range {
    fn holds(self, x: f64) -> bool {
        x.is_finite()
            && match self {
                Range::Finite => true,
                Range::Positive => x > 0.0,
                Range::NotNegative => x >= 0.0,
                Range::AtLeast(least) => x >= least,
                Range::Between(least, most) => (least..=most).contains(&x),
                Range::Fraction => x > 0.0 && x <= 1.0,
            }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Range::Finite => f.write_str("must be finite"),
            Range::Positive => f.write_str("must be a positive number"),
            Range::NotNegative => f.write_str("must be zero or a positive number"),
            Range::AtLeast(least) => write!(f, "must be at least {}", Given::from(least)),
            Range::Between(least, most) => {
                write!(f, "must lie between {} and {}", Given::from(least), Given::from(most))
            }
            Range::Fraction => f.write_str("must lie above 0 and at most at 1"),
        }
    }
}

/// One of the words that a setting takes, or that name one kind of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// What it stands for.
    pub sentence: &'static str,
}

/// A hyperparameter: what the command line, model files and Python know about it.
#[derive(Debug)]
pub struct Setting {
    /// Its name in Python and in model files; a flag has `-` for `_`.
    pub name: &'static str,
    /// Its unit, empty for pure numbers.
    pub unit: &'static str,
    /// The type of its values.
    pub takes: Takes,
    /// Where its numbers lie.
    pub range: Range,
    /// Its value if none is given.
    pub default: Given,
    /// What it is.
    pub sentence: &'static str,
    /// What to do about a value that cannot be used.
    pub advice: &'static str,
}

impl Setting {
    const fn new(name: &'static str, takes: Takes, range: Range, default: Given) -> Self {
        Setting { name, unit: "", takes, range, default, sentence: "", advice: "" }
    }

    /// A number.
    pub const fn number(name: &'static str, unit: &'static str, range: Range, default: Given) -> Self {
        let mut setting = Setting::new(name, Takes::Number, range, default);
        setting.unit = unit;
        setting
    }

    /// A whole number.
    pub const fn count(name: &'static str, range: Range, default: Given) -> Self {
        Setting::new(name, Takes::Count, range, default)
    }

    /// true or false.
    pub const fn flag(name: &'static str, default: Given) -> Self {
        Setting::new(name, Takes::Flag, Range::Finite, default)
    }

    /// One of these words.
    pub const fn word(
        name: &'static str,
        words: &'static [Word],
        default: &'static str,
        sentence: &'static str,
    ) -> Self {
        let default = Given::Text(Cow::Borrowed(default));
        Setting::new(name, Takes::Word(words), Range::Finite, default).says(sentence, "")
    }

    /// The same with other values than one number.
    #[must_use]
    pub const fn taking(mut self, takes: Takes) -> Self {
        self.takes = takes;
        self
    }

    /// The same with its sentence, and what to do about a value that cannot be used.
    #[must_use]
    pub const fn says(mut self, sentence: &'static str, advice: &'static str) -> Self {
        (self.sentence, self.advice) = (sentence, advice);
        self
    }

    /// The value, or the default: of the type that the setting takes, and within its range.
    ///
    /// # Errors
    /// [`Error::Type`] for a value of another type, [`Error::Setting`] for a number outside the range and for a word or an
    /// element that is unknown.
    pub fn read<T: Value>(&self, source: Source) -> Result<T> {
        let given = self.accept(source(self.name).unwrap_or_else(|| self.default.clone()))?;
        self.check(given.clone())?;
        T::of(&given).ok_or_else(|| self.of_another_type(&given))
    }

    /// A value of the type that the setting takes, which may still be out of range.
    ///
    /// # Errors
    /// As [`Setting::read`].
    pub fn accept(&self, given: Given) -> Result<Given> {
        let numbers = |items: &[Given]| items.iter().map(|x| x.number().map(Given::Number)).collect::<Option<_>>();
        let accepted = match (self.takes, &given) {
            (Takes::NumberOr(_), Given::Nothing) => Some(Given::Nothing),
            (_, Given::Nothing) if self.default == Given::Nothing => Some(Given::Nothing),
            (Takes::NumberOr(none), Given::Text(text)) => (text == none).then_some(Given::Nothing),
            (Takes::Numbers, Given::List(items)) => numbers(items).map(Given::List),
            (Takes::Row(of), Given::List(items)) if items.len() == of.len() => numbers(items).map(Given::List),
            (Takes::NumberOrBySpecies | Takes::BySpecies, Given::Table(entries)) => Some(self.by_species(entries)?),
            (Takes::Number | Takes::NumberOr(_) | Takes::Numbers | Takes::NumberOrBySpecies, _) => {
                given.number().map(Given::Number)
            }
            (Takes::Count, Given::Count(_)) | (Takes::Flag, Given::Flag(_)) => Some(given.clone()),
            (Takes::Word(words), Given::Text(text)) if words.iter().any(|word| word.name == text) => {
                Some(given.clone())
            }
            (Takes::Word(words), Given::Text(text)) => return Err(unknown(self.name, text, words)),
            _ => None,
        };
        accepted.ok_or_else(|| self.of_another_type(&given))
    }

    fn of_another_type(&self, given: &Given) -> Error {
        let mut value = match given {
            Given::Number(x) => format!("{x:?}"), // 4.0 is no whole number
            given => given.to_string(),
        };
        if value.chars().count() > 60 {
            value = value.chars().take(57).chain("...".chars()).collect();
        }
        let problem = format!("must be {}", self.expected());
        Error::Type { name: self.name, value, problem, remedy: self.advice.into() }
    }

    fn expected(&self) -> String {
        match self.takes {
            Takes::Number => "a number".into(),
            Takes::NumberOr(none) => format!("a number, or \"{none}\""),
            Takes::Numbers => "a number, or a list of numbers".into(),
            Takes::NumberOrBySpecies => "a number, or numbers by species".into(),
            Takes::BySpecies => "numbers by species".into(),
            Takes::Row(of) => format!("{} numbers", of.len()),
            Takes::Count => "a whole number".into(),
            Takes::Flag => "true or false".into(),
            Takes::Word(words) => format!("one of {}", quoted(words)),
        }
    }

    fn by_species(&self, entries: &[(Given, Given)]) -> Result<Given> {
        let refused = |value: String, problem: &str, remedy| Err(Error::setting(self.name, value, problem, remedy));
        let mut by_species = BTreeMap::new();
        for (key, value) in entries {
            let Some(z) = key.species() else {
                return refused(key.to_string(), "is no element", "use symbols from H to Og, or atomic numbers");
            };
            let number = value.number().ok_or_else(|| self.of_another_type(value))?;
            if by_species.insert(z, number).is_some() {
                return refused(symbol(z).into(), "this species is given twice", "leave one of them out");
            }
        }
        Ok(Given::from(&by_species))
    }

    /// Refuses numbers outside the range.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first of them.
    pub fn check(&self, value: impl Into<Given>) -> Result<()> {
        match (value.into(), self.takes) {
            (Given::List(items), Takes::Row(of)) => {
                items.into_iter().zip(of).try_for_each(|(item, setting)| setting.check(item))
            }
            (Given::List(items), _) if items.is_empty() => {
                Err(Error::setting(self.name, "[]", "there is none to choose from", "give one or more"))
            }
            (Given::List(items), _) => items.into_iter().try_for_each(|item| self.check(item)),
            (Given::Table(entries), _) => entries.into_iter().try_for_each(|(_, value)| self.check(value)),
            (value, _) => match value.number() {
                Some(x) if !self.range.holds(x) => {
                    Err(Error::setting(self.name, value, self.range.to_string(), self.advice))
                }
                _ => Ok(()),
            },
        }
    }
}

/// A type that values of settings have.
pub trait Value: Sized {
    /// From a value that a setting of this type has accepted.
    fn of(given: &Given) -> Option<Self>;
}

impl Value for Given {
    fn of(given: &Given) -> Option<Self> {
        Some(given.clone())
    }
}

impl Value for f64 {
    fn of(given: &Given) -> Option<Self> {
        given.number()
    }
}

impl Value for usize {
    fn of(given: &Given) -> Option<Self> {
        if let Given::Count(n) = given { usize::try_from(*n).ok() } else { None }
    }
}

impl Value for bool {
    fn of(given: &Given) -> Option<Self> {
        if let Given::Flag(flag) = given { Some(*flag) } else { None }
    }
}

impl<T: Value> Value for Option<T> {
    fn of(given: &Given) -> Option<Self> {
        if *given == Given::Nothing { Some(None) } else { T::of(given).map(Some) }
    }
}

impl<T: Named> Value for T {
    fn of(given: &Given) -> Option<Self> {
        if let Given::Text(name) = given { T::parse("", name).ok() } else { None }
    }
}

impl Value for Vec<f64> {
    fn of(given: &Given) -> Option<Self> {
        if let Given::List(items) = given { items.iter().map(Given::number).collect() } else { None }
    }
}

impl Value for BTreeMap<u8, f64> {
    fn of(given: &Given) -> Option<Self> {
        let Given::Table(entries) = given else { return None };
        entries.iter().map(|(key, value)| Some((key.species()?, value.number()?))).collect()
    }
}

/// An enumeration whose values have names.
pub trait Named: Copy + PartialEq + 'static {
    /// All values.
    const VALUES: &'static [Self];
    /// Their names, in the same order.
    const WORDS: &'static [Word];

    /// The name of this value.
    fn name(self) -> &'static str {
        let at = Self::VALUES.iter().position(|&value| value == self);
        at.map_or("", |at| Self::WORDS[at].name)
    }

    /// The value of this name, given for the setting `setting`.
    ///
    /// # Errors
    /// If there is none: the nearest name and all others.
    fn parse(setting: &'static str, name: &str) -> Result<Self> {
        let at = Self::WORDS.iter().position(|word| word.name == name);
        at.map(|at| Self::VALUES[at]).ok_or_else(|| unknown(setting, name, Self::WORDS))
    }
}

/// An enumeration, its names in files, flags and Python, and a sentence for each, which is its documentation too.
macro_rules! named {
    ($(#[$about:meta])* pub enum $type:ident { $(#[doc = $sentence:literal] $value:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $type {
            $(#[doc = $sentence] #[serde(rename = $name)] $value,)+
        }

        impl $crate::settings::Named for $type {
            const VALUES: &'static [Self] = &[$($type::$value),+];
            const WORDS: &'static [$crate::settings::Word] =
                &[$($crate::settings::Word { name: $name, sentence: $sentence.trim_ascii() }),+];
        }
    };
}
pub(crate) use named;

/// What is said of a name that is none of `words`.
pub fn unknown(setting: &'static str, name: &str, words: &[Word]) -> Error {
    let near = nearest(name, words.iter().map(|word| word.name)).unwrap_or("");
    let problem = format!("is unknown, the nearest known one is \"{near}\"");
    Error::setting(setting, format!("\"{name}\""), problem, format!("use one of {}", quoted(words)))
}

/// Problem and remedy of a key that is none of those known at its place.
pub fn unknown_key<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> (String, String) {
    let mut known: Vec<&str> = known.into_iter().collect();
    let near = nearest(key, known.iter().copied()).unwrap_or("");
    let problem = format!("unknown key '{key}', the nearest known one is '{near}'");
    known.sort_unstable();
    known.dedup();
    (problem, format!("known here are {}", known.join(", ")))
}

/// The word that takes the fewest letters changed, swapped, left out or added; the first of equals.
pub fn nearest<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    words.into_iter().min_by_key(|word| strsim::osa_distance(text, word))
}

fn quoted(words: &[Word]) -> String {
    words.iter().map(|word| format!("\"{}\"", word.name)).collect::<Vec<_>>().join(", ")
}
