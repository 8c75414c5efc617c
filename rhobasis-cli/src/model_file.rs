//! The file that says how a potential is made: `model.toml`. Keys and defaults are those of the library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rhobasis::density::ExpansionSettings;
use rhobasis::extxyz::{LabelKeys, Labels, Options};
use rhobasis::optimal::{CovarianceSettings, Method, OptimalBasis, SupervisedSettings, Truncation};
use rhobasis::potential::{
    Baseline, FeatureKind, FeatureSettings, ModelSettings, Repulsion, Sigmas, TrainSettings, Weights, config_type,
};
use rhobasis::settings::{Given, Range, Setting, Word, nearest};
use rhobasis::{Error, Result, Structure};

use crate::features::columns;
use crate::files::Files;
use crate::input::load;
use crate::toml_file::{Section, TomlFile};

static TEST_FRACTION: Setting = Setting::number("test_fraction", "", Range::Fraction, Given::Nothing)
    .says("Fraction of the training frames that is held out", "0.1 is usual");
static SEED: Setting =
    Setting::count("seed", Range::NotNegative, Given::Count(0)).says("Seed of all that is random", "0 is the default");
static METHOD: Setting = Setting::word(
    "method",
    &[
        Word { name: "pca", sentence: "Principal components" },
        Word { name: "optimal", sentence: "Principal components too" },
        Word { name: "pcovr", sentence: "Principal covariates regression" },
        Word { name: "supervised", sentence: "What a linear model of the power spectrum needs" },
        Word { name: "primitive", sentence: "No contraction: the primitive basis" },
    ],
    "pca",
    "How the radial basis is made",
);

/// All that the file says.
pub struct ModelFile {
    path: PathBuf,
    text: String,
    /// Files to train on, with their slices.
    pub train: Vec<String>,
    /// Files to test on.
    pub test: Vec<String>,
    /// Fraction of the training frames that is held out instead.
    pub test_fraction: Option<f64>,
    /// Of all that is random.
    pub seed: u64,
    /// Keys of labels that the file names.
    pub keys: LabelKeys,
    /// Where the labels are.
    pub options: Options,
    /// The radial basis.
    pub basis: BasisPlan,
    features: FeatureSettings,
    /// Components of a power spectrum.
    columns: Option<PathBuf>,
    model: ModelSettings,
    baseline: Baseline,
    repulsion: Repulsion,
    weights: GivenSigmas,
    by_type: BTreeMap<String, GivenSigmas>,
}

/// What the section `[data]` says of frames.
pub struct DataPlan {
    /// Files to train on, with their slices.
    pub train: Vec<String>,
    /// Files to test on.
    pub test: Vec<String>,
    /// Fraction of the training frames that is held out instead.
    pub test_fraction: Option<f64>,
    /// Of all that is random.
    pub seed: u64,
}

impl DataPlan {
    /// Paths are relative to the folder of the file; other keys of the section are left.
    pub fn read(file: &TomlFile, data: &Section) -> Result<Self> {
        let beside = |specs: Vec<String>| -> Vec<String> {
            specs.iter().map(|spec| file.beside(spec).display().to_string()).collect()
        };
        let train = beside(data.texts("train")?.unwrap_or_default());
        if train.is_empty() {
            return Err(data.wrong(
                "train",
                "is missing",
                "name the files to train on, as in train = [\"silicon.xyz@:1000\"]",
            ));
        }
        let test = beside(data.texts("test")?.unwrap_or_default());
        let test_fraction: Option<f64> = data.read(|given| TEST_FRACTION.read(given))?;
        if test_fraction.is_some() && !test.is_empty() {
            return Err(data.wrong("test_fraction", "does not go with test", "leave one of them out"));
        }
        let seed = data.read(|given| SEED.read::<usize>(given))? as u64;
        Ok(DataPlan { train, test, test_fraction, seed })
    }
}

/// A section that must be there.
pub fn needed<'a>(path: &Path, section: Option<Section<'a>>, name: &str, remedy: &str) -> Result<Section<'a>> {
    section.ok_or_else(|| Error::file(path, format!("there is no section [{name}]"), remedy))
}

/// Where the radial basis comes from.
pub enum BasisPlan {
    /// A file.
    File(PathBuf),
    /// The primitive one.
    Primitive(ExpansionSettings),
    /// A fit to the training frames.
    Optimal(CovarianceSettings, Method, Truncation),
}

impl BasisPlan {
    /// How far an atom sees, in Å.
    pub fn r_cut(&self) -> Result<f64> {
        Ok(match self {
            BasisPlan::File(path) => load::<OptimalBasis>(path)?.expansion().density().r_cut,
            BasisPlan::Primitive(settings) => settings.density.r_cut,
            BasisPlan::Optimal(settings, ..) => settings.expansion.density.r_cut,
        })
    }
}

/// The weights that a section gives.
#[derive(Default)]
struct GivenSigmas(BTreeMap<&'static str, Given>);

impl GivenSigmas {
    fn read(section: &Section) -> Result<Self> {
        section.read(|given| {
            Sigmas::read(given, &Sigmas::default())?; // refuses what no weight can be
            let names = Sigmas::default().values().map(|(setting, _)| setting.name);
            Ok(GivenSigmas(names.into_iter().filter_map(|name| Some((name, given(name)?))).collect()))
        })
    }

    /// What is not given is that of `others`.
    fn or(&self, others: &Sigmas) -> Result<Sigmas> {
        Sigmas::read(&|name| self.0.get(name).cloned(), others)
    }
}

impl ModelFile {
    /// Reads and checks the file, and the columns that it names.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(&TomlFile::read(path)?, path)
    }

    /// The file as it was when it had this text.
    pub fn of_text(path: &Path, text: &str) -> Result<Self> {
        Self::of(&TomlFile::of_text(path, text.into()), path)
    }

    fn of(file: &TomlFile, path: &Path) -> Result<Self> {
        file.with_root(|root| Self::from_root(path, file, root))
    }

    fn from_root(path: &Path, file: &TomlFile, root: &Section) -> Result<Self> {
        let data = needed(path, root.section("data")?, "data", "add one with train = [\"FILE.xyz\"]")?;
        let DataPlan { train, test, test_fraction, seed } = DataPlan::read(file, &data)?;
        let keys = LabelKeys {
            energy_key: data.text("energy_key")?,
            force_key: data.text("force_key")?,
            stress_key: data.text("stress_key")?,
            virial_key: data.text("virial_key")?,
        };
        data.finish()?;

        let remedy = "add one with file = \"basis.rho\", or with r_cut, sigma, …";
        let section = needed(path, root.section("basis")?, "basis", remedy)?;
        let model = match root.section("model")? {
            Some(section) => section.whole(ModelSettings::read)?,
            None => ModelSettings::ridge(),
        };
        let kernel = !matches!(model, ModelSettings::Ridge { .. });
        let basis = basis(file, &section, kernel)?;
        let (features, columns) = match root.section("features")? {
            Some(section) => features(file, &section, kernel)?,
            None => (FeatureSettings::read(&|_| None, kernel)?, None),
        };
        let baseline =
            root.section("baseline")?.map_or(Ok(Baseline::default()), |section| section.whole(Baseline::read))?;
        let repulsion =
            root.section("repulsion")?.map_or(Ok(Repulsion::default()), |section| section.whole(Repulsion::read))?;
        let (mut weights, mut by_type) = (GivenSigmas::default(), BTreeMap::new());
        if let Some(section) = root.section("weights")? {
            weights = GivenSigmas::read(&section)?;
            for (name, special) in section.others() {
                by_type.insert(name, GivenSigmas::read(&special)?);
                special.finish()?;
            }
            section.finish_but_tables(true)?;
        }
        Ok(ModelFile {
            path: path.to_path_buf(),
            text: file.text().into(),
            train,
            test,
            test_fraction,
            seed,
            options: keys.options(true),
            keys,
            basis,
            features,
            columns,
            model,
            baseline,
            repulsion,
            weights,
            by_type,
        })
    }

    /// Settings of a fit to these frames: a weight that the file does not give is the default where there are such labels.
    pub fn settings(&self, frames: &[Structure], labels: &[Labels]) -> Result<TrainSettings> {
        let mut found = Sigmas::of_labels(labels);
        if matches!(self.model, ModelSettings::KernelRidge { .. }) {
            (found.force_sigma, found.stress_sigma) = (None, None);
        }
        let has = |what: fn(&Labels) -> bool| labels.iter().any(what);
        let all = self.weights.or(&found)?;
        let labels = [
            (has(|l| l.energy.is_some()), "energy", &self.options.energy_key),
            (has(|l| l.forces.is_some()), "forces", &self.options.force_key),
            (has(|l| l.stress.is_some()), "stress", &self.options.stress_key),
        ];
        for ((setting, sigma), (there, what, key)) in all.values().into_iter().zip(labels) {
            if self.weights.0.contains_key(setting.name) && sigma != Given::Nothing && !there {
                let name = setting.name;
                let problem =
                    format!("[weights]: {name} = {sigma}, but no training frame has {what} under the key '{key}'");
                let remedy = format!("name the key in [data], or leave it out with {name} = \"none\"");
                return Err(Error::file(&self.path, problem, remedy));
            }
        }
        if all == (Sigmas { energy_sigma: None, force_sigma: None, stress_sigma: None }) && self.by_type.is_empty() {
            let problem = "no label of the training frames has a weight, so nothing is left to train on";
            let remedy = "give a sigma in [weights] for a label that there is; kernel-ridge takes energies only";
            return Err(Error::file(&self.path, problem, remedy));
        }
        let types: std::collections::BTreeSet<&str> = frames.iter().map(config_type).collect();
        if let Some(name) = self.by_type.keys().find(|name| !types.contains(name.as_str())) {
            let near = nearest(name, types.iter().copied()).unwrap_or("");
            let problem =
                format!("[weights.\"{name}\"]: no training frame has this config_type, the nearest one is '{near}'");
            return Err(Error::file(&self.path, problem, "rename the section, or leave it out"));
        }
        let by_type = self.by_type.iter().map(|(name, given)| Ok((name.clone(), given.or(&all)?)));
        let by_type = by_type.collect::<Result<_>>()?;
        let weights = Weights { all, by_type };
        weights.validate()?;
        let (features, model, baseline) = (self.features.clone(), self.model.clone(), self.baseline.clone());
        Ok(TrainSettings { features, model, baseline, repulsion: self.repulsion, weights })
    }

    /// Whether the baseline is of free atoms, which then are not learned.
    pub fn baseline_of_free_atoms(&self) -> bool {
        self.baseline.is_of_free_atoms()
    }

    /// That there are no forces, or no energies, to learn from, unless the file says that they are left out.
    pub fn not_learned(&self, labels: &[Labels]) -> Option<String> {
        let energies = labels.iter().any(|l| l.energy.is_some());
        let forces = labels.iter().any(|l| l.forces.is_some());
        if energies == forces || matches!(self.model, ModelSettings::KernelRidge { .. }) {
            return None;
        }
        let (name, what, key) = match energies {
            true => ("force_sigma", "forces", &self.options.force_key),
            false => ("energy_sigma", "an energy", &self.options.energy_key),
        };
        let said = std::iter::once(&self.weights).chain(self.by_type.values()).any(|w| w.0.contains_key(name));
        (!said).then(|| {
            format!(
                "no training frame has {what} under the key '{key}', which are not learned then; {name} = \"none\" in \
                 [weights] says so"
            )
        })
    }

    /// Whether the model is made of kernels.
    pub fn is_kernel(&self) -> bool {
        !matches!(self.model, ModelSettings::Ridge { .. })
    }

    /// What the model sees of the density.
    pub fn features(&self) -> &FeatureSettings {
        &self.features
    }

    /// An error about what the file says.
    pub fn wrong(&self, problem: &str, remedy: &str) -> Error {
        Error::file(&self.path, problem, remedy)
    }

    /// All that is read: this file, and those that it names.
    pub fn files(&self) -> Files {
        let basis = if let BasisPlan::File(path) = &self.basis { Some(path) } else { None };
        let read = [Some(&self.path), basis, self.columns.as_ref()];
        Files::reading(read.into_iter().flatten()).and_data(self.train.iter().chain(&self.test))
    }

    /// All that it says, as it stands there.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What the section `[basis]` says; of a supervised basis, kernels take one supervised function of each l unless they are told.
pub fn basis(file: &TomlFile, section: &Section, kernel: bool) -> Result<BasisPlan> {
    if let Some(path) = section.text("file")? {
        section.finish()?;
        return Ok(BasisPlan::File(file.beside(&path)));
    }
    let plan = section.whole(|given| {
        let method: Given = METHOD.read(given)?;
        if method == "primitive".into() {
            return ExpansionSettings::read(given).map(BasisPlan::Primitive);
        }
        let (settings, truncation) = (CovarianceSettings::read(given)?, Truncation::read(given)?);
        let mut method = if method == "optimal".into() { Method::Pca } else { Method::read(given)? };
        if let Method::Supervised(SupervisedSettings { supervised, .. }) = &mut method {
            truncation.q_max()?;
            if kernel && given("supervised").is_none() {
                *supervised = Some(1);
            }
        }
        Ok(BasisPlan::Optimal(settings, method, truncation))
    })?;
    Ok(plan)
}

/// The features, and the file of their components.
fn features(file: &TomlFile, section: &Section, kernel: bool) -> Result<(FeatureSettings, Option<PathBuf>)> {
    let mut settings = section.read(|given| FeatureSettings::read(given, kernel))?;
    let columns = section.text("columns")?;
    section.finish()?;
    let Some(path) = columns.map(|path| file.beside(&path)) else { return Ok((settings, None)) };
    let mut spectra = settings.members.iter_mut().filter(|member| member.kind == FeatureKind::PowerSpectrum);
    let (Some(spectrum), None) = (spectra.next(), spectra.next()) else {
        let problem = "chooses components of one power spectrum";
        return Err(section.wrong("columns", problem, "use kind = \"power-spectrum\" (once), or leave it out"));
    };
    spectrum.columns = Some(columns::read(&path)?);
    Ok((settings, Some(path)))
}
