//! `rhobasis features`: numbers that describe the atoms of a data set, as NumPy arrays.

pub mod columns;
mod descriptor;
mod stream;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rhobasis::correlations::{FeatureKind, Invariants, Member, Nice, NiceSettings};
use rhobasis::extxyz::{Dataset, Options, path_of};
use rhobasis::files::{Stored, is_stream, sha256};
use rhobasis::optimal::OptimalBasis;
use rhobasis::settings::{Given, Named, Setting, Word};
use rhobasis::{Error, Result};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::files::{Files, Holds};
use crate::input::load;
use crate::matrix::{Matrices, RowLabels, meta_path};
use crate::nice::{self, NiceFlags};
use crate::npy::{self, Array, Spool};
use crate::output;
use crate::settings::{Flags, Group};
use crate::text::{count, plural, tell};
use descriptor::Descriptor;
use stream::for_each_block;

/// Compute features of all atoms of a data set and write them as NumPy arrays
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Features {
    /// Extended XYZ files, plain or packed, each with an optional slice: data.xyz@:1000
    #[arg(required = true)]
    data: Vec<String>,
    /// Basis file, *.rho
    #[arg(long, value_name = "FILE.rho")]
    basis: PathBuf,
    #[command(flatten)]
    what: Flags<What>,
    /// Divide the features of each atom by their norm
    #[arg(long)]
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
    #[command(flatten)]
    nice_settings: NiceFlags,
    /// Features of --kind nice with the products that this file holds
    #[arg(long, value_name = "FILE.nice")]
    nice: Option<PathBuf>,
    /// Write the products of --kind nice, which are chosen by the atoms of DATA, to this file
    #[arg(long, value_name = "FILE.nice", conflicts_with = "nice")]
    save_nice: Option<PathBuf>,
    /// *.npz: an array X with axes [center, column], and what its rows and columns are; of the density, arrays l0, l1, …
    /// with axes [center, m, channel]. *.npy: one matrix [center, column] that can be memory-mapped (of the density, its
    /// columns are (l, m, channel)), and *.meta.npz beside it
    #[arg(short, long)]
    output: PathBuf,
    /// Write a matrix X.npy as X-00000.npy, X-00001.npy, … of N rows each, every one complete once it is there, with its
    /// X-00000.meta.npz; the same command goes on after those that are
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
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
  python -c \"import numpy; print(numpy.load('silicon.npz')['X'].shape)\"";

impl Features {
    pub fn files(&self) -> Files {
        let read = [Some(&self.basis), self.columns.as_ref(), self.nice.as_ref()];
        let files = Files::reading(read.into_iter().flatten()).and_data(&self.data);
        let files = files.writing("--save-nice", Holds::Archive(Nice::KIND), &self.save_nice);
        let holds = Holds::arrays(&self.output);
        match holds {
            Holds::Npy => files.writing("--output", Holds::Npz, [&meta_path(&self.output)]),
            _ => files,
        }
        .writing("--output", holds, [&self.output])
    }

    pub fn run(&self, out: &mut dyn Write) -> Outcome {
        let npz = self.check()?;
        let basis: OptimalBasis = load(&self.basis)?;
        let descriptor = self.descriptor(&basis, out)?;
        let input = Dataset::open(&self.data, &Options::default())?;
        let settings = |more| self.settings(&basis, more);
        let (n_centers, shape) = if npz {
            self.write_npz(&descriptor, settings, input)?
        } else {
            self.write_npy(&descriptor, settings, input, out)?
        };
        writeln!(out, "{}: {shape}", plural(n_centers, "centre"))?;
        let file = match self.chunk_rows {
            Some(_) => self.output.with_extension("").display().to_string() + "-00000.npy",
            None => self.output.display().to_string(),
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

    /// Whether the output is an archive; refuses arguments that do not fit together.
    fn check(&self) -> Outcome<bool> {
        output::check(&self.output, &["npz", "npy"])?;
        let npz = self.output.extension().is_none_or(|e| e != "npy");
        if !npz && is_stream(&self.output) {
            let problem =
                "is a pipe or a device, and the number of rows of a matrix is written to its start at the end";
            return Err(Error::file(&self.output, problem, "write an *.npz to it, or a matrix to a file").into());
        }
        if npz && self.chunk_rows.is_some() {
            return Err(Failure::usage("--chunk-rows: only a matrix is written in pieces; name the output *.npy"));
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
        if let Some(flag) = self.of_nice() {
            if kind != Some(FeatureKind::Nice) {
                return Err(Failure::usage(format!("{flag}: only of --kind nice; use that, or leave it out")));
            }
            if self.nice.is_some() && flag != "--nice" {
                return Err(Failure::usage(format!("{flag}: the file of --nice says it; leave one of them out")));
            }
        }
        if self.columns.is_some() && kind != Some(FeatureKind::PowerSpectrum) {
            let problem = "--columns: only of a power spectrum some components can be computed without the rest; \
                           use --kind power-spectrum, or leave it out";
            return Err(Failure::usage(problem));
        }
        Ok(npz)
    }

    /// A flag that is given, and means something for --kind nice alone.
    fn of_nice(&self) -> Option<String> {
        let setting = NiceSettings::SETTINGS.into_iter().find(|setting| self.nice_settings.is_given(setting.name));
        let setting = setting.map(|setting| format!("--{}", setting.name.replace('_', "-")));
        let files = [("--save-nice", &self.save_nice), ("--nice", &self.nice)];
        let file = files.into_iter().find(|(_, path)| path.is_some()).map(|(flag, _)| flag.to_string());
        setting.or(file)
    }

    /// The products of --kind nice, read or chosen.
    fn fit_nice(&self, member: &mut Member, basis: &OptimalBasis, out: &mut dyn Write) -> Result<()> {
        if let Some(path) = &self.nice {
            let nice: Nice = load(path)?;
            member.nice = Some(nice.settings().clone());
            member.fitted = Some(Arc::new(nice));
            return Ok(());
        }
        member.nice = Some(self.nice_settings.read(NiceSettings::read)?);
        if let Some(pipe) = self.data.iter().find(|data| is_stream(&path_of(data))) {
            let problem = "is a pipe, and data are read twice where products are chosen by them";
            return Err(Error::file(pipe, problem, "give a file, or products with --nice"));
        }
        nice::fit(member, basis.expansion(), Dataset::open(&self.data, &Options::default())?)?;
        let Some(fitted) = &member.fitted else { return Ok(()) };
        nice::account(fitted, out).map_err(|e| Error::io("standard output", e))?;
        match &self.save_nice {
            Some(path) => fitted.save(path),
            None => {
                tell("warning: the products are kept nowhere: other data will have other features; use --save-nice");
                Ok(())
            }
        }
    }

    fn descriptor(&self, basis: &OptimalBasis, out: &mut dyn Write) -> Result<Descriptor> {
        let expansion = basis.expansion();
        let Some(kind) = self.kind()? else { return Ok(Descriptor::Density(expansion.clone())) };
        let columns = self.columns.as_deref().map(columns::read).transpose()?;
        let (q_max, l_max) = (self.use_q_max, self.use_l_max);
        let mut member = Member { columns, q_max, l_max, ..Member::new(kind, self.normalize) };
        if kind == FeatureKind::Nice {
            self.fit_nice(&mut member, basis, out)?;
        }
        let invariants = Invariants::of_members(expansion, &[member]);
        invariants.map(Descriptor::Invariants).map_err(|e| match (e, &self.columns) {
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

    fn write_npz(
        &self,
        descriptor: &Descriptor,
        settings: impl Fn(serde_json::Value) -> Result<Array>,
        input: Dataset,
    ) -> Result<(usize, String)> {
        let spool = |(name, row)| Spool::reals(&self.output, name, row);
        let mut spools = descriptor.arrays().into_iter().map(spool).collect::<Result<Vec<_>>>()?;
        let mut labels = RowLabels::new(&self.output)?;
        let mut n_centers = 0;
        let files = for_each_block(descriptor, input, 0, |centers, values| {
            for (spool, (block, _)) in spools.iter_mut().zip(values.into_iter().flatten()) {
                spool.write(block)?;
            }
            n_centers += centers.len();
            labels.add(centers)
        })?;
        let mut arrays = descriptor.description(false);
        arrays.push(settings(json!({ "files": files }))?);
        let all = spools.iter_mut().chain(labels.spools());
        rhobasis::files::write_atomically(&self.output, |file| npy::write_npz(file, n_centers, all, &arrays))?;
        let shape = match descriptor {
            Descriptor::Density(expansion) => {
                format!("arrays l0 to l{}, axes [center, m, channel]", expansion.l_max())
            }
            Descriptor::Invariants(invariants) => {
                format!("array X, axes [center, column], {}", plural(invariants.n_features(), "column"))
            }
        };
        Ok((n_centers, shape))
    }

    fn write_npy(
        &self,
        descriptor: &Descriptor,
        settings: impl Fn(serde_json::Value) -> Result<Array>,
        mut input: Dataset,
        out: &mut dyn Write,
    ) -> Result<(usize, String)> {
        let width = descriptor.width();
        let described = |settings: Array| [vec![settings], descriptor.description(true)].concat();
        let mut matrices = match self.chunk_rows {
            None => Matrices::whole(&self.output, width)?,
            Some(n) => {
                let data = json!({ "files": input.hash()?, "chunk_rows": n });
                Matrices::in_chunks(&self.output, width, n as usize, described(settings(data)?))?
            }
        };
        let done = matrices.done();
        if done > 0 {
            // The message is a courtesy: a closed pipe is reported with the last line.
            let _ = writeln!(out, "{} are there already", plural(done, "row"));
        }
        let files = for_each_block(descriptor, input, done, |centers, values| {
            matrices.add(centers, values.map(|values| &values[..]))
        })?;
        let data = match self.chunk_rows {
            None => json!({ "files": files }),
            Some(n) => json!({ "files": files, "chunk_rows": n }),
        };
        let n_rows = matrices.rows();
        matrices.finish(&described(settings(data)?))?;
        let (width, meta) = (count(width), meta_path(&self.output));
        let what = self.chunk_rows.map_or("matrix".into(), |n| format!("matrices of {} rows", count(n as usize)));
        Ok((n_rows, format!("{what} with {width} columns; rows and columns are described in {}", meta.display())))
    }

    /// How the numbers were made, as JSON, with these entries too.
    fn settings(&self, basis: &OptimalBasis, more: serde_json::Value) -> Result<Array> {
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
        if let Some(path) = &self.nice {
            settings["nice_file"] = described(path)?;
        } else if kind == Some(FeatureKind::Nice) {
            settings["nice"] = json!(self.nice_settings.read(NiceSettings::read)?);
        }
        if let Some(path) = &self.columns {
            settings["columns_file"] = described(path)?;
        }
        if let (Some(settings), serde_json::Value::Object(more)) = (settings.as_object_mut(), more) {
            settings.extend(more);
        }
        Ok(Array::text("settings", &settings.to_string()))
    }
}
