//! Special functions and quadrature, each without overflow over the whole range of its argument.

/// Modified spherical Bessel functions i_l, scaled, and spherical Bessel functions j_l with their zeros.
pub mod bessel;
/// Numbers of 32 digits.
pub mod double_double;
/// Gauss-Legendre quadrature and interpolation on its nodes.
pub mod gauss_legendre;
/// The confluent hypergeometric function.
pub mod hyp1f1;
/// Interpolation by splines.
pub mod spline;
