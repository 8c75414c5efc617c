//! Runs that leave what their potential was trained on: which frames of them to label, and where they end.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use rhobasis::structure::symbol;
use rhobasis::{Error, Result, Structure};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
use crate::text::{count, field, plural};
use crate::trajectory::{End, Trajectory};

#[derive(Args)]
pub struct MdDoubt {
    /// End the run, with exit code 1, as soon as an atom has an extrapolation above X: its leverage over the largest of training,
    /// above 1 outside of what the potential has seen. Asked at each step, which takes some 20 % longer
    #[arg(long, value_name = "X", value_parser = limit)]
    pub stop_at: Option<f64>,
    /// Write to FILE, to be labelled, frames with an atom whose extrapolation is above X: the first, then one in --every steps.
    /// 'rhobasis select --potential' finds the most telling of them
    #[arg(long, num_args = 2, value_names = ["X", "FILE"])]
    pub dump_above: Vec<String>,
}

fn limit(text: &str) -> std::result::Result<f64, String> {
    let limit = text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0);
    limit.ok_or_else(|| "give a number above zero, as in 2".into())
}

impl MdDoubt {
    /// Whether anything of it is asked for.
    pub fn is_wanted(&self) -> bool {
        self.stop_at.is_some() || !self.dump_above.is_empty()
    }

    /// Where frames are to go.
    pub fn file(&self) -> Option<PathBuf> {
        self.dump_above.get(1).map(PathBuf::from)
    }

    /// Above which extrapolation they go there.
    pub fn dump_limit(&self) -> Outcome<Option<f64>> {
        let of = |text: &String| {
            let refuse = |problem| Failure::usage(format!("--dump-above {text}: {problem}"));
            limit(text).map_err(refuse)
        };
        self.dump_above.first().map(of).transpose()
    }
}

/// The atom of a run with the largest extrapolation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Farthest {
    extrapolation: f64,
    atom: usize,
    step: usize,
}

/// What is to be known to go on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DoubtState {
    farthest: Option<Farthest>,
    /// The step of the last frame that went to the file.
    dumped: Option<usize>,
    end: Option<End>,
}

/// Follows the extrapolation of a run.
pub struct Doubt {
    stop_at: Option<f64>,
    dump: Option<(f64, Trajectory)>,
    /// Steps between two frames in the file.
    every: usize,
    state: DoubtState,
}

impl Doubt {
    /// Anew, or from where it was.
    pub fn begin(flags: &MdDoubt, every: usize, state: Option<DoubtState>) -> Outcome<Option<Self>> {
        if !flags.is_wanted() {
            return Ok(None);
        }
        let state = state.unwrap_or_default();
        let dump = match (flags.dump_limit()?, flags.file()) {
            (Some(limit), Some(path)) => {
                let trajectory = match state.end.clone() {
                    Some(end) => Trajectory::go_on(&path, end),
                    None => Trajectory::begin(&path),
                };
                Some((limit, trajectory?))
            }
            _ => None,
        };
        Ok(Some(Doubt { stop_at: flags.stop_at, dump, every, state }))
    }

    pub fn state(&self) -> DoubtState {
        let end = self.dump.as_ref().map(|(_, trajectory)| trajectory.end().clone());
        DoubtState { end, ..self.state.clone() }
    }

    /// Looks at a step that was not looked at before, and keeps its frame if it is to be kept.
    ///
    /// # Errors
    /// If the run ends here.
    pub fn look(&mut self, step: usize, of_atoms: &[f64], snapshot: impl FnOnce() -> Structure) -> Result<()> {
        let Some((atom, &extrapolation)) = of_atoms.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)) else {
            return Ok(());
        };
        let here = Farthest { extrapolation, atom, step };
        if self.state.farthest.is_none_or(|farthest| extrapolation > farthest.extrapolation) {
            self.state.farthest = Some(here);
        }
        let ends = self.stop_at.filter(|&limit| extrapolation > limit);
        let is_due = ends.is_some() || self.state.dumped.is_none_or(|last| step >= last + self.every);
        if let Some((_, trajectory)) = self.dump.as_mut().filter(|(limit, _)| is_due && extrapolation > *limit) {
            trajectory.add(&snapshot())?;
            self.state.dumped = Some(step);
        }
        let Some(limit) = ends else { return Ok(()) };
        let problem = format!("at step {}: the extrapolation is {extrapolation:.3}, above {limit}", count(step));
        let remedy = "label such frames and train on them too, or give a larger --stop-at";
        Err(Error::structure(Some(atom), problem, remedy))
    }

    /// The largest, and what was kept.
    pub fn report(&self, structure: &Structure, out: &mut dyn Write) -> io::Result<()> {
        if let Some(Farthest { extrapolation, atom, step }) = self.state.farthest {
            let of = symbol(structure.species[atom]);
            let step = count(step);
            field(out, "extrapolation", format!("{extrapolation:.3} at most: atom {atom} ({of}) at step {step}"))?;
        }
        if let Some((limit, trajectory)) = &self.dump {
            field(out, "to be labelled", format!("{} above {limit}", plural(trajectory.end().frames, "frame")))?;
        }
        Ok(())
    }

    /// How many frames are in the file.
    pub fn n_dumped(&self) -> usize {
        self.dump.as_ref().map_or(0, |(_, trajectory)| trajectory.end().frames)
    }
}
