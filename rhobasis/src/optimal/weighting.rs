//! The density weighted by u(r) while its covariance is taken, so that functions are not spent on the far shells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::density::RadialScaling;
use crate::neighbors::{NeighborList, Search};
use crate::settings::{Given, Range, Setting, Source, Takes, Value};
use crate::stream::{Part, Stream, Sum};
use crate::structure::Structure;
use crate::{Error, Result};

const NEAREST: &str = "nearest";
/// r0 by the median distance of nearest neighbours, and m.
const OF_MEDIAN: f64 = 0.85;
const STEEPNESS: f64 = 7.0;
/// Centres of one structure whose neighbours are looked for at once.
const CENTERS: usize = 256;
/// Width of the classes in which distances are counted, in Å; r0 is rounded to it.
const CLASS: f64 = 1e-3;

pub(super) static WEIGHTING: Setting =
    Setting::number("weighting", "RATE,SCALE,EXPONENT|nearest", Range::Finite, Given::Nothing)
        .taking(Takes::RowOr(NEAREST, &[&RATE, &SCALE, &EXPONENT]))
        .says(
            "Find the functions for the density in which neighbours weigh u(r) = c/(c + (r/r0)^m) besides, and use them on \
               the density as it is: c, r0 in Å, m, or `nearest` for 1, 0.85 of the median distance of nearest neighbours, \
               7; none if not given",
            "give rate, scale in Å, exponent, as in 1,2,7, or \"nearest\", or leave it out for u = 1",
        );
static RATE: Setting = Setting::number("weighting rate", "", Range::Positive, Given::Nothing)
    .says("", "leave the weighting out for u = 1");
static SCALE: Setting = Setting::number("weighting scale", "Å", Range::Positive, Given::Nothing)
    .says("", "leave the weighting out for u = 1");
static EXPONENT: Setting = Setting::number("weighting exponent", "", Range::AtLeast(1.0), Given::Nothing)
    .says("", "that of a scaling is so too; leave the weighting out for u = 1");

/// What the density is weighted by while its covariance is taken. The functions found are used on the density as it is.
///
/// ```text
/// C^l = 1/N Σ_i Σ_m c̃_i c̃_iᵀ,   c̃_i those of f̃ = f_cut · u · u_w,   u_w(r) = c / (c + (r/r0)^m)
/// ```
///
/// It multiplies the scaling u that the density may have; the centre itself, at r = 0, keeps its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Weighting {
    /// By 1/(1 + (r/r0)^7) with r0 = 0.85 of the median distance of nearest neighbours, which [`NearestDistances`] finds.
    #[serde(rename = "nearest")]
    Nearest,
    /// By these numbers.
    #[serde(untagged)]
    By(RadialScaling),
}

impl Weighting {
    /// The weighting that is given, if any.
    ///
    /// # Errors
    /// For a value that cannot be used.
    pub fn read(given: Source) -> Result<Option<Self>> {
        WEIGHTING.read(given)
    }

    /// The numbers.
    ///
    /// # Errors
    /// As long as they are yet to be found.
    pub fn numbers(&self) -> Result<&RadialScaling> {
        let remedy =
            "find the numbers with NearestDistances (Rust), or give them: rate, scale in Å, exponent, as in 1,2,7";
        match self {
            Weighting::By(u) => Ok(u),
            Weighting::Nearest => Err(Error::setting(
                WEIGHTING.name,
                NEAREST,
                "the distances of nearest neighbours are not known",
                remedy,
            )),
        }
    }
}

impl Value for Weighting {
    fn of(given: &Given) -> Option<Self> {
        match given {
            Given::Text(text) => (text == NEAREST).then_some(Weighting::Nearest),
            numbers => RadialScaling::of(numbers).map(Weighting::By),
        }
    }
}

impl From<&Weighting> for Given {
    fn from(weighting: &Weighting) -> Self {
        match weighting {
            Weighting::Nearest => NEAREST.into(),
            Weighting::By(u) => u.into(),
        }
    }
}

/// Distances of the nearest neighbours of all atoms of a data set, counted in classes of 0.001 Å: the same for any order of
/// the structures and any cut into calls, and of a size that does not grow with them.
///
/// ```
/// use rhobasis::optimal::NearestDistances;
/// use rhobasis::Structure;
///
/// let dimer = |d: f64| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]);
/// let mut nearest = NearestDistances::new(5.0);
/// nearest.add(&[dimer(2.0), dimer(2.4), dimer(3.0), dimer(7.0)])?; // the last two atoms have no neighbour
/// assert!((nearest.median()? - 2.4).abs() < 1e-3);
/// assert_eq!(nearest.weighting()?.scale, 2.04); // Å
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug)]
pub struct NearestDistances {
    r_cut: f64,
    counts: Stream<Counts>,
}

/// Atoms by class of distance.
#[derive(Debug, Clone, Default)]
struct Counts(BTreeMap<u64, u64>);

impl Sum for Counts {
    fn add(&mut self, next: Self) {
        next.0.into_iter().for_each(|(class, n)| *self.0.entry(class).or_default() += n);
    }
}

impl NearestDistances {
    /// Of no atom yet; neighbours are nearer than `r_cut`, in Å.
    pub fn new(r_cut: f64) -> Self {
        NearestDistances { r_cut, counts: Stream::new(Counts::default()) }
    }

    /// Adds structures, in parallel.
    ///
    /// # Errors
    /// For the first structure that is refused, named by its index since the beginning; nothing of this call is then added.
    pub fn add(&mut self, structures: &[Structure]) -> Result<()> {
        let r_cut = self.r_cut;
        self.counts.add(structures, CENTERS, Buffers::default, |part, counts, buffers| buffers.add(part, r_cut, counts))
    }

    /// Structures added so far.
    pub fn n_structures(&self) -> usize {
        self.counts.n_structures
    }

    /// The median over all atoms with a neighbour, in Å, to 0.001 Å.
    ///
    /// # Errors
    /// If there is no such atom.
    pub fn median(&self) -> Result<f64> {
        let counts = self.counts.sum().0;
        let n: u64 = counts.values().sum();
        let mut below = 0;
        let median = counts.iter().find(|(_, count)| {
            below += *count;
            2 * below >= n
        });
        let (class, _) = median.ok_or_else(|| {
            let problem = format!("no atom has a neighbour within r_cut = {} Å", self.r_cut);
            Error::setting(WEIGHTING.name, NEAREST, problem, "use a larger r_cut, or leave the weighting out")
        })?;
        Ok((*class as f64 + 0.5) * CLASS)
    }

    /// The numbers of [`Weighting::Nearest`].
    ///
    /// # Errors
    /// As [`NearestDistances::median`].
    pub fn weighting(&self) -> Result<RadialScaling> {
        let scale = (OF_MEDIAN * self.median()? / CLASS).round() * CLASS;
        let scale = format!("{scale:.3}").parse().expect("digits"); // 2.004, not 2.0040000000000002
        Ok(RadialScaling { rate: 1.0, scale, exponent: STEEPNESS })
    }
}

/// Buffers that one thread reuses from part to part.
#[derive(Default)]
struct Buffers {
    prepared_for: Option<usize>,
    search: Search,
    list: NeighborList,
}

impl Buffers {
    fn add(&mut self, part: &Part, r_cut: f64, counts: &mut Counts) -> Result<()> {
        if self.prepared_for != Some(part.index) {
            self.prepared_for = None;
            part.structure.validate()?;
            self.search.update(part.structure, r_cut)?;
            self.prepared_for = Some(part.index);
        }
        self.list.clear();
        self.list.find(&self.search, part.structure, part.centers.clone())?;
        for center in 0..part.centers.len() {
            let squares =
                self.list.vector[self.list.pairs(center)].iter().map(|r| r.iter().map(|x| x * x).sum::<f64>());
            if let Some(square) = squares.min_by(f64::total_cmp) {
                *counts.0.entry((square.sqrt() / CLASS) as u64).or_default() += 1;
            }
        }
        Ok(())
    }
}
