//! Weighted sums of features by the features, where there is no better way.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::ArrayView1;

use super::correlation::Correlation;
use super::lanes::{Eight, eights};
use super::weighted_sum::{BySpecies, Scratch, WeightedSum};
use crate::simd::{LANES, Lanes};

/// The sum of the features of a correlation: its own way, or by its features.
pub(super) fn sum_of(
    correlation: &Arc<dyn Correlation>,
    weights: &BTreeMap<u8, ArrayView1<f64>>,
) -> Arc<dyn WeightedSum> {
    correlation.weighted_sum(weights).unwrap_or_else(|| Arc::new(SumOfFeatures::new(correlation.clone(), weights)))
}

/// The sum by features and by `backward`, eight centres at a time.
#[derive(Debug)]
pub(super) struct SumOfFeatures {
    correlation: Arc<dyn Correlation>,
    weights: BySpecies,
    /// Of features that are homogeneous of a degree ν in the coefficients, which then are not made: c·dE/dc = ν E.
    degree: Option<u8>,
}

impl SumOfFeatures {
    fn new(correlation: Arc<dyn Correlation>, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Self {
        SumOfFeatures { correlation, weights: BySpecies::new(weights, |w| w.to_vec()), degree: None }
    }

    /// Of features that are homogeneous of this degree, and do not need what `forward` gives for their derivatives.
    pub fn homogeneous(degree: u8, correlation: Arc<dyn Correlation>, weights: &BTreeMap<u8, ArrayView1<f64>>) -> Self {
        SumOfFeatures { correlation, weights: BySpecies::new(weights, |w| w.to_vec()), degree: Some(degree) }
    }
}

impl WeightedSum for SumOfFeatures {
    fn knows(&self, z: u8) -> bool {
        self.weights.knows(z)
    }

    fn evaluate(
        &self,
        species: &[u8],
        c: &[f64],
        grad_c: &mut [f64],
        energies: &mut [f64],
        scratch: &mut Scratch,
    ) -> Option<()> {
        let (layout, n, n_features) = (self.correlation.layout(), species.len(), self.correlation.n_features());
        let Scratch { eight: Eight { c: c_lanes, of_c, x, of_x }, kept, .. } = scratch;
        of_c.resize(LANES * layout.len());
        x.resize(if self.degree.is_none() { LANES * n_features } else { 0 });
        of_x.resize(LANES * n_features);
        kept.resize(self.correlation.n_kept(), [0.0; LANES]);
        for eight in eights(n) {
            layout.to_lanes(c, n, eight.clone(), c_lanes);
            self.weights.to_lanes(&species[eight.clone()], of_x.lanes_mut())?;
            let mut sums = [0.0; LANES];
            if self.degree.is_none() {
                self.correlation.forward(c_lanes.lanes(), x.lanes_mut(), kept);
                sums = dot(x.lanes(), of_x.lanes());
            }
            self.correlation.backward(c_lanes.lanes(), x.lanes(), kept, of_x.lanes_mut(), of_c.lanes_mut());
            if let Some(degree) = self.degree {
                sums = dot(c_lanes.lanes(), of_c.lanes()).map(|sum| sum / f64::from(degree));
            }
            energies[eight.clone()].iter_mut().zip(sums).for_each(|(energy, sum)| *energy = sum);
            layout.to_rows(of_c.lanes(), n, eight, grad_c);
        }
        Some(())
    }
}

/// Σ_k a_k b_k of each lane.
fn dot(a: &[Lanes], b: &[Lanes]) -> Lanes {
    let mut sum = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for k in 0..LANES {
            sum[k] += a[k] * b[k];
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::correlations::{FeatureKind, Invariants, Member};
    use crate::density::{ExpansionSettings, Primitive, SphericalExpansion};

    /// A number that looks like chance.
    fn wave(k: usize) -> f64 {
        (1.7 * k as f64 + 0.3).sin()
    }

    #[test]
    fn a_sum_is_that_of_the_features_and_its_gradient_that_of_backward() {
        let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 3 }, l_max: 3, ..Default::default() };
        let expansion = SphericalExpansion::new(&settings, &[1, 8]).unwrap();
        let of = Member::new;
        let (radial, pairs) = (of(FeatureKind::RadialSpectrum, false), of(FeatureKind::PowerSpectrum, false));
        let triples = Member { q_max: Some(2), l_max: Some(2), ..of(FeatureKind::Bispectrum, false) };
        let weighted = Member { weight: 0.5, ..triples.clone() };
        let normalized = of(FeatureKind::PowerSpectrum, true);
        let few = Member { columns: Some(vec![[1, 0, 1]]), ..pairs.clone() };
        let all: Vec<Vec<Member>> = vec![
            vec![pairs.clone()],
            vec![triples.clone()],
            vec![Member { q_max: Some(1), ..pairs.clone() }],
            vec![pairs.clone(), triples],
            vec![radial, weighted, normalized, few, pairs],
        ];
        // Eleven centres, of two species among the first eight.
        let species: Vec<u8> = (0..11).map(|i| if i % 3 == 1 { 8 } else { 1 }).collect();
        for members in all {
            let x = Invariants::of_members(&expansion, &members).unwrap();
            let (correlation, n_features) = (x.correlation.first(), x.n_features());
            let c: Vec<f64> = (0..11 * correlation.layout().len()).map(wave).collect();
            let weights: BTreeMap<u8, Vec<f64>> =
                [1, 8].map(|z| (z, (0..n_features).map(|k| wave(k + usize::from(z))).collect())).into();
            let views = weights.iter().map(|(&z, w)| (z, ArrayView1::from(w))).collect();
            let sum = sum_of(correlation, &views);
            let (mut energies, mut grad_c) = (vec![f64::NAN; 11], vec![f64::NAN; c.len()]);
            sum.evaluate(&species, &c, &mut grad_c, &mut energies, &mut Scratch::default()).unwrap();

            let (mut rows, mut kept, mut eight) = (vec![0.0; 11 * n_features], Vec::new(), Eight::default());
            correlation.forward_rows(11, &c, &mut rows, &mut kept, &mut eight);
            let g = Array2::from_shape_fn((11, n_features), |(i, k)| weights[&species[i]][k]);
            let mut expected = vec![0.0; c.len()];
            correlation.backward_rows(&c, (&rows, &kept), g.view(), &mut expected, &mut eight);
            let largest = expected.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            for (found, expected) in grad_c.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-13 * largest, "{found} {expected}, {members:?}");
            }
            for ((energy, x), w) in energies.iter().zip(rows.chunks(n_features)).zip(g.rows()) {
                let (expected, size) =
                    x.iter().zip(w).fold((0.0, 0.0), |(e, s), (x, w)| (e + x * w, s + (x * w).abs()));
                assert!((energy - expected).abs() < 1e-13 * size, "{energy} {expected}, {members:?}");
            }
            assert!(sum.knows(8) && !sum.knows(6));
            let lost = sum.evaluate(&[1, 6], &c, &mut grad_c, &mut energies, &mut Scratch::default());
            assert!(lost.is_none(), "{members:?}");
        }
    }
}
