//! `rhobasis merge`: accumulators of parts of a data set, added up.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rhobasis::optimal::Covariance;

use crate::failure::Outcome;
use crate::files::{Files, Holds};
use crate::fit;
use crate::input::note_on;
use crate::output;
use crate::settings::TruncationFlags;

/// Add up covariances of parts of a data set (.cov) and write the basis, or the sum
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Merge {
    /// Accumulator files: all shards of one data set, or accumulators of different data, made with the same settings
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// Basis file to write, *.rho; or *.cov, which keeps the sum instead
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    truncation: TruncationFlags,
}

const EXAMPLE: &str = "\
Example: a data set in two shards, which two machines may make at the same time
  rhobasis fit data.xyz.xz -o part-1.cov --shard 1/2 --r-cut 5
  rhobasis fit data.xyz.xz -o part-2.cov --shard 2/2 --r-cut 5
  rhobasis merge part-*.cov -o data.rho --q-max 8";

impl Merge {
    pub fn files(&self) -> Files {
        Files::reading(&self.parts).writing("--output", Holds::basis_or_covariance(&self.output), [&self.output])
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        output::check(&self.output, &["rho", "cov"])?;
        self.truncation.check(&self.output)?;
        let covariance = Covariance::merge_files(&self.parts)?;
        self.parts.iter().for_each(|part| note_on(part));
        fit::finish(&covariance, self.truncation.truncation()?, &self.output, out)
    }
}
