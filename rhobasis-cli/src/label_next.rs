//! `rhobasis select --potential`: frames to label next.

use std::io::Write;
use std::path::Path;

use rhobasis::Structure;
use rhobasis::extxyz::{Dataset, Writer};
use rhobasis::potential::{Candidates, Choice, Potential};
use rhobasis::structure::Value;

use crate::failure::Outcome;
use crate::input::{Keys, for_each_chunk, load};
use crate::output;
use crate::predicted::MAX_EXTRAPOLATION;
use crate::text::{count, plural, warn};

/// What is known of a chosen frame besides the largest extrapolation of its atoms.
const REMAINING: &str = "remaining_extrapolation";
const FROM: &str = "selected_from";

/// Writes `n` frames in order of choice.
pub fn select(model: &Path, data: &[String], n: usize, to: &Path, out: &mut dyn Write) -> Outcome {
    output::check_place(to)?;
    let potential: Potential = load(model)?;
    let mut candidates = Candidates::new(&potential)?;
    let mut frames: Vec<Structure> = Vec::new();
    for_each_chunk(Dataset::open(data, &Keys::none())?, "looking", |mut chunk| {
        candidates.add(&chunk.structures).map_err(|e| chunk.locate(e, |frame| frame))?;
        frames.append(&mut chunk.structures);
        Ok(())
    })?;
    let chosen = candidates.choose(n)?;
    if chosen.len() < n {
        warn(format!("all {} were chosen: there are no more", plural(frames.len(), "frame")));
    }
    let mut writer = Writer::create(to)?;
    for Choice { frame, extrapolation, remaining } in &chosen {
        let mut structure = std::mem::take(&mut frames[*frame]);
        structure.info.retain(|(key, _)| ![MAX_EXTRAPOLATION, REMAINING, FROM].contains(&key.as_str()));
        structure.info.push((MAX_EXTRAPOLATION.into(), Value::Real(*extrapolation)));
        structure.info.push((REMAINING.into(), Value::Real(*remaining)));
        structure.info.push((FROM.into(), Value::Int(*frame as i64)));
        writer.write(&structure)?;
    }
    writer.finish()?;
    let beyond = chosen.iter().filter(|choice| choice.remaining > 1.0).count();
    writeln!(out, "{} of {} chosen", plural(chosen.len(), "frame"), count(frames.len()))?;
    let have = if beyond == 1 { "has" } else { "have" };
    writeln!(out, "{} of them {have} an atom that none before it stands for (extrapolation above 1)", count(beyond))?;
    if beyond == chosen.len() && chosen.len() < frames.len() {
        writeln!(out, "there may be more such frames: choose more with -n")?;
    }
    writeln!(out, "wrote {}", to.display())?;
    writeln!(out, "next: label them, and train on them too")?;
    Ok(())
}
