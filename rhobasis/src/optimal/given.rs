//! The basis of contraction matrices that come from elsewhere, Eqs. (7), (12).

use ndarray::{Array2, Axis, concatenate};

use super::basis::OptimalBasis;
use super::contraction::{Block, Contract, Contraction};
use super::covariance::Covariance;
use super::settings::{Method, Mixing, Truncation};
use crate::density::{BlockKey, ContractionMatrix};
use crate::linalg::{complement, eigh, svd_thin};
use crate::settings::Named;
use crate::structure::symbol;
use crate::{Error, Result};

/// Rows that miss orthonormality by more are refused: numbers of single precision are good to less.
pub(super) const ORTHONORMAL: f64 = 1e-6;

/// Singular values below this times the largest are those of rows that depend on one another.
const DEPENDENT: f64 = 1e-10;

impl OptimalBasis {
    /// The basis of these matrices U, as [`OptimalBasis::contraction`] holds them: one for each kind of centre, block, and neighbour
    /// species (`None` where the covariance is combined), with orthonormal rows over the primitive functions of the covariance.
    ///
    /// The covariance tells what variance each function keeps, and how much is left:
    ///
    /// ```text
    /// λ_q = (U C Uᵀ)_qq,      of the functions that are not given: the eigenvalues of C in what U leaves
    /// ```
    ///
    /// With `orthonormalise`, rows that are not orthonormal are replaced by the nearest that are, (U Uᵀ)^(−1/2) U, of the same span.
    ///
    /// ```
    /// # use rhobasis::density::{ExpansionSettings, Primitive};
    /// # use rhobasis::optimal::{Covariance, CovarianceSettings, OptimalBasis, Truncation};
    /// # use rhobasis::Structure;
    /// # let expansion = ExpansionSettings { primitive: Primitive::Gto { n_max: 8 }, l_max: 1, ..Default::default() };
    /// # let frames = [2.0, 2.3].map(|d| Structure::molecule(vec![14, 14], vec![[0.0; 3], [0.0, 0.0, d]]));
    /// let mut covariance = Covariance::new(&CovarianceSettings { expansion, ..Default::default() })?;
    /// covariance.add(&frames, None)?;
    /// let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(2))?;
    /// let again = OptimalBasis::from_contraction(&covariance, basis.contraction().matrices(), false)?;
    /// assert_eq!(again.transform(&frames)?.blocks, basis.transform(&frames)?.blocks);
    /// # Ok::<(), rhobasis::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a matrix is missing or one too many, has another number of columns than there are functions, or rows that are not
    /// orthonormal; and as [`OptimalBasis::from_covariance`].
    pub fn from_contraction(
        covariance: &Covariance,
        matrices: &[ContractionMatrix],
        orthonormalise: bool,
    ) -> Result<Self> {
        let given = Given { matrices: checked(covariance, matrices, orthonormalise)? };
        let longest = given.matrices.iter().map(|matrix| matrix.u.nrows()).max().unwrap_or(0);
        if longest == 0 {
            return Err(refused("all", "no matrix has a row".into(), "give the functions that are to be kept"));
        }
        let mut basis = OptimalBasis::with_counts(covariance, Truncation::QMax(longest), &given, |center, blocks| {
            blocks.iter().map(|block| given.of(center, block.species, block.key).nrows()).collect()
        })?;
        basis.warnings.clear(); // a block of fewer functions than the longest has as many as it was given
        Ok(basis)
    }
}

/// Kind of centre, neighbour species, and block.
type Place = (Option<u8>, Option<u8>, BlockKey);

impl ContractionMatrix {
    fn place(&self) -> Place {
        (self.center, self.species, self.block)
    }
}

/// Matrices that were checked: one for each block of the covariance.
struct Given {
    matrices: Vec<ContractionMatrix>,
}

impl Given {
    fn of(&self, center: Option<u8>, species: Option<u8>, key: BlockKey) -> &Array2<f64> {
        let is_it = |m: &&ContractionMatrix| m.place() == (center, species, key);
        &self.matrices.iter().find(is_it).expect("one for each block").u
    }
}

impl Contract for Given {
    fn contract(&self, block: &Block) -> Contraction {
        let given = self.of(block.center, block.owner, block.key);
        let rest = complement(given);
        let (left, turn) = eigh(rest.dot(&block.covariance).dot(&rest.t()).view());
        let kept = given.dot(&block.covariance);
        let variances = kept.rows().into_iter().zip(given.rows()).map(|(cu, u)| cu.dot(&u));
        let eigenvalues = variances.chain(left).map(|variance| variance.max(0.0)).collect();
        let u = concatenate(Axis(0), &[given.view(), turn.dot(&rest).view()]).expect("as many functions");
        Contraction { eigenvalues, u }
    }

    fn method(&self) -> Method {
        Method::Given
    }
}

/// One matrix for each block of the covariance, in order.
fn checked(
    covariance: &Covariance,
    matrices: &[ContractionMatrix],
    orthonormalise: bool,
) -> Result<Vec<ContractionMatrix>> {
    let species = covariance.species();
    let mut found = Vec::new();
    for center in covariance.kinds() {
        for together in covariance.settings().mixing.contracted_together(&species) {
            let owner = covariance.settings().mixing.owner(together);
            for l in 0..=covariance.settings().expansion.l_max {
                let wanted = (center, owner, BlockKey::density(l));
                let n = together.len() * covariance.n_functions(l);
                let mut of_block = matrices.iter().filter(|m| m.place() == wanted);
                let name = name_of(wanted);
                if n == 0 {
                    let (center, species, block) = wanted;
                    found.push(ContractionMatrix { center, species, block, u: Array2::zeros((0, 0)) });
                    continue;
                }
                let Some(matrix) = of_block.next() else {
                    let remedy = "give U of each species of the frames and each l; one of no rows keeps no function";
                    return Err(refused(name, "no matrix is given for this block".into(), remedy));
                };
                if of_block.next().is_some() {
                    return Err(refused(name, "two matrices are given for this block".into(), "leave one of them out"));
                }
                found.push(ContractionMatrix {
                    u: checked_rows(&name, &matrix.u, n, orthonormalise)?,
                    ..matrix.clone()
                });
            }
        }
    }
    let is_unused = |m: &&ContractionMatrix| !found.iter().any(|f: &ContractionMatrix| f.place() == m.place());
    if let Some(unused) = matrices.iter().find(is_unused) {
        let name = name_of(unused.place());
        if unused.species.is_some() == (covariance.settings().mixing == Mixing::Combined) {
            let problem = format!("there is no such block with mixing {}", covariance.settings().mixing.name());
            return Err(refused(
                name,
                problem,
                "give U of each species and l with per-species, of each l with combined",
            ));
        }
        if unused.center.is_some() != covariance.settings().center_specific {
            let problem =
                format!("there is no such block with center_specific {}", covariance.settings().center_specific);
            return Err(refused(name, problem, "give U for each species of centre where it is true, else for all"));
        }
        let problem = "the frames have no such block, so that its variance is not known".to_string();
        let remedy = "leave it out, or give frames with these species and an l_max that covers it";
        return Err(refused(name, problem, remedy));
    }
    Ok(found)
}

/// U with orthonormal rows over n functions.
fn checked_rows(name: &str, u: &Array2<f64>, n: usize, orthonormalise: bool) -> Result<Array2<f64>> {
    let (rows, columns) = u.dim();
    if columns != n {
        let problem = format!("U has {columns} columns, and there are {n} primitive functions");
        return Err(refused(
            name,
            problem,
            "use the primitive basis that U was made for, species ascending, n fastest",
        ));
    }
    if rows > n {
        let problem = format!("U has {rows} rows, and of {n} primitive functions no more are independent");
        return Err(refused(name, problem, "give one row for each function that is kept"));
    }
    if let Some(bad) = u.iter().find(|x| !x.is_finite()) {
        return Err(refused(name, format!("U holds {bad}"), "give finite numbers"));
    }
    let deviation = from_orthonormal(u);
    if deviation <= ORTHONORMAL {
        return Ok(u.clone());
    }
    if !orthonormalise {
        let problem = format!("the rows of U are not orthonormal: U Uᵀ is off by {deviation:.1e}");
        return Err(refused(name, problem, "orthonormalise them, or ask for the nearest rows that are"));
    }
    let (left, s, right) = svd_thin(u.view());
    let (largest, smallest) = (s[0], s[rows - 1]);
    if smallest <= DEPENDENT * largest {
        let problem =
            format!("the rows of U depend on one another: its singular values are {smallest:.1e} to {largest:.1e}");
        return Err(refused(name, problem, "give independent rows"));
    }
    Ok(left.dot(&right))
}

/// The largest component of U Uᵀ − 1.
pub(super) fn from_orthonormal(u: &Array2<f64>) -> f64 {
    (u.dot(&u.t()) - Array2::<f64>::eye(u.nrows())).iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn name_of((center, species, key): Place) -> String {
    let of = species.map_or(String::new(), |z| format!(", {} neighbours", symbol(z)));
    let around = center.map_or(String::new(), |z| format!(", {} centres", symbol(z)));
    format!("l = {}{of}{around}", key.lambda)
}

fn refused(name: impl std::fmt::Display, problem: String, remedy: &str) -> Error {
    Error::setting("contraction", name, problem, remedy)
}
