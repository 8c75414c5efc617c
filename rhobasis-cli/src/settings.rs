//! Flags that describe a density, its expansion and its contraction. Defaults are those of the library.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use rhobasis::density::{Density, ExpansionSettings, Primitive, RadialScaling, Sigma};
use rhobasis::extxyz::Options;
use rhobasis::optimal::{CovarianceSettings, Mixing, PcovrSettings, Truncation};
use rhobasis::structure::{atomic_number, symbol};

use crate::failure::{Failure, Outcome};

/// What is expanded, and in what.
#[derive(Args, Debug)]
pub struct ExpansionFlags {
    /// Cutoff radius, in Å: atoms nearer than this are neighbours
    #[arg(long, value_name = "Å", default_value_t = Density::default().r_cut)]
    r_cut: f64,
    /// Standard deviation of the Gaussian on each neighbour, in Å, one for all or by species as in H=0.3,C=0.4; 0 is the δ
    /// density
    #[arg(long, value_name = "Å", default_value_t = Width(Density::default().sigma))]
    sigma: Width,
    /// Width of the shell below r_cut in which the weight of a neighbour falls to zero, in Å
    #[arg(long, value_name = "Å", default_value_t = Density::default().cutoff_width)]
    cutoff_width: f64,
    /// Radial scaling u(r) = c/(c + (r/r0)^m) of each neighbour: c, r0 in Å, m, as in 1,2,7; none if not given
    #[arg(long, value_name = "RATE,SCALE,EXPONENT")]
    scaling: Option<Scaling>,
    /// Weight of the centre atom in its own density
    #[arg(long, value_name = "NUMBER", default_value_t = Density::default().center_weight)]
    center_weight: f64,
    /// Primitive radial basis
    #[arg(long, value_enum, default_value_t = Family::Gto)]
    primitive: Family,
    /// Number of primitive radial functions per species and l (for laplacian: at l = 0, fewer above)
    #[arg(long, value_name = "N", default_value_t = ExpansionSettings::default().primitive.n_max())]
    n_max: usize,
    /// Largest angular momentum, included
    #[arg(long, value_name = "L", default_value_t = ExpansionSettings::default().l_max)]
    l_max: usize,
    /// Largest error of the splined radial integrals, relative to each channel's largest value; `exact` computes every
    /// integral by quadrature, far slower
    #[arg(long, value_name = "NUMBER|exact", default_value_t = Accuracy(ExpansionSettings::default().spline_accuracy))]
    spline_accuracy: Accuracy,
}

impl ExpansionFlags {
    fn settings(&self) -> ExpansionSettings {
        let density = Density {
            r_cut: self.r_cut,
            sigma: self.sigma.0.clone(),
            cutoff_width: self.cutoff_width,
            scaling: self.scaling.as_ref().map(|s| s.0.clone()),
            center_weight: self.center_weight,
        };
        let primitive = self.primitive.primitive(self.n_max);
        ExpansionSettings { density, primitive, l_max: self.l_max, spline_accuracy: self.spline_accuracy.0 }
    }
}

/// What is contracted with what.
#[derive(Args, Debug)]
pub struct ContractionFlags {
    #[command(flatten)]
    pub expansion: ExpansionFlags,
    /// Contract each neighbour species apart, Eq. (7), or all together, Eq. (12): fewer channels where there are several
    #[arg(long, value_enum, default_value_t = MixingFlag::PerSpecies)]
    mixing: MixingFlag,
    /// Give each species of centre a basis of its own
    #[arg(long)]
    center_specific: bool,
}

impl ContractionFlags {
    pub fn settings(&self) -> CovarianceSettings {
        let mixing = match self.mixing {
            MixingFlag::PerSpecies => Mixing::PerSpecies,
            MixingFlag::Combined => Mixing::Combined,
        };
        CovarianceSettings { expansion: self.expansion.settings(), mixing, center_specific: self.center_specific }
    }
}

/// How contraction coefficients are found.
#[derive(Args, Debug)]
pub struct MethodFlags {
    /// How the functions are found: all as principal components, or those of l = 0 by regression on energies too, Eq. (14)
    #[arg(long, value_enum, default_value_t = MethodFlag::Pca)]
    method: MethodFlag,
    /// Mixing of --method pcovr: 1 is pca, towards 0 regression [default: 0.5]
    #[arg(long, value_name = "NUMBER")]
    gamma: Option<f64>,
    /// Key of the energy of a frame, in eV, for --method pcovr [default: energy]
    #[arg(long, value_name = "KEY")]
    energy_key: Option<String>,
}

impl MethodFlags {
    /// γ, and the key of the energies; none for principal components.
    pub fn pcovr(&self) -> Outcome<Option<(PcovrSettings, String)>> {
        if let MethodFlag::Pca = self.method {
            let flag = if self.gamma.is_some() { "--gamma" } else { "--energy-key" };
            if self.gamma.is_some() || self.energy_key.is_some() {
                return Err(Failure::usage(format!(
                    "{flag}: principal components need none; add --method pcovr, or leave it out"
                )));
            }
            return Ok(None);
        }
        let settings = self.gamma.map_or(PcovrSettings::default(), |gamma| PcovrSettings { gamma });
        settings.validate()?;
        Ok(Some((settings, self.energy_key.clone().unwrap_or(Options::default().energy_key))))
    }
}

/// The element that a flag names.
pub fn element(flag: &str, name: &str) -> Result<u8, Failure> {
    atomic_number(name).ok_or_else(|| Failure::usage(format!("{flag} {name}: '{name}' is no element")))
}

/// How many channels are kept.
#[derive(Args, Debug)]
pub struct TruncationFlags {
    /// Channels to keep of each species and l; of each l with --mixing combined
    #[arg(long, value_name = "Q", conflicts_with = "retain")]
    q_max: Option<usize>,
    /// Keep the fewest channels that hold this fraction of the variance [default: 0.9999]
    #[arg(long, value_name = "FRACTION")]
    retain: Option<f64>,
}

impl TruncationFlags {
    /// Refuses a truncation of what is not truncated.
    pub fn check(&self, output: &Path) -> Outcome {
        if is_covariance(output) && (self.q_max.is_some() || self.retain.is_some()) {
            return Err(Failure::usage("--q-max and --retain do not change a covariance file (.cov): leave them out"));
        }
        Ok(())
    }

    pub fn truncation(&self) -> Truncation {
        self.q_max.map_or(Truncation::Retain(self.retain.unwrap_or(0.9999)), Truncation::QMax)
    }
}

/// Whether the output is an accumulator rather than a basis.
pub fn is_covariance(output: &Path) -> bool {
    output.extension().is_some_and(|e| e == "cov")
}

/// Which primitive basis.
#[derive(ValueEnum, Debug, Clone, Copy)]
pub enum Family {
    /// Gaussian-type orbitals
    Gto,
    /// Discrete variable representation, projected exactly
    Dvr,
    /// Discrete variable representation with one quadrature node per function, as in librascal
    DvrQuadrature,
    /// Eigenstates of the Laplacian in a sphere
    Laplacian,
}

impl Family {
    /// All of them, by the names of the flag.
    pub const NAMES: [(&str, Family); 4] = [
        ("gto", Family::Gto),
        ("dvr", Family::Dvr),
        ("dvr-quadrature", Family::DvrQuadrature),
        ("laplacian", Family::Laplacian),
    ];

    /// The basis of this many functions.
    pub fn primitive(self, n_max: usize) -> Primitive {
        match self {
            Family::Gto => Primitive::Gto { n_max },
            Family::Dvr => Primitive::Dvr { n_max, quadrature: false },
            Family::DvrQuadrature => Primitive::Dvr { n_max, quadrature: true },
            Family::Laplacian => Primitive::LaplacianEigenstates { n_max },
        }
    }
}

/// Which method.
#[derive(ValueEnum, Debug, Clone, Copy)]
enum MethodFlag {
    /// Principal components
    Pca,
    /// Principal covariates regression
    Pcovr,
}

/// Which channels are contracted together.
#[derive(ValueEnum, Debug, Clone, Copy)]
enum MixingFlag {
    PerSpecies,
    Combined,
}

/// `0.3` or `H=0.3,C=0.4`.
#[derive(Debug, Clone)]
struct Width(Sigma);

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sigma_text(&self.0))
    }
}

/// A width as it is given on the command line.
pub fn sigma_text(sigma: &Sigma) -> String {
    match sigma {
        Sigma::Same(sigma) => sigma.to_string(),
        Sigma::PerSpecies(map) => map.iter().map(|(&z, s)| format!("{}={s}", symbol(z))).collect::<Vec<_>>().join(","),
    }
}

impl FromStr for Width {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(sigma) = text.parse() {
            return Ok(Width(Sigma::Same(sigma)));
        }
        let mut map = BTreeMap::new();
        for part in text.split(',') {
            let (name, number) = part.split_once('=').ok_or("give a number, or SPECIES=NUMBER,… as in H=0.3,C=0.4")?;
            let species = atomic_number(name).ok_or_else(|| format!("'{name}' is no element"))?;
            let sigma = number.parse().map_err(|_| format!("'{number}' is no number"))?;
            if map.insert(species, sigma).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        Ok(Width(Sigma::PerSpecies(map)))
    }
}

/// `1,2,7`.
#[derive(Debug, Clone)]
struct Scaling(RadialScaling);

impl FromStr for Scaling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<f64>, _> = text.split(',').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[rate, scale, exponent]) => Ok(Scaling(RadialScaling { rate, scale, exponent })),
            _ => Err("give three numbers: rate, scale in Å, exponent, as in 1,2,7".into()),
        }
    }
}

/// `1e-8` or `exact`.
#[derive(Debug, Clone, Copy)]
struct Accuracy(Option<f64>);

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(accuracy) => write!(f, "{accuracy:e}"),
            None => f.write_str("exact"),
        }
    }
}

impl FromStr for Accuracy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Accuracy(None)),
            text => text.parse().map(|a| Accuracy(Some(a))).map_err(|_| "give a number, or exact".into()),
        }
    }
}
