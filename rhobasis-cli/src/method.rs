//! How the functions of a basis are found, and what they are made for: flags of `rhobasis fit`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rhobasis::extxyz::Options;
use rhobasis::optimal::{
    CovarianceSettings, Method, OptimalBasis, PcovrSettings, SensitivitySettings, SupervisedSettings, Truncation,
};
use rhobasis::potential::{
    Baseline, FeatureSettings, Repulsion, Sigmas, TrainSettings, Weights, supervised_basis, supervising_model,
};
use rhobasis::settings::Setting;

use crate::failure::{Failure, Outcome};
use crate::input::{Keys, frames_bar};
use crate::label_keys::Named;
use crate::labelled::LabelledFrames;
use crate::make_basis::principal;
use crate::settings::{Flags, Group};
use crate::text::{field, plural};

impl Group for Method {
    fn settings() -> Vec<&'static Setting> {
        Method::SETTINGS.to_vec()
    }
}

impl Group for Sigmas {
    fn settings() -> Vec<&'static Setting> {
        Sigmas::default().values().into_iter().map(|(setting, _)| setting).collect()
    }
}

/// How contraction coefficients are found, and, for --method pcovr and supervised, what of the labels they know.
#[derive(Args, Debug)]
pub struct MethodFlags {
    #[command(flatten)]
    method: Flags<Method>,
    #[command(flatten)]
    labels: LabelFlags,
    /// Potential, *.rho, whose sensitivity --method sensitivity takes over DATA; its basis is the one that functions are made of
    #[arg(long, value_name = "FILE.rho")]
    potential: Option<PathBuf>,
}

/// Where labels are, and how much each counts.
#[derive(Args, Debug)]
#[command(next_help_heading = "Labels, for --method supervised, and energies for pcovr")]
struct LabelFlags {
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    sigmas: Flags<Sigmas>,
}

/// What the flags ask for.
pub enum Found {
    /// Principal components.
    Variance,
    /// Eq. (14), with energies under this key.
    Energies(PcovrSettings, String),
    /// What a linear model needs.
    Linear(SupervisedSettings),
    /// What a potential depends on.
    Potential(SensitivitySettings, PathBuf),
}

impl Found {
    /// What the method is called.
    pub fn name(&self) -> &'static str {
        match self {
            Found::Variance => "pca",
            Found::Energies(..) => "pcovr",
            Found::Linear(_) => "supervised",
            Found::Potential(..) => "sensitivity",
        }
    }

    /// The flags that it has a use for.
    fn flags(&self) -> &'static [&'static str] {
        match self {
            Found::Variance => &[],
            Found::Energies(..) => &["--gamma", "--energy-key"],
            Found::Linear(_) => &[
                "--supervised",
                "--span",
                "--energy-key",
                "--force-key",
                "--stress-key",
                "--virial-key",
                "--energy-sigma",
                "--force-sigma",
                "--stress-sigma",
            ],
            Found::Potential(..) => &["--gamma", "--potential"],
        }
    }
}

impl MethodFlags {
    /// What is asked for; flags that it has no use for are refused.
    pub fn read(&self) -> Outcome<Found> {
        let found = match self.method.read(Method::read)? {
            Method::Pca => Found::Variance,
            Method::Pcovr(settings) => {
                Found::Energies(settings, self.labels.keys.named().energy_key.unwrap_or(Options::default().energy_key))
            }
            Method::Supervised(settings) => Found::Linear(settings),
            Method::Sensitivity(settings) => {
                let missing = "--method sensitivity: it is that of a potential; name one with --potential FILE.rho";
                Found::Potential(settings, self.potential.clone().ok_or_else(|| Failure::usage(missing))?)
            }
            Method::Given => unreachable!("no word of --method"),
        };
        let potential = self.potential.as_ref().map(|_| "--potential".to_string());
        let mut given =
            self.method.given().chain(self.labels.sigmas.given()).chain(self.labels.keys.given()).chain(potential);
        if let Some(flag) = given.find(|flag| flag != "--method" && !found.flags().contains(&&flag[..])) {
            let name = found.name();
            return Err(Failure::usage(format!("{flag}: --method {name} has no use for it; change one of the two")));
        }
        Ok(found)
    }

    /// The potential that is read.
    pub fn potential(&self) -> Option<&PathBuf> {
        self.potential.as_ref()
    }

    /// A basis for a linear model of the labels of all frames.
    pub fn supervised(
        &self,
        data: &[String],
        covariance: &CovarianceSettings,
        (settings, truncation): (SupervisedSettings, Truncation),
        out: &mut dyn Write,
    ) -> Outcome<OptimalBasis> {
        let q_max = truncation.q_max()?;
        let data = LabelledFrames::read(data, &self.labels.keys.named())?;
        Named::ByFlags(&data.files).check(&data.survey)?;
        let (model, baseline) = (supervising_model(), Baseline::default());
        let found = Sigmas::of_labels(&data.labels);
        let weights =
            Weights { all: self.labels.sigmas.read(|given| Sigmas::read(given, &found))?, ..Weights::default() };
        let target = TrainSettings {
            features: FeatureSettings::default(),
            model,
            baseline,
            repulsion: Repulsion::None,
            weights,
        };
        let span = principal(covariance, |sums| sums.leading(settings.span), &data.frames, &data.files)?;
        let bar = frames_bar(data.len(), "supervision");
        let progress = |done| bar.set_position(done as u64);
        let made = supervised_basis(span, (settings, q_max), &target, &data.frames, &data.labels, progress);
        let made = made.map_err(|e| data.locate(e))?;
        bar.finish_and_clear();
        let left = 100.0 * made.excess / made.excess_of_pca.max(f64::MIN_POSITIVE);
        let principal = plural(q_max, "principal function");
        let text =
            format!("{left:.3} % of the squared error that {principal} add to that of {} is left", settings.span);
        field(out, "linear fit", text)?;
        Ok(made.basis)
    }
}
