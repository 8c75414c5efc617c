//! `rhobasis md`: molecular dynamics with a potential.

mod checkpoint;
mod doubt;
mod frame;
mod start;
mod sums;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use rhobasis::files::{Digest, sha256};
use rhobasis::potential::{Barostat, Dynamics, DynamicsSettings, Thermostat};
use rhobasis::{Error, Result, Structure};

use self::checkpoint::{Checkpoint, Identity, KIND, MdCheckpoint, Resumed};
use self::doubt::{Doubt, MdDoubt};
use self::frame::{header, line, snapshot};
use self::start::Start;
use self::sums::Sums;
use crate::driver::Driver;
use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::progress::{Of, Progress};
use crate::text::{count, field, plural, tell};
use crate::trajectory::Trajectory;
use crate::{interrupt, output};

/// Temperature if none is given, in K.
const TEMPERATURE: f64 = 300.0;
/// Relaxation time of the thermostat if none is given, in fs.
const TAU: f64 = 100.0;

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
    /// Temperature of the start velocities and of the thermostat, in K [default: 300]. Without it, a frame that has 'velocities'
    /// (Å/fs) or 'momenta' (of ASE) starts with these
    #[arg(long, value_name = "K")]
    temperature: Option<f64>,
    /// What keeps the temperature
    #[arg(long, value_enum, default_value_t = Kind::None)]
    thermostat: Kind,
    /// Relaxation time of the thermostat, in fs [default: 100]
    #[arg(long, value_name = "FS")]
    tau: Option<f64>,
    /// What keeps the pressure; it takes a thermostat
    #[arg(long, value_enum, default_value_t = Press::None)]
    barostat: Press,
    /// Pressure that the barostat keeps, in GPa [default: 0]
    #[arg(long, value_name = "GPA", allow_negative_numbers = true)]
    pressure: Option<f64>,
    /// Relaxation time of the barostat, in fs [default: 1000]
    #[arg(long, value_name = "FS")]
    tau_p: Option<f64>,
    /// Compressibility with which that time is right, in 1/GPa [default: 0.01, a solid; 0.5 is a liquid]
    #[arg(long, value_name = "1/GPA")]
    compressibility: Option<f64>,
    /// Seed of start velocities, thermostat and barostat
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Repeat the cell along its lattice vectors before the start
    #[arg(long, value_name = "N,N,N", value_parser = repeats, default_value = "1,1,1", hide_default_value = true)]
    repeat: [usize; 3],
    /// Extended XYZ file for the trajectory: positions, 'velocities' in Å/fs, 'momenta' for ASE, forces, energies. Each frame is there
    /// as soon as it is written
    #[arg(short, long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    checkpoint: MdCheckpoint,
    #[command(flatten)]
    doubt: MdDoubt,
    /// Steps between two lines of the table, and two frames of the trajectory
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
}

const EXAMPLE: &str = "\
Example: does the potential conserve energy?
  rhobasis md silicon.rho silicon.xyz@0 --repeat 3,3,3 --steps 50000 --every 100
Example: a liquid at 2000 K; the same command goes on after an interruption, with more --steps also after the end
  rhobasis md silicon.rho silicon.xyz@0 --repeat 3,3,3 --temperature 2000 --thermostat csvr -o liquid.xyz --checkpoint liquid.md
Example: on from the last frame of a trajectory, with its velocities
  rhobasis md silicon.rho liquid.xyz@-1 --steps 10000
Example: how large is the crystal at 300 K and 1 GPa?
  rhobasis md silicon.rho silicon.xyz@0 --repeat 3,3,3 --temperature 300 --thermostat csvr --barostat scr --pressure 1
Example: heat it until the potential does not know what it sees, and keep what it should be trained on next
  rhobasis md silicon.rho silicon.xyz@0 --repeat 3,3,3 --temperature 3000 --thermostat csvr --stop-at 2 --dump-above 1.2 new.xyz";

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Nothing: constant energy
    None,
    /// Canonical sampling through velocity rescaling (Bussi, Donadio, Parrinello 2007)
    Csvr,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
enum Press {
    /// Nothing: constant cell
    None,
    /// Stochastic cell rescaling, isotropic (Bernetti, Bussi 2020)
    Scr,
}

fn repeats(text: &str) -> std::result::Result<[usize; 3], String> {
    let numbers: Vec<usize> = text.split(',').map_while(|n| n.parse().ok()).filter(|&n| n > 0).collect();
    let three = numbers.try_into().ok().filter(|_| text.split(',').count() == 3);
    three.ok_or_else(|| "give three whole numbers above zero, as in 2,2,2".into())
}

impl Md {
    pub fn files(&self) -> Files {
        let files = Files::reading([&self.model]).and_data([&self.data]);
        let files = files.writing("--output", Holds::Frames, &self.output);
        let files = files.writing("--dump-above", Holds::Frames, &self.doubt.file());
        files.going_on("--checkpoint", Holds::Archive(KIND), &self.checkpoint.checkpoint)
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        let settings = self.settings()?;
        self.doubt.dump_limit()?;
        let dumped = self.doubt.file();
        for path in self.output.iter().chain(&self.checkpoint.checkpoint).chain(&dumped) {
            output::check_place(path)?;
        }
        let mut driver = Driver::load(&self.model)?;
        if self.doubt.is_wanted() {
            driver = driver.with_extrapolation().map_err(|e| e.in_file(&self.model))?;
        }
        let start = Start::read(&self.data, self.repeat)?;
        let mut checkpoint = Checkpoint::of(&self.checkpoint, self.identity(&settings, &start)?);
        let resumed = checkpoint.as_ref().map(|c| c.resume(&start.structure, &driver)).transpose()?.flatten();
        let mut run = self.begin(&settings, &start, &driver, resumed, checkpoint.as_ref())?;
        field(out, "start", format!("{}, {} atoms", start.place(), count(run.dynamics.structure().len())))?;
        field(out, "velocities", &run.velocities)?;
        field(out, "dynamics", self.describe(&settings))?;
        writeln!(out)?;
        writeln!(out, "{}", header(settings.barostat.is_some(), run.doubt.is_some()))?;
        let _hold = interrupt::hold();
        let done = self.simulate(&mut run, &driver, checkpoint.as_mut(), out);
        let frames = run.trajectory.as_ref().map_or(0, |trajectory| trajectory.end().frames);
        let n_dumped = run.doubt.as_ref().map_or(0, Doubt::n_dumped);
        if done.is_err() {
            for (n, path) in [(frames, &self.output), (n_dumped, &dumped)] {
                if let Some(path) = path.as_ref().filter(|_| n > 0) {
                    let verb = if n == 1 { "is" } else { "are" };
                    tell(format!("note: {} of this run {verb} in {}", plural(n, "frame"), path.display()));
                }
            }
        }
        let Simulated { seconds, steps, interrupted } = done?;
        let state = run.dynamics.state();
        writeln!(out)?;
        run.sums.report(&state, settings.barostat.is_some(), out)?;
        if let Some(doubt) = &run.doubt {
            doubt.report(run.dynamics.structure(), out)?;
        }
        if steps > 0 {
            let per_second = steps as f64 / seconds.max(1e-9);
            let per_atom = 1e6 / (per_second * run.dynamics.structure().len() as f64);
            field(out, "speed", format!("{per_second:.1} steps per second, {per_atom:.1} µs per atom and step"))?;
        }
        for path in self.output.iter().chain(dumped.iter().filter(|_| n_dumped > 0)).chain(&self.checkpoint.checkpoint)
        {
            writeln!(out, "wrote {}", path.display())?;
        }
        match interrupted {
            true => Err(Failure::Interrupted(self.kept(state.step, frames))),
            false => Ok(()),
        }
    }

    /// Thermostat and barostat, or what does not fit together.
    fn settings(&self) -> Outcome<DynamicsSettings> {
        if self.tau.is_some() && self.thermostat == Kind::None {
            return Err(Failure::usage(
                "--tau: there is no thermostat to relax; use --thermostat csvr, or leave it out",
            ));
        }
        let temperature = self.temperature.unwrap_or(TEMPERATURE);
        let thermostat = match self.thermostat {
            Kind::None => Thermostat::None,
            Kind::Csvr => Thermostat::Rescaling { temperature, tau: self.tau.unwrap_or(TAU) },
        };
        let given =
            [("--pressure", self.pressure), ("--tau-p", self.tau_p), ("--compressibility", self.compressibility)];
        let barostat = match self.barostat {
            Press::None => {
                if let Some((flag, _)) = given.iter().find(|(_, value)| value.is_some()) {
                    let problem = format!("{flag}: there is no barostat; use --barostat scr, or leave it out");
                    return Err(Failure::usage(problem));
                }
                None
            }
            Press::Scr if self.thermostat == Kind::None => {
                return Err(Failure::usage("--barostat: a pressure is kept at a temperature; add --thermostat csvr"));
            }
            Press::Scr => Some(Barostat {
                pressure: self.pressure.unwrap_or(0.0),
                tau: self.tau_p.unwrap_or(Barostat::TAU),
                compressibility: self.compressibility.unwrap_or(Barostat::COMPRESSIBILITY),
            }),
        };
        let settings = DynamicsSettings { dt: self.dt, thermostat, barostat, seed: self.seed };
        settings.validate()?;
        Ok(settings)
    }

    /// What all steps depend on.
    fn identity(&self, settings: &DynamicsSettings, start: &Start) -> Result<Identity> {
        let mut identity = Identity::new();
        if self.checkpoint.checkpoint.is_none() {
            return Ok(identity);
        }
        let mut digest = Digest::default();
        digest.structure(&start.structure);
        digest.numbers(start.velocities.iter().flat_map(|(v, _)| v.as_flattened()));
        identity.insert("model".into(), sha256(&self.model)?.into());
        identity.insert("start".into(), digest.hex().into());
        identity.insert("temperature".into(), serde_json::json!(self.temperature));
        if let serde_json::Value::Object(settings) = serde_json::json!(settings) {
            identity.extend(settings);
        }
        identity.insert("rhobasis".into(), env!("CARGO_PKG_VERSION").into());
        Ok(identity)
    }

    /// Atoms in motion, anew or from where they were.
    fn begin<'a>(
        &self,
        settings: &DynamicsSettings,
        start: &Start,
        driver: &'a Driver,
        resumed: Option<Resumed>,
        checkpoint: Option<&Checkpoint>,
    ) -> Outcome<Running<'a>> {
        let evaluate = |structure: &Structure| driver.evaluate(structure);
        let located = |e: Error| e.at_frame(start.frame).in_file(&start.file);
        let structure = start.structure.clone();
        let doubt = |state| Doubt::begin(&self.doubt, self.every as usize, state);
        if let (Some(Resumed { archive, sums, trajectory, doubt: state }), Some(checkpoint)) = (resumed, checkpoint) {
            let dynamics = Dynamics::resumed(structure, settings, &archive, checkpoint.path(), evaluate)?;
            if self.doubt.is_wanted() {
                driver.evaluate(dynamics.structure())?; // of which the checkpoint holds the forces only
            }
            let go_on = |path: &PathBuf| match &trajectory {
                Some(end) => Trajectory::go_on(path, end.clone()),
                None => Trajectory::begin(path),
            };
            let trajectory = self.output.as_ref().map(go_on).transpose()?;
            let (step, path) = (dynamics.state().step, checkpoint.path().display());
            tell(format!("going on from {path}, after step {}", count(step)));
            let velocities = format!("those of {path} after step {}", count(step));
            return Ok(Running { dynamics, sums, trajectory, doubt: doubt(state)?, velocities, resumed: true });
        }
        let trajectory = self.output.as_ref().map(|path| Trajectory::begin(path)).transpose()?;
        let mut dynamics = Dynamics::new(structure, settings, evaluate).map_err(located)?;
        let velocities = start.set_in_motion(&mut dynamics, self.temperature, TEMPERATURE).map_err(located)?;
        let (sums, doubt) = (Sums::default(), doubt(None)?);
        Ok(Running { dynamics, sums, trajectory, doubt, velocities, resumed: false })
    }

    /// All steps, with a line and a frame now and then.
    fn simulate(
        &self,
        run: &mut Running,
        driver: &Driver,
        mut checkpoint: Option<&mut Checkpoint>,
        out: &mut dyn Write,
    ) -> Outcome<Simulated> {
        let Running { dynamics, sums, trajectory, doubt, resumed, .. } = run;
        let n_atoms = dynamics.structure().len();
        let first = dynamics.state().step;
        let with_cell = dynamics.settings().barostat.is_some();
        let bar = Progress::new(self.steps.saturating_sub(first) as u64, "dynamics", Of::Steps);
        let begun = Instant::now();
        if let Some(checkpoint) = checkpoint.as_deref_mut().filter(|_| !*resumed) {
            // From now on the same command goes on, whatever happens.
            checkpoint.write(dynamics, driver, sums, trajectory.as_ref(), doubt.as_ref())?;
        }
        let show = |dynamics: &Dynamics, out: &mut dyn Write| {
            let volume = with_cell.then(|| dynamics.structure().volume());
            bar.suspend(|| {
                writeln!(out, "{}", line(&dynamics.state(), volume, &driver.extrapolation()))?;
                out.flush()
            })
        };
        let mut is_done = *resumed && first > 0;
        let interrupted = loop {
            let state = dynamics.state();
            driver.warn(|| format!("step {}", count(state.step)));
            let ends = state.step >= self.steps;
            let interrupted = !ends && interrupt::pending();
            let is_shown = state.step.is_multiple_of(self.every as usize);
            if !is_done {
                sums.add(&state, n_atoms, dynamics.structure().volume());
                if let Some(trajectory) = trajectory.as_mut().filter(|_| is_shown) {
                    trajectory.add(&snapshot(dynamics, &state, &driver.extrapolation()))?;
                }
                let of_atoms = driver.extrapolation();
                let look =
                    |doubt: &mut Doubt| doubt.look(state.step, &of_atoms, || snapshot(dynamics, &state, &of_atoms));
                if let Some(Err(e)) = doubt.as_mut().map(look) {
                    // As for all that ends a run: what shows why, unless it is there already.
                    if let Some(trajectory) = trajectory.as_mut().filter(|_| !is_shown) {
                        trajectory.add(&snapshot(dynamics, &state, &of_atoms))?;
                    }
                    show(dynamics, out)?;
                    bar.finish_and_clear();
                    return Err(e.in_file(&self.data).into());
                }
            }
            if is_shown || interrupted || ends {
                show(dynamics, out)?;
            }
            is_done = false;
            if let Some(checkpoint) = checkpoint.as_deref_mut().filter(|c| ends || interrupted || c.is_due()) {
                checkpoint.write(dynamics, driver, sums, trajectory.as_ref(), doubt.as_ref())?;
            }
            if interrupted || ends {
                break interrupted;
            }
            let step = state.step;
            if let Err(e) = dynamics.step() {
                let state = dynamics.state();
                driver.warn(|| format!("step {}", count(step + 1)));
                // What shows why, unless it is there already.
                if state.step > step || !is_shown {
                    if let Some(trajectory) = trajectory.as_mut() {
                        trajectory.add(&snapshot(dynamics, &state, &driver.extrapolation()))?;
                    }
                    show(dynamics, out)?;
                }
                bar.finish_and_clear();
                return Err(e.in_file(&self.data).into());
            }
            bar.inc(1);
        };
        bar.finish_and_clear();
        let steps = dynamics.state().step - first;
        Ok(Simulated { seconds: begun.elapsed().as_secs_f64(), steps, interrupted })
    }

    /// What an interrupted run leaves.
    fn kept(&self, steps: usize, frames: usize) -> String {
        let trajectory =
            self.output.as_ref().map(|path| format!("; {} are in {}", plural(frames, "frame"), path.display()));
        let next = match &self.checkpoint.checkpoint {
            Some(path) => format!("; the same command goes on from {}", path.display()),
            None => "; with --checkpoint FILE, the same command would go on".into(),
        };
        format!("after step {} of {}{}{next}", count(steps), count(self.steps), trajectory.unwrap_or_default())
    }

    fn describe(&self, settings: &DynamicsSettings) -> String {
        let thermostat = match settings.thermostat {
            Thermostat::None => "constant energy".to_string(),
            Thermostat::Rescaling { temperature, tau } => {
                format!("velocity rescaling to {temperature} K within {tau} fs")
            }
        };
        let barostat = settings.barostat.map_or(String::new(), |Barostat { pressure, tau, .. }| {
            format!(", cell rescaling to {pressure} GPa within {tau} fs")
        });
        let steps = count(self.steps);
        format!("{steps} steps of {} fs, {thermostat}{barostat}, seed {}", self.dt, self.seed)
    }
}

/// A run between two steps.
struct Running<'a> {
    dynamics: Dynamics<'a>,
    sums: Sums,
    trajectory: Option<Trajectory>,
    doubt: Option<Doubt>,
    /// Where the velocities come from.
    velocities: String,
    /// Whether it goes on from a checkpoint.
    resumed: bool,
}

/// What a run was.
struct Simulated {
    seconds: f64,
    /// Steps of this run.
    steps: usize,
    /// Whether the user wanted no more.
    interrupted: bool,
}
