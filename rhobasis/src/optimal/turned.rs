//! Bases whose functions are combinations of those of another: made for a target, in its span.

use ndarray::{Array1, Array2, Axis, concatenate};

use super::basis::{ContractionBlock, KindOfBasis, OptimalBasis, contracted_expansion};
use super::contraction::Contraction;
use super::settings::{Method, Truncation};
use crate::linalg::{complement, eigh, make_largest_positive};
use crate::{Error, Result};

impl OptimalBasis {
    /// The basis whose leading functions of each block are combinations of those of this one, by `rows` `[combination, function]`
    /// (orthonormal, one matrix for each block of each kind of centre, in order), followed by the principal functions of what
    /// they leave of this one's span, `q_max` in all:
    ///
    /// ```text
    /// U′ = [V; V′] U,     V Vᵀ = 1,  V′Vᵀ = 0,  V′ diag(λ) V′ᵀ diagonal
    /// ```
    pub(crate) fn turned(&self, rows: &[Array2<f64>], q_max: usize, method: Method) -> Result<Self> {
        let mut settings = self.settings.clone();
        (settings.method, settings.truncation) = (method, Truncation::QMax(q_max));
        let mut rows = rows.iter();
        let mut turn = |block: &ContractionBlock| {
            let rows = rows.next().expect("one matrix for each block");
            let mut contraction = block.contraction.turned(rows);
            contraction.truncate(q_max.min(contraction.u.nrows()));
            ContractionBlock { contraction, ..*block }
        };
        let of = |kind: &KindOfBasis| KindOfBasis { blocks: kind.blocks.iter().map(&mut turn).collect(), ..*kind };
        let kinds: Vec<KindOfBasis> = self.kinds.iter().map(of).collect();
        let expansion = contracted_expansion(&settings, &self.species, &kinds)?;
        let (species, provenance) = (self.species.clone(), self.provenance.clone());
        Ok(OptimalBasis { settings, species, kinds, expansion, provenance, warnings: self.warnings.clone() })
    }

    /// Refuses more functions than this basis has in any block.
    ///
    /// # Errors
    /// Unless 1 ≤ q_max ≤ the most.
    pub(crate) fn check_span(&self, name: &'static str, q: usize) -> Result<()> {
        let blocks = self.kinds.iter().flat_map(|kind| &kind.blocks);
        let most = blocks.map(|block| block.contraction.u.nrows()).max().unwrap_or(0);
        if (1..=most).contains(&q) {
            return Ok(());
        }
        let problem =
            format!("the functions are combinations of {most} of each species and l, of each l when combined");
        Err(Error::setting(name, q, problem, format!("use 1 to {most}, or a larger span")))
    }
}

impl Contraction {
    /// Combinations of the functions that are kept, and the principal functions of the rest of their span.
    fn turned(&self, rows: &Array2<f64>) -> Contraction {
        let m = self.u.nrows();
        let variances = Array1::from_iter(self.eigenvalues[..m].iter().copied());
        let rest = complement(rows);
        let (_, turn) = eigh((&rest * &variances).dot(&rest.t()).view());
        let all = concatenate(Axis(0), &[rows.view(), turn.dot(&rest).view()]).expect("as many functions");
        let mut eigenvalues = self.eigenvalues.clone();
        for (kept, row) in eigenvalues.iter_mut().zip(all.rows()) {
            *kept = row.iter().zip(&variances).map(|(x, variance)| x * x * variance).sum();
        }
        let mut u = all.dot(&self.u);
        u.rows_mut().into_iter().for_each(make_largest_positive);
        Contraction { eigenvalues, u }
    }
}
