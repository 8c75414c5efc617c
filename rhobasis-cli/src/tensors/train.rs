//! `rhobasis train` of a model of a tensor.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rhobasis::correlations::{Nice, NiceSample};
use rhobasis::equivariant::{EquivariantRidge, EquivariantTrainer};
use rhobasis::potential::{Basis, check_species};
use rhobasis::{Result, Structure};

use super::frames::{TensorFrames, read};
use super::model_file::TensorFile;
use super::{report, show};
use crate::failure::Outcome;
use crate::files::Files;
use crate::input::frames_bar;
use crate::made_by;
use crate::make_basis::make_basis;
use crate::output;
use crate::text::{count, field, plural, warn};

/// Frames that are worked through between two steps of the bar.
const CHUNK: usize = 16;

/// Trains as the file says, and writes the model; `picture` is where predictions over labels go. `check` is told what is read.
pub fn train(
    model: &Path,
    output: &Path,
    picture: Option<&Path>,
    dry_run: bool,
    check: impl FnOnce(Files) -> Outcome,
    out: &mut dyn Write,
) -> Outcome {
    let start = Instant::now();
    let file = TensorFile::read(model)?;
    check(file.files())?;
    let [train, test] = read(&file)?;
    // What would be refused after the fit.
    check_species(&train.data.frames, test.data.frames.iter().enumerate()).map_err(|e| test.data.locate(e))?;
    let Some(fitted) = fit(&file, &train, dry_run, out)? else { return Ok(()) };
    let trained = Instant::now();
    made_by::save(&fitted, output)?;
    show::numbers(&fitted, out)?;
    fitted.warnings().into_iter().for_each(warn);
    let of_train = report::errors(&fitted, &train, "errors of training")?;
    let of_test = report::errors(&fitted, &test, "errors of the test")?;
    let sets = [("train", &of_train), ("test", &of_test)];
    writeln!(out, "\nERRORS")?;
    report::write(fitted.target(), &sets, out)?;
    writeln!(out)?;
    let seconds = |from: Instant, to: Instant| format!("{:.1} s", to.duration_since(from).as_secs_f64());
    field(out, "time", format!("{} (fit {})", seconds(start, Instant::now()), seconds(start, trained)))?;
    if let Some(bytes) = output::peak_memory() {
        field(out, "peak memory", output::size(bytes))?;
    }
    if let Some(path) = picture {
        report::draw(path, fitted.target(), &sets)?;
        writeln!(out, "wrote {} (predictions over labels)", path.display())?;
    }
    writeln!(out, "wrote {}", output.display())?;
    writeln!(out, "next: rhobasis predict {} DATA.xyz -o predicted.xyz", output.display())?;
    Ok(())
}

/// The model; none if only its needs were asked for.
fn fit(
    file: &TensorFile,
    train: &TensorFrames,
    dry_run: bool,
    out: &mut dyn Write,
) -> Outcome<Option<EquivariantRidge>> {
    let TensorFrames { data, tensors } = train;
    let basis = make_basis(&file.basis, None, &data.frames, &data.labels, &data.files).map_err(|e| data.locate(e))?;
    let nice = Arc::new(fit_nice(file, &basis, train)?);
    let mut trainer =
        EquivariantTrainer::new(basis, nice, &file.model, &data.frames, tensors).map_err(|e| data.locate(e))?;
    let atoms: usize = data.frames.iter().map(Structure::len).sum();
    field(out, "model", file.path.display())?;
    field(out, "training set", format!("{}, {} atoms", plural(data.len(), "frame"), count(atoms)))?;
    let numbers =
        format!("{}, {} components", plural(trainer.n_labelled(), file.model.target.key()), count(trainer.n_rows()));
    field(out, "trained on", numbers)?;
    out.flush()?;
    output::announce_memory(
        output::held_memory() + trainer.memory() as f64,
        &format!("({} of them for the fit)", output::size(trainer.memory() as f64)),
    );
    if dry_run {
        writeln!(out, "stopped before the fit (--dry-run); nothing was written")?;
        return Ok(None);
    }
    let bar = frames_bar(data.len(), "training");
    while trainer.done() < data.len() {
        trainer.advance(CHUNK).map_err(|e| data.locate(e))?;
        bar.set_position(trainer.done() as u64);
    }
    bar.finish_and_clear();
    Ok(Some(trainer.finish()?))
}

fn fit_nice(file: &TensorFile, basis: &Basis, train: &TensorFrames) -> Result<Nice> {
    let mut sample = NiceSample::new(basis.expansion(), file.nice.n_centers)?;
    let bar = frames_bar(train.data.len(), "sampling atoms");
    for part in train.data.frames.chunks(CHUNK) {
        sample.add(part).map_err(|e| train.data.locate(e))?;
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    Nice::fit(&file.nice, &sample)
}
