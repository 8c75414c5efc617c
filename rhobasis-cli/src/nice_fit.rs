//! Fits of NICE that survive an interruption: the sample, frame by frame, and then the products, order by order.

use std::io::Write;
use std::path::{Path, PathBuf};

use rhobasis::correlations::{Member, Nice, NiceFit, NiceSample, NiceSettings, remove_nice_checkpoint};
use rhobasis::density::SphericalExpansion;
use rhobasis::extxyz::{Dataset, Shard, SourceFile};
use rhobasis::files::{Digest, Stored};
use rhobasis::optimal::Task;
use rhobasis::potential::{Basis, FeatureSettings};
use rhobasis::{Result, Structure};

use crate::checkpoint::{Checkpoint, CheckpointFlags};
use crate::failure::Outcome;
use crate::input::{for_each_chunk, frames_bar};
use crate::interrupt;
use crate::text::{plural, tell};

/// Frames in memory that are sampled between two looks at the clock.
const CHUNK: usize = 64;

/// Samples the atoms of a data set, or goes on with it.
pub fn sample(
    settings: &NiceSettings,
    expansion: &SphericalExpansion,
    input: Dataset,
    shard: Option<Shard>,
    flags: &CheckpointFlags,
) -> Result<(NiceSample, Option<Checkpoint>)> {
    let mut sample = NiceSample::for_fit(expansion, settings)?;
    let input = input.without_labels().shard(shard.unwrap_or_default());
    let task = |input: &mut Dataset| Ok(Task { files: input.hash()?, shard });
    let (input, mut checkpoint) = flags.start(&mut sample, input, task)?;
    let resumed = sample.n_structures();
    let hold = checkpoint.is_some().then(interrupt::hold);
    let files = for_each_chunk(input, "sampling atoms", |chunk| {
        let before = sample.n_structures();
        sample.add(&chunk.structures).map_err(|e| chunk.locate(e, |frame| frame - before))?;
        checkpoint.as_mut().map_or(Ok(()), |checkpoint| checkpoint.write(&sample, chunk.next))
    })?;
    drop(hold);
    sample.set_files(files, shard);
    keep_complete(&sample, resumed, checkpoint.as_mut())?;
    Ok((sample, checkpoint))
}

/// Writes a sample that has just become complete; one that was may have orders beside it, which stay.
fn keep_complete(sample: &NiceSample, resumed: usize, checkpoint: Option<&mut Checkpoint>) -> Result<()> {
    match checkpoint {
        Some(checkpoint) if sample.n_structures() > resumed => checkpoint.write_now(sample),
        _ => Ok(()),
    }
}

/// Fits the orders to a sample, of all channels or a part, or goes on with it.
pub fn orders(
    settings: &NiceSettings,
    sample: &NiceSample,
    [q_max, l_max]: [Option<usize>; 2],
    checkpoint: Option<&Checkpoint>,
) -> Result<Nice> {
    let mut fit = NiceFit::new(settings, sample, q_max, l_max)?;
    let keeps = |path: &Path, fit: &NiceFit| {
        let orders = format!("the orders up to ν = {} are in {}", fit.done(), path.display());
        interrupt::keeps(format!("{orders}; the same command goes on"));
    };
    if let Some(Checkpoint { path, task, .. }) = checkpoint
        && fit.resume(path, task)?
    {
        tell(format!("continuing from {}: the orders up to ν = {} are fitted", path.display(), fit.done()));
        keeps(path, &fit);
    }
    while fit.done() < settings.nu_max {
        fit.next_order()?;
        if let Some(Checkpoint { path, task, next, .. }) = checkpoint {
            fit.save_checkpoint(path, task, *next)?;
            keeps(path, &fit);
        }
    }
    fit.finish()
}

/// Writes a sample, and says what it is.
pub fn write_sample(sample: &NiceSample, path: &Path, out: &mut dyn Write) -> Outcome {
    sample.save(path)?;
    let shard = sample.shard().map_or(String::new(), |shard| format!(", shard {shard}"));
    let of = format!("{} in {}", plural(sample.n_structures(), "frame"), plural(sample.files().len(), "file"));
    writeln!(out, "{} of {of}{shard}", plural(sample.n_atoms(), "atom"))?;
    writeln!(out, "wrote {}", path.display())?;
    Ok(())
}

/// The features of a potential, NICE among them being fitted to the frames it is trained on.
pub fn features(
    features: &FeatureSettings,
    basis: &Basis,
    frames: &[Structure],
    flags: &CheckpointFlags,
) -> Result<FeatureSettings> {
    let mut fitted = features.clone();
    for (member, path) in fitted.members.iter_mut().zip(paths(features, flags)) {
        fit_member(member, basis.expansion(), frames, flags.at(path))?;
    }
    Ok(fitted)
}

/// Where each member of the features of a potential is kept while it is fitted: `FILE.nice` for `FILE`, `FILE.nice-2` for the second
/// member.
fn paths(features: &FeatureSettings, flags: &CheckpointFlags) -> Vec<Option<PathBuf>> {
    let of = |k: usize| {
        let mut name = flags.file()?.0.as_os_str().to_owned();
        name.push(if k == 0 { ".nice".into() } else { format!(".nice-{}", k + 1) });
        features.members[k].nice.as_ref().map(|_| PathBuf::from(name))
    };
    (0..features.members.len()).map(of).collect()
}

/// Removes what was kept while the features of a potential were fitted.
pub fn remove_checkpoints(features: &FeatureSettings, flags: &CheckpointFlags) -> Result<()> {
    paths(features, flags).iter().flatten().try_for_each(|path| remove_nice_checkpoint(path))
}

fn fit_member(
    member: &mut Member,
    expansion: &SphericalExpansion,
    frames: &[Structure],
    flags: CheckpointFlags,
) -> Result<()> {
    let Some(settings) = member.nice.as_ref().filter(|_| member.fitted.is_none()) else { return Ok(()) };
    let mut sample = NiceSample::for_fit(expansion, settings)?;
    let mut checkpoint = flags.begin(&mut sample, || Task { files: vec![identity(frames)], shard: None })?;
    let resumed = sample.n_structures();
    let bar = frames_bar(frames.len(), "sampling atoms");
    let hold = checkpoint.is_some().then(interrupt::hold);
    for chunk in frames.get(resumed..).unwrap_or_default().chunks(CHUNK) {
        sample.add(chunk)?;
        bar.set_position(sample.n_structures() as u64);
        if let Some(checkpoint) = &mut checkpoint {
            checkpoint.write(&sample, sample.n_structures())?;
        }
    }
    drop(hold);
    bar.finish_and_clear();
    keep_complete(&sample, resumed, checkpoint.as_mut())?;
    let nice = orders(settings, &sample, [member.q_max, member.l_max], checkpoint.as_ref())?;
    member.fitted = Some(nice.into());
    Ok(())
}

/// What tells the frames of a training set from others.
fn identity(frames: &[Structure]) -> SourceFile {
    let mut digest = Digest::default();
    frames.iter().for_each(|frame| digest.structure(frame));
    SourceFile { path: "the training set".into(), frames: 0, sha256: digest.hex() }
}
