//! `rhobasis merge`: accumulators, or samples for NICE, of parts of a data set, put together.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rhobasis::Error;
use rhobasis::correlations::NiceSample;
use rhobasis::files::{Stored, kind_of};
use rhobasis::optimal::{Covariance, Truncation};

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::fit;
use crate::input::note_on;
use crate::nice_fit;
use crate::output;
use crate::settings::TruncationFlags;

/// Add up covariances of parts of a data set (.cov) and write the basis, or the sum; or unite samples for NICE (.sample)
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Merge {
    /// Accumulator files (or samples): all shards of one data set, or those of different data, made with the same settings
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// Basis file to write, *.rho; or *.cov, which keeps the sum instead; of samples, *.sample
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    truncation: TruncationFlags,
}

const EXAMPLE: &str = "\
Example: a data set in two shards, which two machines may make at the same time
  rhobasis fit data.xyz.xz -o part-1.cov --shard 1/2 --r-cut 5
  rhobasis fit data.xyz.xz -o part-2.cov --shard 2/2 --r-cut 5
  rhobasis merge part-*.cov -o data.rho --q-max 8
Example: the atoms that NICE is fitted to, sampled in two shards
  rhobasis features data.xyz.xz --basis data.rho --kind nice --save-sample part-1.sample --shard 1/2
  rhobasis features data.xyz.xz --basis data.rho --kind nice --save-sample part-2.sample --shard 2/2
  rhobasis merge part-*.sample -o data.sample
  rhobasis features --basis data.rho --kind nice --sample data.sample --save-nice data.nice";

impl Merge {
    pub fn files(&self) -> Files {
        let holds = match self.is_of_samples() {
            true => Holds::Archive(NiceSample::KIND),
            false => Holds::basis_or_covariance(&self.output),
        };
        Files::reading(&self.parts).writing("--output", holds, [&self.output])
    }

    /// Whether the parts are samples for NICE.
    fn is_of_samples(&self) -> bool {
        self.parts.first().is_some_and(|part| kind_of(part).as_deref() == Some(NiceSample::KIND))
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        // Of what is not there, nobody knows what it is to be merged to.
        if let Some(missing) = self.parts.iter().find(|part| !part.exists()) {
            return Err(Error::file(missing, "no such file", "check the path").into());
        }
        if self.is_of_samples() {
            return self.unite_samples(out);
        }
        output::check(&self.output, &["rho", "cov"])?;
        self.truncation.check(&self.output)?;
        let covariance = Covariance::merge_files(&self.parts)?;
        self.parts.iter().for_each(|part| note_on(part));
        fit::finish(&covariance, self.truncation.truncation()?, &self.output, out)
    }

    /// The atoms that one run over all data would have sampled.
    fn unite_samples(&self, out: &mut dyn Write) -> Outcome {
        output::check(&self.output, &["sample"])?;
        if let Some(setting) = Truncation::SETTINGS.into_iter().find(|setting| self.truncation.is_given(setting.name)) {
            let flag = setting.name.replace('_', "-");
            return Err(Failure::usage(format!("--{flag}: it is of a basis, and the parts are samples; leave it out")));
        }
        let sample = NiceSample::merge_files(&self.parts)?;
        self.parts.iter().for_each(|part| note_on(part));
        nice_fit::write_sample(&sample, &self.output, out)
    }
}
