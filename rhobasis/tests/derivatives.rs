//! Tangent, Jacobian, strain and cell derivatives against difference quotients, against each other and against the adjoint.

use std::slice::from_ref;
use std::sync::LazyLock;

use ndarray::{Array3, ArrayView3};
use rhobasis::Structure;
use rhobasis::density::{
    Density, Equivariants, ExpansionSettings, Jacobian, JacobianCursor, JacobianRow, Motion, Primitive, RadialScaling,
    Sigma, SphericalExpansion, Variable, species_of,
};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};

type Vec3 = [f64; 3];

/// A skewed cell much smaller than the cutoff, with an atom outside it: images of neighbours and of the centre.
fn crystal() -> Structure {
    let positions = vec![[0.1, 0.2, -0.1], [1.6, 1.1, 0.9], [2.9, 0.3, 1.8], [-0.6, 2.4, 4.1]];
    Structure::crystal(vec![6, 1, 14, 1], positions, [[3.4, 0.2, 0.0], [0.7, 3.1, 0.1], [-0.3, 0.5, 3.3]])
}

fn molecule() -> Structure {
    let positions = vec![[0.0, 0.0, 0.0], [0.0, 0.0, 1.1], [1.0, 0.2, -0.4], [-0.6, 0.9, -0.4], [0.2, 5.9, 0.3]];
    Structure::molecule(vec![6, 1, 1, 1, 14], positions)
}

fn settings(primitive: Primitive) -> ExpansionSettings {
    let scaling = Some(RadialScaling { rate: 1.0, scale: 2.0, exponent: 3.0 });
    let sigma = Sigma::PerSpecies([(1, 0.3), (6, 0.4), (14, 0.5)].into_iter().collect());
    let density = Density { r_cut: 4.2, sigma, cutoff_width: 0.9, scaling, ..Density::default() };
    ExpansionSettings { density, primitive, l_max: 7, spline_accuracy: Some(1e-8) }
}

/// Primitive bases with few and many channels, and contracted ones of every kind.
static EXPANSIONS: LazyLock<Vec<(String, SphericalExpansion)>> = LazyLock::new(|| {
    let frames = [crystal(), molecule()];
    let mut all = Vec::new();
    for primitive in
        [Primitive::Gto { n_max: 3 }, Primitive::Gto { n_max: 9 }, Primitive::LaplacianEigenstates { n_max: 5 }]
    {
        let name = format!("{primitive:?}");
        all.push((name, SphericalExpansion::new(&settings(primitive), &species_of(&frames)).unwrap()));
    }
    let mut exact = settings(Primitive::Gto { n_max: 3 });
    (exact.spline_accuracy, exact.l_max) = (None, 3);
    all.push(("exact integrals".into(), SphericalExpansion::new(&exact, &species_of(&frames)).unwrap()));
    let mut delta = settings(Primitive::Gto { n_max: 4 });
    (delta.density.sigma, delta.l_max) = (Sigma::Same(0.0), 3);
    all.push(("δ density".into(), SphericalExpansion::new(&delta, &species_of(&frames)).unwrap()));
    for mixing in [Mixing::PerSpecies, Mixing::Combined] {
        for center_specific in [false, true] {
            let expansion = settings(Primitive::Gto { n_max: 6 });
            let mut covariance =
                Covariance::new(&CovarianceSettings { expansion, mixing, center_specific, weighting: None }).unwrap();
            covariance.add(&frames, None).unwrap();
            let basis = OptimalBasis::from_covariance(&covariance, Truncation::Retain(0.99)).unwrap();
            all.push((format!("{mixing:?}, center_specific {center_specific}"), basis.expansion().clone()));
        }
    }
    all
});

fn random(seed: u64, n: usize) -> Vec<Vec3> {
    let mut state = seed | 1;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1_u64 << 31) as f64 - 0.5
    };
    (0..n).map(|_| std::array::from_fn(|_| next())).collect()
}

/// The structure after the motion has gone on for t.
fn moved(structure: &Structure, motion: &Motion, t: f64) -> Structure {
    let stretch = |r: Vec3| -> Vec3 {
        std::array::from_fn(|q| r[q] + t * (0..3).map(|p| r[p] * motion.strain[p][q]).sum::<f64>())
    };
    let positions = structure.positions.iter().zip(&motion.velocities);
    Structure {
        positions: positions
            .map(|(&r, v)| {
                let r = stretch(r);
                std::array::from_fn(|q| r[q] + t * v[q])
            })
            .collect(),
        cell: structure.cell.map(stretch),
        ..structure.clone()
    }
}

/// d c/dt at t = 0 by Richardson's rule: error of order h⁴.
fn quotient(expansion: &SphericalExpansion, at: impl Fn(f64) -> Structure) -> Vec<Array3<f64>> {
    let c = |t: f64| expansion.forward(&[at(t)]).unwrap().blocks;
    let h = 4e-4;
    let (a, b, c, d) = (c(h), c(-h), c(h / 2.0), c(-h / 2.0));
    (0..a.len()).map(|l| (4.0 * (&c[l] - &d[l]) / h - (&a[l] - &b[l]) / (2.0 * h)) / 3.0).collect()
}

fn largest(blocks: &[Array3<f64>]) -> f64 {
    blocks.iter().flatten().fold(0.0, |a, x| a.max(x.abs()))
}

#[track_caller]
fn assert_close(found: &[Array3<f64>], expected: &[Array3<f64>], tolerance: f64, what: &str) {
    let differences: Vec<Array3<f64>> = found.iter().zip(expected).map(|(f, e)| f - e).collect();
    let (difference, scale) = (largest(&differences), largest(expected));
    assert!(difference <= tolerance * scale, "{what}: off by {difference:.1e}, largest {scale:.1e}");
}

/// The rows of a Jacobian, contracted with numbers for (row, component): Σ over rows of each centre.
fn contract(jacobian: &Jacobian, n_centers: usize, factor: impl Fn(&JacobianRow, usize) -> f64) -> Vec<Array3<f64>> {
    let of_l = |block: &ndarray::Array4<f64>| {
        let (_, n_components, n_m, width) = block.dim();
        let mut sum = Array3::zeros((n_centers, n_m, width));
        for (row, values) in jacobian.rows.iter().zip(block.outer_iter()) {
            for component in 0..n_components {
                let mut to = sum.index_axis_mut(ndarray::Axis(0), row.center);
                to.scaled_add(factor(row, component), &values.index_axis(ndarray::Axis(0), component));
            }
        }
        sum
    };
    jacobian.blocks.iter().map(of_l).collect()
}

#[test]
fn the_tangent_is_the_difference_quotient_along_the_motion() {
    for (name, expansion) in EXPANSIONS.iter() {
        for structure in [crystal(), molecule()] {
            let strain = random(5, 3).try_into().unwrap();
            let motion = Motion { velocities: random(3, structure.len()), strain };
            let tangent = expansion.tangent(from_ref(&structure), from_ref(&motion)).unwrap();
            let expected = quotient(expansion, |t| moved(&structure, &motion, t));
            assert_close(&tangent.blocks, &expected, 2e-8, name);
        }
    }
}

#[test]
fn the_jacobian_by_positions_is_the_difference_quotient_for_every_atom() {
    for (name, expansion) in EXPANSIONS.iter() {
        for structure in [crystal(), molecule()] {
            let jacobian = expansion.jacobian(from_ref(&structure), Variable::Positions).unwrap();
            for atom in 0..structure.len() {
                for axis in 0..3 {
                    let found =
                        contract(&jacobian, structure.len(), |r, d| f64::from(r.atom == Some(atom) && d == axis));
                    let mut motion = Motion { velocities: vec![[0.0; 3]; structure.len()], strain: [[0.0; 3]; 3] };
                    motion.velocities[atom][axis] = 1.0;
                    let expected = quotient(expansion, |t| moved(&structure, &motion, t));
                    assert_close(&found, &expected, 2e-8, &format!("{name}, atom {atom}, axis {axis}"));
                    let alone = structure.pbc == [false; 3] && atom == 4;
                    assert!(alone || largest(&found) > 1e-3, "{name}: atom {atom} moves nothing");
                }
            }
        }
    }
}

#[test]
fn strain_derivatives_are_difference_quotients_component_by_component() {
    for (name, expansion) in EXPANSIONS.iter() {
        let structure = crystal();
        let jacobian = expansion.jacobian(from_ref(&structure), Variable::Strain).unwrap();
        for p in 0..3 {
            for q in 0..3 {
                let found = contract(&jacobian, structure.len(), |_, component| f64::from(component == 3 * p + q));
                let mut motion = Motion { velocities: vec![[0.0; 3]; structure.len()], strain: [[0.0; 3]; 3] };
                motion.strain[p][q] = 1.0;
                let expected = quotient(expansion, |t| moved(&structure, &motion, t));
                assert_close(&found, &expected, 2e-8, &format!("{name}, strain {p}{q}"));
            }
        }
    }
}

#[test]
fn cell_derivatives_are_difference_quotients_with_the_atoms_left_where_they_are() {
    for (name, expansion) in EXPANSIONS.iter() {
        let structure = crystal();
        let jacobian = expansion.jacobian(from_ref(&structure), Variable::Cell).unwrap();
        for p in 0..3 {
            for q in 0..3 {
                let found = contract(&jacobian, structure.len(), |_, component| f64::from(component == 3 * p + q));
                let expected = quotient(expansion, |t| {
                    let mut cell = structure.cell;
                    cell[p][q] += t;
                    Structure { cell, ..structure.clone() }
                });
                assert_close(&found, &expected, 2e-8, &format!("{name}, cell {p}{q}"));
            }
        }
    }
}

#[test]
fn tangent_and_adjoint_are_the_jacobian_times_a_vector_from_either_side() {
    for (name, expansion) in EXPANSIONS.iter() {
        for structure in [crystal(), molecule()] {
            let n = structure.len();
            let strain: [Vec3; 3] = random(11, 3).try_into().unwrap();
            let motion = Motion { velocities: random(7, n), strain };
            let one = from_ref(&structure);
            let positions = expansion.jacobian(one, Variable::Positions).unwrap();
            let by_strain = expansion.jacobian(one, Variable::Strain).unwrap();
            let along = contract(&positions, n, |r, d| motion.velocities[r.atom.unwrap()][d]);
            let strained = contract(&by_strain, n, |_, component| strain[component / 3][component % 3]);
            let expected: Vec<Array3<f64>> = along.iter().zip(&strained).map(|(a, b)| a + b).collect();
            let tangent = expansion.tangent(one, from_ref(&motion)).unwrap();
            assert_close(&tangent.blocks, &expected, 1e-13, name);

            let gradient = expansion.forward(one).unwrap();
            let adjoint = &expansion.backward(one, &gradient.views()).unwrap()[0];
            let from_the_left: f64 = gradient.blocks.iter().zip(&tangent.blocks).map(|(g, t)| (g * t).sum()).sum();
            let forces = adjoint.forces.as_flattened().iter().zip(motion.velocities.as_flattened());
            let virial = adjoint.virial.iter().zip(strain.as_flattened());
            let from_the_right: f64 = -forces.chain(virial).map(|(a, b)| a * b).sum::<f64>();
            let difference = (from_the_left - from_the_right).abs();
            assert!(difference < 1e-12 * from_the_left.abs(), "{name}: {from_the_left} and {from_the_right}");
        }
    }
}

#[test]
fn derivatives_are_right_without_angles_with_twenty_and_where_an_l_has_no_channels() {
    let with = |l_max: usize, sigma: f64, primitive: Primitive| {
        let mut settings = settings(primitive);
        (settings.l_max, settings.density.sigma, settings.spline_accuracy) = (l_max, Sigma::Same(sigma), Some(1e-10));
        settings
    };
    let mut expansions = Vec::new();
    for settings in [
        with(0, 0.4, Primitive::Gto { n_max: 1 }),
        with(0, 0.4, Primitive::Gto { n_max: 17 }),
        with(20, 0.4, Primitive::Gto { n_max: 3 }),
        with(20, 0.4, Primitive::Dvr { n_max: 10, quadrature: false }),
        with(20, 0.4, Primitive::LaplacianEigenstates { n_max: 9 }),
        with(12, 0.0, Primitive::LaplacianEigenstates { n_max: 6 }),
    ] {
        let name = format!("{:?}, l_max = {}, sigma {:?}", settings.primitive, settings.l_max, settings.density.sigma);
        expansions.push((name, SphericalExpansion::new(&settings, &[1, 6, 14]).unwrap()));
    }
    for mixing in [Mixing::PerSpecies, Mixing::Combined] {
        let expansion = with(7, 0.4, Primitive::Gto { n_max: 6 });
        let settings = CovarianceSettings { expansion, mixing, center_specific: true, weighting: None };
        let mut covariance = Covariance::new(&settings).unwrap();
        covariance.add(&[crystal(), molecule()], None).unwrap();
        let basis = OptimalBasis::from_covariance(&covariance, Truncation::Retain(0.3)).unwrap();
        assert!(basis.expansion().channels().iter().any(Vec::is_empty));
        expansions.push((format!("{mixing:?}, few channels"), basis.expansion().clone()));
    }
    for (name, expansion) in expansions {
        for structure in [crystal(), molecule()] {
            let n = structure.len();
            let strain: [Vec3; 3] = random(19, 3).try_into().unwrap();
            let motion = Motion { velocities: random(17, n), strain };
            let one = from_ref(&structure);
            let tangent = expansion.tangent(one, from_ref(&motion)).unwrap();
            let expected = quotient(&expansion, |t| moved(&structure, &motion, t));
            assert_close(&tangent.blocks, &expected, 2e-8, &name);
            let positions = expansion.jacobian(one, Variable::Positions).unwrap();
            let by_strain = expansion.jacobian(one, Variable::Strain).unwrap();
            let along = contract(&positions, n, |r, d| motion.velocities[r.atom.unwrap()][d]);
            let strained = contract(&by_strain, n, |_, component| strain[component / 3][component % 3]);
            let sum: Vec<Array3<f64>> = along.iter().zip(&strained).map(|(a, b)| a + b).collect();
            assert_close(&sum, &tangent.blocks, 1e-12, &name);
            let c = expansion.forward(one).unwrap();
            let adjoint = &expansion.backward(one, &c.views()).unwrap()[0];
            let left: f64 = c.blocks.iter().zip(&tangent.blocks).map(|(g, t)| (g * t).sum()).sum();
            let forces = adjoint.forces.as_flattened().iter().zip(motion.velocities.as_flattened());
            let right: f64 =
                -forces.chain(adjoint.virial.iter().zip(strain.as_flattened())).map(|(a, b)| a * b).sum::<f64>();
            assert!((left - right).abs() < 1e-11 * left.abs(), "{name}: {left} and {right}");
        }
    }
}

#[test]
fn an_unknown_species_is_refused_by_every_derivative_with_frame_and_atom() {
    let expansion = SphericalExpansion::new(&settings(Primitive::Gto { n_max: 3 }), &[1, 6]).unwrap();
    let frames = [Structure::molecule(vec![6], vec![[0.0; 3]]), Structure::default(), molecule()];
    let motions: Vec<Motion> =
        frames.iter().map(|s| Motion { velocities: vec![[0.0; 3]; s.len()], strain: [[0.0; 3]; 3] }).collect();
    let mut errors = vec![expansion.tangent(&frames, &motions).unwrap_err()];
    for variable in [Variable::Positions, Variable::Strain, Variable::Cell] {
        errors.push(expansion.jacobian(&frames, variable).unwrap_err());
    }
    for error in errors {
        let words = error.to_string();
        assert!(words.contains("frame 2") && words.contains("atom 4") && words.contains("Si is not among"), "{words}");
    }
    let error = expansion.tangent(&frames, &motions[..2]).unwrap_err().to_string();
    assert!(error.contains("one motion per structure is needed, and there are 3"), "{error}");
    let error = expansion.tangent(&frames[2..], &motions[..1]).unwrap_err().to_string();
    assert!(error.contains("1 velocities for 5 atoms"), "{error}");
}

#[test]
fn rows_are_the_centre_and_the_atoms_within_the_cutoff_in_order() {
    let expansion = SphericalExpansion::new(&settings(Primitive::Gto { n_max: 3 }), &[1, 6, 14]).unwrap();
    let rows = expansion.jacobian(&[Structure::default(), molecule()], Variable::Positions).unwrap().rows;
    let of = |center| -> Vec<usize> { rows.iter().filter(|r| r.center == center).map(|r| r.atom.unwrap()).collect() };
    assert_eq!([of(0), of(1), of(4)], [vec![0, 1, 2, 3], vec![0, 1, 2, 3], vec![4]]);
    assert!(rows.iter().all(|r| r.structure == 1) && rows.is_sorted_by_key(|r| r.center));
    let rows = expansion.jacobian(&[crystal()], Variable::Cell).unwrap().rows;
    assert_eq!(rows.iter().map(|r| (r.center, r.atom)).collect::<Vec<_>>(), [0, 1, 2, 3].map(|i| (i, None)));
}

#[test]
fn an_atom_alone_has_a_jacobian_of_zeros() {
    let expansion = SphericalExpansion::new(&settings(Primitive::Gto { n_max: 3 }), &[14]).unwrap();
    let alone = [Structure::molecule(vec![14], vec![[0.3, 0.2, 0.1]])];
    let jacobian = expansion.jacobian(&alone, Variable::Positions).unwrap();
    assert_eq!(jacobian.blocks[0].dim(), (1, 3, 1, 3));
    assert!(jacobian.blocks.iter().flatten().all(|&x| x == 0.0));
}

#[test]
fn parts_of_any_size_into_used_memory_make_the_same_jacobian_to_the_bit() {
    let frames = [molecule(), crystal(), Structure::default(), crystal(), molecule()];
    for (name, expansion) in EXPANSIONS.iter() {
        for variable in [Variable::Positions, Variable::Strain, Variable::Cell] {
            let whole = expansion.jacobian(&frames, variable).unwrap();
            for most_bytes in [0, 1, 30_000, 100_000, 400_000] {
                let mut cursor = JacobianCursor::new(variable, most_bytes);
                let (mut rows, mut blocks) = (Vec::new(), vec![Vec::new(); expansion.channels().len()]);
                while let Some(part) = cursor.next_part(expansion, &frames).unwrap() {
                    let mut memory: Vec<Vec<f64>> =
                        (0..blocks.len()).map(|l| vec![f64::NAN; part.len_of(expansion, l)]).collect();
                    let mut slices: Vec<&mut [f64]> = memory.iter_mut().map(|m| &mut m[..]).collect();
                    part.fill(expansion, &frames, &mut slices).unwrap();
                    blocks.iter_mut().zip(memory).for_each(|(all, part)| all.extend(part));
                    let bytes: usize = blocks.iter().map(|b: &Vec<f64>| 8 * b.len()).sum();
                    assert!(bytes > 0 || expansion.channels().iter().all(Vec::is_empty));
                    rows.extend(part.rows);
                }
                assert_eq!(rows, whole.rows, "{name}");
                for (found, expected) in blocks.iter().zip(&whole.blocks) {
                    assert_eq!(found, expected.as_slice().unwrap(), "{name}, {variable:?}, {most_bytes} bytes");
                }
            }
        }
    }
}

#[test]
fn parts_stay_within_their_bytes_when_environments_become_denser() {
    // Two atoms alone, then a crystal: centres of 2 rows, then of 4.
    let mut slab = crystal();
    slab.pbc = [true, true, false];
    let dimer = Structure::molecule(vec![6, 1], vec![[0.0; 3], [0.0, 0.0, 1.1]]);
    let frames = [dimer.clone(), crystal(), dimer.clone(), Structure::default(), slab, dimer];
    let expansion = SphericalExpansion::new(&settings(Primitive::Gto { n_max: 3 }), &[1, 6, 14]).unwrap();
    let whole = expansion.jacobian(&frames, Variable::Positions).unwrap();
    let row_bytes = 8 * whole.blocks.iter().map(|b| b.len()).sum::<usize>() / whole.rows.len();
    for most_rows in 1..=whole.rows.len() {
        let mut cursor = JacobianCursor::new(Variable::Positions, most_rows * row_bytes);
        let mut rows = Vec::new();
        while let Some(part) = cursor.next_part(&expansion, &frames).unwrap() {
            let (first, last) = (part.rows[0], part.rows[part.rows.len() - 1]);
            let one_center = (first.structure, first.center) == (last.structure, last.center);
            assert!(part.rows.len() <= most_rows || one_center, "{} rows, {most_rows} asked for", part.rows.len());
            rows.extend(part.rows);
        }
        assert_eq!(rows, whole.rows);
    }
}

#[test]
fn values_overwrite_whatever_was_in_the_memory() {
    let frames = [molecule(), crystal(), Structure::molecule(vec![14], vec![[0.0; 3]])];
    for (name, expansion) in EXPANSIONS.iter() {
        let expected = expansion.forward(&frames).unwrap();
        let mut used = expected.clone();
        used.blocks.iter_mut().for_each(|block| block.fill(f64::NAN));
        let mut views: Vec<_> = used.blocks.iter_mut().map(|b| b.view_mut()).collect();
        expansion.forward_to(&frames, None, None, &mut views).unwrap();
        assert_eq!(used, expected, "{name}");
    }
}

/// A supercell large enough to be split over threads, rattled so that no two atoms are alike.
fn large() -> Structure {
    let cell = crystal();
    let mut large = Structure { cell: cell.cell.map(|v| v.map(|x| 5.0 * x)), pbc: [true; 3], ..Structure::default() };
    for n in 0..125 {
        let shift = [n / 25, n / 5 % 5, n % 5].map(|k| k as f64);
        for (z, r) in cell.species.iter().zip(&cell.positions) {
            large.species.push(*z);
            large
                .positions
                .push(std::array::from_fn(|d| r[d] + (0..3).map(|k| shift[k] * cell.cell[k][d]).sum::<f64>()));
        }
    }
    let rattle = random(13, large.len());
    large.positions.iter_mut().zip(rattle).for_each(|(r, u)| (0..3).for_each(|d| r[d] += 0.2 * u[d]));
    large
}

#[test]
fn threads_change_no_bit_of_values_and_derivatives_of_small_and_large_structures() {
    let mut settings = settings(Primitive::Gto { n_max: 3 });
    settings.l_max = 2;
    let expansion = SphericalExpansion::new(&settings, &[1, 6, 14]).unwrap();
    let frames = [large(), molecule(), crystal()];
    let with_threads = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| {
            let c: Equivariants = expansion.forward(&frames).unwrap();
            let views: Vec<ArrayView3<f64>> = c.views();
            let adjoint = expansion.backward(&frames, &views).unwrap();
            let jacobian = expansion.jacobian(&frames[..1], Variable::Positions).unwrap();
            (c, adjoint, jacobian)
        })
    };
    let one = with_threads(1);
    assert_eq!(one, with_threads(2));
    assert_eq!(one, with_threads(5));
    // The same when the frame is one of so many that it is not split.
    let many: Vec<Structure> = std::iter::repeat_n(large(), 8).collect();
    let c = expansion.forward(&many).unwrap();
    let adjoints = expansion.backward(&many, &c.views()).unwrap();
    assert!(adjoints.iter().all(|adjoint| *adjoint == one.1[0]));
}

#[test]
fn numbers_that_are_not_finite_are_refused_by_their_place() {
    let expansion = SphericalExpansion::new(&settings(Primitive::Gto { n_max: 3 }), &[1, 6, 14]).unwrap();
    let frames = [molecule(), crystal()];
    let mut gradient = expansion.forward(&frames).unwrap();
    gradient.blocks[2][[6, 3, 1]] = f64::NAN;
    let error = expansion.backward(&frames, &gradient.views()).unwrap_err().to_string();
    assert!(error.contains("gradient = NaN: not finite, at l = 2, center 6, component 3, channel 1"), "{error}");
    let mut motions = [0, 1].map(|s| Motion { velocities: frames[s].positions.clone(), strain: [[0.0; 3]; 3] });
    motions[1].velocities[2][1] = f64::INFINITY;
    let error = expansion.tangent(&frames, &motions).unwrap_err().to_string();
    assert!(error.contains("frame 1, atom 2") && error.contains("is not finite"), "{error}");
}

#[test]
fn the_error_is_that_of_the_first_bad_frame_for_any_number_of_threads() {
    let expansion = SphericalExpansion::new(&settings(Primitive::Gto { n_max: 3 }), &[1, 6, 14]).unwrap();
    let unknown = Structure::molecule(vec![1, 8], vec![[0.0; 3], [0.0, 0.0, 1.0]]);
    let broken = Structure { cell: [[0.0; 3]; 3], ..large() };
    let frames = [molecule(), unknown, molecule(), broken];
    for n_threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let error = expansion.forward(&frames).unwrap_err().to_string();
            assert!(error.contains("frame 1, atom 1"), "{n_threads} threads: {error}");
            let error = expansion.jacobian(&frames, Variable::Strain).unwrap_err().to_string();
            assert!(error.contains("frame 1, atom 1"), "{n_threads} threads: {error}");
        });
    }
}

#[test]
fn a_cursor_ends_with_its_first_error() {
    let expansion = SphericalExpansion::new(&settings(Primitive::Gto { n_max: 3 }), &[1, 6, 14]).unwrap();
    let frames = [molecule(), Structure::molecule(vec![8], vec![[0.0; 3]]), molecule()];
    let mut cursor = JacobianCursor::new(Variable::Positions, 1);
    for _ in 0..molecule().len() {
        assert!(cursor.next_part(&expansion, &frames).unwrap().is_some());
    }
    assert!(cursor.next_part(&expansion, &frames).is_err());
    assert!(cursor.next_part(&expansion, &frames).unwrap().is_none());
}

#[test]
fn a_part_refuses_structures_it_was_not_made_for() {
    let expansion = SphericalExpansion::new(&settings(Primitive::Gto { n_max: 3 }), &[1, 6, 14]).unwrap();
    let part = JacobianCursor::new(Variable::Cell, 1_000_000).next_part(&expansion, &[crystal()]).unwrap().unwrap();
    let mut memory: Vec<Vec<f64>> = (0..=7).map(|l| vec![0.0; part.len_of(&expansion, l)]).collect();
    let mut slices: Vec<&mut [f64]> = memory.iter_mut().map(|m| &mut m[..]).collect();
    assert!(part.fill(&expansion, &[], &mut slices).is_err());
    assert!(part.fill(&expansion, &[molecule()], &mut slices).is_err());
    assert!(part.fill(&expansion, &[crystal()], &mut slices).is_ok());
}
