//! Frames of the files a user names, with a progress bar.

use std::path::Path;

use rhobasis::Result;
use rhobasis::extxyz::{Chunk, Dataset, LabelKeys, Options, SourceFile};
use rhobasis::files::{self, Stored};

use crate::progress::{Of, Progress};
use crate::text::tell;

/// Under which keys DATA keeps its labels; an empty one leaves the label out.
#[derive(clap::Args, Debug)]
pub struct Keys {
    /// Key of the energy of a frame, in eV [default: energy]
    #[arg(long, value_name = "KEY")]
    energy_key: Option<String>,
    /// Column of the forces, in eV/Å [default: forces, or force]
    #[arg(long, value_name = "KEY")]
    force_key: Option<String>,
    /// Key of the stress, in eV/Å³, positive under tension; "" leaves it out [default: stress]
    #[arg(long, value_name = "KEY")]
    stress_key: Option<String>,
    /// Key of the virial, −volume × stress, in eV; "" leaves it out [default: virial]
    #[arg(long, value_name = "KEY")]
    virial_key: Option<String>,
}

impl Keys {
    /// No labels are read.
    pub fn none() -> Options {
        let none = Some(String::new());
        let keys =
            LabelKeys { energy_key: none.clone(), force_key: none.clone(), stress_key: none.clone(), virial_key: none };
        keys.options(true)
    }

    /// Those that were named.
    pub fn named(&self) -> LabelKeys {
        LabelKeys {
            energy_key: self.energy_key.clone(),
            force_key: self.force_key.clone(),
            stress_key: self.stress_key.clone(),
            virial_key: self.virial_key.clone(),
        }
    }

    /// The flags that were given.
    pub fn given(&self) -> impl Iterator<Item = String> {
        let Keys { energy_key, force_key, stress_key, virial_key } = self;
        let all = [("energy", energy_key), ("force", force_key), ("stress", stress_key), ("virial", virial_key)];
        all.into_iter().filter(|(_, key)| key.is_some()).map(|(label, _)| format!("--{label}-key"))
    }

    /// The flags that were given, with their values, to be given again.
    pub fn again(&self) -> String {
        let Keys { energy_key, force_key, stress_key, virial_key } = self;
        let all = [("energy", energy_key), ("force", force_key), ("stress", stress_key), ("virial", virial_key)];
        let given = all.into_iter().filter_map(|(label, key)| Some((label, key.as_ref()?)));
        let quoted = |key: &str| match key.is_empty() || key.contains(char::is_whitespace) {
            true => format!("'{key}'"),
            false => key.to_string(),
        };
        given.map(|(label, key)| format!(" --{label}-key {}", quoted(key))).collect()
    }

    pub fn options(&self, validate: bool) -> Options {
        self.named().options(validate)
    }
}

/// Calls `work` with one chunk after the other while the next ones are being read, and returns what was read.
pub fn for_each_chunk(
    data: Dataset,
    doing: &str,
    mut work: impl FnMut(Chunk) -> Result<()>,
) -> Result<Vec<SourceFile>> {
    let bar = Progress::new(data.bytes(), doing, Of::Bytes);
    let mut chunks = data.chunks();
    let done = chunks.try_for_each(|chunk| {
        let chunk = chunk?;
        bar.set_position(chunk.bytes);
        work(chunk)
    });
    bar.finish_and_clear();
    done.map(|()| chunks.files().to_vec())
}

/// Reads a basis or a model, and says what the user should know of the file.
pub fn load<T: Stored>(path: &Path) -> Result<T> {
    let loaded = T::load(path)?;
    note_on(path);
    Ok(loaded)
}

/// Says what the user should know of a file.
pub fn note_on(path: &Path) {
    if let Some(note) = files::note_on(path) {
        tell(format!("note: {note}"));
    }
}

/// How far some frames are worked through, with the time that is left.
pub fn frames_bar(total: usize, doing: &str) -> Progress {
    Progress::new(total as u64, doing, Of::Frames)
}
