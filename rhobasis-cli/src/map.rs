//! `rhobasis map`: a page to click on. Its viewer comes with a Python package, where it is made.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::output;
use crate::python::Program;
use crate::text::is_quiet;

const PAGES: Program = Program {
    module: "rhobasis._map",
    package: "rhobasis",
    remedy: "the map is made by the Python package, as its viewer comes with one: pip install 'rhobasis[maps]', or name \
             another Python by RHOBASIS_PYTHON",
};

/// How the page begins.
const BEGINNING: &str = "<!DOCTYPE html>";

/// Draw a map of atoms, or of whole frames, to look at and click on: those that are alike lie together
///
/// The page shows the leading principal components of their features beside the structures, and opens from its file, without a
/// network. Points are coloured by what is chosen there: species, labels of DATA, and energies and forces of a potential. It is
/// made by the Python package: pip install 'rhobasis[maps]'.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Map {
    /// Files of structures, each with an optional slice: thousands of points are drawn with ease, not millions
    #[arg(required = true)]
    data: Vec<String>,
    /// Basis file, *.rho, whose features make the map
    #[arg(long, value_name = "FILE.rho", required_unless_present = "potential")]
    basis: Option<PathBuf>,
    /// Potential, *.rho, of which atoms have energies and forces; its features make the map if no basis is named
    #[arg(long, value_name = "FILE.rho")]
    potential: Option<PathBuf>,
    /// The page to write, *.html
    #[arg(short, long)]
    output: PathBuf,
    /// What the points are
    #[arg(long, value_enum, default_value_t = Of::Atoms)]
    of: Of,
    /// Features of the atoms, with --basis; frames have the mean over their atoms
    #[arg(long, value_enum, requires = "basis", default_value_t = Kind::PowerSpectrum)]
    kind: Kind,
    /// Divide the features of each atom by their norm, with --basis
    #[arg(long, requires = "basis")]
    normalize: bool,
    /// Title of the page; the name of the first file if not given
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Key of the energy of a frame, in eV [default: energy]
    #[arg(long, value_name = "KEY")]
    energy_key: Option<String>,
    /// Column of the forces, in eV/Å [default: forces]
    #[arg(long, value_name = "KEY")]
    force_key: Option<String>,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
enum Of {
    /// A point for each atom
    Atoms,
    /// A point for each frame
    Frames,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// One neighbour at a time
    RadialSpectrum,
    /// Two neighbours at a time
    PowerSpectrum,
    /// Three neighbours at a time
    Bispectrum,
}

const EXAMPLE: &str = "\
Example: which environments of silicon are alike
  rhobasis map silicon.xyz.xz@::8 --basis silicon.rho -o map.html
Example: where a potential sees high energies and large forces
  rhobasis map silicon.xyz.xz@::8 --potential potential.rho -o map.html
Example: a point for each molecule
  rhobasis map molecules.xyz.xz --basis molecules.rho --of frames --normalize -o molecules.html";

impl Map {
    pub fn files(&self) -> Files {
        let read = self.basis.iter().chain(&self.potential);
        Files::reading(read).and_data(&self.data).writing("--output", Holds::Beginning(BEGINNING), [&self.output])
    }

    pub fn run(&self) -> Outcome {
        output::check(&self.output, &["html"])?;
        if let Some(flag) = [("--energy-key", &self.energy_key), ("--force-key", &self.force_key)]
            .iter()
            .find_map(|(flag, key)| key.as_ref().filter(|key| key.is_empty()).map(|_| flag))
        {
            return Err(Failure::usage(format!("{flag}: name a key, or leave it out")));
        }
        PAGES.start(self.words(), &[("RAYON_NUM_THREADS", rayon::current_num_threads().to_string())])
    }

    fn words(&self) -> Vec<OsString> {
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map_or(String::new(), |value| value.get_name().to_string())
        };
        let mut words: Vec<OsString> = Vec::new();
        for (flag, path) in
            [("--basis", &self.basis), ("--potential", &self.potential), ("--output", &Some(self.output.clone()))]
        {
            words.extend(path.iter().flat_map(|path| [flag.into(), path.into()]));
        }
        words.extend(["--of".into(), name(self.of.to_possible_value()).into()]);
        words.extend(["--kind".into(), name(self.kind.to_possible_value()).into()]);
        let texts = [("--title", &self.title), ("--energy-key", &self.energy_key), ("--force-key", &self.force_key)];
        for (flag, text) in texts {
            words.extend(text.iter().map(|text| format!("{flag}={text}").into()));
        }
        words.extend(self.normalize.then(|| "--normalize".into()));
        words.extend(is_quiet().then(|| "--quiet".into()));
        words.push("--".into());
        words.extend(self.data.iter().map(Into::into));
        words
    }
}
