//! Cartesian tensors as spherical components, which turn as harmonics do, and back.

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::structure::Vec3;

/// λ = 1 of a vector: its components in the order m = −1, 0, 1, which is y, z, x.
///
/// ```
/// use rhobasis::equivariant::{dipole_of, spherical_of_dipole};
/// assert_eq!(spherical_of_dipole([1.0, 2.0, 3.0]), [2.0, 3.0, 1.0]);
/// assert_eq!(dipole_of([2.0, 3.0, 1.0]), [1.0, 2.0, 3.0]);
/// ```
pub fn spherical_of_dipole([x, y, z]: Vec3) -> [f64; 3] {
    [y, z, x]
}

/// The inverse of [`spherical_of_dipole`].
pub fn dipole_of([y, z, x]: [f64; 3]) -> Vec3 {
    [x, y, z]
}

/// λ = 0 and λ = 2 of a symmetric matrix, whose squares add up to its squared Frobenius norm:
///
/// ```text
/// λ = 0   (xx + yy + zz)/√3
/// λ = 2   √2 xy,  √2 yz,  (2 zz − xx − yy)/√6,  √2 xz,  (xx − yy)/√2
/// ```
///
/// Of the two triangles the mean is taken.
///
/// ```
/// use rhobasis::equivariant::{spherical_of_symmetric, symmetric_of};
/// let a = [[1.0, 0.2, -0.3], [0.2, 2.0, 0.4], [-0.3, 0.4, 3.0]];
/// let spherical = spherical_of_symmetric(a);
/// let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
/// assert!((norm(&spherical) - norm(a.as_flattened())).abs() < 1e-14);
/// for (back, a) in symmetric_of(spherical).as_flattened().iter().zip(a.as_flattened()) {
///     assert!((back - a).abs() < 1e-15);
/// }
/// ```
pub fn spherical_of_symmetric(a: [Vec3; 3]) -> [f64; 6] {
    let twice = |i: usize, j: usize| FRAC_1_SQRT_2 * (a[i][j] + a[j][i]); // √2 times the mean
    let [xx, yy, zz] = [a[0][0], a[1][1], a[2][2]];
    [
        (xx + yy + zz) / 3f64.sqrt(),
        twice(0, 1),
        twice(1, 2),
        (2.0 * zz - xx - yy) / 6f64.sqrt(),
        twice(0, 2),
        (xx - yy) * FRAC_1_SQRT_2,
    ]
}

/// The inverse of [`spherical_of_symmetric`].
pub fn symmetric_of([trace, xy, yz, axial, xz, difference]: [f64; 6]) -> [Vec3; 3] {
    let third = trace / 3f64.sqrt();
    let [xy, yz, xz] = [xy, yz, xz].map(|x| x / SQRT_2);
    let across = third - axial / 6f64.sqrt();
    let half = difference * FRAC_1_SQRT_2;
    [[across + half, xy, xz], [xy, across - half, yz], [xz, yz, third + 2.0 * axial / 6f64.sqrt()]]
}
