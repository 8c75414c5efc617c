//! The file that says how a model of a tensor is made: `model.toml` with `type = "equivariant-ridge"`.

use std::path::{Path, PathBuf};

use rhobasis::correlations::NiceSettings;
use rhobasis::equivariant::{EquivariantRidge, EquivariantSettings, Target};
use rhobasis::files::Stored;
use rhobasis::optimal::Method;
use rhobasis::{Error, Result};

use crate::files::Files;
use crate::model_file::{BasisPlan, DataPlan, basis, needed};
use crate::toml_file::{Section, TomlFile};

/// All that the file says.
pub struct TensorFile {
    pub path: PathBuf,
    pub data: DataPlan,
    /// Key of the labels, if the file names it.
    pub key: Option<String>,
    pub basis: BasisPlan,
    pub nice: NiceSettings,
    pub model: EquivariantSettings,
}

/// Whether a model file is one of these; what cannot be read is not.
pub fn is_of_tensors(path: &Path) -> bool {
    let model = TomlFile::read(path).ok().and_then(|file| file.peek("model", "type"));
    model.as_deref() == Some(EquivariantRidge::KIND)
}

impl TensorFile {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self> {
        let file = TomlFile::read(path)?;
        file.with_root(|root| Self::from_root(path, &file, root))
    }

    fn from_root(path: &Path, file: &TomlFile, root: &Section) -> Result<Self> {
        let section = needed(path, root.section("model")?, "model", "add one with type = \"equivariant-ridge\"")?;
        section.text("type")?;
        let model = section.whole(EquivariantSettings::read)?;

        let section = needed(path, root.section("data")?, "data", "add one with train = [\"FILE.xyz\"]")?;
        let data = DataPlan::read(file, &section)?;
        let mut key = None;
        for target in Target::ALL {
            let Some(named) = section.text(target.key_setting())? else { continue };
            if target != model.target {
                let problem = format!("is given, and the target is \"{}\"", model.target.key());
                return Err(section.wrong(target.key_setting(), &problem, "leave it out, or change [model] target"));
            }
            key = Some(named);
        }
        section.finish()?;

        let remedy = "add one with file = \"basis.rho\", or with r_cut, sigma, …";
        let basis = basis(file, &needed(path, root.section("basis")?, "basis", remedy)?, false)?;
        if let BasisPlan::Optimal(_, Method::Pcovr(_) | Method::Supervised(_) | Method::Sensitivity(_), _) = basis {
            let problem = "[basis]: such a method fits a basis to energies, which this model does not learn";
            return Err(Error::file(path, problem, "use method = \"pca\""));
        }
        let nice = match root.section("features")? {
            Some(section) => nice(&section)?,
            None => NiceSettings::read(&|name| unless_given(name))?,
        };
        Ok(TensorFile { path: path.to_path_buf(), data, key, basis, nice, model })
    }

    /// All that is read: this file, and those that it names.
    pub fn files(&self) -> Files {
        let basis = if let BasisPlan::File(path) = &self.basis { Some(path) } else { None };
        let read = [Some(&self.path), basis];
        Files::reading(read.into_iter().flatten()).and_data(self.data.train.iter().chain(&self.data.test))
    }
}

/// What NICE is to be for tensors: equivariants of all orders, and of features, which no tensor needs, as few as can be.
fn unless_given(name: &str) -> Option<rhobasis::settings::Given> {
    match name {
        "all_equivariants" => Some(true.into()),
        "n_invariants" | "n_invariant_candidates" => Some(1usize.into()),
        _ => None,
    }
}

fn nice(section: &Section) -> Result<NiceSettings> {
    if section.text("kind")?.is_some_and(|kind| kind != "nice") {
        let problem = "is another: tensors are made of the equivariants of NICE";
        return Err(section.wrong("kind", problem, "use kind = \"nice\", or leave it out"));
    }
    section.whole(|given| NiceSettings::read(&|name| given(name).or_else(|| unless_given(name))))
}
