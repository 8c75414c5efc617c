//! `rhobasis md`: molecular dynamics with a potential.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use rhobasis::extxyz::Reader;
use rhobasis::neighbors::VerletList;
use rhobasis::potential::{Drift, Dynamics, DynamicsSettings, DynamicsState, Potential, Thermostat};
use rhobasis::structure::{Column, ColumnData, Value};
use rhobasis::{Error, Result, Structure};

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::{Keys, frames_bar, load};
use crate::text::{count, field, plural};
use crate::trajectory::Trajectory;
use crate::{interrupt, output};

/// Distance by which the neighbour list reaches beyond the cutoff, in Å: it is made anew when an atom has moved by half of it.
const SKIN: f64 = 0.5;

/// Move atoms by a potential: velocity Verlet at constant energy, or with a thermostat
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Md {
    /// File of a potential, *.rho, as 'rhobasis train' writes it
    model: PathBuf,
    /// Extended XYZ file; its first frame is the start, or that of a slice: data.xyz@17
    data: String,
    /// Number of steps
    #[arg(long, value_name = "N", default_value_t = 1000)]
    steps: usize,
    /// Time step, in fs
    #[arg(long, value_name = "FS", default_value_t = 1.0)]
    dt: f64,
    /// Temperature of the start velocities and of the thermostat, in K
    #[arg(long, value_name = "K", default_value_t = 300.0)]
    temperature: f64,
    /// What keeps the temperature
    #[arg(long, value_enum, default_value_t = Kind::None)]
    thermostat: Kind,
    /// Relaxation time of the thermostat, in fs [default: 100]
    #[arg(long, value_name = "FS")]
    tau: Option<f64>,
    /// Seed of start velocities and thermostat
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Repeat the cell along its lattice vectors before the start
    #[arg(long, value_name = "N,N,N", value_parser = repeats, default_value = "1,1,1", hide_default_value = true)]
    repeat: [usize; 3],
    /// Extended XYZ file for the trajectory: positions, velocities in Å/fs, forces, energies. Until it is complete, NAME.xyz
    /// is called NAME.unfinished-PROCESS-COUNT.xyz, and that stays if the run is killed or fails
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Steps between two lines of the table, and two frames of the trajectory
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
}

const EXAMPLE: &str = "\
Example: does the potential conserve energy?
  rhobasis md silicon.rho silicon.xyz@0 --repeat 3,3,3 --steps 50000 --every 100
Example: a liquid at 2000 K
  rhobasis md silicon.rho silicon.xyz@0 --repeat 3,3,3 --temperature 2000 --thermostat csvr --tau 100 -o liquid.xyz";

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Nothing: constant energy
    None,
    /// Canonical sampling through velocity rescaling (Bussi, Donadio, Parrinello 2007)
    Csvr,
}

fn repeats(text: &str) -> std::result::Result<[usize; 3], String> {
    let numbers: Vec<usize> = text.split(',').map_while(|n| n.parse().ok()).filter(|&n| n > 0).collect();
    let three = numbers.try_into().ok().filter(|_| text.split(',').count() == 3);
    three.ok_or_else(|| "give three whole numbers above zero, as in 2,2,2".into())
}

impl Md {
    pub fn files(&self) -> Files {
        Files::reading([&self.model]).and_data([&self.data]).writing("--output", Holds::Frames, &self.output)
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        self.output.as_deref().map_or(Ok(()), output::check_place)?;
        if self.tau.is_some() && self.thermostat == Kind::None {
            return Err(Failure::usage(
                "--tau: there is no thermostat to relax; use --thermostat csvr, or leave it out",
            ));
        }
        let thermostat = match self.thermostat {
            Kind::None => Thermostat::None,
            Kind::Csvr => Thermostat::Rescaling { temperature: self.temperature, tau: self.tau.unwrap_or(100.0) },
        };
        let settings = DynamicsSettings { dt: self.dt, thermostat, seed: self.seed };
        settings.validate()?;
        let potential: Potential = load(&self.model)?;
        let (structure, place) = self.start()?;
        let mut list = VerletList::new(potential.r_cut(), SKIN)?;
        let evaluate = |structure: &Structure| {
            let prediction = potential.evaluate(structure, &mut list)?;
            Ok((prediction.energy, prediction.forces))
        };
        let named = |e: Error| e.in_file(&self.data);
        let mut dynamics = Dynamics::new(structure, &settings, evaluate).map_err(named)?;
        dynamics.thermalize(self.temperature)?;
        let n_atoms = dynamics.structure().len();
        field(out, "start", format!("{place}, {} atoms", count(n_atoms)))?;
        field(out, "dynamics", self.describe())?;
        writeln!(out)?;
        writeln!(out, "{HEADER}")?;
        let mut trajectory = self.output.as_deref().map(Trajectory::begin).transpose()?;
        let _hold = interrupt::hold();
        let done = self.simulate(&mut dynamics, trajectory.as_mut(), out);
        let frames = trajectory.as_ref().map_or(0, |trajectory| trajectory.frames);
        match (&done, trajectory) {
            (Ok(_), Some(trajectory)) => trajectory.finish()?,
            (Err(_), Some(trajectory)) => trajectory.keep(),
            (_, None) => {}
        }
        let Simulated { drift, heat, seconds, interrupted } = done?;
        let steps = dynamics.state().step;
        writeln!(out)?;
        field(out, "temperature", format!("{:.1} K on average", heat.mean()))?;
        if steps > 1 {
            field(
                out,
                "drift",
                format!(
                    "{:.3e} eV/atom/ns ± {:.1e}, the slope of a line through the conserved energy per atom over {} fs",
                    drift.slope(),
                    drift.slope_error(),
                    dynamics.state().time
                ),
            )?;
            field(
                out,
                "fluctuation",
                format!("{:.3e} eV/atom about that line (standard deviation)", drift.fluctuation()),
            )?;
        }
        if steps > 0 {
            let per_second = steps as f64 / seconds.max(1e-9);
            let per_atom = 1e6 / (per_second * n_atoms as f64);
            field(out, "speed", format!("{per_second:.1} steps per second, {per_atom:.1} µs per atom and step"))?;
        }
        if let Some(path) = &self.output {
            writeln!(out, "wrote {}", path.display())?;
        }
        match interrupted {
            true => Err(Failure::Interrupted(self.kept(steps, frames))),
            false => Ok(()),
        }
    }

    /// All steps, with a line and a frame now and then.
    fn simulate<F>(
        &self,
        dynamics: &mut Dynamics<F>,
        mut trajectory: Option<&mut Trajectory>,
        out: &mut dyn Write,
    ) -> Outcome<Simulated>
    where
        F: FnMut(&Structure) -> Result<(f64, Vec<[f64; 3]>)>,
    {
        let n_atoms = dynamics.structure().len();
        let (mut drift, mut heat) = (Drift::default(), Drift::default());
        let (bar, start) = (frames_bar(self.steps, "steps"), Instant::now());
        let interrupted = loop {
            let state = dynamics.state();
            drift.add(state.time * 1e-6, state.conserved / n_atoms as f64);
            heat.add(state.time, state.temperature);
            let shown = state.step.is_multiple_of(self.every as usize);
            let interrupted = state.step < self.steps && interrupt::pending();
            if let Some(trajectory) = trajectory.as_deref_mut().filter(|_| shown) {
                trajectory.add(&snapshot(dynamics, &state))?;
            }
            if shown || interrupted || state.step == self.steps {
                bar.suspend(|| writeln!(out, "{}", line(&state)).and_then(|()| out.flush()))?;
            }
            if interrupted || state.step == self.steps {
                break interrupted;
            }
            dynamics.step().map_err(|e| e.in_file(&self.data))?;
            bar.inc(1);
        };
        bar.finish_and_clear();
        Ok(Simulated { drift, heat, seconds: start.elapsed().as_secs_f64(), interrupted })
    }

    /// What an interrupted run leaves.
    fn kept(&self, steps: usize, frames: usize) -> String {
        let trajectory =
            self.output.as_ref().map(|path| format!("; {} are in {}", plural(frames, "frame"), path.display()));
        format!("after step {} of {}{}", count(steps), count(self.steps), trajectory.unwrap_or_default())
    }

    /// The first frame, repeated, and where it is from.
    fn start(&self) -> Result<(Structure, String)> {
        let mut reader = Reader::open(&self.data, &Keys::none())?;
        let Some(structure) = reader.next().transpose()? else {
            return Err(Error::file(&self.data, "no frame is selected", "change the slice after the '@'"));
        };
        let frame = reader.frame_index().unwrap_or(0);
        let path = reader.path().map_or(self.data.clone(), |path| path.display().to_string());
        Ok((
            structure.repeated(self.repeat).map_err(|e| e.at_frame(frame).in_file(&path))?,
            format!("{path}, frame {frame}"),
        ))
    }

    fn describe(&self) -> String {
        let kept = match self.thermostat {
            Kind::None => "constant energy".to_string(),
            Kind::Csvr => {
                format!("velocity rescaling to {} K within {} fs", self.temperature, self.tau.unwrap_or(100.0))
            }
        };
        let steps = count(self.steps);
        format!("{steps} steps of {} fs from {} K, {kept}, seed {}", self.dt, self.temperature, self.seed)
    }
}

/// What a run showed.
struct Simulated {
    /// Of the conserved energy per atom, over ns.
    drift: Drift,
    /// Of the temperature.
    heat: Drift,
    seconds: f64,
    /// Whether the user wanted no more.
    interrupted: bool,
}

const HEADER: &str = "   time fs     potential eV       kinetic eV  temperature K     conserved eV";

fn line(state: &DynamicsState) -> String {
    let DynamicsState { time, potential, kinetic, temperature, conserved, .. } = state;
    format!("{time:>10.2}  {potential:>15.6}  {kinetic:>15.6}  {temperature:>13.2}  {conserved:>15.6}")
}

/// A frame of the trajectory.
fn snapshot<F>(dynamics: &Dynamics<F>, state: &DynamicsState) -> Structure
where
    F: FnMut(&Structure) -> Result<(f64, Vec<[f64; 3]>)>,
{
    let mut frame = dynamics.structure().clone();
    let column =
        |name: &str, rows: &[[f64; 3]]| Column { name: name.into(), width: 3, data: ColumnData::Reals(rows.concat()) };
    frame.columns = vec![column("velocities", dynamics.velocities()), column("forces", dynamics.forces())];
    let numbers = [
        ("time_fs", state.time),
        ("energy", state.potential),
        ("kinetic_energy", state.kinetic),
        ("temperature", state.temperature),
        ("conserved_energy", state.conserved),
    ];
    frame.info = numbers.map(|(key, x)| (key.to_string(), Value::Real(x))).to_vec();
    frame
}
