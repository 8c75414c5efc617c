//! The kinds of invariant features, by name.

use super::invariants::Invariants;
use crate::density::SphericalExpansion;
use crate::settings::named;
use crate::{Error, Result};

named! {
    /// Which invariants are made of the coefficients.
    pub enum FeatureKind {
        /// Coefficients of l = 0
        RadialSpectrum = "radial-spectrum",
        /// Invariants of pairs of coefficients, Eq. (15)
        PowerSpectrum = "power-spectrum",
        /// Invariants of three coefficients, Eq. (16); there are many of them
        Bispectrum = "bispectrum",
    }
}

impl Invariants {
    /// Invariants of this kind. `columns` are the components of a power spectrum that are made, all if not given; with
    /// `normalize`, the row of each centre is divided by its norm.
    ///
    /// # Errors
    /// If a column does not exist, or columns are given for another kind.
    pub fn of_kind(
        kind: FeatureKind,
        expansion: &SphericalExpansion,
        columns: Option<&[[usize; 3]]>,
        normalize: bool,
    ) -> Result<Self> {
        if let Some(columns) = columns
            && kind != FeatureKind::PowerSpectrum
        {
            let problem = "only of a power spectrum some components can be computed without the rest";
            let value = format!("{} rows", columns.len());
            return Err(Error::setting("columns", value, problem, "use power-spectrum, or leave columns out"));
        }
        match kind {
            FeatureKind::RadialSpectrum => Ok(Invariants::radial_spectrum(expansion, normalize)),
            FeatureKind::PowerSpectrum => Invariants::power_spectrum(expansion, columns, normalize),
            FeatureKind::Bispectrum => Invariants::bispectrum(expansion, normalize),
        }
    }
}
