//! `rhobasis features`: numbers that describe the atoms of a data set, as NumPy arrays.

pub mod columns;
mod descriptor;
mod frames;
mod products;
mod stream;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use rhobasis::correlations::{FeatureKind, Invariants, Member, Nice, PerStructure, Reduction};
use rhobasis::extxyz::{Dataset, Options};
use rhobasis::files::{is_stream, sha256};
use rhobasis::optimal::OptimalBasis;
use rhobasis::settings::{Given, Named, Setting, Word};
use rhobasis::structure::{atomic_number, isotope_remedy, symbol};
use rhobasis::{Error, Result};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::load;
use crate::made_by;
use crate::matrix::{Layout, Matrices, RowLabels, first_chunk, meta_path};
use crate::npy::{self, Array, Reals, Spool};
use crate::output;
use crate::settings::{Flags, Group};
use crate::text::{count, plural};
use descriptor::{Described, Descriptor};
use frames::OfFrames;
use products::{Choice, NiceArgs};
use stream::for_each_block;

/// Compute features of all atoms of a data set and write them as NumPy arrays
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Features {
    /// Extended XYZ files, plain or packed, each with an optional slice: data.xyz@:1000
    #[arg(required_unless_present = "sample")]
    data: Vec<String>,
    /// Basis file, *.rho
    #[arg(long, value_name = "FILE.rho")]
    basis: PathBuf,
    #[command(flatten)]
    what: Flags<What>,
    /// Divide the features of each atom by their norm
    #[arg(long, requires = "output")]
    normalize: bool,
    /// Compute only these components of the power spectrum, in this order: the array 'columns' of a file that 'rhobasis
    /// select' made, or a *.npy with rows l, α, β
    #[arg(long, value_name = "FILE.npz")]
    columns: Option<PathBuf>,
    /// Make the features of so many channels of each species and l of the basis, the leading ones; of all by default
    #[arg(long, value_name = "N")]
    use_q_max: Option<usize>,
    /// Make the features of l up to this one; of all that the basis has by default
    #[arg(long, value_name = "N")]
    use_l_max: Option<usize>,
    /// One row for each frame instead of each atom: the sum or the mean of the features of its atoms
    #[arg(long, value_name = "HOW", requires = "output", value_parser = reductions())]
    reduce: Option<String>,
    /// With --reduce: sum atoms of each species apart, in a block of columns for each species of the basis, in ascending
    /// order; a mean is over all atoms of the frame, so that the blocks add up to the row without them
    #[arg(long, requires = "reduce")]
    by_species: bool,
    /// Features of the atoms of these species alone, as in Si,C; the others stay their neighbours. Sums and means of --reduce are
    /// over these atoms
    #[arg(long, value_name = "SPECIES", value_delimiter = ',', requires = "output")]
    centers: Option<Vec<String>>,
    /// Leave out neighbours of species that the basis does not know, as if they were not there, instead of refusing them; as
    /// centres they are refused still, so that --centers is mostly needed too
    #[arg(long, requires = "output")]
    ignore_unknown_species: bool,
    /// Round the features to single precision at the end: files of half the size
    #[arg(long, requires = "output")]
    float32: bool,
    /// Key of the energies, in eV, that are written beside the features as the array 'energy', one for each frame, if there are
    /// any; "" leaves them out [default: energy]
    #[arg(long, value_name = "KEY", requires = "output")]
    energy_key: Option<String>,
    #[command(flatten)]
    nice: NiceArgs,
    /// *.npz: an array X with axes [center, column] (or [frame, column]), and what its rows and columns are; of the density, arrays l0, l1, …
    /// with axes [center, m, channel]. *.npy: one matrix [center, column] that can be memory-mapped (of the density, its
    /// columns are (l, m, channel)), and *.meta.npz beside it
    #[arg(short, long, required_unless_present_any = ["save_nice", "save_sample"])]
    output: Option<PathBuf>,
    /// Write a matrix X.npy as X-00000.npy, X-00001.npy, … of N rows each, every one complete once it is there, with its
    /// X-00000.meta.npz; the same command goes on after those that are
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "output")]
    chunk_rows: Option<u32>,
}

static KIND: Setting = Setting::word("kind", &KINDS, DENSITY, "What to compute");
/// The density, and every kind of invariants.
const KINDS: [Word; 1 + FeatureKind::WORDS.len()] = {
    let density = Word { name: DENSITY, sentence: "Coefficients of the density, Eqs. (8), (13)" };
    let mut kinds = [density; 1 + FeatureKind::WORDS.len()];
    let mut k = 0;
    while k < FeatureKind::WORDS.len() {
        kinds[k + 1] = FeatureKind::WORDS[k];
        k += 1;
    }
    kinds
};
const DENSITY: &str = "density";

/// The ways to one row for each frame.
fn reductions() -> PossibleValuesParser {
    PossibleValuesParser::new(Reduction::WORDS.iter().map(|word| PossibleValue::new(word.name).help(word.sentence)))
}

/// What is computed: invariants of a kind, or the density itself.
#[derive(Debug)]
struct What;

impl Group for What {
    fn settings() -> Vec<&'static Setting> {
        vec![&KIND]
    }
}

const EXAMPLE: &str = "\
Example:
  rhobasis features silicon.xyz.xz --basis silicon.rho --kind power-spectrum -o silicon.npz
  python -c \"import numpy; print(numpy.load('silicon.npz')['X'].shape)\"
Example: one row for each frame, for a model of a property of whole frames
  rhobasis features qm9.xyz.xz --basis qm9.rho --kind power-spectrum --reduce mean --by-species -o frames.npy
Example: the environments of silicon in silicon carbide, of half the size on disk
  rhobasis features sic.xyz --basis sic.rho --kind power-spectrum --centers Si --float32 -o silicon.npz
Example: products of four neighbours at a time, chosen by a large set in a run that may be killed at any time
  rhobasis features qm9.xyz.xz --basis qm9.rho --kind nice --nu-max 4 --save-nice qm9.nice --checkpoint qm9.ckpt
  rhobasis features some.xyz --basis qm9.rho --kind nice --nice qm9.nice -o some.npz";

impl Features {
    pub fn files(&self) -> Files {
        let read = [Some(&self.basis), self.columns.as_ref()];
        let files = self.nice.among(Files::reading(read.into_iter().flatten()).and_data(&self.data));
        let Some(output) = &self.output else { return files };
        let holds = Holds::arrays(output);
        let files = match self.chunk_rows {
            Some(_) => files.going_on("--output", holds, [&first_chunk(output)]), // which is read before it is gone on with
            None => files.writing("--output", holds, [output]),
        };
        match holds {
            Holds::Npy => files.writing("--output", Holds::Npz, [&meta_path(output)]),
            _ => files,
        }
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        self.check()?;
        let basis: OptimalBasis = load(&self.basis)?;
        let nice = match self.kind()? {
            Some(FeatureKind::Nice) => self.nice.choose(&self.choice(&basis), out)?,
            _ => None,
        };
        if let Some(output) = &self.output {
            self.write(output, &basis, nice, out)?;
        }
        Ok(self.nice.remove_checkpoint()?)
    }

    /// What products of NICE are chosen by, and for.
    fn choice<'a>(&'a self, basis: &'a OptimalBasis) -> Choice<'a> {
        let part = [self.use_q_max, self.use_l_max];
        Choice { data: &self.data, basis, part, are_used: self.output.is_some() }
    }

    /// Computes and writes the features.
    fn write(&self, output: &Path, basis: &OptimalBasis, nice: Option<Arc<Nice>>, out: &mut dyn Write) -> Outcome {
        let what = self.described(basis, nice.clone())?;
        let descriptor = Descriptor { what, centers: self.centers(basis)? };
        let input = Dataset::open(&self.data, &Options::default())?;
        let settings = |more| self.settings(basis, nice.as_deref(), more);
        let npz = is_npz(output);
        let (n_rows, shape) = if npz {
            self.write_npz(output, &descriptor, settings, input)?
        } else {
            self.write_npy(output, &descriptor, settings, input, out)?
        };
        let row = if descriptor.is_per_structure() { "frame" } else { "centre" };
        writeln!(out, "{}: {shape}", plural(n_rows, row))?;
        let file = match self.chunk_rows {
            Some(_) => first_chunk(output).display().to_string(),
            None => output.display().to_string(),
        };
        writeln!(out, "wrote {}", if self.chunk_rows.is_some() { file.clone() + ", …" } else { file.clone() })?;
        let show = if npz { format!("['{}']", descriptor.arrays()[0].0) } else { String::new() };
        writeln!(out, "next: python -c \"import numpy; print(numpy.load('{file}'){show}.shape)\"")?;
        Ok(())
    }

    /// The kind of invariants; none for the density.
    fn kind(&self) -> Result<Option<FeatureKind>> {
        self.what.read(|given| match KIND.read::<Given>(given)? == DENSITY.into() {
            true => Ok(None),
            false => KIND.read(given).map(Some),
        })
    }

    /// Refuses arguments that do not fit together.
    fn check(&self) -> Outcome {
        if let Some(output) = &self.output {
            output::check(output, &["npz", "npy"])?;
            let npz = is_npz(output);
            if !npz && is_stream(output) {
                let problem =
                    "is a pipe or a device, and the number of rows of a matrix is written to its start at the end";
                return Err(Error::file(output, problem, "write an *.npz to it, or a matrix to a file").into());
            }
            if npz && self.chunk_rows.is_some() {
                return Err(Failure::usage("--chunk-rows: only a matrix is written in pieces; name the output *.npy"));
            }
        }
        let kind = self.kind()?;
        if self.normalize && kind.is_none() {
            let problem = "--normalize: coefficients of the density (--kind density) are not divided by their norm; \
                           name a kind of invariants, or leave it out";
            return Err(Failure::usage(problem));
        }
        for (flag, given) in [("--use-q-max", self.use_q_max), ("--use-l-max", self.use_l_max)] {
            if given.is_some() && kind.is_none() {
                let problem = "coefficients of the density (--kind density) are computed all; name a kind of invariants, \
                               or leave it out";
                return Err(Failure::usage(format!("{flag}: {problem}")));
            }
        }
        if self.reduce.is_some() && kind.is_none() {
            let problem = "--reduce: coefficients of the density (--kind density) turn with the atoms, and their sum tells \
                           little of a frame; name a kind of invariants, or leave it out";
            return Err(Failure::usage(problem));
        }
        match self.nice.given() {
            Some(flag) if kind != Some(FeatureKind::Nice) => {
                return Err(Failure::usage(format!("{flag}: only of --kind nice; use that, or leave it out")));
            }
            _ if kind == Some(FeatureKind::Nice) => {
                let takes_part = self.use_q_max.is_some() || self.use_l_max.is_some();
                self.nice.check([!self.data.is_empty(), self.output.is_some(), takes_part])?;
            }
            _ => {}
        }
        if self.columns.is_some() && kind != Some(FeatureKind::PowerSpectrum) {
            let problem = "--columns: only of a power spectrum some components can be computed without the rest; \
                           use --kind power-spectrum, or leave it out";
            return Err(Failure::usage(problem));
        }
        Ok(())
    }

    /// The species of --centers, ascending.
    fn centers(&self, basis: &OptimalBasis) -> Result<Option<Vec<u8>>> {
        let known = basis.expansion().species();
        let species = |name: &String| {
            let name = name.trim();
            let refused = |problem: String, remedy: &str| Error::setting("--centers", name, problem, remedy);
            let remedy = isotope_remedy(name).unwrap_or("use symbols from H to Og, as in Si,C");
            let z = atomic_number(name).ok_or_else(|| refused("is no element".into(), remedy))?;
            match known.contains(&z) {
                true => Ok(z),
                false => {
                    let known: Vec<&str> = known.iter().map(|&z| symbol(z)).collect();
                    let problem = format!("is not among the species of this basis ({})", known.join(", "));
                    Err(refused(problem, "name some of these"))
                }
            }
        };
        let Some(names) = &self.centers else { return Ok(None) };
        let mut chosen = names.iter().map(species).collect::<Result<Vec<_>>>()?;
        chosen.sort_unstable();
        chosen.dedup();
        Ok(Some(chosen))
    }

    fn reals(&self) -> Reals {
        if self.float32 { Reals::Single } else { Reals::Double }
    }

    fn described(&self, basis: &OptimalBasis, nice: Option<Arc<Nice>>) -> Result<Described> {
        let expansion = match self.ignore_unknown_species {
            true => &basis.expansion().ignoring_unknown_neighbors(),
            false => basis.expansion(),
        };
        let Some(kind) = self.kind()? else { return Ok(Described::Density(expansion.clone())) };
        let columns = self.columns.as_deref().map(columns::read).transpose()?;
        let (q_max, l_max) = (self.use_q_max, self.use_l_max);
        let mut member = Member { columns, q_max, l_max, ..Member::new(kind, self.normalize) };
        if let Some(nice) = nice {
            (member.nice, member.fitted) = (Some(nice.settings().clone()), Some(nice));
        }
        let invariants = Invariants::of_members(expansion, &[member]);
        let reduction = self.reduce.as_deref().map(|name| Reduction::parse("--reduce", name)).transpose()?;
        let of = |invariants| match reduction {
            Some(reduction) => {
                Described::PerStructure(invariants, PerStructure { reduction, by_species: self.by_species })
            }
            None => Described::Invariants(invariants),
        };
        invariants.map(of).map_err(|e| match (e, &self.columns) {
            (Error::Setting { name: "q_max", value, problem, remedy }, _) => {
                Error::Setting { name: "--use-q-max", value, problem, remedy }
            }
            (Error::Setting { name: "l_max", value, problem, remedy }, _) => {
                Error::Setting { name: "--use-l-max", value, problem, remedy }
            }
            (e, Some(path)) => {
                let problem = format!("does not fit this basis: {e}");
                Error::file(path, problem, "select from features that were made with it")
            }
            (e, None) => e,
        })
    }

    fn write_npy(
        &self,
        output: &Path,
        descriptor: &Descriptor,
        settings: impl Fn(serde_json::Value) -> Result<Array>,
        mut input: Dataset,
        out: &mut dyn Write,
    ) -> Result<(usize, String)> {
        let width = descriptor.width();
        let described = |settings: Array| [vec![settings], descriptor.description(true)].concat();
        let layout = Layout { width, reals: self.reals(), names: descriptor.row_labels() };
        let mut matrices = match self.chunk_rows {
            None => Matrices::whole(output, layout)?,
            Some(n) => {
                let data = json!({ "files": input.hash()?, "chunk_rows": n });
                Matrices::in_chunks(output, layout, n as usize, described(settings(data)?))?
            }
        };
        let mut frames = OfFrames::new(self.energy_key.as_deref());
        let done = matrices.done();
        if done > 0 {
            // The message is a courtesy: a closed pipe is reported with the last line.
            let _ = writeln!(out, "{} are there already", plural(done, "row"));
        }
        let files = for_each_block(descriptor, input, self.reals(), &mut frames, done, |rows, values| {
            matrices.add(rows, values.map(|values| &values[..]))
        })?;
        frames.check(descriptor.centers.as_deref(), &files)?;
        let data = match self.chunk_rows {
            None => json!({ "files": files }),
            Some(n) => json!({ "files": files, "chunk_rows": n }),
        };
        let data = with_command(data);
        let n_rows = matrices.rows();
        matrices.finish(&[described(settings(data)?), frames.arrays(descriptor.is_per_structure())].concat())?;
        let (width, meta) = (count(width), meta_path(output));
        let what = self.chunk_rows.map_or("matrix".into(), |n| format!("matrices of {} rows", count(n as usize)));
        Ok((n_rows, format!("{what} with {width} columns; rows and columns are described in {}", meta.display())))
    }

    /// How the numbers were made, as JSON, with these entries too.
    fn settings(&self, basis: &OptimalBasis, nice: Option<&Nice>, more: serde_json::Value) -> Result<Array> {
        let kind = self.kind()?;
        let described = |path: &Path| -> Result<serde_json::Value> {
            Ok(json!({ "path": path.display().to_string(), "sha256": sha256(path)? }))
        };
        let mut settings = json!({
            "kind": kind.map_or(DENSITY, Named::name),
            "rhobasis": env!("CARGO_PKG_VERSION"),
            "basis": basis.settings(),
            "basis_file": described(&self.basis)?,
        });
        if kind.is_some() {
            settings["normalize"] = self.normalize.into();
            for (name, given) in [("q_max", self.use_q_max), ("l_max", self.use_l_max)] {
                if let Some(n) = given {
                    settings[name] = n.into();
                }
            }
        }
        if let Some(reduction) = &self.reduce {
            settings["reduce"] = reduction.as_str().into();
            settings["by_species"] = self.by_species.into();
        }
        if let Some(centers) = self.centers(basis)? {
            settings["centers"] = centers.into_iter().map(symbol).collect();
        }
        if self.ignore_unknown_species {
            settings["unknown_species"] = "ignore".into();
        }
        if self.float32 {
            settings["dtype"] = "float32".into();
        }
        if let Some(path) = &self.nice.nice {
            settings["nice_file"] = described(path)?;
        } else if let Some(nice) = nice {
            settings["nice"] = json!(nice.settings());
        }
        if let Some(path) = self.nice.sample_file() {
            settings["sample_file"] = described(path)?;
        }
        if let Some(path) = &self.columns {
            settings["columns_file"] = described(path)?;
        }
        if let (Some(settings), serde_json::Value::Object(more)) = (settings.as_object_mut(), more) {
            settings.extend(more);
        }
        Ok(Array::text("settings", &settings.to_string()))
    }

    /// Writes features or coefficients as an archive of arrays; returns the number of rows, and what was written.
    fn write_npz(
        &self,
        output: &Path,
        descriptor: &Descriptor,
        settings: impl Fn(serde_json::Value) -> Result<Array>,
        input: Dataset,
    ) -> Result<(usize, String)> {
        let spool = |(name, row)| Spool::reals(output, name, self.reals(), row);
        let mut spools = descriptor.arrays().into_iter().map(spool).collect::<Result<Vec<_>>>()?;
        let mut labels = RowLabels::new(output, descriptor.row_labels())?;
        let (mut n_rows, mut frames) = (0, OfFrames::new(self.energy_key.as_deref()));
        let files = for_each_block(descriptor, input, self.reals(), &mut frames, 0, |rows, values| {
            for (spool, (block, _)) in spools.iter_mut().zip(values.into_iter().flatten()) {
                spool.write(block)?;
            }
            n_rows += rows.len;
            labels.add(rows)
        })?;
        frames.check(descriptor.centers.as_deref(), &files)?;
        let mut arrays = descriptor.description(false);
        arrays.extend(frames.arrays(descriptor.is_per_structure()));
        arrays.push(settings(with_command(json!({ "files": files })))?);
        let all = spools.iter_mut().chain(labels.spools());
        rhobasis::files::write_atomically(output, |file| npy::write_npz(file, n_rows, all, &arrays))?;
        let shape = match &descriptor.what {
            Described::Density(expansion) => {
                format!("arrays l0 to l{}, axes [center, m, channel]", expansion.l_max())
            }
            Described::Invariants(invariants) => {
                format!("array X, axes [center, column], {}", plural(invariants.n_features(), "column"))
            }
            Described::PerStructure(..) => {
                format!("array X, axes [frame, column], {}", plural(descriptor.width(), "column"))
            }
        };
        Ok((n_rows, shape))
    }
}

/// With the command that made the features. Pieces of a matrix do not tell it: they belong to every command that makes the same.
fn with_command(mut data: serde_json::Value) -> serde_json::Value {
    data["command"] = made_by::this_command().into();
    data
}

/// Whether the output is an archive rather than a matrix.
fn is_npz(output: &Path) -> bool {
    output.extension().is_none_or(|e| e != "npy")
}
