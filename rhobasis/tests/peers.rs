//! Values of codes we did not write: featomic, sphericart, librascal, and the spectra of covariances.

mod common;
mod naive;

use common::{Arrays, golden, load, reference, root, settings};
use naive::largest_difference;
use ndarray::{Array2, Axis};
use rhobasis::Structure;
use rhobasis::density::{
    Density, Equivariants, ExpansionSettings, Primitive, RadialIntegrals, RadialScaling, Sigma, SolidHarmonics,
    SphericalExpansion, Variable, species_of,
};
use rhobasis::neighbors::NeighborList;
use rhobasis::optimal::{Contraction, Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use serde_json::Value;

fn structure(arrays: &Arrays, prefix: &str, periodic: bool) -> Structure {
    let of = |key: &str| &arrays[&format!("{prefix}{key}")].1;
    let rows = |key: &str| of(key).chunks(3).map(|r| [r[0], r[1], r[2]]).collect::<Vec<_>>();
    Structure {
        species: of("numbers").iter().map(|&z| z as u8).collect(),
        positions: rows("positions"),
        cell: rows("cell").try_into().expect("three lattice vectors"),
        pbc: [periodic; 3],
        ..Structure::default()
    }
}

fn density(s: &Value) -> Density {
    let number = |key: &str| s[key].as_f64().expect(key);
    let scaling = s["radial_scaling"].as_object().map(|u| RadialScaling {
        rate: u["rate"].as_f64().expect("rate"),
        scale: u["scale"].as_f64().expect("scale"),
        exponent: u["exponent"].as_f64().expect("exponent"),
    });
    Density {
        r_cut: number("r_cut"),
        sigma: Sigma::Same(number("sigma")),
        cutoff_width: number("cutoff_width"),
        scaling,
        center_weight: number("center_weight"),
        ..Density::default()
    }
}

fn count(s: &Value, key: &str) -> usize {
    s[key].as_u64().expect(key) as usize
}

/// Expected values `[center, species, n, lm]`, of the first centres or all, in the layout of `like`.
fn arranged(like: &Equivariants, expected: &[f64]) -> Equivariants {
    let n_lm = like.blocks.len().pow(2);
    let n_channels = like.channels[0].len();
    let n_centers = expected.len() / (n_channels * n_lm);
    let mut out = Equivariants::zeros(like.centers[..n_centers].to_vec(), like.keys.clone(), like.channels.clone());
    for (l, block) in out.blocks.iter_mut().enumerate() {
        for ((i, m, channel), value) in block.indexed_iter_mut() {
            *value = expected[(i * n_channels + channel) * n_lm + l * l + m];
        }
    }
    out
}

fn first_centers(c: &Equivariants, n: usize) -> Equivariants {
    let mut out = Equivariants::zeros(c.centers[..n].to_vec(), c.keys.clone(), c.channels.clone());
    for (to, from) in out.blocks.iter_mut().zip(&c.blocks) {
        to.assign(&from.slice_axis(Axis(0), (..n).into()));
    }
    out
}

#[test]
fn coefficients_equal_those_of_featomic() {
    let path = root().join("reference/spherical_expansion/values.safetensors");
    let (arrays, notes) = (load(&path), settings(&path));
    for (name, s) in notes["cases"].as_object().expect("cases") {
        let case = s["structure"].as_str().expect("a structure");
        let structure = structure(&arrays, &format!("{case}/"), s["periodic"].as_bool().expect("periodic"));
        let neighbors = NeighborList::new(&structure, s["r_cut"].as_f64().unwrap()).unwrap();
        let pairs: Vec<f64> = (0..structure.len()).map(|i| neighbors.pairs(i).len() as f64).collect();
        assert_eq!(pairs, arrays[&format!("{case}/pairs")].1, "{name}: neighbours by vesin");
        let n_max = count(s, "n_max");
        for (spline_accuracy, bound) in [(None, if n_max == 8 { 1e-9 } else { 1e-8 }), (Some(1e-8), 1e-7)] {
            let settings = ExpansionSettings {
                density: density(s),
                primitive: Primitive::Gto { n_max },
                l_max: count(s, "l_max"),
                spline_accuracy,
            };
            let species = species_of(std::slice::from_ref(&structure));
            let expansion = SphericalExpansion::new(&settings, &species).unwrap();
            let c = expansion.forward(std::slice::from_ref(&structure)).unwrap();
            let expected = arranged(&c, &arrays[&format!("{name}/coefficients")].1);
            let found = largest_difference(&first_centers(&c, expected.centers.len()), &expected);
            println!("{name}, splines {spline_accuracy:?}: {found:.1e}");
            assert!(found < bound, "{name}, splines {spline_accuracy:?}: {found:e}");
        }
    }
}

#[test]
fn jacobians_equal_those_of_featomic_row_by_row() {
    let path = root().join("reference/jacobian/values.safetensors");
    let (arrays, notes) = (load(&path), settings(&path));
    for (name, s) in notes["cases"].as_object().expect("cases") {
        let of = |key: &str| &arrays[&format!("{name}/{key}")].1;
        let rows = |key: &str| of(key).chunks(3).map(|r| [r[0], r[1], r[2]]).collect::<Vec<_>>();
        let periodic = s["periodic"].as_bool().expect("periodic");
        let structure = Structure {
            species: of("numbers").iter().map(|&z| z as u8).collect(),
            positions: rows("positions_of_atoms"),
            cell: rows("cell_of_atoms").try_into().expect("three lattice vectors"),
            pbc: [periodic; 3],
            ..Structure::default()
        };
        let one = std::slice::from_ref(&structure);
        let theirs: Vec<(usize, usize)> = of("rows").chunks(2).map(|r| (r[0] as usize, r[1] as usize)).collect();
        // Ten times what is found; of splines it is the slope that counts, which is less accurate than the value.
        for (spline_accuracy, bound) in [(None, 1.3e-12), (Some(1e-10), 2.4e-7)] {
            let settings = ExpansionSettings {
                density: density(s),
                primitive: Primitive::Gto { n_max: count(s, "n_max") },
                l_max: count(s, "l_max"),
                spline_accuracy,
            };
            let expansion = SphericalExpansion::new(&settings, &species_of(one)).unwrap();
            let variables: &[_] = if periodic { &DERIVATIVES } else { &DERIVATIVES[..1] };
            for &(variable, key) in variables {
                let ours = expansion.jacobian(one, variable).unwrap();
                if variable == Variable::Positions {
                    let rows: Vec<_> = ours.rows.iter().map(|r| (r.center, r.atom.expect("an atom"))).collect();
                    assert_eq!(rows, theirs, "{name}: rows (centre, atom)");
                }
                let (expected, n_channels) = (of(key), ours.channels[0].len());
                let n_lm = ours.blocks.len().pow(2);
                let (mut largest, mut difference) = (0.0_f64, 0.0_f64);
                for (l, block) in ours.blocks.iter().enumerate() {
                    for ((row, component, m, channel), value) in block.indexed_iter() {
                        let of_row = row * variable.n_components() + component;
                        let expected = expected[(of_row * n_channels + channel) * n_lm + l * l + m];
                        largest = largest.max(expected.abs());
                        difference = difference.max((value - expected).abs());
                    }
                }
                let shape = ours.rows.len() * variable.n_components() * n_channels * n_lm;
                assert_eq!(expected.len(), shape, "{name} by {key}");
                println!("{name} by {key}, splines {spline_accuracy:?}: {:.1e} of the largest", difference / largest);
                assert!(difference < bound * largest, "{name} by {key}: {difference:e}, largest {largest:e}");
            }
        }
    }
}

const DERIVATIVES: [(Variable, &str); 3] =
    [(Variable::Positions, "positions"), (Variable::Strain, "strain"), (Variable::Cell, "cell")];

#[test]
fn harmonics_equal_those_of_sphericart_to_l_20_at_the_poles_too() {
    let arrays = reference("harmonics");
    let harmonics = SolidHarmonics::new(20);
    let mut worst = 0.0_f64;
    for (point, expected) in arrays["points"].1.chunks(3).zip(arrays["values"].1.chunks(441)) {
        let r = [point[0], point[1], point[2]];
        let length = r.iter().map(|x| x * x).sum::<f64>().sqrt();
        let found = harmonics.evaluate(r);
        for l in 0..=20_usize {
            for lm in l * l..(l + 1).pow(2) {
                worst = worst.max((found[lm] - expected[lm]).abs() / length.powi(l as i32));
            }
        }
    }
    println!("largest difference {worst:.1e}");
    assert!(worst < 1e-13, "{worst:e}");
}

#[test]
fn coefficients_equal_those_of_librascal_contracted_or_not() {
    let Some((arrays, notes)) = golden("librascal_contracted") else { return };
    for s in notes["cases"].as_array().expect("cases") {
        let name = s["case"].as_str().expect("a name");
        let prefix = format!("{}_", s["structure"].as_str().expect("a structure"));
        let periodic = arrays[&format!("{prefix}pbc")].1 == [1.0; 3];
        let structure = structure(&arrays, &prefix, periodic);
        let (n_max, l_max) = (count(s, "n_max"), count(s, "l_max"));
        let primitive = match s["basis"].as_str() {
            Some("gto") => Primitive::Gto { n_max },
            _ => Primitive::Dvr { n_max, quadrature: true },
        };
        let settings = ExpansionSettings { density: density(s), primitive, l_max, spline_accuracy: None };
        let species = species_of(std::slice::from_ref(&structure));
        let expansion = SphericalExpansion::new(&settings, &species).unwrap();
        let mut c = expansion.forward(std::slice::from_ref(&structure)).unwrap();
        if let Some((shape, projection)) = arrays.get(&format!("{name}_projection")) {
            contract(&mut c, &species, shape, projection);
            check_contracted_integrals(&settings, shape, projection);
        }
        // Contracted values of librascal itself exist only through its splines; `exact` is the same without.
        let splined = s["splined"].as_bool().expect("splined");
        let unsplined = largest_difference(&c, &arranged(&c, &arrays[&format!("{name}_exact")].1));
        let theirs = largest_difference(&c, &arranged(&c, &arrays[&format!("{name}_librascal")].1));
        println!("{name}: exact {unsplined:.1e}, librascal {theirs:.1e}");
        assert!(unsplined < 2e-11, "{name}: {unsplined:e}");
        assert!(theirs < if splined { 2e-7 } else { 2e-11 }, "{name}: {theirs:e}");
    }
}

/// Eq. (7) with a projection `[species, l, q, n]` of as many functions as there were.
fn contract(c: &mut Equivariants, species: &[u8], shape: &[usize], projection: &[f64]) {
    let primitive = c.clone();
    for l in 0..shape[1] {
        for (s, &a) in species.iter().enumerate() {
            let u = projection_of(shape, projection, s, l);
            for i in 0..c.centers.len() {
                for ((m, q), value) in naive::eq7(&primitive, l, i, a, &u).indexed_iter() {
                    c.blocks[l][[i, m, s * shape[2] + q]] = *value;
                }
            }
        }
    }
}

fn projection_of(shape: &[usize], projection: &[f64], s: usize, l: usize) -> Array2<f64> {
    Array2::from_shape_fn((shape[2], shape[3]), |(q, n)| projection[((s * shape[1] + l) * shape[2] + q) * shape[3] + n])
}

/// Eq. (9): contracting the integrals on their nodes equals contracting their values.
fn check_contracted_integrals(settings: &ExpansionSettings, shape: &[usize], projection: &[f64]) {
    let Sigma::Same(sigma) = settings.density.sigma else { unreachable!("one width") };
    let radial = RadialIntegrals::new(&settings.primitive, settings.density.r_cut, sigma, settings.l_max).unwrap();
    let at = |radial: &RadialIntegrals, r: f64| {
        let mut both = [0; 2].map(|_| vec![0.0; radial.offset(settings.l_max + 1)]);
        let [values, derivatives] = &mut both;
        radial.integrals(r, values, derivatives);
        both
    };
    for s in 0..shape[0] {
        let u: Vec<_> = (0..shape[1]).map(|l| projection_of(shape, projection, s, l)).collect();
        let contracted = radial.contract(&u);
        for r in [0.0, 0.7, 2.9] {
            for (primitive, found) in at(&radial, r).iter().zip(&at(&contracted, r)) {
                let scale = primitive.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
                for l in 0..shape[1] {
                    for q in 0..shape[2] {
                        let expected: f64 = (0..shape[3]).map(|n| u[l][[q, n]] * primitive[radial.offset(l) + n]).sum();
                        let error = (found[contracted.offset(l) + q] - expected).abs();
                        assert!(error <= 1e-13 * scale, "r = {r}, l = {l}, q = {q}: {error:e}");
                    }
                }
            }
        }
    }
}

/// Largest difference, each over `scale`.
fn worst(found: &[f64], expected: &[f64], scale: f64) -> f64 {
    found.iter().zip(expected).map(|(f, e)| (f - e).abs() / scale).fold(0.0, f64::max)
}

#[test]
fn spectra_of_the_covariance_equal_those_of_numpy() {
    let Some((arrays, s)) = golden("covariance_spectrum") else { return };
    let molecule = structure(&arrays, "", false);
    let l_max = count(&s, "l_max");
    let bases = [
        ("gto10", Primitive::Gto { n_max: 10 }),
        ("gto20", Primitive::Gto { n_max: 20 }),
        ("dvr40", Primitive::Dvr { n_max: 40, quadrature: false }),
    ];
    for (name, primitive) in bases {
        let expansion = ExpansionSettings {
            density: Density {
                r_cut: s["r_cut"].as_f64().unwrap(),
                sigma: Sigma::Same(s["sigma"].as_f64().unwrap()),
                cutoff_width: s["cutoff_width"].as_f64().unwrap(),
                scaling: None,
                center_weight: s["center_weight"].as_f64().unwrap(),
                ..Density::default()
            },
            primitive,
            l_max,
            spline_accuracy: None,
        };
        for (mixing, what) in [(Mixing::PerSpecies, "species"), (Mixing::Combined, "combined")] {
            for (center, which) in [(None, ""), (Some(6), "carbon_")] {
                let settings = CovarianceSettings {
                    expansion: expansion.clone(),
                    mixing,
                    center_specific: center.is_some(),
                    weighting: None,
                };
                let mut covariance = Covariance::new(&settings).unwrap();
                covariance.add(std::slice::from_ref(&molecule), None).unwrap();
                assert_eq!(covariance.n_centers(center), if center.is_some() { 2 } else { 11 });
                let (shape, expected) = &arrays[&format!("{name}_{which}{what}_eigenvalues")];
                let per_block = shape[shape.len() - 1];
                let owners: Vec<Vec<u8>> = match mixing {
                    Mixing::PerSpecies => covariance.species().iter().map(|&z| vec![z]).collect(),
                    Mixing::Combined => vec![covariance.species()],
                };
                let mut blocks = expected.chunks(per_block);
                let mut traces = Vec::new();
                let mut found_worst = 0.0_f64;
                for owner in &owners {
                    for l in 0..=l_max {
                        let c = covariance.matrix(center, l, owner);
                        let found = Contraction::of(&c).eigenvalues;
                        let expected = blocks.next().expect("a block");
                        // eigh is exact to some ε of the norm of the matrix: small eigenvalues have no more digits.
                        found_worst = found_worst.max(worst(&found, expected, expected[0]));
                        assert!(found.len() >= expected.len());
                        traces.push(c.diag().sum());
                    }
                }
                let mut trace_worst = 0.0;
                if center.is_none() {
                    let expected = &arrays[&format!("{name}_{what}_traces")].1;
                    trace_worst = worst(&traces, expected, expected.iter().fold(0.0, |a: f64, &b| a.max(b)));
                    let norm = traces.iter().sum::<f64>() * 11.0;
                    let expected = arrays[&format!("{name}_total_squared_norm")].1[0];
                    assert!((norm / expected - 1.0).abs() < 1e-10, "{name}: norm {norm} {expected}");
                    let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(8)).unwrap();
                    let expected = &arrays[&format!("{name}_residual_variance_{what}")].1;
                    let found = &basis.residual_variance(None)[1..=8];
                    assert!(worst(found, expected, 1.0) < 1e-12, "{name} {what}: {found:?} {expected:?}");
                }
                println!("{name} {which}{what}: eigenvalues {found_worst:.1e}, traces {trace_worst:.1e}");
                assert!(found_worst < 1e-10 && trace_worst < 1e-10, "{name} {which}{what}");
            }
        }
    }
}
