//! How an expansion is put together: primitive, or from contracted radial functions.

use std::sync::Arc;

use super::channels::Groups;
use super::evaluated::Radial;
use super::expansion::SphericalExpansion;
use super::radial::RadialIntegrals;
use super::settings::{Density, ExpansionSettings, RadialScaling};
use super::shared::Shared;
use super::table::{RadialTable, Rows, SplineError, tabulate};
use crate::Result;

/// Radial functions around one species of centre (`None`: all), for each neighbour species in ascending order.
pub(crate) struct AroundCenter {
    pub center: Option<u8>,
    pub radials: Vec<RadialSource>,
}

/// Radial integrals to be tabulated (or not), or a table read from a file.
pub(crate) enum RadialSource {
    Integrals(RadialIntegrals),
    Table(RadialTable),
}

impl SphericalExpansion {
    /// The primitive expansion for these neighbour species.
    ///
    /// # Errors
    /// For settings outside their range, or a species without a `sigma`.
    pub fn new(settings: &ExpansionSettings, species: &[u8]) -> Result<Self> {
        settings.validate()?;
        let mut widths: Vec<f64> = Vec::new();
        let mut radial_of = Vec::new();
        for &z in species {
            let sigma = settings.density.sigma.of(z)?;
            let index = widths.iter().position(|&w| w == sigma).unwrap_or(widths.len());
            if index == widths.len() {
                widths.push(sigma);
            }
            radial_of.push((z, index));
        }
        let integrals = widths
            .iter()
            .map(|&sigma| RadialIntegrals::new(&settings.primitive, settings.density.r_cut, sigma, settings.l_max))
            .collect::<Result<Vec<_>>>()?;
        let (radials, error) = prepare(integrals, &settings.density, settings.spline_accuracy)?;
        let shared = Arc::new(Shared::new(settings.density.clone(), settings.l_max, radials, error));
        Ok(Self::primitive(shared, radial_of))
    }

    /// The same primitive expansion for other species, all of which have the width of a species given to
    /// [`SphericalExpansion::new`].
    pub(crate) fn for_species(&self, species: &[u8]) -> Option<Self> {
        let around = self.around(0);
        let radial_of = species.iter().map(|&z| Some((z, around.radial(z)? as usize))).collect::<Option<_>>()?;
        Some(Self::primitive(self.shared.clone(), radial_of))
    }

    /// The same expansion of another density, in which each neighbour weighs f·u instead of f.
    pub(crate) fn weighted_by(&self, u: &RadialScaling) -> Self {
        let Shared { density, radials, spline_error, .. } = &*self.shared;
        let mut shared = Shared::new(density.clone(), self.l_max(), radials.clone(), *spline_error);
        shared.weighting = Some(u.clone());
        SphericalExpansion { shared: Arc::new(shared), ..self.clone() }
    }

    fn primitive(shared: Arc<Shared>, mut radial_of: Vec<(u8, usize)>) -> Self {
        radial_of.sort_unstable();
        radial_of.dedup();
        let (species, radials): (Vec<u8>, Vec<usize>) = radial_of.into_iter().unzip();
        Self::of_channels(shared, species, false, &[(None, radials)])
    }

    /// A contracted expansion of these neighbour species, ascending. Species of centre may keep different numbers of
    /// functions: channels are the union, and those that one does not have stay zero. `stored_error` goes with tables read
    /// from a file.
    pub(crate) fn contracted(
        density: Density,
        spline_accuracy: Option<f64>,
        stored_error: Option<SplineError>,
        combined: bool,
        species: &[u8],
        around: Vec<AroundCenter>,
    ) -> Result<Self> {
        // All radial functions around all centres go into one list, tabulated on common knots.
        let (mut integrals, mut tables, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for AroundCenter { center, radials } in around {
            assert_eq!(radials.len(), species.len(), "radial functions for each neighbour species");
            let first = integrals.len() + tables.len();
            entries.push((center, (first..first + radials.len()).collect()));
            for source in radials {
                match source {
                    RadialSource::Integrals(i) => integrals.push(i),
                    RadialSource::Table(t) => tables.push(Radial::Splined(t)),
                }
            }
        }
        assert!(integrals.is_empty() || tables.is_empty(), "either all tables come from a file or none");
        let (radials, error) =
            if integrals.is_empty() { (tables, stored_error) } else { prepare(integrals, &density, spline_accuracy)? };
        let l_max = radials.first().map_or(0, |radial| radial.rows().l_max());
        let shared = Arc::new(Shared::new(density, l_max, radials, error));
        Ok(Self::of_channels(shared, species.to_vec(), combined, &entries))
    }

    fn of_channels(
        shared: Arc<Shared>,
        species: Vec<u8>,
        combined: bool,
        entries: &[(Option<u8>, Vec<usize>)],
    ) -> SphericalExpansion {
        let (r_cut, n_l) = (shared.density.r_cut, shared.keys.len());
        let rows = |radial: usize| shared.radials[radial].rows();
        let (groups, channels) = Groups::new(r_cut, species, combined, entries, n_l, rows);
        SphericalExpansion { shared, groups, channels }
    }
}

fn prepare(
    integrals: Vec<RadialIntegrals>,
    density: &Density,
    spline_accuracy: Option<f64>,
) -> Result<(Vec<Radial>, Option<SplineError>)> {
    match spline_accuracy {
        Some(accuracy) => {
            let (tables, error) = tabulate(&integrals, density.r_cut, accuracy)?;
            Ok((tables.into_iter().map(Radial::Splined).collect(), Some(error)))
        }
        None => {
            let exact = |i: RadialIntegrals| {
                let rows = Rows::of(&i);
                Radial::Exact(i, rows)
            };
            Ok((integrals.into_iter().map(exact).collect(), None))
        }
    }
}
