//! A fit order by order, which can be interrupted between two of them.

use ndarray::s;

use super::fit::Fit;
use super::sample::{NiceSample, eights};
use super::settings::NiceSettings;
use super::{Nice, mean_norm};
use crate::correlations::lanes::Layout;
use crate::correlations::leading::Part;
use crate::density::{BlockKey, Channel};
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
    unit: f64,
    n_centers: usize,
    pub(super) fit: Fit,
}

impl<'a> NiceFit<'a> {
    /// Begins a fit to the leading channels of each species and l up to some, all if not given.
    ///
    /// # Errors
    /// For settings outside their range or more centres than the sample was cut at, an empty sample, one without any density, more
    /// channels than there are, and l_max above 12.
    pub fn new(
        settings: &NiceSettings,
        sample: &'a NiceSample,
        q_max: Option<usize>,
        l_max: Option<usize>,
    ) -> Result<Self> {
        settings.validate()?;
        if settings.n_centers > sample.n_max() && sample.n_atoms() == sample.n_max() {
            let problem = format!("the sample was cut at {} atoms", sample.n_max());
            return Err(Error::setting(
                "n_centers",
                settings.n_centers,
                problem,
                "give at most so many, or sample anew",
            ));
        }
        let (mut keys, mut channels) = (sample.keys().to_vec(), sample.channels().to_vec());
        let mut rows = sample.coefficients();
        rows.slice_collapse(s![..settings.n_centers.min(rows.nrows()), ..]);
        if let Some(part) = Part::new(&keys, &channels, q_max, l_max)? {
            rows = part.columns(&rows);
            (keys, channels) = (part.keys().to_vec(), part.channels().to_vec());
        }
        let n_centers = rows.nrows();
        if n_centers == 0 {
            return Err(Error::setting("structures", 0, "there is no atom to fit NICE to", "give some structures"));
        }
        let unit = if settings.unit_density { 1.0 / mean_norm(&rows)?.sqrt() } else { 1.0 };
        let layout = Layout::new(&keys, &channels);
        let fit = Fit::new(settings, (&layout, &channels), (eights(&rows), n_centers), unit)?;
        Ok(NiceFit { sample, settings: settings.clone(), keys, channels, unit, n_centers, fit })
    }

    /// Orders that are there, ν = 1 among them.
    pub fn done(&self) -> usize {
        self.fit.done()
    }

    /// Fits the next order.
    ///
    /// # Errors
    /// If it was the last.
    pub fn next_order(&mut self) -> Result<()> {
        if self.done() >= self.settings.nu_max {
            return Err(Error::setting("nu_max", self.settings.nu_max, "all orders are fitted", "finish the fit"));
        }
        self.fit.next()
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
        Nice {
            settings: self.settings.clone(),
            keys: self.keys.clone(),
            channels: self.channels.clone(),
            unit: self.unit,
            orders: self.fit.orders.clone(),
            audit: self.fit.audit.clone(),
            n_centers: self.n_centers,
        }
    }
}
