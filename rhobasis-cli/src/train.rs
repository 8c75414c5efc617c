//! `rhobasis train`: from labelled structures to a potential.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rhobasis::density::species_of;
use rhobasis::equivariant::EquivariantRidge;
use rhobasis::extxyz::Shard;
use rhobasis::files::{Stored, sha256};
use rhobasis::optimal::Method;
use rhobasis::potential::{
    Basis, Calibration, Potential, Quantity, TrainSettings, Trainer, TrainingPart, Weights, check_species,
    is_free_atom, split,
};
use rhobasis::structure::symbol;
use rhobasis::{Result, Structure};

use crate::checkpoint::{CheckpointFlags, keeps};
use crate::errors_table::{Comparison, largest, predict_all, short, write_parity, write_train_and_test};
use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::{frames_bar, note_on};
use crate::label_check;
use crate::label_keys::Named;
use crate::labelled::LabelledFrames;
use crate::make_basis::make_basis;
use crate::model_file::{BasisPlan, ModelFile};
use crate::show_potential::errors_left_out;
use crate::tensors;
use crate::text::{count, field, plural, tell, warn};
use crate::{interrupt, made_by, nice_fit, output, train_parts};

/// Frames whose rows are computed between two looks at the clock.
const CHUNK: usize = 16;

/// Train a potential on energies, forces and stress, or a model on dipoles or polarisabilities, as a file says
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Train {
    /// What to train on and how: examples/model-silicon.toml explains all keys, examples/model-dipoles.toml those of tensors
    #[arg(value_name = "MODEL.toml")]
    model: PathBuf,
    /// File of the potential or model to write, *.rho; with everything inside. With --shard, of the part, *.rows
    #[arg(short, long)]
    output: PathBuf,
    /// Sum the rows of part I of N of the training frames alone: those with index mod N = I − 1. `rhobasis merge` makes the
    /// potential of all parts; for ridge models
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Read and check everything, say what the fit will take, and stop before it
    #[arg(long)]
    dry_run: bool,
    /// Write no picture of predictions over labels; otherwise it goes to *.parity.svg beside the output
    #[arg(long)]
    no_plot: bool,
    #[command(flatten)]
    checkpoint: CheckpointFlags,
}

const EXAMPLE: &str = "\
Example:
  rhobasis train examples/model-silicon.toml -o silicon.rho
Example: a long fit that may be killed at any time; the same command goes on
  rhobasis train model.toml -o model.rho --checkpoint model.ckpt
Example: one of eight parts, which as many machines may make at the same time; then all together
  rhobasis train model.toml -o part-3.rows --shard 3/8 --checkpoint part-3.ckpt
  rhobasis merge part-*.rows -o model.rho
Example: what is needed for it
  rhobasis train model.toml -o model.rho --dry-run";

impl Train {
    pub fn files(&self) -> Files {
        self.outputs(Files::reading([&self.model]))
    }

    fn outputs(&self, read: Files) -> Files {
        let picture = self.picture().filter(|_| !self.dry_run);
        let output = (!self.dry_run).then_some(&self.output);
        let kind = match self.shard {
            Some(_) => TrainingPart::KIND,
            None if tensors::is_of_tensors(&self.model) => EquivariantRidge::KIND,
            None => Potential::KIND,
        };
        let files = read.writing("--output", Holds::Archive(kind), output);
        self.checkpoint.among(files).writing("the picture of --output", Holds::Picture, &picture)
    }

    /// Where predictions over labels are drawn, if they are.
    fn picture(&self) -> Option<PathBuf> {
        (!self.no_plot && self.shard.is_none()).then(|| self.output.with_extension("parity.svg"))
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        let start = Instant::now();
        output::check(&self.output, &[if self.shard.is_some() { "rows" } else { "rho" }])?;
        if self.model.extension().is_none_or(|e| e != "toml") {
            let problem =
                format!("'{}' does not end in .toml: name the file that describes the model", self.model.display());
            return Err(Failure::usage(problem));
        }
        if tensors::is_of_tensors(&self.model) {
            return self.run_of_tensors(out);
        }
        self.checkpoint.check()?;
        let file = ModelFile::read(&self.model)?;
        self.outputs(file.files()).check()?;
        let (train, test) = read(&file)?;
        // What would be refused after the fit.
        check_species(&train.frames, test.frames.iter().enumerate()).map_err(|e| test.locate(e))?;
        let settings = file.settings(&train.frames, &train.labels)?;
        if self.shard.is_some() {
            train_parts::check(&file, &settings)?;
        }
        let Some(trainer) = self.fit(&file, &settings, &train, out)? else { return Ok(()) };
        if let Some(shard) = self.shard {
            train_parts::write(
                trainer,
                &file,
                &train,
                (shard, identity(&file, &settings, &train)?),
                &self.output,
                out,
            )?;
            return self.remove_checkpoints(&settings);
        }
        let potential = trainer.finish().map_err(|e| train.locate(e))?;
        let trained = Instant::now();
        made_by::save(&potential, &self.output)?;
        self.remove_checkpoints(&settings)?;
        report(&potential, [&train, &test], [start, trained], (&self.output, self.picture()), out)
    }

    fn remove_checkpoints(&self, settings: &TrainSettings) -> Outcome {
        if let Some((path, _)) = self.checkpoint.file() {
            Trainer::remove_checkpoint(path)?;
            nice_fit::remove_checkpoints(&settings.features, &self.checkpoint)?;
        }
        Ok(())
    }

    fn run_of_tensors(&self, out: &mut dyn Write) -> Outcome {
        if self.checkpoint.is_given() {
            return Err(Failure::usage("--checkpoint: the fit of a tensor has none, as it is short: leave it out"));
        }
        if self.shard.is_some() {
            return Err(Failure::usage("--shard: the fit of a tensor has none, as it is short: leave it out"));
        }
        let picture = self.picture();
        let check = |read: Files| self.outputs(read).check();
        tensors::train(&self.model, &self.output, picture.as_deref(), self.dry_run, check, out)
    }

    /// The fit with the rows of all frames, or of the shard, done; none if only its needs were asked for.
    fn fit<'a>(
        &self,
        file: &ModelFile,
        settings: &TrainSettings,
        train: &'a LabelledFrames,
        out: &mut dyn Write,
    ) -> Outcome<Option<Trainer<'a>>> {
        let basis = make_basis(&file.basis, Some(settings), &train.frames, &train.labels, &train.files);
        let basis = basis.map_err(|e| train.locate(e))?;
        // A dry run writes nothing.
        let flags = if self.dry_run { self.checkpoint.at(None) } else { self.checkpoint.clone() };
        let features = |basis: &Basis| nice_fit::features(&settings.features, basis, &train.frames, &flags);
        let trainer = Trainer::with_features(basis, settings, &train.frames, &train.labels, features);
        let mut trainer = trainer.map_err(|e| train.locate(e))?;
        if let Some(shard) = self.shard {
            trainer = trainer.of_shard(shard)?;
        }
        describe(file, settings, train, &trainer, out)?;
        if let Some(shard) = self.shard {
            let (n, all) = (count(trainer.n_frames()), plural(train.len(), "frame"));
            field(out, "shard", format!("{shard}: the rows of {n} of {all}"))?;
        }
        out.flush()?;
        say_beforehand(file, train, &trainer);
        if self.dry_run {
            writeln!(out, "stopped before the fit (--dry-run); nothing was written")?;
            return Ok(None);
        }
        let checkpoint = self.checkpoint.file();
        let mut identity = checkpoint.map_or(Ok(String::new()), |_| identity(file, settings, train))?;
        if let Some(shard) = self.shard {
            identity += &format!(" shard {shard}");
        }
        if let Some((path, _)) = checkpoint
            && trainer.resume(path, &identity)?
        {
            note_on(path);
            tell(format!("continuing from {}: {} done", path.display(), plural(trainer.done(), "frame")));
            keeps(path, trainer.done());
        }
        advance(&mut trainer, train, checkpoint, &identity)?;
        Ok(Some(trainer))
    }
}

/// What came out: errors, time, memory, files.
pub fn report(
    potential: &Potential,
    [train, test]: [&LabelledFrames; 2],
    [start, trained]: [Instant; 2],
    (output, picture): (&Path, Option<PathBuf>),
    out: &mut dyn Write,
) -> Outcome {
    // What the baseline is made of is no success of the fit.
    let of_free_atoms = potential.settings().baseline.is_of_free_atoms();
    let is_baseline = |frame: &Structure| of_free_atoms && is_free_atom(frame, potential.r_cut());
    let of_train = predict_all(potential, train, "errors of training")?;
    let on_train = Comparison::of(train, &of_train, is_baseline)?;
    let of_test = predict_all(potential, test, "errors of the test")?;
    let on_test = Comparison::of(test, &of_test, |_| false)?;
    on_test.warn_of_close(|frame| test.place(frame));
    drop(of_test);
    field(out, "features", format!("{} of each atom", count(potential.n_features())))?;
    field(out, "parameters", count(potential.n_parameters()))?;
    if let Some(alpha) = potential.alpha() {
        field(out, "alpha", format!("{alpha:e}"))?;
    }
    if potential.condition_number().is_finite() {
        field(out, "condition", format!("{:.1e}, of the weighted rows", potential.condition_number()))?;
    }
    if let Some(calibration) = potential.calibration().filter(Calibration::is_known) {
        let Calibration { energy, force, frames, .. } = calibration;
        let factors = [("energies", energy), ("forces", force)].into_iter();
        let factors = factors.filter_map(|(what, factor)| Some(format!("{what} {}", short(factor?))));
        let factors = factors.collect::<Vec<_>>().join(", ");
        let found = format!("deviations × {factors}, by {} left out in turn", plural(frames, "frame"));
        field(out, "uncertainty", found)?;
        if let Some(errors) = errors_left_out(&calibration) {
            field(out, "left out", format!("{errors}, of these {}", plural(frames, "frame")))?;
        }
    }
    let energies = potential.baseline().iter().map(|(&z, e)| format!("{} {e:.6}", symbol(z)));
    field(out, "free atoms", format!("{} eV", energies.collect::<Vec<_>>().join(", ")))?;
    potential.warnings().iter().for_each(warn);
    writeln!(out, "\nERRORS")?;
    let left_out = left_out(&potential.settings().weights);
    write_train_and_test(&on_train.errors, &on_test.errors, &left_out, out)?;
    label_check::after_fit(potential, train, of_train, out)?;
    writeln!(out)?;
    for (name, set, data) in [("largest, train", &on_train, train), ("largest, test", &on_test, test)] {
        for (k, (quantity, text)) in largest(&set.errors, |frame| data.place(frame)).into_iter().enumerate() {
            field(out, if k == 0 { name } else { "" }, format!("{}: {text}", quantity.name()))?;
        }
    }
    let seconds = |from: Instant, to: Instant| format!("{:.1} s", to.duration_since(from).as_secs_f64());
    field(out, "time", format!("{} (fit {})", seconds(start, Instant::now()), seconds(start, trained)))?;
    if let Some(bytes) = output::peak_memory() {
        field(out, "peak memory", output::size(bytes))?;
    }
    if let Some(svg) = picture {
        let sets = [("train", &on_train), ("test", &on_test)];
        if write_parity(&svg, &sets)? {
            writeln!(out, "wrote {} (predictions over labels)", svg.display())?;
        }
    }
    writeln!(out, "wrote {}", output.display())?;
    writeln!(out, "next: rhobasis predict {} DATA.xyz -o predicted.xyz", output.display())?;
    Ok(())
}

/// Frames to train on, with labels under the keys that the file names.
pub fn read_training(file: &ModelFile) -> Result<LabelledFrames> {
    let train = LabelledFrames::read(&file.train, &file.keys)?;
    Named::InModelFile(file.path()).check(&train.survey)?;
    Ok(train)
}

/// Frames to train on and to test with.
pub fn read(file: &ModelFile) -> Result<(LabelledFrames, LabelledFrames)> {
    let mut train = read_training(file)?;
    let Some(fraction) = file.test_fraction else {
        let test = LabelledFrames::read(&file.test, &file.keys)?;
        if test.len() > 0 {
            Named::InModelFile(file.path()).warn_of_test(&test.survey);
        }
        return Ok((train, test));
    };
    let mut held_out = split(&train.frames, fraction, file.seed)?;
    // Free atoms that a baseline is made of are trained on in any case.
    if file.baseline_of_free_atoms() && train.frames.iter().any(|frame| frame.len() == 1) {
        let r_cut = file.basis.r_cut()?;
        train.frames.iter().zip(&mut held_out).for_each(|(frame, out)| *out &= !is_free_atom(frame, r_cut));
    }
    let test = train.split_off(&held_out);
    Ok((train, test))
}

/// Says what is trained on and how.
pub fn describe(
    file: &ModelFile,
    settings: &TrainSettings,
    train: &LabelledFrames,
    trainer: &Trainer,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let atoms: usize = train.frames.iter().map(Structure::len).sum();
    let species = species_of(&train.frames).into_iter().map(symbol).collect::<Vec<_>>().join(" ");
    field(out, "model", file.path().display())?;
    let alone = trainer.free_atoms().iter().filter(|free| **free).count();
    let (frames, atoms) = (plural(train.len() - alone, "frame"), count(atoms - alone));
    let alone =
        if alone > 0 { format!("; besides {} of an atom alone", plural(alone, "frame")) } else { String::new() };
    field(out, "training set", format!("{frames}, {atoms} atoms of {species}{alone}"))?;
    if let Some((kept, channels)) = trainer.basis().kept_variance() {
        let of = trainer.basis().density_of_variances();
        field(out, "basis", format!("{channels} keeps {} of the variance of the {of}", percent(kept)))?;
    }
    let n = trainer.counts();
    let sigmas = settings.weights.all;
    let weight = |sigma: Option<f64>, unit: &str| sigma.map_or("left out".into(), |s| format!("sigma {s} {unit}"));
    let quantities = [
        (n.energies, "energies", weight(sigmas.energy_sigma, "eV √atoms")),
        (n.forces, "force components", weight(sigmas.force_sigma, "eV/Å")),
        (n.stresses, "stress components", weight(sigmas.stress_sigma, "eV/Å³")),
    ];
    for (k, (n, what, weight)) in quantities.into_iter().enumerate() {
        field(out, if k == 0 { "trained on" } else { "" }, format!("{} {what}, {weight}", count(n)))?;
    }
    for (name, special) in &settings.weights.by_type {
        let [e, f, s] = [special.energy_sigma, special.force_sigma, special.stress_sigma]
            .map(|sigma| sigma.map_or("none".into(), |s| s.to_string()));
        field(out, "", format!("{name}: energy_sigma {e}, force_sigma {f}, stress_sigma {s}"))?;
    }
    Ok(())
}

/// Says what should be known before the fit, and what memory it will take.
pub fn say_beforehand(file: &ModelFile, train: &LabelledFrames, trainer: &Trainer) {
    for remark in trainer.remarks() {
        let place = remark.frame.map_or(String::new(), |frame| format!("{}: ", train.place(frame)));
        warn(format!("{place}{}", remark.text));
    }
    file.not_learned(&train.labels).into_iter().for_each(warn);
    output::announce_memory(
        output::held_memory() + trainer.memory() as f64,
        &format!("({} of them for the frames)", output::size(train.memory())),
    );
}

/// With so many digits that what is missing shows.
fn percent(kept: f64) -> String {
    let missing = 100.0 * (1.0 - kept);
    let digits = (1.0 - missing.max(1e-9).log10().floor()).clamp(1.0, 6.0) as usize;
    format!("{:.digits$} %", 100.0 * kept)
}

/// Quantities that no frame was trained on.
fn left_out(weights: &Weights) -> Vec<Quantity> {
    let sigmas = || std::iter::once(&weights.all).chain(weights.by_type.values());
    let mut out = Vec::new();
    if sigmas().all(|s| s.energy_sigma.is_none()) {
        out.extend([Quantity::EnergyPerAtom, Quantity::Energy]);
    }
    if sigmas().all(|s| s.force_sigma.is_none()) {
        out.push(Quantity::Force);
    }
    if sigmas().all(|s| s.stress_sigma.is_none()) {
        out.push(Quantity::Stress);
    }
    out
}

/// Works through the frames that are not done, with a bar and checkpoints.
fn advance(
    trainer: &mut Trainer,
    data: &LabelledFrames,
    checkpoint: Option<(&Path, Duration)>,
    identity: &str,
) -> Result<()> {
    let bar = frames_bar(trainer.n_frames(), "training");
    let mut last = Instant::now();
    let _hold = checkpoint.map(|_| interrupt::hold());
    while trainer.done() < trainer.n_frames() {
        trainer.advance(CHUNK).map_err(|e| data.locate(e))?;
        bar.set_position(trainer.done() as u64);
        let Some((path, every)) = checkpoint else { continue };
        let ends = interrupt::pending();
        if ends || last.elapsed() >= every && trainer.done() < trainer.n_frames() {
            trainer.save_checkpoint(path, identity)?;
            keeps(path, trainer.done());
            last = Instant::now();
        }
        if ends {
            interrupt::end();
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// What a checkpoint is continued by: the same settings, basis, data and held-out frames.
pub fn identity(file: &ModelFile, settings: &TrainSettings, train: &LabelledFrames) -> Result<String> {
    let basis = match &file.basis {
        BasisPlan::File(path) => serde_json::json!({ "sha256": sha256(path)? }),
        BasisPlan::Primitive(settings) => serde_json::json!(settings),
        BasisPlan::Optimal(settings, Method::Pca, truncation) => serde_json::json!([settings, truncation]),
        BasisPlan::Optimal(settings, method, truncation) => serde_json::json!([settings, truncation, method]),
    };
    let keys = [&file.options.energy_key, &file.options.force_key, &file.options.stress_key, &file.options.virial_key];
    let identity = serde_json::json!({
        "settings": settings,
        "basis": basis,
        "files": train.files,
        "keys": keys,
        "test_fraction": file.test_fraction,
        "seed": file.seed,
        "rhobasis": env!("CARGO_PKG_VERSION"),
    });
    Ok(identity.to_string())
}
