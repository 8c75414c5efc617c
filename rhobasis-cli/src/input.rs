//! Frames of the files a user names, with a progress bar.

use std::ops::Range;
use std::path::Path;

use rhobasis::extxyz::{Chunk, Dataset, LabelKeys, Options, SourceFile};
use rhobasis::files::{self, Stored};
use rhobasis::{Result, Structure};

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

/// Atoms of each thread that are worked on between two looks at the clock.
const PART_ATOMS: usize = 2048;

/// Calls `work` with a few frames after the other, for work that takes long for each; its errors name frames by their index since the first.
pub fn for_each_part(
    data: Dataset,
    doing: &str,
    mut work: impl FnMut(&[Structure]) -> Result<()>,
) -> Result<Vec<SourceFile>> {
    let bar = Progress::new(data.bytes(), doing, Of::Bytes);
    let mut chunks = data.chunks();
    let (mut first, mut bytes) = (0, 0);
    let most = PART_ATOMS * rayon::current_num_threads();
    let done = chunks.try_for_each(|chunk| {
        let chunk = chunk?;
        let n = chunk.structures.len();
        for part in parts(&chunk.structures, most) {
            let end = part.end;
            work(&chunk.structures[part]).map_err(|e| chunk.locate(e, |frame| frame - first))?;
            bar.set_position(bytes + (chunk.bytes - bytes) * end as u64 / n as u64);
        }
        (first, bytes) = (first + n, chunk.bytes);
        Ok(())
    });
    bar.finish_and_clear();
    done.map(|()| chunks.files().to_vec())
}

/// Frames that follow each other, as few as have so many atoms together.
fn parts(structures: &[Structure], atoms: usize) -> Vec<Range<usize>> {
    let (mut parts, mut start, mut held) = (Vec::new(), 0, 0);
    for (k, structure) in structures.iter().enumerate() {
        held += structure.len();
        if held >= atoms || k + 1 == structures.len() {
            parts.push(start..k + 1);
            (start, held) = (k + 1, 0);
        }
    }
    parts
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

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use rhobasis::Error;

    use super::*;

    /// An extended XYZ file of frames with so many atoms each.
    fn frames(n_atoms: &[usize]) -> tempfile::NamedTempFile {
        let mut text = String::new();
        for n in n_atoms {
            write!(text, "{n}\nProperties=species:S:1:pos:R:3 pbc=\"F F F\"\n").unwrap();
            (0..*n).for_each(|i| writeln!(text, "Si {i} 0 0").unwrap());
        }
        let file = tempfile::Builder::new().suffix(".xyz").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn large_frames_are_worked_on_one_by_one_and_small_ones_together() {
        let threads = rayon::current_num_threads();
        let large = PART_ATOMS * threads;
        let file = frames(&[large, 1, 2, large, 3]);
        let spec = [file.path().display().to_string()];
        let mut seen: Vec<Vec<usize>> = Vec::new();
        let data = Dataset::open(&spec, &Options::default()).unwrap();
        let files = for_each_part(data, "counting", |part| {
            seen.push(part.iter().map(Structure::len).collect());
            Ok(())
        });
        assert_eq!(seen, [vec![large], vec![1, 2, large], vec![3]]);
        assert_eq!(files.unwrap()[0].frames, 5);
    }

    #[test]
    fn an_error_names_the_frame_of_the_file() {
        let file = frames(&[1; 600]); // more than one chunk
        let spec = [file.path().display().to_string() + "@7:"];
        let mut done = 0;
        let data = Dataset::open(&spec, &Options::default()).unwrap();
        let refused = for_each_part(data, "counting", |part| {
            let bad = 550_usize.checked_sub(done).filter(|&k| k < part.len());
            done += part.len();
            bad.map_or(Ok(()), |_| Err(Error::structure(None, "is odd", "leave it out").at_frame(550)))
        });
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("frame 557"), "{message}");
    }
}
