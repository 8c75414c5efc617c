//! `rhobasis lammps`: a potential in LAMMPS. The plugin is a package of its own, under LAMMPS' licence, and only started from here.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rhobasis::potential::Potential;
use rhobasis::structure::{mass, symbol};

use crate::failure::Outcome;
use crate::files::Files;
use crate::input::load;
use crate::python::Program;

const PLUGIN: Program = Program {
    module: "rhobasis_lammps",
    package: "rhobasis-lammps",
    remedy: "pip install rhobasis-lammps, see docs/how-to/lammps.md, or name another Python by RHOBASIS_PYTHON",
};

/// Use a potential in LAMMPS: print the lines of its input, start it with the plugin, or build the plugin
///
/// All but the printing needs the Python package rhobasis-lammps, which brings a LAMMPS with it.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true, after_help = EXAMPLE)]
pub struct Lammps {
    #[command(subcommand)]
    action: Option<Action>,
    /// File of a potential, *.rho: prints the lines that LAMMPS' input needs
    #[arg(required_unless_present = "build", conflicts_with = "build")]
    potential: Option<PathBuf>,
    /// Build the plugin, for the LAMMPS of this Python unless headers are named; needs a C++ compiler
    #[arg(long)]
    build: bool,
    /// Folder of LAMMPS' headers, 'src' of its sources [default: those of the Python package lammps]
    #[arg(long, value_name = "DIR", requires = "build", conflicts_with = "potential")]
    lammps_headers: Option<PathBuf>,
    /// Executable of LAMMPS, which is asked for its version where the headers do not say it
    #[arg(long, value_name = "FILE", requires = "lammps_headers", conflicts_with = "potential")]
    lmp: Option<PathBuf>,
    /// Folder to put the plugin into [default: the one that 'rhobasis lammps run' takes it from]
    #[arg(short, long, value_name = "DIR", requires = "build", conflicts_with = "potential")]
    output: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    Run(Run),
}

/// Start LAMMPS with the plugin
#[derive(Args)]
struct Run {
    /// Input of LAMMPS
    input: PathBuf,
    /// Number of processes
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    ranks: u32,
    /// Executable of LAMMPS [default: that of this Python, or lmp on the PATH]
    #[arg(long, value_name = "FILE")]
    lmp: Option<PathBuf>,
    /// What else LAMMPS is told, after --
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

const EXAMPLE: &str = "\
Example:
  rhobasis lammps silicon.rho
  rhobasis lammps run in.silicon -n 4
  rhobasis lammps run in.silicon -- -log none
Example: for a LAMMPS of your own, built with PKG_PLUGIN
  rhobasis lammps --build --lammps-headers ~/lammps/src -o ~/plugins
The Python is the one that this command was installed into, or RHOBASIS_PYTHON, or python3.";

impl Lammps {
    pub fn files(&self) -> Files {
        Files::reading(&self.potential).and_read(self.action.iter().map(|Action::Run(run)| &run.input))
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        match (&self.action, &self.potential) {
            (Some(Action::Run(run)), _) => PLUGIN.start(run.words(), &[]),
            (None, Some(path)) => print_input(path, out),
            (None, None) => PLUGIN.start(self.words(), &[]),
        }
    }

    fn words(&self) -> Vec<OsString> {
        let mut words = vec!["build".into()];
        for (flag, path) in
            [("--lammps-headers", &self.lammps_headers), ("--lmp", &self.lmp), ("--output", &self.output)]
        {
            words.extend(path.iter().flat_map(|path| [flag.into(), path.into()]));
        }
        words
    }
}

impl Run {
    fn words(&self) -> Vec<OsString> {
        let mut words = vec!["run".into(), "--ranks".into(), self.ranks.to_string().into()];
        words.extend(self.lmp.iter().flat_map(|path| ["--lmp".into(), path.into()]));
        words.extend([self.input.clone().into(), "--".into()]);
        words.extend(self.arguments.iter().cloned());
        words
    }
}

/// What LAMMPS' input says of a potential.
fn print_input(path: &Path, out: &mut dyn Write) -> Outcome {
    let potential: Potential = load(path)?;
    let name = path.display().to_string();
    let name = if name.contains(char::is_whitespace) { format!("\"{name}\"") } else { name };
    let elements: Vec<&str> = potential.species().iter().map(|&z| symbol(z)).collect();
    writeln!(out, "# before there are atoms")?;
    writeln!(out, "units           metal")?;
    writeln!(out, "newton          on")?;
    writeln!(out, "# afterwards: one element for each atom type, in their order; r_cut is {} Å", potential.r_cut())?;
    writeln!(out, "pair_style      rhobasis")?;
    writeln!(out, "pair_coeff      * * {name} {}", elements.join(" "))?;
    for (k, (&z, element)) in potential.species().iter().zip(&elements).enumerate() {
        let mass = mass(z).map_or("# give the mass of".to_string(), |mass| mass.to_string());
        writeln!(out, "mass            {} {mass}  # {element}", k + 1)?;
    }
    Ok(())
}
