use ndarray::{Array2, ArrayView1};

use super::sensitivity::Sensitivity;
use crate::density::{RadialIntegrals, RadialScaling};
use crate::linalg::matmul;
use crate::optimal::NearestDistances;
use crate::structure::Structure;
use crate::{Error, Result};

/// Distances at which a scaling is compared with w(r).
const POINTS: usize = 64;
/// Exponents that are tried: so many hundredths.
const LARGEST_EXPONENT: usize = 1200;

impl Sensitivity {
    /// How much energies depend on a neighbour at each distance `r`, in Å, per unit of its density, over all l and species:
    ///
    /// ```text
    /// w(r)² = Σ_l I_l(r)ᵀ S^l I_l(r) / Σ_l (2l + 1) N I_l(r)ᵀ I_l(r)
    /// ```
    ///
    /// with I_l the contracted radial integrals of Eq. (9), S^l the sum over the N centres, and sums over the species of
    /// neighbours (and of centres, in a centre-specific basis) in both. In eV over the square root of the unit of coefficients
    /// squared: only how it changes with r means something. Where no pair of the training set is, it is extrapolation.
    ///
    /// # Errors
    /// If nothing was added, or a distance is not positive and finite.
    pub fn radial_weight(&self, r: &[f64]) -> Result<Vec<f64>> {
        self.check_not_empty()?;
        if let Some(r) = r.iter().find(|r| !(r.is_finite() && **r > 0.0)) {
            return Err(Error::setting("r", r, "it must be a positive distance", "give distances in Å"));
        }
        let mut sums = vec![(0.0, 0.0); r.len()]; // Σ IᵀSI, Σ (2l + 1) N IᵀI
        for (kind, of_kind) in self.of().kinds().iter().enumerate() {
            for &species in self.of().species() {
                let integrals = self.of().radial_integrals(of_kind.center, species)?;
                for (block, of_block) in of_kind.blocks.iter().enumerate() {
                    if of_block.species.is_some_and(|z| z != species) {
                        continue;
                    }
                    let l = of_block.key.lambda;
                    let s = self.matrix(kind, block).expect("one for each block");
                    let table = of_l(&integrals, l, r);
                    let seen = matmul(table.view(), s);
                    let n = (of_kind.n_centers * (2 * l + 1)) as f64;
                    for ((sum, i), seen) in sums.iter_mut().zip(table.rows()).zip(seen.rows()) {
                        sum.0 += i.dot(&seen);
                        sum.1 += n * i.dot(&i);
                    }
                }
            }
        }
        Ok(sums
            .into_iter()
            .map(|(seen, there)| if there > 0.0 { (seen.max(0.0) / there).sqrt() } else { 0.0 })
            .collect())
    }

    /// The scaling of the density that lets neighbours count as the potential needs them, `u(r) = 1/(1 + (r/r0)^m)`, for a potential
    /// whose density is not scaled: r0 is 0.85 of the median distance of nearest neighbours in `structures`, and m is fitted to
    /// ln w(r), see [`Sensitivity::radial_weight`], from that distance to r_cut less `cutoff_width`. None if w does
    /// not fall with the distance.
    ///
    /// # Errors
    /// As [`Sensitivity::radial_weight`]; if no atom has a neighbour.
    pub fn scaling(&self, structures: &[Structure]) -> Result<Option<RadialScaling>> {
        let density = self.of().expansion().density();
        let mut nearest = NearestDistances::new(density.r_cut);
        nearest.add(structures)?;
        let scale = nearest.weighting()?.scale;
        let (first, last) = (nearest.median()?, density.r_cut - density.cutoff_width);
        let last = if last > first { last } else { density.r_cut };
        let r: Vec<f64> = (0..POINTS).map(|k| first + (last - first) * k as f64 / (POINTS - 1) as f64).collect();
        let logs: Vec<f64> = self.radial_weight(&r)?.iter().map(|w| w.max(f64::MIN_POSITIVE).ln()).collect();
        // Squared deviations from ln u, up to a constant that a model does not see.
        let left = |hundredths: usize| {
            let m = hundredths as f64 / 100.0;
            let off: Vec<f64> = r.iter().zip(&logs).map(|(r, w)| w + (r / scale).powf(m).ln_1p()).collect();
            let mean = off.iter().sum::<f64>() / off.len() as f64;
            off.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
        };
        let best = (0..=LARGEST_EXPONENT).min_by(|&a, &b| left(a).total_cmp(&left(b))).expect("some exponents");
        Ok((best > 0).then(|| RadialScaling { rate: 1.0, scale, exponent: best as f64 / 100.0 }))
    }
}

/// I_l `[r, q]`.
fn of_l(integrals: &RadialIntegrals, l: usize, r: &[f64]) -> Array2<f64> {
    let own = integrals.offset(l)..integrals.offset(l + 1);
    let n = integrals.offset(integrals.l_max() + 1);
    let (mut values, mut derivatives) = (vec![0.0; n], vec![0.0; n]);
    let mut table = Array2::zeros((r.len(), own.len()));
    for (&r, mut row) in r.iter().zip(table.rows_mut()) {
        integrals.integrals(r, &mut values, &mut derivatives);
        row.assign(&ArrayView1::from(&values[own.clone()]));
        if integrals.divided_by_r_to_the_l() {
            row *= r.powi(l as i32);
        }
    }
    table
}
