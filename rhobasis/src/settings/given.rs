//! Values as they were given, and what becomes of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::structure::{SYMBOLS, atomic_number, symbol};

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

    pub(super) fn number(&self) -> Option<f64> {
        match *self {
            Given::Number(x) => Some(x),
            Given::Count(n) => Some(n as f64),
            _ => None,
        }
    }

    /// An atomic number, from a number or the symbol of an element.
    pub(super) fn species(&self) -> Option<u8> {
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
