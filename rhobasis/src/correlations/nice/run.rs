//! A fit order by order, which can be interrupted between two of them.

use std::collections::BTreeMap;

use ndarray::{Array2, s};

use super::fit::Fit;
use super::sample::{NiceSample, eights};
use super::settings::NiceSettings;
use super::settings::Sequence::{PerSpecies, Shared};
use super::{Nice, mean_norm};
use crate::correlations::lanes::Layout;
use crate::correlations::leading::Part;
use crate::density::{BlockKey, Channel};
use crate::settings::Named;
use crate::structure::symbol;
use crate::{Error, Result};

/// A fit of [`Nice`] in progress: one order after the other, each of which can be saved before the next is begun.
///
/// ```
/// use rhobasis::correlations::{Nice, NiceFit, NiceSample, NiceSettings};
/// use rhobasis::density::{ExpansionSettings, SphericalExpansion};
/// use rhobasis::Structure;
///
/// let expansion = SphericalExpansion::new(&ExpansionSettings { l_max: 1, ..Default::default() }, &[1])?;
/// let settings = NiceSettings { n_equivariants: 4, n_invariants: 4, ..Default::default() };
/// let mut sample = NiceSample::new(&expansion, settings.n_centers)?;
/// sample.add(&[Structure::molecule(vec![1, 1], vec![[0.0; 3], [0.0, 0.0, 0.74]])])?;
/// let mut fit = NiceFit::new(&settings, &sample, None, None)?;
/// while fit.done() < settings.nu_max {
///     fit.next_order()?;
/// }
/// assert_eq!(fit.finish()?, Nice::fit(&settings, &sample)?);
/// # Ok::<(), rhobasis::Error>(())
/// ```
pub struct NiceFit<'a> {
    pub(super) sample: &'a NiceSample,
    pub(super) settings: NiceSettings,
    keys: Vec<BlockKey>,
    channels: Vec<Vec<Channel>>,
    /// One of all centres, or one of each species, ascending.
    sequences: Vec<SequenceFit>,
}

/// The fit of one sequence.
struct SequenceFit {
    /// Whose centres it is of; all if not given.
    center: Option<u8>,
    unit: f64,
    n_centers: usize,
    fit: Fit,
}

impl<'a> NiceFit<'a> {
    /// Begins a fit to the leading channels of each species and l up to some, all if not given.
    ///
    /// # Errors
    /// For settings outside their range or that the sample was not taken for, an empty sample, one without any density or without a
    /// species that is to have a sequence, more channels than there are, and l_max above 12.
    pub fn new(
        settings: &NiceSettings,
        sample: &'a NiceSample,
        q_max: Option<usize>,
        l_max: Option<usize>,
    ) -> Result<Self> {
        settings.validate()?;
        if settings.sequence != sample.sequence() {
            let problem = format!("the sample was taken with sequence = {}", sample.sequence().name());
            return Err(Error::setting("sequence", settings.sequence.name(), problem, "give the same, or sample anew"));
        }
        if settings.n_centers > sample.n_max() && sample.is_cut() {
            let problem = format!("the sample was cut at {} atoms", sample.n_max());
            return Err(Error::setting(
                "n_centers",
                settings.n_centers,
                problem,
                "give at most so many, or sample anew",
            ));
        }
        let part = Part::new(sample.keys(), sample.channels(), q_max, l_max)?;
        let (keys, channels) = match &part {
            Some(part) => (part.keys().to_vec(), part.channels().to_vec()),
            None => (sample.keys().to_vec(), sample.channels().to_vec()),
        };
        let layout = Layout::new(&keys, &channels);
        let centers = match settings.sequence {
            Shared => vec![None],
            PerSpecies => sample.origin.species.iter().copied().map(Some).collect(),
        };
        let mut sequences = Vec::new();
        for center in centers {
            let rows = rows_of(sample, center, settings.n_centers, part.as_ref())?;
            let n_centers = rows.nrows();
            let unit = if settings.unit_density { 1.0 / mean_norm(&rows)?.sqrt() } else { 1.0 };
            let fit = Fit::new(settings, (&layout, &channels), (eights(&rows), n_centers), unit)?;
            sequences.push(SequenceFit { center, unit, n_centers, fit });
        }
        Ok(NiceFit { sample, settings: settings.clone(), keys, channels, sequences })
    }

    /// Orders that are there, ν = 1 among them; of all sequences.
    pub fn done(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.fit.done()).min().unwrap_or(self.settings.nu_max)
    }

    /// Fits the next order, of the first sequence that lacks it.
    ///
    /// # Errors
    /// If it was the last.
    pub fn next_order(&mut self) -> Result<()> {
        let done = self.done();
        match self.sequences.iter_mut().find(|sequence| sequence.fit.done() == done) {
            Some(sequence) if done < self.settings.nu_max => sequence.fit.next(),
            _ => Err(Error::setting("nu_max", self.settings.nu_max, "all orders are fitted", "finish the fit")),
        }
    }

    /// What was fitted; all orders must be there.
    ///
    /// # Errors
    /// If some are not.
    pub fn finish(self) -> Result<Nice> {
        if self.done() < self.settings.nu_max {
            let problem = format!("orders up to {} are fitted", self.done());
            return Err(Error::setting("nu_max", self.settings.nu_max, problem, "fit the others first"));
        }
        Ok(self.so_far())
    }

    /// The orders that are there.
    pub(super) fn so_far(&self) -> Nice {
        let of = |sequence: &SequenceFit| Nice {
            settings: self.settings.clone(),
            keys: self.keys.clone(),
            channels: self.channels.clone(),
            unit: sequence.unit,
            orders: sequence.fit.orders.clone(),
            audit: sequence.fit.audit.clone(),
            n_centers: sequence.n_centers,
            of_species: BTreeMap::new(),
        };
        let of_species = self.sequences.iter().filter_map(|sequence| Some((sequence.center?, of(sequence)))).collect();
        Nice::of_sequences(of_species).unwrap_or_else(|| of(&self.sequences[0]))
    }

    /// Takes the orders that were fitted before; false if they are of other sequences, or to other atoms.
    ///
    /// # Errors
    /// As [`NiceFit::new`].
    pub(super) fn take(&mut self, before: &Nice) -> Result<bool> {
        let before = before.sequences();
        let same = |(own, (center, nice)): (&SequenceFit, &(Option<u8>, &Nice))| {
            (own.center, own.unit, own.n_centers) == (*center, nice.unit, nice.n_centers)
        };
        if before.len() != self.sequences.len() || !self.sequences.iter().zip(&before).all(same) {
            return Ok(false);
        }
        for (own, (_, nice)) in self.sequences.iter_mut().zip(before) {
            for (order, audit) in nice.orders.iter().zip(&nice.audit).skip(own.fit.done() - 1) {
                own.fit.take(order.clone(), *audit)?;
            }
        }
        Ok(true)
    }
}

impl Nice {
    /// Fits the iteration to a sample.
    ///
    /// # Errors
    /// As [`NiceFit::new`].
    pub fn fit(settings: &NiceSettings, sample: &NiceSample) -> Result<Self> {
        Nice::fit_to_part(settings, sample, None, None)
    }

    /// [`Nice::fit`] to the leading channels of each species and l up to some, all if not given.
    ///
    /// # Errors
    /// As [`Nice::fit`], and if there are fewer.
    pub fn fit_to_part(
        settings: &NiceSettings,
        sample: &NiceSample,
        q_max: Option<usize>,
        l_max: Option<usize>,
    ) -> Result<Self> {
        let mut fit = NiceFit::new(settings, sample, q_max, l_max)?;
        while fit.done() < settings.nu_max {
            fit.next_order()?;
        }
        fit.finish()
    }
}

/// Coefficients of at most `n` atoms of a sample, of a species if given: those of a part.
fn rows_of(sample: &NiceSample, center: Option<u8>, n: usize, part: Option<&Part>) -> Result<Array2<f64>> {
    let mut rows = sample.coefficients_around(center);
    rows.slice_collapse(s![..n.min(rows.nrows()), ..]);
    if rows.nrows() == 0 {
        let (of, remedy) = match center {
            Some(z) => (format!(" of {}", symbol(z)), "sample data that have it, or share one sequence"),
            None => (String::new(), "give some structures"),
        };
        return Err(Error::setting("structures", 0, format!("there is no atom{of} to fit NICE to"), remedy));
    }
    Ok(match part {
        Some(part) => part.columns(&rows),
        None => rows,
    })
}
