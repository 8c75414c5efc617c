//! From structures to features: a basis, and the invariants made of its coefficients.

use std::path::Path;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::correlations::{FeatureKind, Invariants, Member, Nice, NiceSettings};
use crate::density::{ExpansionSettings, SphericalExpansion};
use crate::files::Archive;
use crate::optimal::{Method, OptimalBasis};
use crate::settings::{Given, Setting, Source};
use crate::structure::Structure;
use crate::{Error, Result};

/// The radial basis below a potential.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // there is one below a potential, not many in a list
pub enum Basis {
    /// A contracted one.
    Optimal(OptimalBasis),
    /// A primitive one, made for some species.
    Primitive {
        /// How it was made.
        settings: ExpansionSettings,
        /// The evaluator.
        expansion: SphericalExpansion,
    },
}

impl Basis {
    /// A primitive basis for these species.
    ///
    /// # Errors
    /// As [`SphericalExpansion::new`].
    pub fn primitive(settings: &ExpansionSettings, species: &[u8]) -> Result<Self> {
        let expansion = SphericalExpansion::new(settings, species)?;
        Ok(Basis::Primitive { settings: settings.clone(), expansion })
    }

    /// Of what [`Basis::kept_variance`] is: the density, or the weighted density.
    pub fn density_of_variances(&self) -> &'static str {
        if let Basis::Optimal(basis) = self { basis.density_of_variances() } else { "density" }
    }

    /// Which fraction of the variance of the density an optimal basis keeps, and by what, as in `q_max 6`; none of others.
    pub fn kept_variance(&self) -> Option<(f64, String)> {
        let Basis::Optimal(basis) = self else { return None };
        let blocks = basis.kinds().iter().flat_map(|kind| &kind.blocks);
        let counts = || blocks.clone().map(|block| block.contraction.u.nrows());
        let channels = match (counts().min()?, counts().max()?) {
            (least, most) if least == most => format!("q_max {most}"),
            (least, most) => format!("a basis of {least} to {most} channels"),
        };
        Some((1.0 - basis.discarded_variance(), channels))
    }

    /// Whether its functions were found for a model or given, so that the variance they keep says little of them.
    pub fn is_made_for_a_target(&self) -> bool {
        let Basis::Optimal(basis) = self else { return false };
        matches!(basis.settings().method, Method::Supervised(_) | Method::Sensitivity(_) | Method::Given)
    }

    /// The evaluator of the coefficients.
    pub fn expansion(&self) -> &SphericalExpansion {
        match self {
            Basis::Optimal(basis) => basis.expansion(),
            Basis::Primitive { expansion, .. } => expansion,
        }
    }
}

/// What is made of the coefficients: features of one kind, or of several beside each other, each of its own part of them.
///
/// In files, a table of one kind, as ever, or a list of such.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSettings {
    /// One, or several; their features stand in a row.
    pub members: Vec<Member>,
}

impl Default for FeatureSettings {
    fn default() -> Self {
        Member::new(FeatureKind::PowerSpectrum, false).into()
    }
}

impl From<Member> for FeatureSettings {
    fn from(member: Member) -> Self {
        FeatureSettings { members: vec![member] }
    }
}

impl FeatureSettings {
    /// The features with these settings and all columns, `normalize` being what holds if nothing is said about it. Where `kind` is
    /// a list, so may be each of the others, with a value for each kind.
    ///
    /// # Errors
    /// For the first value that cannot be used, and for lists of another length.
    pub fn read(given: Source, normalize: bool) -> Result<Self> {
        let Some(Given::List(kinds)) = given("kind") else {
            return FeatureSettings::from(Member::read(given, normalize)?).with_no_setting_ignored(given);
        };
        if kinds.is_empty() {
            return Err(Error::setting("kind", "[]", "there are no features", "give one kind or more"));
        }
        for setting in Member::settings().into_iter().chain(NiceSettings::SETTINGS) {
            let Some(Given::List(items)) = given(setting.name) else { continue };
            if items.len() != kinds.len() {
                let problem = format!("there are {} kinds", kinds.len());
                let value = Given::List(items);
                return Err(Error::setting(setting.name, value, problem, "give one value, or one for each kind"));
            }
        }
        let member = |k: usize| {
            let own = |name| match given(name) {
                Some(Given::List(items)) => Some(items[k].clone()),
                of_all => of_all,
            };
            Member::read(&own, normalize)
        };
        let members = (0..kinds.len()).map(member).collect::<Result<_>>()?;
        FeatureSettings { members }.with_no_setting_ignored(given)
    }

    /// Refuses settings of NICE where there is none.
    fn with_no_setting_ignored(self, given: Source) -> Result<Self> {
        let given = |setting: &&&Setting| given(setting.name).is_some_and(|value| value != Given::Nothing);
        match NiceSettings::SETTINGS.iter().find(given) {
            Some(setting) if self.members.iter().all(|member| member.kind != FeatureKind::Nice) => {
                let problem = "it is a setting of the kind nice, which is not among these features";
                Err(Error::setting(setting.name, "given", problem, "leave it out, or use kind = \"nice\""))
            }
            _ => Ok(self),
        }
    }

    /// The same, what is to be fitted to structures being fitted.
    ///
    /// # Errors
    /// As [`Member::fit`].
    pub fn fitted(&self, basis: &Basis, structures: &[Structure]) -> Result<Self> {
        let mut fitted = self.clone();
        fitted.members.iter_mut().try_for_each(|member| member.fit(basis.expansion(), structures))?;
        Ok(fitted)
    }

    /// Adds what was fitted to a file.
    pub(super) fn store(&self, archive: &mut Archive) {
        for (k, member) in self.members.iter().enumerate() {
            if let Some(nice) = &member.fitted {
                nice.store(archive, &name_of_nice(k));
            }
        }
    }

    /// What [`FeatureSettings::store`] has added.
    pub(super) fn restore(&mut self, archive: &Archive, path: &Path) -> Result<()> {
        for (k, member) in self.members.iter_mut().enumerate().filter(|(_, member)| member.kind == FeatureKind::Nice) {
            member.fitted = Some(Arc::new(Nice::restore(archive, path, &name_of_nice(k))?));
        }
        Ok(())
    }

    /// The features of this basis.
    ///
    /// # Errors
    /// As [`Invariants::of_members`].
    pub fn invariants(&self, basis: &Basis) -> Result<Invariants> {
        Invariants::of_members(basis.expansion(), &self.members)
    }
}

fn name_of_nice(k: usize) -> String {
    format!("features/{k}/nice")
}

impl Serialize for FeatureSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.members[..] {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for FeatureSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let found = serde_json::Value::deserialize(deserializer)?;
        let members = match found.is_array() {
            true => serde_json::from_value(found),
            false => serde_json::from_value(found).map(|one| vec![one]),
        };
        members.map(|members| FeatureSettings { members }).map_err(D::Error::custom)
    }
}
