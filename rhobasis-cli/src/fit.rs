//! `rhobasis fit`: from structures to a basis file, Eqs. (6)-(13), (22).

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Shard, SourceFile, Task, Truncation};
use rhobasis::structure::symbol;
use rhobasis::{Result, Structure};

use crate::checkpoint::{Checkpoint, CheckpointFlags};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::settings::{ContractionFlags, TruncationFlags, is_covariance};
use crate::text::{count, plural};
use crate::{output, show};

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
    /// Take only part I of N of the frames: those with index mod N = I − 1, counted over all DATA; the output is then a
    /// *.cov, and `rhobasis merge` puts the parts together
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    #[command(flatten)]
    checkpoint: CheckpointFlags,
}

const EXAMPLE: &str = "\
Example: molecules, all species contracted together, 8 functions for each l
  rhobasis fit qm9.xyz.xz -o qm9.rho --r-cut 3.5 --sigma 0.2 --scaling 1,2,7 --l-max 5 --mixing combined --q-max 8
Example: one of four parts of a large set, interrupted at any time and run again; then all together
  rhobasis fit big.xyz -o part-3.cov --shard 3/4 --checkpoint part-3.ckpt --mixing combined
  rhobasis merge part-*.cov -o big.rho --q-max 8";

impl Fit {
    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        output::check(&self.output, &["rho", "cov"])?;
        self.truncation.check(&self.output)?;
        if self.shard.is_some() && !is_covariance(&self.output) {
            return Err(Failure::usage(
                "--shard: a part of the frames makes no basis; write an accumulator (-o PART.cov) and use rhobasis merge",
            ));
        }
        self.checkpoint.check(&self.output)?;
        let settings = self.contraction.settings();
        let truncation = self.truncation.truncation();
        let mut covariance = Covariance::new(&settings)?;
        let n_max = (0..=settings.expansion.l_max).map(|l| covariance.n_functions(l)).max().unwrap_or(0);
        match settings.mixing {
            Mixing::PerSpecies => truncation.validate(n_max, "per species")?,
            // The species are known at the end only: here, what no set of species allows.
            Mixing::Combined => truncation.validate(n_max * 118, "of all elements together")?,
        }
        let checkpoint = self.accumulate(&mut covariance)?;
        finish(&covariance, truncation, &self.output, out)?;
        Ok(checkpoint.map_or(Ok(()), Checkpoint::remove)?)
    }

    /// Adds all frames of all files, or those of a shard, that an earlier run has not added.
    fn accumulate(&self, covariance: &mut Covariance) -> Result<Option<Checkpoint>> {
        let input = Input::open(&self.data, &rhobasis::extxyz::Options::default())?;
        let input = input.without_labels().shard(self.shard.unwrap_or_default());
        let task = |input: &mut Input| Ok(Task { files: input.hash()?, shard: self.shard });
        let (input, mut checkpoint) = self.checkpoint.start(covariance, input, task)?;
        let mut announced = false;
        let files = input.for_each_chunk("accumulating", |chunk| {
            if !announced {
                announced = true;
                announce_memory(covariance.settings(), &chunk.structures);
            }
            let before = covariance.n_structures();
            covariance.add(&chunk.structures, None).map_err(|e| chunk.locate(e, |frame| frame - before))?;
            checkpoint.as_mut().map_or(Ok(()), |checkpoint| checkpoint.write(covariance, chunk.next))
        })?;
        covariance.set_files(files, self.shard);
        Ok(checkpoint)
    }
}

/// Writes the accumulator, or the basis made from it, and says what it is.
pub fn finish(covariance: &Covariance, truncation: Truncation, output: &Path, out: &mut dyn Write) -> Outcome {
    if is_covariance(output) {
        covariance.save(output)?;
        let shard = covariance.shard().map_or(String::new(), |shard| format!(", shard {shard}"));
        writeln!(out, "{} centres of {}{shard}", count(n_centers(covariance)), frames(covariance.files()))?;
        writeln!(out, "wrote {}", output.display())?;
        return Ok(());
    }
    let basis = OptimalBasis::from_covariance(covariance, truncation)?;
    basis.save(output)?;
    show::summary(&basis, out)?;
    for warning in basis.warnings() {
        eprintln!("warning: {warning}");
    }
    writeln!(out)?;
    writeln!(out, "wrote {}", output.display())?;
    next_command(&basis, output, out)?;
    Ok(())
}

fn next_command(basis: &OptimalBasis, rho: &Path, out: &mut dyn Write) -> io::Result<()> {
    let svg = rho.with_extension("svg");
    let center = basis.kinds()[0].center.map_or(String::new(), |z| format!(" --center {}", symbol(z)));
    writeln!(out, "next: rhobasis show {} --plot {}{center}", rho.display(), svg.display())
}

/// Estimated from the first chunk: sums over pairs of species (of the chunk, of its blocks of 64 frames, of each species of
/// centre), the coefficients of the largest frame on each thread, and the frames that are read ahead.
fn announce_memory(settings: &CovarianceSettings, structures: &[Structure]) {
    let species: BTreeSet<u8> = structures.iter().flat_map(|s| &s.species).copied().collect();
    let (n_species, n) = (species.len() as f64, settings.expansion.primitive.n_max() as f64);
    let (l_max, threads) = (settings.expansion.l_max as f64, rayon::current_num_threads() as f64);
    let pairs = if settings.mixing == Mixing::Combined { n_species * (n_species + 1.0) / 2.0 } else { n_species };
    let kinds = if settings.center_specific { n_species } else { 1.0 };
    let blocks = 4.0 + (structures.len() as f64 / 64.0).ceil();
    let sums = 8.0 * blocks * kinds * pairs * (l_max + 1.0) * n * n;
    let most_atoms = structures.iter().map(Structure::len).max().unwrap_or(0) as f64;
    let coefficients = 8.0 * threads * most_atoms * (l_max + 1.0).powi(2) * n * n_species;
    let atoms: usize = structures.iter().map(Structure::len).sum();
    let read_ahead = 3.0 * (200.0 * atoms as f64 + 1000.0 * structures.len() as f64);
    let diagonalisation =
        8.0 * 5.0 * kinds * (l_max + 1.0) * if pairs > n_species { (n * n_species).powi(2) } else { n * n };
    output::announce_memory(
        3e7 + sums + coefficients + read_ahead + diagonalisation,
        &format!("for {}, however many frames", format_args!("{} species", species.len())),
    );
}

fn n_centers(covariance: &Covariance) -> usize {
    covariance.kinds().into_iter().map(|kind| covariance.n_centers(kind)).sum()
}

fn frames(files: &[SourceFile]) -> String {
    let n = files.iter().map(|f| f.frames).sum();
    format!("{} in {}", plural(n, "frame"), plural(files.len(), "file"))
}
