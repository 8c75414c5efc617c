//! `rhobasis info`: what is in a data set, and what is odd about it.

/// The same for programs.
mod json;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};

use clap::Args;
use rayon::prelude::*;
use rhobasis::extxyz::{
    Chunk, Dataset, LabelKind, LabelSurvey, Labels, Omission, Options, labels_and_omissions, misspelt,
};
use rhobasis::neighbors::NeighborList;
use rhobasis::structure::{Value, Vec3, symbol};
use rhobasis::{Error, Structure};

use crate::failure::Outcome;
use crate::input::{Keys, for_each_chunk};
use crate::label_check;
use crate::label_keys::{Named, flags, settings};
use crate::labelled::LabelledFrames;
use crate::text::{Table, count, field, plural};

/// Neighbours are looked for up to this distance, in Å; an atom without any is called isolated.
const REACH: f64 = 4.0;
/// A pair nearer than this, in Å, is odd: H2 has 0.74.
const SHORT: f64 = 0.6;
/// Up to this many species have a line each.
const MOST_SPECIES_LINES: usize = 12;

/// Say what is in a data set: frames, species, properties, distances, cells, and what is odd about them
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Info {
    /// Extended XYZ files, plain or packed, each with an optional slice: data.xyz@:1000
    #[arg(required = true)]
    data: Vec<String>,
    #[command(flatten)]
    keys: Keys,
    /// Check the labels too: units, signs, components of the stress, single frames; nothing is changed
    #[arg(long)]
    labels: bool,
    /// Print one JSON object instead of text; docs/how-to/cluster.md has its keys
    #[arg(long)]
    json: bool,
}

const EXAMPLE: &str = "\
Example:
  rhobasis info silicon.xyz.xz
  rhobasis info silicon.xyz.xz --labels
  rhobasis info data.xyz@:1000 --energy-key dft_energy
Example: for a script
  rhobasis info silicon.xyz.xz --json | jq .species";

impl Info {
    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        // Frames are not validated on reading: bad ones are counted here, not refused.
        let options = self.keys.options(false);
        let mut summary = Summary { survey: LabelSurvey::new(&self.keys.named()), ..Summary::default() };
        // Read once, as a pipe can be; frames are kept for the check of labels alone.
        let mut kept = LabelledFrames::default();
        let files = for_each_chunk(Dataset::open(&self.data, &options)?, "looking", |mut chunk| {
            let looks: Vec<Look> = chunk.structures.par_iter().map(|s| Look::at(s, &options)).collect();
            for (k, look) in looks.into_iter().enumerate() {
                let said = self.labels.then(|| look.labels.clone());
                summary.add(&chunk, k, look);
                if let Some(said) = said {
                    kept.push(std::mem::take(&mut chunk.structures[k]), said, chunk.place(k));
                }
            }
            Ok(())
        })?;
        if self.json {
            let mut object = summary.json(&files);
            if self.labels {
                object["label_check"] = label_check::json(&kept)?;
            }
            writeln!(out, "{object:#}")?;
            out.flush()?;
            return Ok(Named::ByFlags(&files).check_named(&summary.survey)?);
        }
        for file in &files {
            field(out, "file", format!("{} ({})", file.path, plural(file.frames, "frame")))?;
        }
        summary.write(out)?;
        if self.labels {
            label_check::of_data(&kept, out)?;
        }
        summary.suggest(&self.data, &self.keys.again(), out)?;
        out.flush()?;
        Ok(Named::ByFlags(&files).check_named(&summary.survey)?)
    }
}

/// What one frame shows by itself.
#[derive(Default)]
struct Look {
    invalid: Option<String>,
    labels: Labels,
    omitted: Vec<Omission>,
    bad_labels: Option<String>,
    /// Shortest distance within [`REACH`], and its centre.
    shortest: Option<(f64, usize, usize)>,
    n_isolated: usize,
    n_outside: usize,
    fingerprint: u64,
}

impl Look {
    fn at(structure: &Structure, options: &Options) -> Self {
        let mut look = Look { fingerprint: fingerprint(structure), ..Look::default() };
        match labels_and_omissions(structure, options) {
            Ok(labels) => (look.labels, look.omitted) = labels,
            Err(e) => look.bad_labels = Some(without_place(&e)),
        }
        if let Err(e) = structure.validate() {
            look.invalid = Some(without_place(&e));
            return look;
        }
        match NeighborList::new(structure, REACH) {
            Ok(list) => {
                for i in 0..structure.len() {
                    look.n_isolated += usize::from(list.pairs(i).is_empty());
                    for pair in list.pairs(i) {
                        let r = list.vector[pair].iter().map(|x| x * x).sum::<f64>().sqrt();
                        if look.shortest.is_none_or(|(shortest, ..)| r < shortest) {
                            look.shortest = Some((r, i, list.neighbor[pair] as usize));
                        }
                    }
                }
            }
            Err(e) => look.invalid = Some(without_place(&e)),
        }
        look.n_outside = n_outside(structure);
        look
    }
}

/// All frames together.
#[derive(Default)]
struct Summary {
    n_frames: usize,
    n_atoms: usize,
    fewest_and_most: Option<(usize, usize)>,
    species: BTreeMap<u8, (usize, usize)>,
    /// Frames by periodicity and whether there is a cell.
    cells: BTreeMap<(String, bool), usize>,
    keys: Tally,
    columns: Tally,
    survey: LabelSurvey,
    /// (distance, place, atoms)
    shortest: Option<(f64, String, (usize, usize))>,
    density: Span,
    energy_per_atom: Span,
    n_energies: usize,
    forces: Span,
    n_forces: usize,
    stress: Span,
    n_stresses: usize,
    seen: HashMap<u64, usize>,
    odd: Vec<(String, usize, String)>,
}

/// Frames that have a key, by name, in the order of appearance, with the type first met.
#[derive(Default)]
struct Tally(Vec<(String, String, usize)>);

impl Tally {
    fn add(&mut self, name: &str, kind: impl FnOnce() -> String) {
        match self.0.iter_mut().find(|(n, ..)| n == name) {
            Some((.., n)) => *n += 1,
            None => self.0.push((name.to_string(), kind(), 1)),
        }
    }
}

/// Least and largest value.
#[derive(Default, Clone, Copy)]
struct Span(Option<(f64, f64)>);

impl Span {
    fn add(&mut self, x: f64) {
        let (low, high) = self.0.unwrap_or((x, x));
        self.0 = Some((low.min(x), high.max(x)));
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some((low, high)) if (high - low).abs() <= 5e-5 => write!(f, "{low:.4}"),
            Some((low, high)) => write!(f, "{low:.4} to {high:.4}"),
        }
    }
}

impl Summary {
    fn add(&mut self, chunk: &Chunk, k: usize, look: Look) {
        let structure = &chunk.structures[k];
        let place = chunk.named(k);
        self.survey.add(structure, &look.labels, &look.omitted, || place.clone());
        let n = structure.len();
        self.n_frames += 1;
        self.n_atoms += n;
        let (few, many) = self.fewest_and_most.unwrap_or((n, n));
        self.fewest_and_most = Some((few.min(n), many.max(n)));
        let mut in_frame = BTreeMap::new();
        structure.species.iter().for_each(|&z| *in_frame.entry(z).or_insert(0) += 1);
        for (z, n) in in_frame {
            let (atoms, frames) = self.species.entry(z).or_default();
            *atoms += n;
            *frames += 1;
        }
        let has_cell = structure.cell.iter().flatten().any(|x| *x != 0.0);
        let pbc: Vec<&str> = structure.pbc.iter().map(|&p| if p { "T" } else { "F" }).collect();
        *self.cells.entry((pbc.join(" "), has_cell)).or_default() += 1;
        for (key, value) in &structure.info {
            self.keys.add(key, || kind_of(value));
        }
        for column in &structure.columns {
            self.columns.add(&column.name, || match column.width {
                1 => "one per atom".into(),
                width => format!("{width} per atom"),
            });
        }
        if structure.pbc == [true; 3] && structure.volume() > 0.0 {
            self.density.add(n as f64 / structure.volume());
        }
        if let Some((r, i, j)) = look.shortest {
            if self.shortest.as_ref().is_none_or(|(shortest, ..)| r < *shortest) {
                self.shortest = Some((r, place.clone(), (i, j)));
            }
            if r < SHORT {
                self.odd(&format!("pairs nearer than {SHORT} Å"), 1, || {
                    format!("{place}, atoms {i} and {j}: {r:.4} Å")
                });
            }
        }
        self.add_labels(&look.labels, n);
        if let Some(problem) = look.invalid {
            self.odd("frames that would be refused", 1, || format!("{place}: {problem}"));
        }
        if let Some(problem) = look.bad_labels {
            self.odd("frames whose labels would be refused", 1, || format!("{place}: {problem}"));
        }
        if n == 0 {
            self.odd("frames without atoms", 1, || place.clone());
        }
        if has_cell && structure.pbc == [false; 3] {
            self.odd("frames with a cell but without periodicity", 1, || place.clone());
        }
        if look.n_isolated > 0 && n > 1 {
            self.odd(&format!("atoms without a neighbour within {REACH} Å"), look.n_isolated, || place.clone());
        }
        if n == 1 && look.n_isolated == 1 {
            self.odd("frames of one isolated atom", 1, || place.clone());
        }
        if look.n_outside > 0 {
            self.odd("atoms outside their cell (harmless)", look.n_outside, || place.clone());
        }
        if let Some(first) = self.seen.insert(look.fingerprint, self.n_frames - 1) {
            self.odd("frames that repeat an earlier one", 1, || format!("{place} repeats frame {first} of the input"));
        }
    }

    fn add_labels(&mut self, labels: &Labels, n_atoms: usize) {
        if let Some(energy) = labels.energy {
            self.n_energies += 1;
            self.energy_per_atom.add(energy / n_atoms.max(1) as f64);
        }
        if let Some(forces) = &labels.forces {
            self.n_forces += 1;
            forces.iter().for_each(|f| self.forces.add(f[0].hypot(f[1]).hypot(f[2])));
        }
        if let Some(stress) = &labels.stress {
            self.n_stresses += 1;
            stress.iter().flatten().for_each(|&s| self.stress.add(s));
        }
    }

    /// Counts an oddity and keeps its first example.
    fn odd(&mut self, what: &str, n: usize, example: impl FnOnce() -> String) {
        match self.odd.iter_mut().find(|(known, ..)| known == what) {
            Some((_, count, _)) => *count += n,
            None => self.odd.push((what.to_string(), n, example())),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (few, many) = self.fewest_and_most.unwrap_or((0, 0));
        let mean = self.n_atoms as f64 / self.n_frames.max(1) as f64;
        let spread =
            if few == many { format!("{few} per frame") } else { format!("{few} to {many} per frame, mean {mean:.1}") };
        field(out, "frames", count(self.n_frames))?;
        field(out, "atoms", format!("{}, {spread}", count(self.n_atoms)))?;
        if self.species.len() > MOST_SPECIES_LINES {
            let each: Vec<String> =
                self.species.iter().map(|(&z, (n, _))| format!("{} {}", symbol(z), count(*n))).collect();
            for (k, line) in each.chunks(10).enumerate() {
                field(out, if k == 0 { "atoms of each" } else { "" }, line.join(", "))?;
            }
        } else {
            for (k, (&z, (atoms, frames))) in self.species.iter().enumerate() {
                let name = if k == 0 { "species" } else { "" };
                field(
                    out,
                    name,
                    format!("{:<2} {} in {}", symbol(z), plural(*atoms, "atom"), plural(*frames, "frame")),
                )?;
            }
        }
        for (name, ((pbc, has_cell), n)) in std::iter::once("cells").chain(std::iter::repeat("")).zip(&self.cells) {
            let cell = if *has_cell { "with Lattice" } else { "no Lattice" };
            field(out, name, format!("pbc {pbc}, {cell}: {}", plural(*n, "frame")))?;
        }
        if self.density.0.is_some() {
            field(out, "number density", format!("{} atoms/Å³", self.density))?;
        }
        match &self.shortest {
            Some((r, place, (i, j))) => field(out, "shortest", format!("{r:.4} Å ({place}, atoms {i} and {j})"))?,
            None => field(out, "shortest", format!("no two atoms within {REACH} Å"))?,
        }
        let of = |n: usize| if n == self.n_frames { "all frames".into() } else { plural(n, "frame") };
        if self.n_energies > 0 {
            field(out, "energy", format!("{} eV/atom, {}", self.energy_per_atom, of(self.n_energies)))?;
        }
        if self.n_forces > 0 {
            field(out, "|force|", format!("{} eV/Å, {}", self.forces, of(self.n_forces)))?;
        }
        if self.n_stresses > 0 {
            field(out, "stress", format!("{} eV/Å³, {}", self.stress, of(self.n_stresses)))?;
        }
        self.write_properties(out)?;
        self.write_likely(out)?;
        self.write_odd(out)
    }

    /// Keys that may hold labels of which there are none under the usual keys.
    fn write_likely(&self, out: &mut dyn Write) -> io::Result<()> {
        let likely = self.survey.likely();
        if likely.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nKeys that look like labels: in [data] of a model file, or as flags, what is meant of")?;
        writeln!(out, "{}\n  {}", settings(&likely), flags(&likely))
    }

    fn write_properties(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.keys.0.is_empty() && self.columns.0.is_empty() {
            return writeln!(out, "\nNo properties besides species and positions");
        }
        writeln!(out, "\nProperties")?;
        let mut table = Table::new(["name", "kind", "frames"]);
        for (name, kind, n) in self.keys.0.iter().chain(&self.columns.0) {
            table.row([name.clone(), kind.clone(), count(*n)]);
        }
        table.write(out)
    }

    fn write_odd(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut odd: Vec<String> =
            self.odd.iter().map(|(what, n, example)| format!("{what}: {}; first: {example}", count(*n))).collect();
        odd.extend(self.remarks());
        if odd.is_empty() {
            return writeln!(out, "\nNothing odd");
        }
        writeln!(out, "\nWorth a look")?;
        odd.iter().try_for_each(|line| writeln!(out, "  {line}"))
    }

    /// What is odd about the frames together, a sentence each.
    fn remarks(&self) -> Vec<String> {
        let mut odd = Vec::new();
        let partial = |n: &usize| *n < self.n_frames;
        let some: Vec<String> = self
            .keys
            .0
            .iter()
            .chain(&self.columns.0)
            .filter(|(.., n)| partial(n))
            .map(|(name, ..)| name.clone())
            .collect();
        if !some.is_empty() {
            odd.push(format!("properties that only some frames have: {}", some.join(", ")));
        }
        odd.extend(self.survey.omissions());
        odd.extend(
            self.survey
                .others()
                .iter()
                .map(|l| format!("keys that may hold {} too: {}", l.kind.name(), l.keys.join(", "))),
        );
        for (name, ..) in &self.keys.0 {
            let key = misspelt(name);
            odd.extend(
                key.map(|key| format!("the key '{name}' is not taken for {key}, from which it differs in case")),
            );
        }
        if self.cells.len() > 1 {
            odd.push("several kinds of periodicity together".into());
        }
        odd
    }

    fn suggest(&self, data: &[String], keys: &str, out: &mut dyn Write) -> io::Result<()> {
        let stem = data[0].split('@').next().unwrap_or("data").rsplit('/').next().unwrap_or("data");
        let stem = stem.split('.').next().filter(|s| !s.is_empty()).unwrap_or("data");
        let learnable = |kind| matches!(kind, LabelKind::Energy | LabelKind::Forces);
        let likely = self.survey.likely().iter().any(|likely| learnable(likely.kind));
        if self.n_energies > 0 || self.n_forces > 0 || likely {
            return writeln!(out, "\nnext: rhobasis new {} -o {stem}.toml{keys}", data.join(" "));
        }
        let mixing = if self.species.len() > 1 { " --mixing combined" } else { "" };
        writeln!(out, "\nnext: rhobasis fit {} -o {stem}.rho --r-cut 5{mixing}", data.join(" "))
    }
}

fn kind_of(value: &Value) -> String {
    let array = |what: &str, shape: &[usize]| {
        format!("{} {what}", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × "))
    };
    match value {
        Value::Bool(_) => "logical".into(),
        // Reals that happen to be whole are written as integers.
        Value::Int(_) | Value::Real(_) => "number".into(),
        Value::Text(_) => "text".into(),
        Value::Bools(_, shape) => array("logicals", shape),
        Value::Ints(_, shape) | Value::Reals(_, shape) => array("numbers", shape),
        Value::Texts(_, shape) => array("texts", shape),
    }
}

/// The message without its place, which is said apart.
fn without_place(e: &Error) -> String {
    match e {
        Error::Structure { place, problem, .. } => {
            place.atom.map_or(problem.clone(), |atom| format!("atom {atom}: {problem}"))
        }
        e => e.to_string(),
    }
}

/// Of species, positions, cell and periodicity.
fn fingerprint(structure: &Structure) -> u64 {
    let mut hasher = DefaultHasher::new();
    structure.species.hash(&mut hasher);
    structure.pbc.hash(&mut hasher);
    structure.positions.iter().chain(&structure.cell).flatten().for_each(|x| x.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// Atoms beyond the faces of the cell in periodic directions, by more than rounding.
fn n_outside(structure: &Structure) -> usize {
    let [a, b, c] = structure.cell;
    let volume = dot(a, cross(b, c));
    if structure.pbc != [true; 3] || volume == 0.0 {
        return 0; // with fewer periodic directions, "inside" is a matter of taste
    }
    let faces = [cross(b, c), cross(c, a), cross(a, b)].map(|v| v.map(|x| x / volume));
    let inside = |r: &&Vec3| faces.iter().all(|f| (-1e-6..=1.0 + 1e-6).contains(&dot(**r, *f)));
    structure.positions.len() - structure.positions.iter().filter(inside).count()
}

fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
