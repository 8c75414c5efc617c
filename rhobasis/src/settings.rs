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

/// Values as they were given.
mod given;
/// Words and keys.
mod names;

use std::collections::BTreeMap;
use std::fmt;

pub use given::{Given, Source, Value};
pub(crate) use names::named;
use names::quoted;
pub use names::{Named, Word, by_nearness, nearest, unknown, unknown_key};

use crate::structure::{isotope_remedy, symbol};
use crate::{Error, Result};

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
    /// A number for each of these settings, or this word.
    RowOr(&'static str, &'static [&'static Setting]),
    /// A whole number.
    Count,
    /// A whole number, or this word for none.
    CountOr(&'static str),
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
    /// Positive, and between these, both included: beyond them squares and quotients leave the range of doubles.
    PositiveWithin(f64, f64),
}

impl Range {
    fn holds(self, x: f64) -> bool {
        x.is_finite()
            && match self {
                Range::Finite => true,
                Range::Positive => x > 0.0,
                Range::NotNegative => x >= 0.0,
                Range::AtLeast(least) => x >= least,
                Range::Between(least, most) | Range::PositiveWithin(least, most) => (least..=most).contains(&x),
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
            Range::PositiveWithin(least, most) => write!(f, "must be a positive number, from {least:e} to {most:e}"),
        }
    }
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
        let default = Given::Text(std::borrow::Cow::Borrowed(default));
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
            (Takes::NumberOr(_) | Takes::CountOr(_), Given::Nothing) => Some(Given::Nothing),
            (_, Given::Nothing) if self.default == Given::Nothing => Some(Given::Nothing),
            (Takes::NumberOr(none) | Takes::CountOr(none), Given::Text(text)) => {
                (text == none).then_some(Given::Nothing)
            }
            (Takes::Numbers, Given::List(items)) => numbers(items).map(Given::List),
            (Takes::Row(of) | Takes::RowOr(_, of), Given::List(items)) if items.len() == of.len() => {
                numbers(items).map(Given::List)
            }
            (Takes::RowOr(word, _), Given::Text(text)) => (text == word).then(|| given.clone()),
            (Takes::NumberOrBySpecies | Takes::BySpecies, Given::Table(entries)) => Some(self.by_species(entries)?),
            (Takes::Number | Takes::NumberOr(_) | Takes::Numbers | Takes::NumberOrBySpecies, _) => {
                given.number().map(Given::Number)
            }
            (Takes::Count | Takes::CountOr(_), Given::Count(_)) | (Takes::Flag, Given::Flag(_)) => Some(given.clone()),
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
        let remedy = match self.takes {
            Takes::Word(words) => format!("use one of {}", quoted(words)),
            _ => self.advice.into(),
        };
        Error::Type { name: self.name, value, problem, remedy }
    }

    fn expected(&self) -> String {
        match self.takes {
            Takes::Number => "a number".into(),
            Takes::NumberOr(none) => format!("a number, or \"{none}\""),
            Takes::Numbers => "a number, or a list of numbers".into(),
            Takes::NumberOrBySpecies => "a number, or numbers by species".into(),
            Takes::BySpecies => "numbers by species".into(),
            Takes::Row(of) => format!("{} numbers", of.len()),
            Takes::RowOr(word, of) => format!("{} numbers, or \"{word}\"", of.len()),
            Takes::Count => "a whole number".into(),
            Takes::CountOr(none) => format!("a whole number, or \"{none}\""),
            Takes::Flag => "true or false".into(),
            Takes::Word(_) => "a word".into(),
        }
    }

    fn by_species(&self, entries: &[(Given, Given)]) -> Result<Given> {
        let refused = |value: String, problem: &str, remedy| Err(Error::setting(self.name, value, problem, remedy));
        let mut by_species = BTreeMap::new();
        for (key, value) in entries {
            let Some(z) = key.species() else {
                let isotope = isotope_remedy(&key.to_text());
                let remedy = isotope.unwrap_or("use symbols from H to Og, or atomic numbers");
                return refused(key.to_string(), "is no element", remedy);
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
            (Given::List(items), Takes::Row(of) | Takes::RowOr(_, of)) => {
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
