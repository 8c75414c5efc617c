//! Sums of quadratic forms of few combinations of channels: variable projection. Matrices only.
//!
//! A linear model of the products of channels is a sum of quadratic forms, y = Σ_f cᵀW_f c, and what is known of its data is the
//! triangle of one least squares fit, |R v − Qᵀy|², whose columns are those products. If the forms may see only q combinations
//! U c of the channels, each is W_f = Uᵀ w_f U, and the weights w follow from U:
//!
//! ```text
//! L(U) = min_w |R T(U) w − Qᵀy|²,     dL/dU = Σ_f 4 w_f U G_f,     G = smat Rᵀ(R T(U) w − Qᵀy)
//! ```
//!
//! T(U) turns the upper triangle of w_f into that of Uᵀ w_f U. L depends on the space of the rows of U alone: what is searched is
//! a point of a product of Grassmann manifolds (Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973); Edelman, Arias and Smith,
//! SIAM J. Matrix Anal. Appl. 20, 303 (1998)).

/// What a quadratic form is, and columns made of its own.
mod form;
/// RᵀR of the fit, and what it is of columns made of its own.
mod gram;
/// From weights and motions of combinations to weights of products of channels.
mod lifts;
/// The loss, its weights and its gradient.
mod problem;
/// From a start to a minimum.
mod search;
/// Where to start, and in which order functions stand.
mod start;

pub use form::Form;
pub use problem::QuadraticForms;
pub use search::Contracted;
