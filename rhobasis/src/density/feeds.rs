//! Which neighbour species feeds which channels through which radial integrals: how an expansion is put together.

use std::sync::{Arc, Mutex};

use super::equivariants::Channel;
use super::evaluated::Radial;
use super::expansion::{SphericalExpansion, Workspace};
use super::harmonics::{SolidHarmonics, gradient_terms};
use super::kernel::{LadderTerm, Tools};
use super::radial::RadialIntegrals;
use super::settings::{Density, ExpansionSettings};
use super::spline::{RadialTable, Rows, SplineError, tabulate};
use crate::Result;

/// What does not depend on the set of species.
#[derive(Debug)]
pub(super) struct Shared {
    pub density: Density,
    pub l_max: usize,
    pub harmonics: SolidHarmonics,
    pub radials: Vec<Radial>,
    /// I_q0(0) of each entry of `radials`.
    pub at_origin: Vec<Vec<f64>>,
    /// Terms of ∇(r^l Y_lm) for all l, ascending.
    pub ladder: Vec<LadderTerm>,
    /// Where the terms of each l end.
    pub ladder_end: Vec<usize>,
    pub spline_error: Option<SplineError>,
    /// Buffers that no thread uses at the moment.
    pub idle: Mutex<Vec<Workspace>>,
}

/// Which neighbour species feeds which channels through which radial integrals.
#[derive(Debug, Clone)]
pub(super) struct Feeds {
    /// (index of the radial integrals, slot) by atomic number.
    pub of_species: Vec<Option<(usize, usize)>>,
    /// First channel of each slot, for each l: `[l][slot]`.
    pub starts: Vec<Vec<usize>>,
    /// Radial integrals that stand for the layout of each slot.
    pub representative: Vec<usize>,
    /// Whether the slots fill all channels.
    pub covers: bool,
}

/// Radial functions of one kind of centre: (neighbour species, integrals).
pub(crate) struct KindOfCenter {
    pub center: Option<u8>,
    pub radials: Vec<(u8, RadialSource)>,
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
        Ok(Self::primitive(shared, &radial_of))
    }

    /// The same primitive expansion for other species, all of which have the width of a species given to
    /// [`SphericalExpansion::new`].
    pub(crate) fn for_species(&self, species: &[u8]) -> Option<Self> {
        let feeds = &self.kinds[0];
        let radial_of: Option<Vec<(u8, usize)>> =
            species.iter().map(|&z| feeds.of_species[z as usize].map(|(radial, _)| (z, radial))).collect();
        Some(Self::primitive(self.shared.clone(), &radial_of?))
    }

    fn primitive(shared: Arc<Shared>, radial_of: &[(u8, usize)]) -> Self {
        let mut radial_of = radial_of.to_vec();
        radial_of.sort_unstable();
        radial_of.dedup();
        let mut kind = Feeds::separate(&shared, &radial_of);
        let channels = separate_channels(&shared, &radial_of);
        kind.covers = kind.fills_all(&shared, &channels);
        let species = radial_of.iter().map(|&(z, _)| z).collect();
        SphericalExpansion { shared, species, kinds: vec![kind], kind_of: vec![Some(0); 256], channels }
    }

    /// A contracted expansion. Kinds of centre may keep different numbers of functions: channels are the union, and
    /// those that a kind does not have stay zero. `stored_error` goes with tables read from a file.
    pub(crate) fn contracted(
        density: Density,
        l_max: usize,
        spline_accuracy: Option<f64>,
        stored_error: Option<SplineError>,
        combined: bool,
        kinds: Vec<KindOfCenter>,
    ) -> Result<Self> {
        // All radial functions of all kinds go into one list, tabulated on common knots.
        let (mut integrals, mut tables, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for kind in kinds {
            let mut radial_of = Vec::new();
            for (z, source) in kind.radials {
                radial_of.push((z, integrals.len() + tables.len()));
                match source {
                    RadialSource::Integrals(i) => integrals.push(i),
                    RadialSource::Table(t) => tables.push(Radial::Splined(t)),
                }
            }
            entries.push((kind.center, radial_of));
        }
        assert!(integrals.is_empty() || tables.is_empty(), "either all tables come from a file or none");
        let (radials, error) =
            if integrals.is_empty() { (tables, stored_error) } else { prepare(integrals, &density, spline_accuracy)? };
        let shared = Arc::new(Shared::new(density, l_max, radials, error));
        let mut species: Vec<u8> = entries.iter().flat_map(|(_, r)| r.iter().map(|&(z, _)| z)).collect();
        species.sort_unstable();
        species.dedup();
        let channels = if combined {
            combined_channels(&shared, &entries)
        } else {
            union_of_channels(&shared, &species, &entries)
        };
        let mut kind_of = vec![None; 256];
        let mut feeds = Vec::new();
        for (center, radial_of) in &entries {
            match center {
                None => kind_of = vec![Some(feeds.len()); 256],
                Some(z) => kind_of[*z as usize] = Some(feeds.len()),
            }
            let mut kind = match combined {
                true => Feeds::combined(l_max, radial_of),
                false => Feeds::into_channels(&channels, radial_of),
            };
            kind.covers = kind.fills_all(&shared, &channels);
            feeds.push(kind);
        }
        Ok(SphericalExpansion { shared, species, kinds: feeds, kind_of, channels })
    }
}

impl Shared {
    fn new(density: Density, l_max: usize, radials: Vec<Radial>, spline_error: Option<SplineError>) -> Self {
        let (mut ladder, mut ladder_end) = (Vec::new(), Vec::new());
        for l in 0..=l_max {
            gradient_terms(l, |direction, m, below, coefficient| {
                let lm = ((l * l + l) as i64 + m) as usize;
                let below = ((l * l - l) as i64 + below) as usize; // (l − 1)² + (l − 1) + m′
                ladder.push(LadderTerm { direction, lm, below, coefficient });
            });
            ladder_end.push(ladder.len());
        }
        let at_origin = radials.iter().map(Radial::at_origin).collect();
        let harmonics = SolidHarmonics::new(l_max);
        Shared {
            density,
            l_max,
            harmonics,
            radials,
            at_origin,
            ladder,
            ladder_end,
            spline_error,
            idle: Mutex::default(),
        }
    }

    pub fn tools(&self) -> Tools<'_> {
        Tools { density: &self.density, harmonics: &self.harmonics, radials: &self.radials, ladder: &self.ladder }
    }

    /// Terms of ∇(r^l Y_lm) of one l.
    pub fn ladder_of(&self, l: usize) -> &[LadderTerm] {
        let start = if l == 0 { 0 } else { self.ladder_end[l - 1] };
        &self.ladder[start..self.ladder_end[l]]
    }
}

impl Feeds {
    /// Whether the slots fill all channels.
    fn fills_all(&self, shared: &Shared, channels: &[Vec<Channel>]) -> bool {
        let filled = |l: usize| self.representative.iter().map(|&r| shared.radials[r].rows().counts[l]).sum::<usize>();
        channels.iter().enumerate().all(|(l, channels)| filled(l) == channels.len())
    }

    /// Each species has channels of its own, one after the other.
    fn separate(shared: &Shared, radial_of: &[(u8, usize)]) -> Self {
        let mut of_species = vec![None; 256];
        let mut starts = vec![Vec::new(); shared.l_max + 1];
        let mut representative = Vec::new();
        let mut next = vec![0; shared.l_max + 1];
        for (slot, &(z, radial)) in radial_of.iter().enumerate() {
            of_species[z as usize] = Some((radial, slot));
            representative.push(radial);
            for l in 0..=shared.l_max {
                starts[l].push(next[l]);
                next[l] += shared.radials[radial].rows().counts[l];
            }
        }
        Feeds { of_species, starts, representative, covers: false }
    }

    /// Every species feeds all channels, each through its own radial integrals, Eq. (13).
    fn combined(l_max: usize, radial_of: &[(u8, usize)]) -> Self {
        let mut of_species = vec![None; 256];
        for &(z, radial) in radial_of {
            of_species[z as usize] = Some((radial, 0));
        }
        let representative = radial_of.first().map(|&(_, radial)| radial).into_iter().collect();
        Feeds { of_species, starts: vec![vec![0]; l_max + 1], representative, covers: false }
    }

    /// As [`Feeds::separate`], into channels that also hold what other kinds of centre keep.
    fn into_channels(channels: &[Vec<Channel>], radial_of: &[(u8, usize)]) -> Self {
        let mut of_species = vec![None; 256];
        let mut starts = vec![Vec::new(); channels.len()];
        let mut representative = Vec::new();
        for (slot, &(z, radial)) in radial_of.iter().enumerate() {
            of_species[z as usize] = Some((radial, slot));
            representative.push(radial);
            for (starts, channels) in starts.iter_mut().zip(channels) {
                starts.push(channels.partition_point(|c| c.species < z));
            }
        }
        Feeds { of_species, starts, representative, covers: false }
    }
}

fn separate_channels(shared: &Shared, radial_of: &[(u8, usize)]) -> Vec<Vec<Channel>> {
    (0..=shared.l_max)
        .map(|l| {
            let of = |&(species, radial): &(u8, usize)| {
                (0..shared.radials[radial].rows().counts[l]).map(move |n| Channel { species, n })
            };
            radial_of.iter().flat_map(of).collect()
        })
        .collect()
}

type Entries = [(Option<u8>, Vec<(u8, usize)>)];

fn combined_channels(shared: &Shared, entries: &Entries) -> Vec<Vec<Channel>> {
    (0..=shared.l_max)
        .map(|l| {
            let radials = entries.iter().flat_map(|(_, radial_of)| radial_of);
            let count = radials.map(|&(_, radial)| shared.radials[radial].rows().counts[l]).max().unwrap_or(0);
            (0..count).map(|n| Channel { species: 0, n }).collect()
        })
        .collect()
}

fn union_of_channels(shared: &Shared, species: &[u8], entries: &Entries) -> Vec<Vec<Channel>> {
    (0..=shared.l_max)
        .map(|l| {
            let mut channels = Vec::new();
            for &z in species {
                let radials = entries.iter().flat_map(|(_, radial_of)| radial_of).filter(|(a, _)| *a == z);
                let count = radials.map(|&(_, radial)| shared.radials[radial].rows().counts[l]).max().unwrap_or(0);
                channels.extend((0..count).map(|n| Channel { species: z, n }));
            }
            channels
        })
        .collect()
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
