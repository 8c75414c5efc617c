//! The file that says how a potential is made: `model.toml`. Keys and defaults are those of the library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rhobasis::density::{Density, ExpansionSettings, RadialScaling, Sigma};
use rhobasis::extxyz::{Labels, Options};
use rhobasis::models::Solver;
use rhobasis::optimal::{CovarianceSettings, Mixing, PcovrSettings, Truncation};
use rhobasis::potential::{
    Alpha, Baseline, FeatureKind, FeatureSettings, ModelSettings, Sigmas, SparseMethod, TrainSettings, Weights,
    config_type,
};
use rhobasis::structure::atomic_number;
use rhobasis::{Error, Result, Structure};

use crate::features::columns;
use crate::settings::Family;
use crate::toml_file::{Section, TomlFile, nearest};

/// All that the file says.
pub struct ModelFile {
    path: PathBuf,
    /// Files to train on, with their slices.
    pub train: Vec<String>,
    /// Files to test on.
    pub test: Vec<String>,
    /// Fraction of the training frames that is held out instead.
    pub test_fraction: Option<f64>,
    /// Of all that is random.
    pub seed: u64,
    /// Where the labels are.
    pub options: Options,
    /// The radial basis.
    pub basis: BasisPlan,
    features: FeatureSettings,
    model: ModelSettings,
    baseline: Baseline,
    weights: GivenSigmas,
    by_type: BTreeMap<String, GivenSigmas>,
}

/// Where the radial basis comes from.
pub enum BasisPlan {
    /// A file.
    File(PathBuf),
    /// The primitive one.
    Primitive(ExpansionSettings),
    /// A fit to the training frames: principal components,
    Optimal(CovarianceSettings, Truncation),
    /// or principal covariates with their energies.
    Supervised(CovarianceSettings, PcovrSettings, Truncation),
}

/// `None`: not given; `Some(None)`: left out.
#[derive(Clone, Copy, Default)]
struct GivenSigmas {
    energy: Option<Option<f64>>,
    force: Option<Option<f64>>,
    stress: Option<Option<f64>>,
}

impl GivenSigmas {
    fn read(section: &Section) -> Result<Self> {
        Ok(GivenSigmas {
            energy: section.real_or("energy_sigma", "none")?,
            force: section.real_or("force_sigma", "none")?,
            stress: section.real_or("stress_sigma", "none")?,
        })
    }

    /// What is not given is that of `others`.
    fn or(self, others: Sigmas) -> Sigmas {
        Sigmas {
            energy_sigma: self.energy.unwrap_or(others.energy_sigma),
            force_sigma: self.force.unwrap_or(others.force_sigma),
            stress_sigma: self.stress.unwrap_or(others.stress_sigma),
        }
    }
}

impl ModelFile {
    /// Reads and checks the file, and the columns that it names.
    pub fn read(path: &Path) -> Result<Self> {
        let file = TomlFile::read(path)?;
        file.with_root(|root| Self::from_root(path, &file, root))
    }

    fn from_root(path: &Path, file: &TomlFile, root: &Section) -> Result<Self> {
        let needed = |section: Option<_>, name: &str, remedy: &str| {
            section.ok_or_else(|| Error::file(path, format!("there is no section [{name}]"), remedy))
        };
        let data = needed(root.section("data")?, "data", "add one with train = [\"FILE.xyz\"]")?;
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
        let test_fraction = data.real("test_fraction")?;
        if test_fraction.is_some() && !test.is_empty() {
            return Err(data.wrong("test_fraction", "does not go with test", "leave one of them out"));
        }
        let seed = data.seed("seed")?.unwrap_or(0);
        let standard = Options::default();
        let options = Options {
            energy_key: data.text("energy_key")?.unwrap_or(standard.energy_key),
            force_key: data.text("force_key")?.unwrap_or(standard.force_key),
            stress_key: data.text("stress_key")?.unwrap_or(standard.stress_key),
            virial_key: data.text("virial_key")?.unwrap_or(standard.virial_key),
            validate: true,
        };
        data.finish()?;

        let remedy = "add one with file = \"basis.rho\", or with r_cut, sigma, …";
        let basis = basis(file, &needed(root.section("basis")?, "basis", remedy)?)?;
        let model = root.section("model")?.map_or(Ok(ModelSettings::ridge()), |section| model(&section))?;
        let kernel = !matches!(model, ModelSettings::Ridge { .. });
        let features = match root.section("features")? {
            Some(section) => features(file, &section, kernel)?,
            None => FeatureSettings { normalize: kernel, ..FeatureSettings::default() },
        };
        let baseline = root.section("baseline")?.map_or(Ok(Baseline::default()), |section| baseline(&section))?;
        let (mut weights, mut by_type) = (GivenSigmas::default(), BTreeMap::new());
        if let Some(section) = root.section("weights")? {
            weights = GivenSigmas::read(&section)?;
            for (name, special) in section.others() {
                by_type.insert(name, GivenSigmas::read(&special)?);
                special.finish()?;
            }
            section.finish_but_tables(true)?;
        }
        let path = path.to_path_buf();
        Ok(ModelFile {
            path,
            train,
            test,
            test_fraction,
            seed,
            options,
            basis,
            features,
            model,
            baseline,
            weights,
            by_type,
        })
    }

    /// Settings of a fit to these frames: a weight that the file does not give is the default where there are such labels.
    pub fn settings(&self, frames: &[Structure], labels: &[Labels]) -> Result<TrainSettings> {
        let standard = Sigmas::default();
        let energies_only = matches!(self.model, ModelSettings::KernelRidge { .. });
        let has = |what: fn(&Labels) -> bool| labels.iter().any(what);
        let found = Sigmas {
            energy_sigma: standard.energy_sigma.filter(|_| has(|l| l.energy.is_some())),
            force_sigma: standard.force_sigma.filter(|_| !energies_only && has(|l| l.forces.is_some())),
            stress_sigma: standard.stress_sigma.filter(|_| !energies_only && has(|l| l.stress.is_some())),
        };
        let all = self.weights.or(found);
        let missing = [
            ("energy_sigma", self.weights.energy, has(|l| l.energy.is_some()), "energy", &self.options.energy_key),
            ("force_sigma", self.weights.force, has(|l| l.forces.is_some()), "forces", &self.options.force_key),
            ("stress_sigma", self.weights.stress, has(|l| l.stress.is_some()), "stress", &self.options.stress_key),
        ];
        for (name, given, there, what, key) in missing {
            if let Some(Some(sigma)) = given
                && !there
            {
                let problem =
                    format!("[weights]: {name} = {sigma}, but no training frame has {what} under the key '{key}'");
                let remedy = format!("name the key in [data], or leave it out with {name} = \"none\"");
                return Err(Error::file(&self.path, problem, remedy));
            }
        }
        if all == (Sigmas { energy_sigma: None, force_sigma: None, stress_sigma: None }) && self.by_type.is_empty() {
            let Options { energy_key, force_key, stress_key, virial_key, .. } = &self.options;
            let problem =
                format!("no training frame has a label under {energy_key}, {force_key}, {stress_key}, {virial_key}");
            return Err(Error::file(&self.path, problem, "name the keys in [data], as in energy_key = \"dft_energy\""));
        }
        let types: std::collections::BTreeSet<&str> = frames.iter().map(config_type).collect();
        if let Some(name) = self.by_type.keys().find(|name| !types.contains(name.as_str())) {
            let near = nearest(name, types.iter().copied()).unwrap_or("");
            let problem =
                format!("[weights.\"{name}\"]: no training frame has this config_type, the nearest one is '{near}'");
            return Err(Error::file(&self.path, problem, "rename the section, or leave it out"));
        }
        let by_type = self.by_type.iter().map(|(name, given)| (name.clone(), given.or(all))).collect();
        let weights = Weights { all, by_type };
        weights.validate()?;
        let (features, model, baseline) = (self.features.clone(), self.model.clone(), self.baseline.clone());
        Ok(TrainSettings { features, model, baseline, weights })
    }

    /// Whether the baseline is made of free atoms among the frames.
    pub fn isolated_atoms(&self) -> bool {
        self.baseline == Baseline::IsolatedAtoms
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn basis(file: &TomlFile, section: &Section) -> Result<BasisPlan> {
    if let Some(path) = section.text("file")? {
        section.finish()?;
        return Ok(BasisPlan::File(file.beside(&path)));
    }
    let density = Density::default();
    let sigma = match section.is_table("sigma") {
        true => {
            section.named_reals("sigma")?.map(|by_name| Ok(Sigma::PerSpecies(by_number(section, "sigma", by_name)?)))
        }
        false => section.real("sigma")?.map(|sigma| Ok(Sigma::Same(sigma))),
    };
    let scaling = match section.reals("scaling")? {
        None => None,
        Some((numbers, _)) => match numbers[..] {
            [rate, scale, exponent] => Some(RadialScaling { rate, scale, exponent }),
            _ => {
                return Err(section.wrong(
                    "scaling",
                    "has three numbers",
                    "give [rate, scale in Å, exponent], as in [1, 2, 7]",
                ));
            }
        },
    };
    let density = Density {
        r_cut: section.real("r_cut")?.unwrap_or(density.r_cut),
        sigma: sigma.transpose()?.unwrap_or(density.sigma),
        cutoff_width: section.real("cutoff_width")?.unwrap_or(density.cutoff_width),
        scaling,
        center_weight: section.real("center_weight")?.unwrap_or(density.center_weight),
    };
    let standard = ExpansionSettings::default();
    let n_max = section.count("n_max")?.unwrap_or(standard.primitive.n_max());
    let family = section.choice("primitive", &Family::NAMES)?.unwrap_or(Family::Gto);
    let expansion = ExpansionSettings {
        density,
        primitive: family.primitive(n_max),
        l_max: section.count("l_max")?.unwrap_or(standard.l_max),
        spline_accuracy: section.real_or("spline_accuracy", "exact")?.unwrap_or(standard.spline_accuracy),
    };
    expansion.validate()?;
    let methods = [("pca", 0), ("optimal", 0), ("pcovr", 1), ("primitive", 2)];
    let method = section.choice("method", &methods)?.unwrap_or(0);
    if method == 2 {
        section.finish()?;
        return Ok(BasisPlan::Primitive(expansion));
    }
    let pcovr = match method {
        1 => {
            let gamma = section.real("gamma")?.unwrap_or(PcovrSettings::default().gamma);
            let pcovr = PcovrSettings { gamma };
            pcovr.validate()?;
            Some(pcovr)
        }
        _ => None,
    };
    let truncation = match (section.count("q_max")?, section.real("retain")?) {
        (Some(_), Some(_)) => return Err(section.wrong("retain", "does not go with q_max", "leave one of them out")),
        (Some(q), None) => Truncation::QMax(q),
        (None, retain) => Truncation::Retain(retain.unwrap_or(0.9999)),
    };
    let mixing = section.choice("mixing", &[("per-species", Mixing::PerSpecies), ("combined", Mixing::Combined)])?;
    let settings = CovarianceSettings {
        expansion,
        mixing: mixing.unwrap_or(Mixing::PerSpecies),
        center_specific: section.flag("center_specific")?.unwrap_or(false),
    };
    section.finish()?;
    Ok(match pcovr {
        Some(pcovr) => BasisPlan::Supervised(settings, pcovr, truncation),
        None => BasisPlan::Optimal(settings, truncation),
    })
}

/// Values by the symbols of elements, as values by atomic number.
fn by_number(section: &Section, key: &str, by_name: Vec<(String, f64)>) -> Result<BTreeMap<u8, f64>> {
    let number = |(name, value): (String, f64)| {
        let unknown =
            || section.wrong(key, &format!("names '{name}', which is no element"), "use symbols, as in { H = 0.3 }");
        Ok((atomic_number(&name).ok_or_else(unknown)?, value))
    };
    by_name.into_iter().map(number).collect()
}

fn features(file: &TomlFile, section: &Section, kernel: bool) -> Result<FeatureSettings> {
    let kinds = [
        ("radial-spectrum", FeatureKind::RadialSpectrum),
        ("power-spectrum", FeatureKind::PowerSpectrum),
        ("bispectrum", FeatureKind::Bispectrum),
    ];
    let kind = section.choice("kind", &kinds)?.unwrap_or_default();
    let normalize = section.flag("normalize")?.unwrap_or(kernel);
    let columns = section.text("columns")?;
    if columns.is_some() && kind != FeatureKind::PowerSpectrum {
        let problem = "chooses components of a power spectrum only";
        return Err(section.wrong("columns", problem, "use kind = \"power-spectrum\", or leave it out"));
    }
    section.finish()?;
    let columns = columns.map(|path| columns::read(&file.beside(&path))).transpose()?;
    Ok(FeatureSettings { kind, normalize, columns })
}

fn model(section: &Section) -> Result<ModelSettings> {
    let kinds = [
        ("ridge", ModelSettings::ridge()),
        ("gap", ModelSettings::gap()),
        ("kernel-ridge", ModelSettings::kernel_ridge()),
    ];
    let mut settings = section.choice("type", &kinds)?.unwrap_or(ModelSettings::ridge());
    let exponent = |zeta: &mut u32| {
        let given = section.count("zeta")?.map(|z| u32::try_from(z).unwrap_or(u32::MAX));
        *zeta = given.unwrap_or(*zeta);
        Result::Ok(())
    };
    let real = |key, value: &mut f64| {
        *value = section.real(key)?.unwrap_or(*value);
        Result::Ok(())
    };
    match &mut settings {
        ModelSettings::Ridge { alpha, solver } => {
            match section.reals("alpha")? {
                Some((values, true)) => *alpha = Alpha::Best(values),
                Some((values, false)) => *alpha = Alpha::Fixed(values[0]),
                None => {}
            }
            *solver =
                section.choice("solver", &[("qr", Solver::Qr), ("cholesky", Solver::Cholesky)])?.unwrap_or(*solver);
        }
        ModelSettings::Gap { n_sparse, zeta, sparse_method, delta, jitter } => {
            *n_sparse = section.count("n_sparse")?.unwrap_or(*n_sparse);
            exponent(zeta)?;
            let methods = [("fps", SparseMethod::Fps), ("cur", SparseMethod::Cur)];
            *sparse_method = section.choice("sparse_method", &methods)?.unwrap_or(*sparse_method);
            real("delta", delta)?;
            real("jitter", jitter)?;
        }
        ModelSettings::KernelRidge { zeta, delta } => {
            exponent(zeta)?;
            real("delta", delta)?;
        }
    }
    section.finish()?;
    settings.validate()?;
    Ok(settings)
}

fn baseline(section: &Section) -> Result<Baseline> {
    let kinds = [("least-squares", 0), ("isolated-atoms", 1), ("given", 2)];
    let settings = match section.choice("type", &kinds)?.unwrap_or(0) {
        0 => Baseline::LeastSquares,
        1 => Baseline::IsolatedAtoms,
        _ => {
            let remedy = "give energies of free atoms in eV, as in energies = { Si = -107.1 }";
            let energies = section.named_reals("energies")?;
            let energies = energies.ok_or_else(|| section.wrong("energies", "is missing", remedy))?;
            Baseline::Given(by_number(section, "energies", energies)?)
        }
    };
    section.finish()?;
    Ok(settings)
}
