use crate::Structure;
use crate::settings::by_nearness;
use crate::structure::{Column, ColumnData, Value};

/// What a label is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelKind {
    /// Total energy of a frame, a key of the comment line.
    Energy,
    /// Forces, a column.
    Forces,
    /// Stress, a key.
    Stress,
    /// Virial, a key; a stress in another form.
    Virial,
}

impl LabelKind {
    /// All of them.
    pub const ALL: [LabelKind; 4] = [LabelKind::Energy, LabelKind::Forces, LabelKind::Stress, LabelKind::Virial];

    /// The setting that names its key, as in `energy_key`.
    pub fn setting(self) -> &'static str {
        match self {
            LabelKind::Energy => "energy_key",
            LabelKind::Forces => "force_key",
            LabelKind::Stress => "stress_key",
            LabelKind::Virial => "virial_key",
        }
    }

    /// As it is called in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            LabelKind::Energy => "energy",
            LabelKind::Forces => "forces",
            LabelKind::Stress => "stress",
            LabelKind::Virial => "virial",
        }
    }
}

/// Words that do not change what a name means.
const ORIGINS: [&str; 16] = [
    "reference",
    "ref",
    "target",
    "label",
    "true",
    "calc",
    "total",
    "tot",
    "free",
    "dftb",
    "dft",
    "ccsd",
    "mp2",
    "vasp",
    "qm",
    "raw",
];

/// Words of what goes with labels and is none: settings, spreads, parts of an energy, other energies.
const OTHERS: [&str; 15] = [
    "weight",
    "sigma",
    "std",
    "error",
    "uncert",
    "variance",
    "kin",
    "cutoff",
    "atom",
    "gap",
    "fermi",
    "formation",
    "hull",
    "zero",
    "mask",
];

/// Whether a value of the comment line has the shape of this label.
pub(super) fn has_shape(value: &Value, kind: LabelKind) -> bool {
    match (value, kind) {
        (Value::Real(_) | Value::Int(_), LabelKind::Energy) => true,
        (Value::Reals(x, _), LabelKind::Stress | LabelKind::Virial) => matches!(x.len(), 6 | 9),
        (Value::Ints(x, _), LabelKind::Stress | LabelKind::Virial) => matches!(x.len(), 6 | 9),
        _ => false,
    }
}

/// Whether a column has the shape of forces.
pub(super) fn has_shape_of_forces(column: &Column) -> bool {
    column.width == 3 && matches!(column.data, ColumnData::Reals(_) | ColumnData::Ints(_))
}

/// How much of a name is not explained by its holding this label: none does not look like one, 0 is surest.
pub(super) fn doubt(name: &str, kind: LabelKind) -> Option<usize> {
    let name = name.to_lowercase();
    let (words, short): (&[&str], &[&str]) = match kind {
        LabelKind::Energy => (&["energy", "energies"], &["e", "u", "e0", "u0", "pe", "etot", "e_tot", "toten"]),
        LabelKind::Forces => (&["forces", "force"], &["f", "frc"]),
        LabelKind::Stress => (&["stresses", "stress"], &[]),
        LabelKind::Virial => (&["virials", "virial"], &[]),
    };
    if short.contains(&name.as_str()) {
        return Some(1);
    }
    if OTHERS.iter().any(|word| name.contains(word)) {
        return None;
    }
    let word = words.iter().find(|word| name.contains(*word))?;
    let rest = ORIGINS.iter().fold(name.replace(word, ""), |rest, origin| rest.replace(origin, ""));
    Some(rest.chars().filter(|c| c.is_alphanumeric()).count())
}

/// What to do about a frame without an energy under `key`.
pub(super) fn other_energies(structure: &Structure, key: &str) -> String {
    let likely = structure.info.iter().filter(|(_, value)| has_shape(value, LabelKind::Energy));
    let likely = likely.filter_map(|(name, _)| Some((doubt(name, LabelKind::Energy)?, name)));
    if let Some((_, name)) = likely.min_by_key(|(doubt, _)| *doubt) {
        return format!("'{name}' looks like one: name it by energy_key = \"{name}\" (--energy-key {name})");
    }
    let known = by_nearness(key, structure.info.iter().map(|(name, _)| name.as_str()));
    let found = if known.is_empty() { "nothing".to_string() } else { listed(&known) };
    format!("its comment line has {found}; name the key of its energy by energy_key, or leave the frame out")
}

/// Some names, and how many more there are.
pub(super) fn listed(names: &[&str]) -> String {
    const MOST: usize = 8;
    let shown = names[..names.len().min(MOST)].join(", ");
    if names.len() > MOST { format!("{shown} and {} more", names.len() - MOST) } else { shown }
}
