use std::collections::BTreeMap;

use super::labels::{Labels, Omission};
use super::likely::{LabelKind, doubt, has_shape, has_shape_of_forces, listed};
use super::read::Options;
use crate::settings::by_nearness;
use crate::{Error, Result, Structure};

/// The keys of labels as a user names them: without a name it is the usual one, an empty name leaves the label out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelKeys {
    /// Key of the energy.
    pub energy_key: Option<String>,
    /// Column of the forces.
    pub force_key: Option<String>,
    /// Key of the stress.
    pub stress_key: Option<String>,
    /// Key of the virial.
    pub virial_key: Option<String>,
}

impl LabelKeys {
    /// Where labels are read.
    pub fn options(&self, validate: bool) -> Options {
        let or = |key: &Option<String>, usual: String| key.clone().unwrap_or(usual);
        let usual = Options::default();
        Options {
            energy_key: or(&self.energy_key, usual.energy_key),
            force_key: or(&self.force_key, usual.force_key),
            stress_key: or(&self.stress_key, usual.stress_key),
            virial_key: or(&self.virial_key, usual.virial_key),
            validate,
        }
    }

    /// The name that was given.
    pub fn named(&self, kind: LabelKind) -> Option<&str> {
        let key = match kind {
            LabelKind::Energy => &self.energy_key,
            LabelKind::Forces => &self.force_key,
            LabelKind::Stress => &self.stress_key,
            LabelKind::Virial => &self.virial_key,
        };
        key.as_deref()
    }
}

/// Keys that may hold a label of which none was found, the likeliest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likely {
    /// Of this kind,
    pub kind: LabelKind,
    /// under one of these keys.
    pub keys: Vec<String>,
}

impl Likely {
    /// As a model file and Python have it: `energy_key = "REF_energy"`.
    pub fn setting(&self) -> String {
        format!("{} = \"{}\"", self.kind.setting(), self.keys[0])
    }

    /// As the command line has it: `--energy-key REF_energy`.
    pub fn flag(&self) -> String {
        let quote = if self.keys[0].contains(char::is_whitespace) { "'" } else { "" };
        format!("--{} {quote}{}{quote}", self.kind.setting().replace('_', "-"), self.keys[0])
    }
}

/// Which labels the frames of a data set have, under which keys, and what of them is left out.
///
/// ```
/// use rhobasis::extxyz::{LabelKeys, LabelSurvey, labels_and_omissions};
/// use rhobasis::{Structure, structure::Value};
/// let mut atom = Structure::molecule(vec![2], vec![[0.0; 3]]);
/// atom.info.push(("REF_energy".to_string(), Value::Real(-78.9)));
///
/// let keys = LabelKeys::default();
/// let mut survey = LabelSurvey::new(&keys);
/// let (labels, omitted) = labels_and_omissions(&atom, &keys.options(true))?;
/// survey.add(&atom, &labels, &omitted, || "frame 0".to_string());
/// assert!(survey.is_empty());
/// assert_eq!(survey.likely()[0].setting(), "energy_key = \"REF_energy\"");
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct LabelSurvey {
    keys: LabelKeys,
    n_labels: usize,
    info: BTreeMap<String, Seen>,
    columns: BTreeMap<String, Seen>,
    omitted: BTreeMap<Omission, (usize, String)>,
}

/// Of a key: the frames that have it, and whether it has the shape of an energy, of forces, of a stress.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    frames: usize,
    number: bool,
    vectors: bool,
    matrix: bool,
}

impl Seen {
    fn has_shape(&self, kind: LabelKind) -> bool {
        match kind {
            LabelKind::Energy => self.number,
            LabelKind::Forces => self.vectors,
            LabelKind::Stress | LabelKind::Virial => self.matrix,
        }
    }
}

/// The entry of a name, without a copy of a name that is there.
fn entry<'a>(all: &'a mut BTreeMap<String, Seen>, name: &str) -> &'a mut Seen {
    if !all.contains_key(name) {
        all.insert(name.to_string(), Seen::default());
    }
    all.get_mut(name).expect("it is there")
}

impl LabelSurvey {
    /// Of labels under these keys.
    pub fn new(keys: &LabelKeys) -> Self {
        LabelSurvey { keys: keys.clone(), ..LabelSurvey::default() }
    }

    /// Adds a frame, with what [`labels_and_omissions`](super::labels_and_omissions) gives for it; `place` is how it is called.
    pub fn add(&mut self, structure: &Structure, labels: &Labels, omitted: &[Omission], place: impl Fn() -> String) {
        let Labels { energy, forces, stress } = labels;
        self.n_labels += usize::from(energy.is_some()) + usize::from(forces.is_some()) + usize::from(stress.is_some());
        for (name, value) in &structure.info {
            let seen = entry(&mut self.info, name);
            seen.frames += 1;
            seen.number |= has_shape(value, LabelKind::Energy);
            seen.matrix |= has_shape(value, LabelKind::Stress);
        }
        for column in &structure.columns {
            let seen = entry(&mut self.columns, &column.name);
            seen.frames += 1;
            seen.vectors |= has_shape_of_forces(column);
        }
        omitted.iter().for_each(|why| self.omit(*why, &place));
    }

    /// Counts a label that is left out; `place` is how the frame is called.
    pub fn omit(&mut self, why: Omission, place: impl Fn() -> String) {
        self.omitted.entry(why).or_insert_with(|| (0, place())).0 += 1;
    }

    /// The keys under which labels are looked for.
    pub fn keys(&self) -> Vec<String> {
        let Options { energy_key, force_key, stress_key, virial_key, .. } = self.keys.options(false);
        [energy_key, force_key, stress_key, virial_key].into_iter().filter(|key| !key.is_empty()).collect()
    }

    /// Whether no frame has a label.
    pub fn is_empty(&self) -> bool {
        self.n_labels == 0
    }

    fn names(&self, kind: LabelKind) -> &BTreeMap<String, Seen> {
        if kind == LabelKind::Forces { &self.columns } else { &self.info }
    }

    fn has(&self, kind: LabelKind, key: &str) -> bool {
        let names = self.names(kind);
        names.contains_key(key) || (kind == LabelKind::Forces && key == "forces" && names.contains_key("force"))
    }

    /// Refuses a key that was named and that no frame has.
    ///
    /// # Errors
    /// With the keys that are there, the nearest first.
    pub fn check_named(&self) -> Result<()> {
        for kind in LabelKind::ALL {
            let Some(key) = self.keys.named(kind).filter(|key| !key.is_empty()) else { continue };
            if !self.has(kind, key) {
                return Err(self.absent(kind, key));
            }
        }
        Ok(())
    }

    fn absent(&self, kind: LabelKind, key: &str) -> Error {
        let names: Vec<&str> = self.names(kind).keys().map(String::as_str).collect();
        let columns = kind == LabelKind::Forces;
        let problem = if columns { "no frame has this column" } else { "no frame has this key" };
        let remedy = match (names.is_empty(), columns) {
            (true, true) => "the columns are species and positions only; leave it out".to_string(),
            (true, false) => "the comment lines hold no keys of their own; leave it out".to_string(),
            (false, _) => format!("there is {}; name one of them, or leave it out", listed(&by_nearness(key, names))),
        };
        Error::setting(kind.setting(), key, problem, remedy)
    }

    /// Keys by whose names and shapes they may be labels of which no frame has any under the usual key.
    pub fn likely(&self) -> Vec<Likely> {
        self.candidates(|kind| self.is_missing(kind))
    }

    /// Keys that may be labels too, besides those that are read.
    pub fn others(&self) -> Vec<Likely> {
        self.candidates(|kind| !self.is_missing(kind))
    }

    fn candidates(&self, wanted: impl Fn(LabelKind) -> bool) -> Vec<Likely> {
        let read = self.keys();
        let of = |kind: LabelKind| {
            let names = self.names(kind).iter();
            let names = names.filter(|(name, seen)| seen.has_shape(kind) && !read.contains(name));
            let names = names.filter(|(name, _)| !(*name == "force" && read.iter().any(|key| key == "forces")));
            let mut found: Vec<_> =
                names.filter_map(|(name, seen)| Some((doubt(name, kind)?, usize::MAX - seen.frames, name))).collect();
            found.sort();
            Likely { kind, keys: found.into_iter().map(|(.., name)| name.clone()).collect() }
        };
        let kinds = LabelKind::ALL.into_iter().filter(|&kind| wanted(kind));
        kinds.map(of).filter(|likely| !likely.keys.is_empty()).collect()
    }

    /// Whether nothing was named for this label, and the usual key is nowhere. A stress and a virial are one label.
    fn is_missing(&self, kind: LabelKind) -> bool {
        let missing = |kind: LabelKind| self.keys.named(kind).is_none() && !self.has(kind, kind.name());
        match kind {
            LabelKind::Stress | LabelKind::Virial => missing(LabelKind::Stress) && missing(LabelKind::Virial),
            kind => missing(kind),
        }
    }

    /// A sentence on each kind of label that is left out, with the number of frames and the first.
    pub fn omissions(&self) -> Vec<String> {
        let sentence = |(why, (n, first)): (&Omission, &(usize, String))| {
            let frames = if *n == 1 { "1 frame".to_string() } else { format!("{n} frames") };
            match why {
                Omission::NanEnergy => format!("the energy of {frames} is NaN, hence absent; first: {first}"),
                Omission::NanForces => format!("the forces of {frames} are NaN, hence absent; first: {first}"),
                Omission::NanStress => format!("the stress of {frames} is NaN, hence absent; first: {first}"),
                Omission::StressWithoutVolume => format!(
                    "the stress of {frames} is left out for want of periodicity in all three directions; first: {first}"
                ),
            }
        };
        self.omitted.iter().map(sentence).collect()
    }
}
