//! Words and keys, and what is said of those that are unknown.

use super::given::{Given, Value};
use crate::{Error, Result};

/// One of the words that a setting takes, or that name one kind of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// What it stands for.
    pub sentence: &'static str,
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

impl<T: Named> Value for T {
    fn of(given: &Given) -> Option<Self> {
        if let Given::Text(name) = given { T::parse("", name).ok() } else { None }
    }
}

impl<T: Named> From<T> for Given {
    fn from(value: T) -> Self {
        value.name().into()
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

/// Words by how near they are to a text, the nearest first.
pub fn by_nearness<'w>(text: &str, words: impl IntoIterator<Item = &'w str>) -> Vec<&'w str> {
    let mut words: Vec<&str> = words.into_iter().collect();
    words.sort_by_cached_key(|word| strsim::osa_distance(text, word));
    words
}

pub(super) fn quoted(words: &[Word]) -> String {
    words.iter().map(|word| format!("\"{}\"", word.name)).collect::<Vec<_>>().join(", ")
}
