//! Frames of the files a user names, with a progress bar.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rhobasis::extxyz::{Chunk, Dataset, Options, SourceFile};
use rhobasis::files::{self, Stored};
use rhobasis::{Error, Result};

/// Under which keys DATA keeps its labels.
#[derive(clap::Args, Debug)]
pub struct Keys {
    /// Key of the energy of a frame, in eV
    #[arg(long, value_name = "KEY", default_value_t = Options::default().energy_key)]
    pub energy_key: String,
    /// Column of the forces, in eV/Å
    #[arg(long, value_name = "KEY", default_value_t = Options::default().force_key)]
    pub force_key: String,
    /// Key of the stress, in eV/Å³, positive under tension
    #[arg(long, value_name = "KEY", default_value_t = Options::default().stress_key)]
    pub stress_key: String,
    /// Key of the virial, −volume × stress, in eV
    #[arg(long, value_name = "KEY", default_value_t = Options::default().virial_key)]
    pub virial_key: String,
}

impl Keys {
    /// No labels are read.
    pub fn none() -> Options {
        let none = String::new();
        Options {
            energy_key: none.clone(),
            force_key: none.clone(),
            stress_key: none.clone(),
            virial_key: none,
            validate: true,
        }
    }

    pub fn options(&self, validate: bool) -> Options {
        Options {
            energy_key: self.energy_key.clone(),
            force_key: self.force_key.clone(),
            stress_key: self.stress_key.clone(),
            virial_key: self.virial_key.clone(),
            validate,
        }
    }
}

/// Calls `work` with one chunk after the other while the next ones are being read, and returns what was read.
pub fn for_each_chunk(
    data: Dataset,
    doing: &str,
    mut work: impl FnMut(Chunk) -> Result<()>,
) -> Result<Vec<SourceFile>> {
    let bar = bar(data.bytes(), doing, "{bytes}/{total_bytes}");
    let mut chunks = data.chunks();
    let done = chunks.try_for_each(|chunk| {
        let chunk = chunk?;
        bar.set_position(chunk.bytes);
        work(chunk)
    });
    bar.finish_and_clear();
    done.map(|()| chunks.files().to_vec())
}

/// Refuses files that an earlier pass, if there was one, has read with other content.
pub fn unchanged(before: &[SourceFile], now: &[SourceFile]) -> Result<()> {
    let other = |now: &&SourceFile| before.iter().any(|file| file.path == now.path && file.sha256 != now.sha256);
    match now.iter().find(other) {
        Some(file) => Err(Error::file(
            &file.path,
            "the file changed between two passes over the data",
            "run again when nothing writes to it, or read a copy",
        )),
        None => Ok(()),
    }
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
        eprintln!("note: {note}");
    }
}

/// A bar over frames with the time that is left; nothing is drawn unless standard error is a terminal.
pub fn frames_bar(total: usize, doing: &str) -> ProgressBar {
    bar(total as u64, doing, "{pos}/{len} frames")
}

fn bar(total: u64, doing: &str, of: &str) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target).with_message(doing.to_string());
    if let Ok(style) = ProgressStyle::with_template(&format!("{{msg}} {{wide_bar}} {of}, {{eta}} left")) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
