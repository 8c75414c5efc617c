//! Which neighbours contribute to which channels through which radial integrals: how an expansion is put together.

use std::sync::Arc;

use super::block::{GradientTerm, Tools};
use super::equivariants::{BlockKey, Channel};
use super::evaluated::Radial;
use super::expansion::{SphericalExpansion, Workspace};
use super::harmonics::{SolidHarmonics, gradient_terms};
use super::kernel::n_sums;
use super::radial::RadialIntegrals;
use super::runs::Finder;
use super::settings::{Density, ExpansionSettings};
use super::table::{RadialTable, Rows, SplineError, tabulate};
use crate::Result;
use crate::threads::Pool;

/// What does not depend on the set of species.
#[derive(Debug)]
pub(super) struct Shared {
    pub density: Density,
    pub keys: Vec<BlockKey>,
    pub harmonics: SolidHarmonics,
    pub radials: Vec<Radial>,
    /// I_q0(0) of each entry of `radials`.
    pub at_origin: Vec<Vec<f64>>,
    /// Terms of ∇(r^l Y_lm) for all l, ascending.
    pub gradient_terms: Vec<GradientTerm>,
    /// Where the terms of each l end.
    pub terms_end: Vec<usize>,
    pub spline_error: Option<SplineError>,
    /// Of all `radials`: numbers of a row, and sums (but at least 2 l_max + 1, for a gradient).
    pub longest_row: usize,
    pub most_sums: usize,
    pub workspaces: Pool<Workspace>,
    pub finders: Pool<Finder>,
}

/// Groups of channels by neighbour species: each species has one of its own, Eqs. (4), (8), or all share one, Eq. (13).
#[derive(Debug, Clone)]
pub(super) struct Groups {
    /// First channel of each group, for each l: `[l][group]`.
    pub starts: Vec<Vec<usize>>,
    /// By atomic number of the neighbour.
    of_species: Vec<Option<u32>>,
    /// One, or one for each species of centre.
    around: Vec<Around>,
    /// By atomic number of the centre: index in `around`.
    around_species: Vec<Option<u8>>,
}

/// How neighbours contribute to the density around one species of centre, or around all.
#[derive(Debug, Clone)]
pub(super) struct Around {
    /// Radial integrals by atomic number of the neighbour.
    radial_of: Vec<Option<u32>>,
    /// Radial integrals whose rows are laid out as the channels of each group.
    pub layouts: Vec<usize>,
    /// Whether the groups fill all channels.
    pub covers: bool,
}

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
        let around = &self.groups.around[0];
        let radial_of = species.iter().map(|&z| Some((z, around.radial(z)? as usize))).collect::<Option<_>>()?;
        Some(Self::primitive(self.shared.clone(), radial_of))
    }

    fn primitive(shared: Arc<Shared>, mut radial_of: Vec<(u8, usize)>) -> Self {
        radial_of.sort_unstable();
        radial_of.dedup();
        let (species, radials): (Vec<u8>, Vec<usize>) = radial_of.into_iter().unzip();
        Self::assemble(shared, species, false, &[(None, radials)])
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
        Ok(Self::assemble(shared, species.to_vec(), combined, &entries))
    }

    /// `entries`: for each species of centre (`None`: all) the radial integrals of each neighbour species.
    fn assemble(
        shared: Arc<Shared>,
        species: Vec<u8>,
        combined: bool,
        entries: &[(Option<u8>, Vec<usize>)],
    ) -> SphericalExpansion {
        let count = |l: usize, radial: usize| shared.radials[radial].rows().counts[l];
        let owners: Vec<u8> = if combined { vec![0] } else { species.clone() };
        let of_owner = |group: usize| if combined { 0..species.len() } else { group..group + 1 };
        let (mut starts, mut channels) = (Vec::new(), Vec::new());
        for l in 0..shared.keys.len() {
            let (mut starts_of_l, mut channels_of_l) = (Vec::new(), Vec::new());
            for (group, &owner) in owners.iter().enumerate() {
                let radials = entries.iter().flat_map(|(_, radials)| &radials[of_owner(group)]);
                let n = radials.map(|&radial| count(l, radial)).max().unwrap_or(0);
                starts_of_l.push(channels_of_l.len());
                channels_of_l.extend((0..n).map(|n| Channel { species: owner, n }));
            }
            starts.push(starts_of_l);
            channels.push(channels_of_l);
        }
        let (mut of_species, mut around, mut around_species) = (vec![None; 256], Vec::new(), vec![None; 256]);
        for (k, &z) in species.iter().enumerate() {
            of_species[usize::from(z)] = Some(if combined { 0 } else { k as u32 });
        }
        for (index, (center, radials)) in entries.iter().enumerate() {
            match center {
                None => around_species.fill(Some(index as u8)),
                Some(z) => around_species[usize::from(*z)] = Some(index as u8),
            }
            let mut radial_of = vec![None; 256];
            for (&z, &radial) in species.iter().zip(radials) {
                radial_of[usize::from(z)] = Some(radial as u32);
            }
            let layouts: Vec<usize> = radials.iter().copied().take(owners.len()).collect();
            let filled = |l: usize| layouts.iter().map(|&radial| count(l, radial)).sum::<usize>();
            let covers = channels.iter().enumerate().all(|(l, channels)| filled(l) == channels.len());
            around.push(Around { radial_of, layouts, covers });
        }
        let groups = Groups { starts, of_species, around, around_species };
        SphericalExpansion { shared, species, groups, channels }
    }
}

impl Groups {
    /// Number of groups.
    pub fn n(&self) -> usize {
        self.starts[0].len()
    }

    /// The group of channels of a neighbour species.
    #[inline(always)]
    pub fn of(&self, z: u8) -> Option<usize> {
        self.of_species[usize::from(z)].map(|group| group as usize)
    }

    /// How neighbours contribute around a species of centre; none if there are no such centres.
    pub fn around(&self, z: u8) -> Option<&Around> {
        self.around_species[usize::from(z)].map(|index| &self.around[usize::from(index)])
    }
}

impl Around {
    /// The radial integrals of a neighbour species.
    #[inline(always)]
    pub fn radial(&self, z: u8) -> Option<u32> {
        self.radial_of[usize::from(z)]
    }
}

impl Shared {
    fn new(density: Density, l_max: usize, radials: Vec<Radial>, spline_error: Option<SplineError>) -> Self {
        let (mut terms, mut terms_end) = (Vec::new(), Vec::new());
        for l in 0..=l_max {
            gradient_terms(l, |direction, m, below, coefficient| {
                let lm = ((l * l + l) as i64 + m) as usize;
                let below = ((l * l - l) as i64 + below) as usize; // (l − 1)² + (l − 1) + m′
                terms.push(GradientTerm { direction, lm, below, coefficient });
            });
            terms_end.push(terms.len());
        }
        let longest_row = radials.iter().map(|radial| radial.rows().len()).max().unwrap_or(0);
        let most_sums = radials.iter().map(|radial| n_sums(radial.rows())).max().unwrap_or(0).max(2 * l_max + 1);
        Shared {
            density,
            keys: (0..=l_max).map(BlockKey::density).collect(),
            harmonics: SolidHarmonics::new(l_max),
            at_origin: radials.iter().map(Radial::at_origin).collect(),
            radials,
            gradient_terms: terms,
            terms_end,
            spline_error,
            longest_row,
            most_sums,
            workspaces: Pool::default(),
            finders: Pool::default(),
        }
    }

    pub fn l_max(&self) -> usize {
        self.keys.len() - 1
    }

    pub fn tools(&self) -> Tools<'_> {
        let Shared { density, harmonics, radials, gradient_terms, .. } = self;
        Tools { density, harmonics, radials, gradient_terms }
    }

    /// Terms of ∇(r^l Y_lm) of one l.
    pub fn terms_of(&self, l: usize) -> &[GradientTerm] {
        let start = if l == 0 { 0 } else { self.terms_end[l - 1] };
        &self.gradient_terms[start..self.terms_end[l]]
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
