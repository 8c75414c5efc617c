//! `rhobasis merge`: accumulators, rows, or samples for NICE, of parts of a data set, put together.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rhobasis::Error;
use rhobasis::correlations::NiceSample;
use rhobasis::files::{Stored, kind_of};
use rhobasis::optimal::{Covariance, Truncation};
use rhobasis::potential::TrainingPart;

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::fit;
use crate::input::note_on;
use crate::merge_rows;
use crate::nice_fit;
use crate::output;
use crate::settings::TruncationFlags;

/// Add up covariances of parts of a data set (.cov) and write the basis, or the sum; make the potential of the rows of parts of a
/// training set (.rows); or unite samples for NICE (.sample)
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Merge {
    /// Accumulator files (or samples): all shards of one data set, or those of different data, made with the same settings; or the
    /// rows of all shards of one training set
    #[arg(required = true)]
    parts: Vec<PathBuf>,
    /// Basis file to write, *.rho; or *.cov, which keeps the sum instead; of rows, the potential, *.rho; of samples, *.sample
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
Example: a potential whose rows are summed in two shards; the merge reads the data again, for errors and uncertainties
  rhobasis train model.toml -o part-1.rows --shard 1/2
  rhobasis train model.toml -o part-2.rows --shard 2/2
  rhobasis merge part-*.rows -o model.rho
Example: the atoms that NICE is fitted to, sampled in two shards
  rhobasis features data.xyz.xz --basis data.rho --kind nice --save-sample part-1.sample --shard 1/2
  rhobasis features data.xyz.xz --basis data.rho --kind nice --save-sample part-2.sample --shard 2/2
  rhobasis merge part-*.sample -o data.sample
  rhobasis features --basis data.rho --kind nice --sample data.sample --save-nice data.nice";

impl Merge {
    pub fn files(&self) -> Files {
        let holds = match self.kind().as_deref() {
            Some(NiceSample::KIND) => Holds::Archive(NiceSample::KIND),
            Some(TrainingPart::KIND) => return merge_rows::files(&self.parts, &self.output),
            _ => Holds::basis_or_covariance(&self.output),
        };
        Files::reading(&self.parts).writing("--output", holds, [&self.output])
    }

    /// The kind of the first part.
    fn kind(&self) -> Option<String> {
        self.parts.first().and_then(|part| kind_of(part))
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        // Of what is not there, nobody knows what it is to be merged to.
        if let Some(missing) = self.parts.iter().find(|part| !part.exists()) {
            return Err(Error::file(missing, "no such file", "check the path").into());
        }
        match self.kind().as_deref() {
            Some(NiceSample::KIND) => return self.unite_samples(out),
            Some(TrainingPart::KIND) => {
                self.check_no_truncation("rows of a fit")?;
                return merge_rows::merge(&self.parts, &self.output, out);
            }
            _ => {}
        }
        output::check(&self.output, &["rho", "cov"])?;
        self.truncation.check(&self.output)?;
        let covariance = Covariance::merge_files(&self.parts)?;
        self.parts.iter().for_each(|part| note_on(part));
        fit::finish(&covariance, self.truncation.truncation()?, &self.output, out)
    }

    fn check_no_truncation(&self, what: &str) -> Outcome {
        if let Some(setting) = Truncation::SETTINGS.into_iter().find(|setting| self.truncation.is_given(setting.name)) {
            let flag = setting.name.replace('_', "-");
            return Err(Failure::usage(format!("--{flag}: it is of a basis, and the parts are {what}; leave it out")));
        }
        Ok(())
    }

    /// The atoms that one run over all data would have sampled.
    fn unite_samples(&self, out: &mut dyn Write) -> Outcome {
        output::check(&self.output, &["sample"])?;
        self.check_no_truncation("samples")?;
        let sample = NiceSample::merge_files(&self.parts)?;
        self.parts.iter().for_each(|part| note_on(part));
        nice_fit::write_sample(&sample, &self.output, out)
    }
}
