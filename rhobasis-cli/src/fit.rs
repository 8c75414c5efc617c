//! `rhobasis fit`: from structures to a basis file, Eqs. (6)-(14), (22).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rhobasis::density::species_of;
use rhobasis::extxyz::{Chunk, Dataset, Options, Shard, SourceFile};
use rhobasis::optimal::{
    Adaptation, Covariance, NU, OptimalBasis, PcovrSettings, SupervisedCovariance, Task, Truncation, remove_checkpoint,
};
use rhobasis::potential::{Potential, Sensitivity};
use rhobasis::settings::Given;
use rhobasis::structure::symbol;
use rhobasis::{Result, Structure};

use crate::checkpoint::{Checkpoint, CheckpointFlags};
use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::{for_each_chunk, load};
use crate::method::{Found, MethodFlags};
use crate::settings::{ContractionFlags, TruncationFlags, is_covariance};
use crate::text::{count, plural, warn};
use crate::{interrupt, made_by, output, show};

/// Chunks of frames that are there at once: one in work, one that waits, one that is being read.
const CHUNKS: f64 = 3.0;
/// Text that a reader holds at least, in bytes.
const FIRST_WINDOW: f64 = 1e6;
/// Program code that is not there before it is needed, and what each thread holds: its stack and the panels of matrix
/// products, in bytes.
const CODE: f64 = 1.5e6;
const THREAD: f64 = 5e5;

/// Find the optimal radial basis of a data set and write it to a file
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Fit {
    /// Extended XYZ files, plain or packed, each with an optional slice: data.xyz@:1000
    #[arg(required = true)]
    data: Vec<String>,
    /// Basis file to write, *.rho; or *.cov, which keeps the accumulated covariance instead
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    contraction: ContractionFlags,
    #[command(flatten)]
    truncation: TruncationFlags,
    #[command(flatten)]
    method: MethodFlags,
    /// Take only part I of N of the frames: those with index mod N = I − 1, counted over all DATA; the output is then a
    /// *.cov, and `rhobasis merge` puts the parts together
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    #[command(flatten)]
    checkpoint: CheckpointFlags,
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = nu, help = NU.sentence)]
    nu: usize,
}

const EXAMPLE: &str = "\
Example: molecules, all species contracted together, 8 functions for each l
  rhobasis fit qm9.xyz.xz -o qm9.rho --r-cut 3.5 --sigma 0.2 --scaling 1,2,7 --l-max 5 --mixing combined --q-max 8
Example: one of four parts of a large set, interrupted at any time and run again; then all together
  rhobasis fit big.xyz -o part-3.cov --shard 3/4 --checkpoint part-3.ckpt --mixing combined
  rhobasis merge part-*.cov -o big.rho --q-max 8
Example: the functions that keep the most of the trispectrum
  rhobasis fit qm9.xyz.xz -o qm9.rho --l-max 5 --mixing combined --q-max 8 --nu 4
Example: few functions for forces, not spent on the far shells
  rhobasis fit silicon.xyz -o silicon.rho --r-cut 6 --sigma 0.5 --q-max 4 --weighting nearest
Example: functions for l = 0 that also know the energies, as in Fig. 6
  rhobasis fit silicon.xyz -o silicon.rho --q-max 4 --method pcovr --gamma 0.1 --energy-key energy
Example: two functions for each l, made for a linear model of energies and forces
  rhobasis fit silicon.xyz -o silicon.rho --q-max 2 --method supervised";

fn nu(text: &str) -> Result<usize> {
    NU.read(&|_| Some(Given::from_text(text)))
}

impl Fit {
    pub fn files(&self) -> Files {
        let output = Holds::basis_or_covariance(&self.output);
        self.checkpoint.among(Files::reading(self.method.potential()).and_data(&self.data).writing(
            "--output",
            output,
            [&self.output],
        ))
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        output::check(&self.output, &["rho", "cov"])?;
        self.truncation.check(&self.output)?;
        if self.shard.is_some() && !is_covariance(&self.output) {
            return Err(Failure::usage(
                "--shard: a part of the frames makes no basis; write an accumulator (-o PART.cov) and use rhobasis merge",
            ));
        }
        self.checkpoint.check()?;
        match self.method.read()? {
            Found::Variance => {}
            found => return self.for_a_target(found, out),
        }
        if self.nu > 1 {
            return self.adapt(out);
        }
        let truncation = self.truncation.truncation()?;
        let (settings, distances_of) = self.contraction.settings(&self.data)?;
        let mut covariance = Covariance::new(&settings)?;
        covariance.check_truncation(truncation)?;
        let checkpoint = self.accumulate(&mut covariance, truncation)?;
        distances_of.unchanged(covariance.files())?;
        finish(&covariance, truncation, &self.output, out)?;
        Ok(checkpoint.map_or(Ok(()), |checkpoint| remove_checkpoint(&checkpoint.path))?)
    }

    /// A basis for correlations of an order above 1.
    fn adapt(&self, out: &mut dyn Write) -> Outcome {
        if self.shard.is_some() || self.checkpoint.is_given() || is_covariance(&self.output) {
            return Err(Failure::usage(
                "--nu: such a basis takes several sweeps over all the data, which --shard, --checkpoint and *.cov do not \
                 go with; leave --nu out",
            ));
        }
        let truncation = self.truncation.truncation()?;
        let (settings, distances_of) = self.contraction.settings(&self.data)?;
        let mut adaptation = Adaptation::new(&settings, truncation, self.nu)?;
        let (mut files, mut done, mut sweep): (Vec<SourceFile>, _, _) = (Vec::new(), false, 0);
        while !done {
            let input = Dataset::open(&self.data, &Options::default())?.without_labels();
            let (held, window) = (output::held_memory(), input.window());
            let (mut before, mut announced) = (0, sweep > 0);
            let read = for_each_chunk(input, &format!("sweep {sweep}"), |chunk| {
                if !std::mem::replace(&mut announced, true) {
                    let memory = Covariance::new(&settings)?.memory(&chunk.structures, Some(truncation));
                    announce_memory(held, window, memory, &chunk);
                }
                adaptation.add(&chunk.structures).map_err(|e| chunk.locate(e, |frame| frame - before))?;
                before += chunk.structures.len();
                Ok(())
            })?;
            distances_of.unchanged(&read)?;
            SourceFile::unchanged(&files, &read)?;
            files = read;
            output::return_memory();
            (done, sweep) = (adaptation.finish_sweep()?, sweep + 1);
        }
        let mut basis = adaptation.into_basis()?;
        basis.set_files(files);
        write_basis(&basis, &self.output, out)
    }

    /// A basis that knows more than the density.
    fn for_a_target(&self, found: Found, out: &mut dyn Write) -> Outcome {
        if self.nu > 1 {
            return Err(Failure::usage(format!(
                "--method {}: energies weigh no environments, as --nu does; leave one of the two out",
                found.name()
            )));
        }
        if self.shard.is_some() || self.checkpoint.is_given() || is_covariance(&self.output) {
            return Err(Failure::usage(format!(
                "--method {}: it takes one run over all the data, which --shard, --checkpoint and *.cov do not go with; \
                 leave them out and write a *.rho, or use --method pca",
                found.name()
            )));
        }
        let truncation = self.truncation.truncation()?;
        match found {
            Found::Variance => Ok(()),
            Found::Energies(pcovr, key) => self.supervise(pcovr, key, out),
            Found::Linear(settings) => {
                let (covariance, _) = self.contraction.settings(&self.data)?;
                let basis = self.method.supervised(&self.data, &covariance, (settings, truncation), out)?;
                write_basis(&basis, &self.output, out)
            }
            Found::Potential(settings, path) => {
                if let Some(flag) = self.contraction.given().next() {
                    return Err(Failure::usage(format!(
                        "{flag}: --method sensitivity takes density and functions from the basis of --potential; leave it out"
                    )));
                }
                let potential: Potential = load(&path)?;
                let mut sensitivity = Sensitivity::new(&potential)?;
                let input = Dataset::open(&self.data, &Options::default())?.without_labels();
                let files = for_each_chunk(input, "sensitivity", |chunk| {
                    sensitivity.add(&potential, &chunk.structures).map_err(|e| chunk.locate(e, |frame| frame))
                })?;
                let mut basis = sensitivity.basis(settings, truncation.q_max()?)?;
                basis.set_files(files);
                write_basis(&basis, &self.output, out)
            }
        }
    }

    /// A basis of Eq. (14).
    fn supervise(&self, pcovr: PcovrSettings, key: String, out: &mut dyn Write) -> Outcome {
        let truncation = self.truncation.truncation()?;
        let (settings, distances_of) = self.contraction.settings(&self.data)?;
        let mut covariance = SupervisedCovariance::new(&settings)?;
        covariance.covariance().check_truncation(truncation)?;
        let input = Dataset::open(&self.data, &Options::default())?;
        let input = input.without_labels().with_energies(key);
        let (held, window) = (output::held_memory(), input.window());
        let mut announced = false;
        let files = for_each_chunk(input, "accumulating", |chunk| {
            if !std::mem::replace(&mut announced, true) {
                announce_memory(held, window, covariance.memory(&chunk.structures, truncation), &chunk);
            }
            let before = covariance.covariance().n_structures();
            let added = covariance.add(&chunk.structures, &chunk.energies);
            added.map_err(|e| chunk.locate(e, |frame| frame - before))
        })?;
        distances_of.unchanged(&files)?;
        covariance.set_files(files);
        output::return_memory();
        write_basis(&covariance.basis(pcovr, truncation)?, &self.output, out)
    }

    /// Adds all frames of all files, or those of a shard, that an earlier run has not added.
    fn accumulate(&self, covariance: &mut Covariance, truncation: Truncation) -> Result<Option<Checkpoint>> {
        let input = Dataset::open(&self.data, &Options::default())?;
        let input = input.without_labels().shard(self.shard.unwrap_or_default());
        let task = |input: &mut Dataset| Ok(Task { files: input.hash()?, shard: self.shard });
        let (input, mut checkpoint) = self.checkpoint.start(covariance, input, task)?;
        let (held, window) = (output::held_memory(), input.window());
        let truncation = (!is_covariance(&self.output)).then_some(truncation);
        let mut announced = false;
        let hold = checkpoint.is_some().then(interrupt::hold);
        let files = for_each_chunk(input, "accumulating", |chunk| {
            if !announced {
                announced = true;
                announce_memory(held, window, covariance.memory(&chunk.structures, truncation), &chunk);
            }
            let before = covariance.n_structures();
            covariance.add(&chunk.structures, None).map_err(|e| chunk.locate(e, |frame| frame - before))?;
            checkpoint.as_mut().map_or(Ok(()), |checkpoint| checkpoint.write(covariance, chunk.next))
        })?;
        drop(hold);
        covariance.set_files(files, self.shard);
        output::return_memory();
        Ok(checkpoint)
    }
}

/// Writes the accumulator, or the basis made from it, and says what it is.
pub fn finish(covariance: &Covariance, truncation: Truncation, output: &Path, out: &mut dyn Write) -> Outcome {
    if is_covariance(output) {
        made_by::save(covariance, output)?;
        let shard = covariance.shard().map_or(String::new(), |shard| format!(", shard {shard}"));
        writeln!(out, "{} centres of {}{shard}", count(n_centers(covariance)), frames(covariance.files()))?;
        writeln!(out, "wrote {}", output.display())?;
        return Ok(());
    }
    write_basis(&OptimalBasis::from_covariance(covariance, truncation)?, output, out)
}

fn write_basis(basis: &OptimalBasis, output: &Path, out: &mut dyn Write) -> Outcome {
    made_by::save(basis, output)?;
    show::summary(basis, None, out)?;
    for warning in basis.warnings() {
        warn(warning);
    }
    writeln!(out)?;
    writeln!(out, "wrote {}", output.display())?;
    next_command(basis, output, out)?;
    Ok(())
}

fn next_command(basis: &OptimalBasis, rho: &Path, out: &mut dyn Write) -> io::Result<()> {
    let svg = rho.with_extension("svg");
    let center = basis.kinds()[0].center.map_or(String::new(), |z| format!(" --center {}", symbol(z)));
    writeln!(out, "next: rhobasis show {} --plot {}{center}", rho.display(), svg.display())
}

/// What is held before the first frame, and what will come: frames that are read ahead, the window of the reader, and the
/// buffers of the accumulation or of the basis, whichever are larger.
fn announce_memory(held: f64, window: u64, buffers: f64, chunk: &Chunk) {
    let atoms: usize = chunk.structures.iter().map(Structure::len).sum();
    // Species and position; a frame has a cell, two allocations and the name of its file.
    let frames = 25.0 * atoms as f64 + 400.0 * chunk.structures.len() as f64;
    let n_chunks = (1.0 / chunk.fraction.max(1e-9)).min(CHUNKS);
    let text = chunk.text as f64 / chunk.fraction.max(1e-9);
    let reading = n_chunks * frames + text.min(window as f64 + FIRST_WINDOW);
    let threads = THREAD * rayon::current_num_threads() as f64;
    let bytes = held + CODE + threads + reading + buffers;
    let n_species = species_of(&chunk.structures).len();
    let first = plural(chunk.structures.len(), "frame");
    output::announce_memory(bytes, &format!("for the {n_species} species of the first {first}, however many frames"));
}

fn n_centers(covariance: &Covariance) -> usize {
    covariance.kinds().into_iter().map(|kind| covariance.n_centers(kind)).sum()
}

fn frames(files: &[SourceFile]) -> String {
    let n = files.iter().map(|f| f.frames).sum();
    format!("{} in {}", plural(n, "frame"), plural(files.len(), "file"))
}
