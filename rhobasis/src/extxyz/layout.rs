use std::collections::HashSet;

use super::comment::excerpt;
use crate::error::{in_quotes, shortened};
use crate::{Error, Result};

/// What the columns of a row are, from `Properties`; kept between frames, which mostly agree.
pub(super) struct Layout {
    pub properties: String,
    pub fields: Vec<Field>,
    /// Extra columns are an error where `Properties` names them all.
    pub strict: bool,
    pub n_words: usize,
}

pub(super) struct Field {
    pub name: String,
    pub kind: Kind,
    pub width: usize,
    pub role: Role,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Real,
    Int,
    Bool,
    Text,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role {
    Symbol,
    Number,
    Position,
    /// Symbols beside atomic numbers, which rule, as in ASE.
    Ignored,
    /// Index into `Structure::columns`.
    Other(usize),
}

/// What plain XYZ holds.
pub(super) const PLAIN: &str = "species:S:1:pos:R:3";

/// `Properties` for messages: whole, unless no one would read it.
pub(super) fn shown(properties: &str) -> String {
    shortened(properties, 1000)
}

impl Layout {
    pub fn new(properties: &str, strict: bool) -> Result<Layout> {
        let malformed = |problem: String| {
            Error::structure(
                None,
                format!("Properties={}: {problem}", shown(properties)),
                "write NAME:TYPE:COLUMNS for each property, TYPE one of S, R, I, L, as in species:S:1:pos:R:3",
            )
        };
        let parts: Vec<&str> = properties.split(':').collect();
        if !parts.len().is_multiple_of(3) {
            return Err(malformed(format!("{} parts do not make triplets", parts.len())));
        }
        let mut fields: Vec<Field> = Vec::with_capacity(parts.len() / 3);
        let mut names = HashSet::with_capacity(parts.len() / 3);
        for part in parts.chunks_exact(3) {
            let (name, width) = (part[0], part[2]);
            let kind = match part[1] {
                "R" => Kind::Real,
                "I" => Kind::Int,
                "L" => Kind::Bool,
                "S" => Kind::Text,
                other => return Err(malformed(format!("{} is no type", in_quotes(&excerpt(other))))),
            };
            const WIDEST: usize = 1 << 20;
            let width = width.parse().ok().filter(|&w| (1..=WIDEST).contains(&w));
            let width =
                width.ok_or_else(|| malformed(format!("{} is no number of columns", in_quotes(&excerpt(part[2])))))?;
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
            if !names.insert(name) {
                return Err(malformed(format!("{} occurs twice", excerpt(name))));
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
        others.enumerate().for_each(|(i, place)| *place = i);
        let n_words = fields.iter().map(|f| f.width).sum();
        Ok(Layout { properties: properties.to_string(), fields, strict, n_words })
    }

    /// Whether these are the properties it was made for.
    pub fn is(&self, properties: &str, strict: bool) -> bool {
        self.strict == strict && self.properties == properties
    }
}
