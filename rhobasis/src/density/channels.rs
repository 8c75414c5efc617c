//! Which neighbours contribute to which channels through which radial integrals.

use super::equivariants::Channel;
use super::table::Rows;
use crate::Error;
use crate::structure::symbol;

/// Groups of channels by neighbour species: each species has one of its own, Eqs. (4), (8), or all share one, Eq. (13).
#[derive(Debug, Clone)]
pub(super) struct Groups {
    /// Neighbours are nearer than this, in Å.
    pub r_cut: f64,
    /// Neighbour species, ascending.
    pub species: Vec<u8>,
    /// First channel of each group, for each l: `[l][group]`.
    pub starts: Vec<Vec<usize>>,
    /// By atomic number of the neighbour.
    of_species: Vec<Option<u32>>,
    /// One, or one for each species of centre.
    around: Vec<Around>,
    /// By atomic number of the centre: index in `around`.
    around_species: Vec<Option<u8>>,
    /// Whether neighbours of other species are left out instead of being refused.
    pub ignores_unknown: bool,
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

impl Groups {
    /// Groups and channels for neighbours of these species, ascending: one group for all if `combined`, with the union of the
    /// channels around different centres. `entries` holds for each species of centre (`None`: all) the radial integrals of each
    /// neighbour species, `rows` the layout of these integrals.
    pub fn new<'r>(
        r_cut: f64,
        species: Vec<u8>,
        combined: bool,
        entries: &[(Option<u8>, Vec<usize>)],
        n_l: usize,
        rows: impl Fn(usize) -> &'r Rows,
    ) -> (Self, Vec<Vec<Channel>>) {
        let count = |l: usize, radial: usize| rows(radial).counts[l];
        let owners: Vec<u8> = if combined { vec![0] } else { species.clone() };
        let of_owner = |group: usize| if combined { 0..species.len() } else { group..group + 1 };
        let (mut starts, mut channels) = (Vec::new(), Vec::new());
        for l in 0..n_l {
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
        (Groups { r_cut, species, starts, of_species, around, around_species, ignores_unknown: false }, channels)
    }

    /// Number of groups.
    pub fn n(&self) -> usize {
        self.starts[0].len()
    }

    /// The group of channels of a neighbour species.
    #[inline(always)]
    pub fn of(&self, z: u8) -> Option<usize> {
        self.of_species[usize::from(z)].map(|group| group as usize)
    }

    /// The error for an atom of a species that has no functions.
    pub fn unknown_species(&self, atom: usize, z: u8) -> Error {
        let known: Vec<&str> = self.species.iter().map(|&z| symbol(z)).collect();
        let remedy = match self.ignores_unknown {
            true => "choose centers of these: unknown species are ignored as neighbours alone",
            false => "fit the basis on a set that contains it, or leave the frame out",
        };
        let problem = format!("{} is not among the species of this basis ({})", symbol(z), known.join(", "));
        Error::structure(Some(atom), problem, remedy)
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
