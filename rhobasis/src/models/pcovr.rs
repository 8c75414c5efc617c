//! Principal covariates regression: a projection between principal components and regression. Matrices only.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};

use crate::linalg::{matmul, qr_r, svd_thin};
use crate::{Error, Result};

/// What principal covariates regression asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PcovrSettings {
    /// γ: 1 is principal component analysis, towards 0 regression. scikit-matter calls it `mixing`.
    pub gamma: f64,
    /// Components to keep; all if `None`.
    pub n_components: Option<usize>,
    /// Ridge strength of the regression that gives Ŷ, in units of XᵀX.
    pub alpha: f64,
    /// Eigenvalues of XᵀX below this fraction of the largest are dropped.
    pub tol: f64,
}

impl Default for PcovrSettings {
    fn default() -> Self {
        PcovrSettings { gamma: 0.5, n_components: None, alpha: 1e-6, tol: 1e-12 }
    }
}

/// Principal covariates regression in the space of features (de Jong and Kiers, Chemom. Intell. Lab. Syst. 14, 155 (1992);
/// Helfrecht et al., Mach. Learn.: Sci. Technol. 1, 045021 (2020)).
///
/// ```text
/// C = XᵀX,   Ŷ = X (C + α)⁻¹ XᵀY
/// C̃ = γ C + (1 − γ) C^(−1/2) XᵀŶ ŶᵀX C^(−1/2) = V Λ Vᵀ
/// P_XT = C^(−1/2) V Λ^(1/2),   P_TX = Λ^(−1/2) Vᵀ C^(1/2),   P_TY = Λ^(−1/2) Vᵀ C^(−1/2) XᵀY
/// ```
///
/// T = X P_XT has TᵀT = Λ; X ≈ T P_TX, Y ≈ T P_TY. Nothing is centred or scaled here: γ weighs |X|² against |Ŷ|², so it means
/// what it says where both matrices have a total variance of one. No matrix is squared: the singular values of X, and of
/// \[γ^(1/2) C^(1/2); (1 − γ)^(1/2) (C^(−1/2) XᵀŶ)ᵀ\], give all of it.
///
/// ```
/// use ndarray::Array2;
/// use rhobasis::models::{Pcovr, PcovrSettings};
/// let x = Array2::from_shape_fn((9, 3), |(i, j)| ((1 + i * (j + 2)) as f64).sin() / (1 + 3 * j) as f64);
/// let y = Array2::from_shape_fn((9, 1), |(i, _)| 0.2 * x[[i, 0]] - x[[i, 2]]); // hidden in the smallest column
/// let error = |gamma| {
///     let model = Pcovr::fit(x.view(), y.view(), PcovrSettings { gamma, n_components: Some(1), ..Default::default() })?;
///     Ok::<f64, rhobasis::Error>((model.predict(x.view()) - &y).mapv(|e| e * e).sum())
/// };
/// assert!(error(1e-4)? < 1e-6 && error(1.0)? > 1e-2); // one component is enough if it knows of y
/// # Ok::<(), rhobasis::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pcovr {
    /// P_XT: `[feature, k]`; the component of largest magnitude of each column is positive.
    pub pxt: Array2<f64>,
    /// P_TX: `[k, feature]`.
    pub ptx: Array2<f64>,
    /// P_TY: `[k, target]`.
    pub pty: Array2<f64>,
    /// Λ, descending: the sum of squares of each column of T.
    pub eigenvalues: Vec<f64>,
}

impl Pcovr {
    /// Fits X `[sample, feature]` and Y `[sample, target]`.
    ///
    /// Fewer components than asked for are there where the rest of C̃ is zero to within rounding.
    ///
    /// # Errors
    /// If the rows do not match, a number is not finite, X is zero, squares overflow or vanish, or a setting lies outside its
    /// range.
    pub fn fit(x: ArrayView2<f64>, y: ArrayView2<f64>, settings: PcovrSettings) -> Result<Self> {
        let PcovrSettings { gamma, n_components, alpha, tol } = settings;
        check(x, y, settings)?;
        let (x, y) = reduced(x, y);
        let (u, singular, v) = svd_thin(x.view());
        check_squares("X", singular.first().copied())?;
        check_squares("Y", y.iter().copied().map(f64::abs).max_by(f64::total_cmp))?;
        let floor = tol * singular.first().map_or(0.0, |s| s * s);
        let rank = singular.iter().filter(|&&s| s * s > floor).count();
        if rank == 0 {
            return Err(Error::setting("X", "0", "all numbers are zero", "pass features that differ"));
        }
        let (singular, v) = (&singular[..rank], v.slice(s![..rank, ..]));
        // In the basis of the singular vectors: Uᵀ Y, and C^(−1/2) XᵀŶ.
        let uy = matmul(u.slice(s![.., ..rank]).t(), y.view());
        let shrunk = Array1::from_iter(singular.iter().map(|s| s * s / (s * s + alpha))).insert_axis(Axis(1));
        let (values, vectors) = mixed_eigenvectors(gamma, singular, (&uy * &shrunk).view());
        let floor = 1e-30 * values.first().copied().unwrap_or(0.0);
        let kept = values.iter().filter(|&&e| e > floor).count().min(n_components.unwrap_or(rank));
        let (values, mut vectors) = (values[..kept].to_vec(), vectors.slice(s![..kept, ..]).to_owned());
        let mut pxt = projector(singular, &values, &vectors, v);
        for (k, mut column) in pxt.columns_mut().into_iter().enumerate() {
            let largest = column.iter().copied().fold(0.0_f64, |a, b| if b.abs() > a.abs() { b } else { a });
            if largest < 0.0 {
                column.mapv_inplace(|x| -x);
                vectors.row_mut(k).mapv_inplace(|x| -x);
            }
        }
        let inverse = Array1::from_iter(values.iter().map(|e| e.sqrt().recip())).insert_axis(Axis(1));
        let scaled = &vectors * &inverse;
        let spread = &scaled * &Array1::from(singular.to_vec());
        Ok(Pcovr { ptx: matmul(spread.view(), v), pty: matmul(scaled.view(), uy.view()), pxt, eigenvalues: values })
    }

    /// T = X P_XT: `[sample, k]`.
    ///
    /// # Panics
    /// If X has another number of columns than that of the fit.
    pub fn transform(&self, x: ArrayView2<f64>) -> Array2<f64> {
        matmul(x, self.pxt.view())
    }

    /// Ŷ = T P_TY: `[sample, target]`.
    ///
    /// # Panics
    /// As [`Pcovr::transform`].
    pub fn predict(&self, x: ArrayView2<f64>) -> Array2<f64> {
        matmul(self.transform(x).view(), self.pty.view())
    }
}

/// C^(−1/2) V Λ^(1/2), in columns.
fn projector(singular: &[f64], values: &[f64], vectors: &Array2<f64>, v: ArrayView2<f64>) -> Array2<f64> {
    let roots = Array1::from_iter(values.iter().map(|e| e.sqrt())).insert_axis(Axis(1));
    let whitened = (vectors * &roots) / &Array1::from(singular.to_vec());
    matmul(v.t(), whitened.t())
}

/// Eigenvalues, descending, and eigenvectors, in rows, of γ diag(s²) + (1 − γ) G Gᵀ, G `[k, target]`.
///
/// They come from the singular values of a matrix whose square it is: what is small is known to twice as many digits.
pub(crate) fn mixed_eigenvectors(gamma: f64, s: &[f64], g: ArrayView2<f64>) -> (Vec<f64>, Array2<f64>) {
    let diagonal = Array2::from_diag(&Array1::from_iter(s.iter().map(|s| gamma.sqrt() * s)));
    let supervised = g.t().mapv(|x| (1.0 - gamma).sqrt() * x);
    let root = concatenate(Axis(0), &[diagonal.view(), supervised.view()]).expect("as many columns");
    let (_, singular, vectors) = svd_thin(root.view());
    (singular.into_iter().map(|s| s * s).collect(), vectors)
}

/// Fewer rows with the same XᵀX, XᵀY and YᵀY, where there are many.
fn reduced(x: ArrayView2<f64>, y: ArrayView2<f64>) -> (Array2<f64>, Array2<f64>) {
    let n = x.ncols();
    if x.nrows() <= n + y.ncols() {
        return (x.to_owned(), y.to_owned());
    }
    let r = qr_r(concatenate(Axis(1), &[x, y]).expect("as many rows").view());
    (r.slice(s![.., ..n]).to_owned(), r.slice(s![.., n..]).to_owned())
}

/// Eigenvalues are squares, which must be numbers.
fn check_squares(name: &'static str, largest: Option<f64>) -> Result<()> {
    match largest {
        Some(largest) if largest != 0.0 && !(1e-140..1e140).contains(&largest) => {
            let problem = "its squares are too large or too small for numbers of eight bytes";
            let remedy = "divide the matrix by the root of its total variance first";
            Err(Error::setting(name, format!("numbers up to {largest:e}"), problem, remedy))
        }
        _ => Ok(()),
    }
}

fn check(x: ArrayView2<f64>, y: ArrayView2<f64>, settings: PcovrSettings) -> Result<()> {
    let PcovrSettings { gamma, n_components, alpha, tol } = settings;
    if x.nrows() != y.nrows() {
        let problem = format!("X has {} rows", x.nrows());
        return Err(Error::setting("rows of Y", y.nrows(), problem, "pass the same samples in both"));
    }
    for (name, a) in [("X", x), ("Y", y)] {
        if let Some(value) = a.iter().find(|value| !value.is_finite()) {
            return Err(Error::setting(name, value, "the matrix holds a number that is not finite", "remove its row"));
        }
    }
    if !(0.0..=1.0).contains(&gamma) {
        let problem = "the mixing lies between 0 (regression) and 1 (principal components)";
        return Err(Error::setting("gamma", gamma, problem, "0.5 is a good start"));
    }
    if !(alpha.is_finite() && alpha >= 0.0) {
        let problem = "the strength of a ridge is finite and not negative";
        return Err(Error::setting("alpha", alpha, problem, "1e-6 is a good start"));
    }
    if !(0.0..1.0).contains(&tol) {
        let problem = "a fraction of the largest eigenvalue lies at or above 0 and below 1";
        return Err(Error::setting("tol", tol, problem, "use 1e-12"));
    }
    let most = x.nrows().min(x.ncols());
    if let Some(n) = n_components.filter(|&n| n == 0 || n > most) {
        let problem = format!("{} samples of {} features have at most {most} components", x.nrows(), x.ncols());
        return Err(Error::setting("n_components", n, problem, "use at least 1, and not more"));
    }
    Ok(())
}
