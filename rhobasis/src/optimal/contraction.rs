//! From a covariance to contraction coefficients: diagonalisation, sign, and how many channels to keep.

use ndarray::Array2;

use super::settings::{Method, Truncation};
use crate::density::BlockKey;
use crate::linalg::{eigh, make_largest_positive};

/// Eigenvalues below this fraction of their block's largest are noise.
const NOISE: f64 = 1e-14;

/// Orthonormal combinations of the functions of a block, in the rows of U, and the variance that each of them keeps.
///
/// Principal components diagonalise the covariance, C = UᵀΛU. Those of Eq. (14) do not, for γ < 1 and l = 0:
/// see [`SupervisedCovariance`](super::SupervisedCovariance).
#[derive(Debug, Clone, PartialEq)]
pub struct Contraction {
    /// Variance Λ_q = (U C Uᵀ)_qq of all functions, kept or not: the eigenvalues of C, descending, but of Eq. (14), where
    /// they need not fall. What rounding made negative is zero.
    pub eigenvalues: Vec<f64>,
    /// U: `[q, n]`, or `[q, (a, n)]` when combined; the component of largest magnitude of each row is positive.
    pub u: Array2<f64>,
}

/// A block of a covariance, whose channels are contracted together.
pub(super) struct Block<'a> {
    /// Species of the centres; `None` for all.
    pub center: Option<u8>,
    pub n_centers: usize,
    pub key: BlockKey,
    /// Neighbour species of its channels.
    pub species: &'a [u8],
    /// The one that it is of; `None` when combined.
    pub owner: Option<u8>,
    /// C: `[(a, n), (a′, n′)]`.
    pub covariance: Array2<f64>,
}

/// A way to find the functions of a block.
pub(super) trait Contract {
    fn contract(&self, block: &Block) -> Contraction;

    /// What the settings of the basis say about it.
    fn method(&self) -> Method;
}

/// Eqs. (7), (12): eigenvectors of the covariance.
pub(super) struct PrincipalComponents;

impl Contract for PrincipalComponents {
    fn contract(&self, block: &Block) -> Contraction {
        Contraction::of(&block.covariance)
    }

    fn method(&self) -> Method {
        Method::Pca
    }
}

impl Contraction {
    /// Diagonalises a covariance.
    pub fn of(covariance: &Array2<f64>) -> Self {
        let (mut eigenvalues, mut u) = eigh(covariance.view());
        eigenvalues.iter_mut().for_each(|e| *e = e.max(0.0));
        u.rows_mut().into_iter().for_each(make_largest_positive);
        Contraction { eigenvalues, u }
    }

    /// Leading functions up to the last whose variance is above the noise.
    pub fn n_significant(&self) -> usize {
        let floor = NOISE * self.eigenvalues.iter().copied().fold(0.0, f64::max);
        self.eigenvalues.iter().rposition(|&e| e > floor).map_or(0, |last| last + 1)
    }

    /// Drops all but the first `q` rows of U; the eigenvalues stay.
    pub fn truncate(&mut self, q: usize) {
        self.u = self.u.slice(ndarray::s![..q, ..]).to_owned();
    }
}

impl Truncation {
    /// Channels to keep of each block; the eigenvalues of all blocks add up to the total variance.
    pub(crate) fn counts(self, blocks: &[&Contraction]) -> Vec<usize> {
        match self {
            Truncation::QMax(q) => blocks.iter().map(|b| q.min(b.n_significant())).collect(),
            Truncation::Retain(fraction) => water_filling(blocks, fraction),
        }
    }
}

fn water_filling(blocks: &[&Contraction], fraction: f64) -> Vec<usize> {
    let total: f64 = blocks.iter().flat_map(|b| &b.eigenvalues).sum();
    let mut counts = vec![0; blocks.len()];
    let mut kept = 0.0;
    for (block, q) in ranked(blocks).into_iter().filter(|&(block, q)| q < blocks[block].n_significant()) {
        if kept >= fraction * total {
            break;
        }
        kept += blocks[block].eigenvalues[q];
        counts[block] += 1;
    }
    counts
}

/// Block and q of all functions in the order in which they are kept: by eigenvalue, but those of a block by q. A function
/// comes with the largest of those behind it.
pub(crate) fn ranked(blocks: &[&Contraction]) -> Vec<(usize, usize)> {
    let mut all: Vec<(f64, usize, usize)> = Vec::new();
    for (block, contraction) in blocks.iter().enumerate() {
        let start = all.len();
        let mut largest = 0.0_f64;
        for (q, &e) in contraction.eigenvalues.iter().enumerate().rev() {
            largest = largest.max(e);
            all.push((largest, block, q));
        }
        all[start..].reverse();
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all.into_iter().map(|(_, block, q)| (block, q)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn with_eigenvalues(eigenvalues: &[f64]) -> Contraction {
        Contraction { eigenvalues: eigenvalues.to_vec(), u: Array2::eye(eigenvalues.len()) }
    }

    #[test]
    fn eigenvectors_diagonalise_and_their_largest_component_is_positive() {
        let c = array![[2.0, -1.0, 0.3], [-1.0, 1.5, 0.1], [0.3, 0.1, 0.4]];
        let found = Contraction::of(&c);
        let rotated = found.u.dot(&c).dot(&found.u.t());
        for q in 0..3 {
            for k in 0..3 {
                let expected = if q == k { found.eigenvalues[q] } else { 0.0 };
                assert!((rotated[[q, k]] - expected).abs() < 1e-14);
            }
            let row = found.u.row(q);
            let largest = row.iter().fold(0.0_f64, |a, &b| if b.abs() > a.abs() { b } else { a });
            assert!(largest > 0.0);
        }
        assert!(found.eigenvalues.windows(2).all(|w| w[0] >= w[1]));
    }

    #[test]
    fn water_filling_keeps_the_largest_eigenvalues_of_all_blocks() {
        let (a, b) = (with_eigenvalues(&[5.0, 1.0, 0.1]), with_eigenvalues(&[2.0, 1.5, 0.4]));
        assert_eq!(Truncation::Retain(0.80).counts(&[&a, &b]), [1, 2]); // 8.5 of 10
        assert_eq!(Truncation::Retain(0.95).counts(&[&a, &b]), [2, 2]); // 9.5 of 10
        assert_eq!(Truncation::Retain(1.0).counts(&[&a, &b]), [3, 3]);
    }

    #[test]
    fn a_function_of_small_variance_comes_with_a_larger_one_behind_it() {
        let (a, b) = (with_eigenvalues(&[1.0, 5.0, 0.1]), with_eigenvalues(&[2.0, 1.5, 0.4]));
        assert_eq!(Truncation::Retain(0.60).counts(&[&a, &b]), [2, 0]); // 6 of 10
        assert_eq!(Truncation::Retain(0.80).counts(&[&a, &b]), [2, 1]); // 8 of 10
        assert_eq!(Truncation::Retain(1.0).counts(&[&a, &b]), [3, 3]);
        assert_eq!(Truncation::QMax(3).counts(&[&with_eigenvalues(&[1e-16, 1.0, 1e-16])]), [2]);
    }

    #[test]
    fn channels_that_are_noise_are_not_kept() {
        let a = with_eigenvalues(&[1.0, 1e-3, 1e-16]);
        assert_eq!(Truncation::QMax(3).counts(&[&a]), [2]);
        assert_eq!(Truncation::QMax(3).counts(&[&with_eigenvalues(&[0.0, 0.0])]), [0]);
    }
}
