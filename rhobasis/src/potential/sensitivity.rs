//! What a fitted model looks at: dE_i/dc_i over a data set, and bases made for it.

use ndarray::{Array1, Array2, ArrayView2, s};

use super::features::Basis;
use super::model::Potential;
use crate::density::Channel;
use crate::linalg::{add_gram, eigh, orthonormal_rows};
use crate::optimal::{KindOfBasis, Method, OptimalBasis, SensitivitySettings};
use crate::structure::{Structure, symbols};
use crate::{Error, Result};

/// How strongly the energies of atoms depend on the coefficients of their density, for each l:
///
/// ```text
/// S^l = Σ_i Σ_m g_i g_iᵀ,     g_i = ∂E_i/∂⟨qlm|ρ_i⟩   [channel q]
/// ```
///
/// over the functions of the optimal basis of a potential. With C^l, the covariance of the coefficients, Eq. (6), this is what
/// Eq. (14) mixes, for every l:
///
/// ```text
/// C̃^l = γ C^l / tr C^l + (1 − γ) (C^½ S C^½)^l / tr (C^½ S C^½)^l
/// ```
///
/// (S of a linear model of the radial spectrum has rank one, w wᵀ: then it is Eq. (14) to the letter.) The functions are the
/// eigenvectors V of C̃, carried back by C^(−½) V and made orthonormal in the order of the eigenvalues.
///
/// ```
/// use rhobasis::density::{ExpansionSettings, Primitive};
/// use rhobasis::extxyz::Labels;
/// use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, SensitivitySettings, Truncation};
/// use rhobasis::potential::{Baseline, Basis, FeatureSettings, ModelSettings, TrainSettings, Weights, train};
/// use rhobasis::Structure;
///
/// let expansion = ExpansionSettings { primitive: Primitive::Gto { n_max: 8 }, l_max: 2, ..Default::default() };
/// let settings = CovarianceSettings { expansion, ..Default::default() };
/// let distances = || (0..20).map(|k| 1.8 + 0.1 * f64::from(k));
/// let frames: Vec<Structure> =
///     distances().map(|d| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]])).collect();
/// let labels: Vec<Labels> = distances().map(|d| Labels { energy: Some(d.powi(-6)), ..Labels::default() }).collect();
/// let mut covariance = Covariance::new(&settings)?;
/// covariance.add(&frames, None)?;
/// let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(6))?;
/// let settings = TrainSettings {
///     features: FeatureSettings::default(),
///     model: ModelSettings::ridge(),
///     baseline: Baseline::default(),
///     repulsion: Default::default(),
///     weights: Weights::default(),
/// };
/// let potential = train(Basis::Optimal(basis), &settings, &frames, &labels, |_| ())?;
/// let sensitivity = potential.sensitivity(&frames)?;
/// let basis = sensitivity.basis(SensitivitySettings { gamma: 0.1 }, 2)?;
/// assert_eq!(basis.kinds()[0].blocks[1].contraction.u.dim(), (2, 8)); // q, n
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sensitivity {
    basis: OptimalBasis,
    /// Where the functions of each block of each kind of centre stand, in order, and S of each.
    places: Vec<Place>,
    sums: Vec<Array2<f64>>,
    n_centers: usize,
}

/// Structures whose gradients are there at once.
const AT_ONCE: usize = 64;

impl Potential {
    /// What its energies depend on in these structures.
    ///
    /// # Errors
    /// As [`Potential::predict`], and if its basis is a primitive one: functions are combinations of those of an optimal one.
    pub fn sensitivity(&self, structures: &[Structure]) -> Result<Sensitivity> {
        let mut sensitivity = Sensitivity::new(self)?;
        sensitivity.add(self, structures)?;
        Ok(sensitivity)
    }
}

impl Sensitivity {
    /// Of no structure yet.
    ///
    /// # Errors
    /// As [`Potential::sensitivity`].
    pub fn new(potential: &Potential) -> Result<Self> {
        let basis = optimal(potential)?.clone();
        let blocks = basis.kinds().iter().flat_map(|kind| &kind.blocks);
        let sums =
            blocks.map(|block| Array2::zeros((block.contraction.u.nrows(), block.contraction.u.nrows()))).collect();
        Ok(Sensitivity { places: places(&basis), basis, sums, n_centers: 0 })
    }

    /// Adds structures. The result has the same bits however they are cut into calls, and for any number of threads.
    ///
    /// # Errors
    /// As [`Potential::predict`].
    pub fn add(&mut self, potential: &Potential, structures: &[Structure]) -> Result<()> {
        for (k, part) in structures.chunks(AT_ONCE).enumerate() {
            let gradients = potential.chain().coefficient_gradients(part).map_err(|e| e.after_frames(k * AT_ONCE))?;
            let mut first = 0;
            for structure in part {
                let rows = first..first + structure.len();
                self.add_structure(structure, &gradients, rows.clone());
                first = rows.end;
            }
        }
        Ok(())
    }

    fn add_structure(&mut self, structure: &Structure, gradients: &[Vec<f64>], rows: std::ops::Range<usize>) {
        self.n_centers += structure.len();
        let channels = self.basis.expansion().channels();
        for (sum, place) in self.sums.iter_mut().zip(&self.places) {
            let (l, n) = (place.l, channels[place.l].len());
            let m = sum.nrows();
            let mut own = Vec::new(); // [(center, m), channel]
            for (i, z) in rows.clone().zip(&structure.species) {
                if place.center.is_some_and(|center| center != *z) {
                    continue;
                }
                let of_center = &gradients[l][i * (2 * l + 1) * n..(i + 1) * (2 * l + 1) * n];
                own.extend(of_center.chunks_exact(n).flat_map(|row| &row[place.first..place.first + m]));
            }
            let mut gram = vec![0.0; m * m];
            add_gram(&own, own.len() / m.max(1), m, m, &mut gram);
            for i in 0..m {
                for j in 0..=i {
                    sum[[i, j]] += gram[i * m + j];
                    sum[[j, i]] = sum[[i, j]];
                }
            }
        }
    }

    /// The basis whose functions S is over.
    pub fn of(&self) -> &OptimalBasis {
        &self.basis
    }

    /// Atoms that were added.
    pub fn n_centers(&self) -> usize {
        self.n_centers
    }

    /// S `[q, q′]` of a block of a kind of centre, in eV² over the square of the unit of coefficients.
    pub fn matrix(&self, kind: usize, block: usize) -> Option<ArrayView2<'_, f64>> {
        let before: usize = self.basis.kinds().get(..kind)?.iter().map(|kind| kind.blocks.len()).sum();
        self.basis.kinds().get(kind)?.blocks.get(block)?;
        self.sums.get(before + block).map(|sum| sum.view())
    }

    pub(super) fn check_not_empty(&self) -> Result<()> {
        let problem = "a sensitivity needs at least one atom";
        match self.n_centers {
            0 => Err(Error::setting("structures", 0, problem, "give some structures")),
            _ => Ok(()),
        }
    }

    /// The basis of `q_max` functions for each block, in the span of those of the potential's.
    ///
    /// # Errors
    /// Unless 0 < γ ≤ 1 and 1 ≤ q_max ≤ the functions there are; if nothing was added.
    pub fn basis(&self, settings: SensitivitySettings, q_max: usize) -> Result<OptimalBasis> {
        settings.validate()?;
        self.basis.check_span("q_max", q_max)?;
        self.check_not_empty()?;
        let kinds = self.basis.kinds();
        let of_blocks = kinds.iter().flat_map(|kind| kind.blocks.iter().map(move |block| (kind.n_centers, block)));
        // C^½ S C^½, C being diagonal.
        let blocks: Vec<(usize, Array1<f64>, Array2<f64>)> = of_blocks
            .zip(&self.sums)
            .map(|((n_centers, block), sum)| {
                let variances = block.contraction.eigenvalues[..sum.nrows()].iter().map(|e| e * n_centers as f64);
                let roots: Array1<f64> = variances.map(f64::sqrt).collect();
                let rows = roots.view().insert_axis(ndarray::Axis(1));
                let seen = sum * &roots * rows;
                (block.key.lambda, roots, seen)
            })
            .collect();
        let traces = |l: usize| {
            let of_l = blocks.iter().filter(|(of, ..)| *of == l);
            of_l.fold((0.0, 0.0), |(c, s), (_, roots, seen)| (c + roots.dot(roots), s + seen.diag().sum()))
        };
        let over = |x: f64, trace: f64| if trace > 0.0 { x / trace } else { 0.0 };
        let rows: Vec<Array2<f64>> = blocks
            .iter()
            .map(|(l, roots, seen)| {
                let (of_c, of_s) = traces(*l);
                let mut mixed = seen.mapv(|x| over((1.0 - settings.gamma) * x, of_s));
                for (x, root) in mixed.diag_mut().iter_mut().zip(roots) {
                    *x += over(settings.gamma * root * root, of_c);
                }
                let q = q_max.min(mixed.nrows());
                let (_, vectors) = eigh(mixed.view());
                // Deviations of functions that are kept are not zero.
                orthonormal_rows(vectors.slice(s![..q, ..]).to_owned() / roots)
            })
            .collect();
        self.basis.turned(&rows, q_max, Method::Sensitivity(settings))
    }
}

/// Where the functions of a block stand among the coefficients.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Species of the centres; none of all.
    pub center: Option<u8>,
    pub l: usize,
    /// The first channel.
    pub first: usize,
}

/// Of each block of each kind of centre.
pub(super) fn places(basis: &OptimalBasis) -> Vec<Place> {
    let channels = basis.expansion().channels();
    let place = |kind: &KindOfBasis| -> Vec<Place> {
        let of_block = |block: &crate::optimal::ContractionBlock| {
            let l = block.key.lambda;
            let own = |channel: &Channel| block.species.is_none_or(|z| channel.species == z);
            Place { center: kind.center, l, first: channels[l].iter().position(own).unwrap_or(0) }
        };
        kind.blocks.iter().map(of_block).collect()
    };
    basis.kinds().iter().flat_map(place).collect()
}

/// The optimal basis of a potential.
///
/// # Errors
/// If it has another.
pub(super) fn optimal(potential: &Potential) -> Result<&OptimalBasis> {
    match potential.basis() {
        Basis::Optimal(basis) => Ok(basis),
        Basis::Primitive { expansion, .. } => {
            let problem = "functions are found in the span of an optimal basis, and this potential has a primitive one";
            let remedy = "train it on an optimal basis of enough functions (q_max = 12)";
            Err(Error::setting("potential", symbols(expansion.species()), problem, remedy))
        }
    }
}
