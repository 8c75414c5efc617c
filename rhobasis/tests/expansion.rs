//! The sum over neighbours against values from other codes, and its adjoint against difference quotients.

mod common;

use common::{load, root, settings};
use rhobasis::Structure;
use rhobasis::density::{
    Density, Equivariants, ExpansionSettings, Primitive, RadialScaling, Sigma, SphericalExpansion,
};
use rhobasis::neighbors::VerletList;

struct Golden {
    structure: Structure,
    settings: ExpansionSettings,
    species: Vec<u8>,
    /// `[center, species, n, lm]`
    coefficients: Vec<f64>,
}

fn golden(name: &str, spline_accuracy: Option<f64>) -> Golden {
    let path = root().join("reference").join(name).join("values.safetensors");
    let (arrays, s) = (load(&path), settings(&path));
    let of = |key: &str| arrays[key].1.clone();
    let number = |key: &str| s[key].as_f64().expect(key);
    let scaling = s["radial_scaling"].as_object().map(|u| RadialScaling {
        rate: u["rate"].as_f64().unwrap(),
        scale: u["scale"].as_f64().unwrap(),
        exponent: u["exponent"].as_f64().unwrap(),
    });
    let cell: Vec<[f64; 3]> = of("cell").chunks(3).map(|r| [r[0], r[1], r[2]]).collect();
    Golden {
        structure: Structure {
            species: of("numbers").iter().map(|&z| z as u8).collect(),
            positions: of("positions").chunks(3).map(|r| [r[0], r[1], r[2]]).collect(),
            cell: [cell[0], cell[1], cell[2]],
            pbc: std::array::from_fn(|d| of("pbc")[d] != 0.0),
            ..Structure::default()
        },
        settings: ExpansionSettings {
            density: Density {
                r_cut: number("r_cut"),
                sigma: Sigma::Same(number("sigma")),
                cutoff_width: number("cutoff_width"),
                scaling,
                center_weight: number("center_weight"),
                ..Density::default()
            },
            primitive: Primitive::Gto { n_max: s["n_max"].as_u64().unwrap() as usize },
            l_max: s["l_max"].as_u64().unwrap() as usize,
            spline_accuracy,
        },
        species: of("species").iter().map(|&z| z as u8).collect(),
        coefficients: of("coefficients"),
    }
}

/// Largest difference over largest value of c against `[center, species, n, lm]`.
fn difference(c: &Equivariants, expected: &[f64]) -> f64 {
    let n_lm = c.blocks.len().pow(2);
    let n_channels = c.channels[0].len();
    let mut worst = 0.0_f64;
    for (l, block) in c.blocks.iter().enumerate() {
        for ((i, m, channel), value) in block.indexed_iter() {
            let index = (i * n_channels + channel) * n_lm + l * l + m;
            worst = worst.max((value - expected[index]).abs());
        }
    }
    worst / expected.iter().fold(0.0_f64, |a, b| a.max(b.abs()))
}

#[test]
fn coefficients_equal_the_extended_precision_reference() {
    for name in ["gto_expansion_molecule", "gto_expansion_periodic", "gto_expansion_scaled"] {
        for (accuracy, bound) in [(None, 1e-11), (Some(1e-8), 1e-7)] {
            let golden = golden(name, accuracy);
            let expansion = SphericalExpansion::new(&golden.settings, &golden.species).unwrap();
            let c = expansion.forward(std::slice::from_ref(&golden.structure)).unwrap();
            let found = difference(&c, &golden.coefficients);
            println!("{name}, splines {accuracy:?}: {found:.1e} (spline error {:?})", expansion.spline_error());
            assert!(found < bound, "{name}: {found:e}");
        }
    }
}

/// An energy with no symmetry to hide behind: fixed weights on every coefficient, and on its square.
fn energy_and_gradient(c: &Equivariants) -> (f64, Equivariants) {
    let mut gradient = c.clone();
    let mut energy = 0.0;
    let mut seed = 1_u64;
    for (block, g) in c.blocks.iter().zip(&mut gradient.blocks) {
        for (c, g) in block.iter().zip(g.iter_mut()) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let w = (seed >> 33) as f64 / (1_u64 << 31) as f64 - 0.5;
            energy += w * c + 0.5 * w * c * c;
            *g = w + w * c;
        }
    }
    (energy, gradient)
}

/// Richardson-extrapolated derivative of f at 0: two central differences, error of order h⁴.
fn richardson(h: f64, f: impl Fn(f64) -> f64) -> f64 {
    let central = |h: f64| (f(h) - f(-h)) / (2.0 * h);
    (4.0 * central(h / 2.0) - central(h)) / 3.0
}

fn strained(structure: &Structure, p: usize, q: usize, e: f64) -> Structure {
    let stretch = |r: [f64; 3]| {
        let mut out = r;
        out[q] += e * r[p];
        out
    };
    Structure {
        positions: structure.positions.iter().map(|&r| stretch(r)).collect(),
        cell: structure.cell.map(stretch),
        ..structure.clone()
    }
}

#[test]
fn forces_and_virial_are_difference_quotients_of_the_energy() {
    let widths = Sigma::PerSpecies([(1, 0.35), (6, 0.4), (8, 0.45), (14, 0.5)].into_iter().collect());
    let bases = [
        Primitive::Gto { n_max: 5 },
        Primitive::Dvr { n_max: 6, quadrature: false },
        Primitive::LaplacianEigenstates { n_max: 5 },
    ];
    for name in ["gto_expansion_molecule", "gto_expansion_scaled"] {
        for primitive in &bases {
            let mut golden = golden(name, Some(1e-8));
            golden.settings.primitive = primitive.clone();
            golden.settings.density.sigma = widths.clone();
            golden.settings.l_max = 4;
            check_adjoint(&golden.settings, &golden.structure);
        }
    }
}

#[test]
fn forces_of_the_delta_density_are_difference_quotients_too() {
    let mut golden = golden("gto_expansion_periodic", Some(1e-8));
    golden.settings.density.sigma = Sigma::Same(0.0);
    golden.settings.l_max = 4;
    for primitive in [Primitive::Gto { n_max: 6 }, Primitive::LaplacianEigenstates { n_max: 6 }] {
        golden.settings.primitive = primitive;
        check_adjoint(&golden.settings, &golden.structure);
    }
}

fn check_adjoint(settings: &ExpansionSettings, structure: &Structure) {
    let species = rhobasis::density::species_of(std::slice::from_ref(structure));
    let expansion = SphericalExpansion::new(settings, &species).unwrap();
    let energy = |s: &Structure| energy_and_gradient(&expansion.forward(std::slice::from_ref(s)).unwrap()).0;
    let c = expansion.forward(std::slice::from_ref(structure)).unwrap();
    let adjoint = &expansion.backward(std::slice::from_ref(structure), &energy_and_gradient(&c).1.views()).unwrap()[0];
    let largest = adjoint.forces.iter().flatten().fold(0.0_f64, |a, b| a.max(b.abs()));
    let mut worst = 0.0_f64;
    for i in 0..structure.len() {
        for d in 0..3 {
            let moved = |x: f64| {
                let mut s = structure.clone();
                s.positions[i][d] += x;
                energy(&s)
            };
            worst = worst.max((adjoint.forces[i][d] + richardson(2e-4, moved)).abs());
        }
    }
    assert!(worst / largest < 1e-8, "{:?}: forces {:e}", settings.primitive, worst / largest);
    let largest = adjoint.virial.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    let mut worst = 0.0_f64;
    for p in 0..3 {
        for q in 0..3 {
            let quotient = richardson(1e-4, |e| energy(&strained(structure, p, q, e)));
            worst = worst.max((adjoint.virial[[p, q]] + quotient).abs());
        }
    }
    assert!(worst / largest < 1e-8, "{:?}: virial {:e}", settings.primitive, worst / largest);
    let net: f64 = (0..3).map(|d| adjoint.forces.iter().map(|f| f[d]).sum::<f64>().abs()).sum();
    assert!(net < 1e-12 * largest.max(1.0), "net force {net:e}");
    if structure.pbc == [true; 3] {
        let stress = adjoint.stress(structure).unwrap();
        assert!((stress[[0, 1]] + adjoint.virial[[0, 1]] / structure.volume()).abs() < 1e-15);
    } else {
        assert!(adjoint.stress(structure).unwrap_err().to_string().contains("pbc"));
    }
}

#[test]
fn one_large_cell_equals_many_copies_of_a_small_one() {
    // 3 × 6 × 6 × 4 atoms: split over threads by centre, where the small cell is not.
    let golden = golden("gto_expansion_periodic", Some(1e-6));
    let small = golden.structure;
    let repeats = [6, 6, 4];
    let mut large = Structure { pbc: small.pbc, ..Structure::default() };
    for a in 0..repeats[0] {
        for b in 0..repeats[1] {
            for c in 0..repeats[2] {
                for (z, r) in small.species.iter().zip(&small.positions) {
                    large.species.push(*z);
                    large.positions.push(std::array::from_fn(|d| {
                        r[d] + a as f64 * small.cell[0][d] + b as f64 * small.cell[1][d] + c as f64 * small.cell[2][d]
                    }));
                }
            }
        }
    }
    large.cell = std::array::from_fn(|k| small.cell[k].map(|x| x * repeats[k] as f64));
    let expansion = SphericalExpansion::new(&golden.settings, &golden.species).unwrap();
    let c = expansion.forward(&[small.clone(), large.clone(), small.clone()]).unwrap();
    let n = small.len();
    for block in &c.blocks {
        let scale = block.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
        for ((i, m, q), value) in block.indexed_iter() {
            assert!((value - block[[i % n, m, q]]).abs() < 1e-12 * scale);
        }
    }
    // The adjoint as well: a cell of N copies has N times the virial.
    let gradient = |structure: &Structure| {
        let mut g = expansion.forward(std::slice::from_ref(structure)).unwrap();
        g.blocks.iter_mut().for_each(|b| b.mapv_inplace(|c| 1.0 + c));
        g
    };
    let one = &expansion.backward(std::slice::from_ref(&small), &gradient(&small).views()).unwrap()[0];
    let many = &expansion.backward(std::slice::from_ref(&large), &gradient(&large).views()).unwrap()[0];
    let copies = (large.len() / n) as f64;
    let scale = many.virial.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    assert!((&many.virial - &(&one.virial * copies)).iter().all(|d| d.abs() < 1e-11 * scale));
}

#[test]
fn an_atom_alone_has_the_density_of_its_own_gaussian() {
    // Σ_nlm c² of the centre's Gaussian, ∫g = 1, is (4πσ²)^(−3/2), and nothing of it has l > 0.
    let settings = ExpansionSettings {
        density: Density { sigma: Sigma::Same(0.5), center_weight: 2.0, ..Density::default() },
        primitive: Primitive::Gto { n_max: 20 },
        l_max: 3,
        spline_accuracy: Some(1e-8),
    };
    let expansion = SphericalExpansion::new(&settings, &[6]).unwrap();
    let atom = Structure::molecule(vec![6], vec![[3.0, 4.0, 5.0]]);
    let c = expansion.forward(&[atom]).unwrap();
    let expected = 4.0 * (4.0 * std::f64::consts::PI * 0.25).powf(-1.5);
    let ratio = c.squared_norm() / expected;
    assert!(ratio < 1.0 + 1e-12 && ratio > 1.0 - 1e-5, "{ratio}"); // twenty GTOs miss 6e-6 of it
    assert!(c.blocks[1..].iter().flatten().all(|c| *c == 0.0));
}

#[test]
fn rotating_the_molecule_keeps_the_norm_of_every_l() {
    let golden = golden("gto_expansion_molecule", Some(1e-8));
    let expansion = SphericalExpansion::new(&golden.settings, &golden.species).unwrap();
    let (sin, cos) = 0.7_f64.sin_cos();
    let turn = |[x, y, z]: [f64; 3]| {
        let (x, y) = (cos * x - sin * y + 10.0, sin * x + cos * y - 3.0);
        [cos * x - sin * z, y, sin * x + cos * z]
    };
    let mut turned = golden.structure.clone();
    turned.positions.iter_mut().for_each(|r| *r = turn(*r));
    let c = expansion.forward(&[golden.structure, turned]).unwrap();
    let n = c.centers.len() / 2;
    for block in &c.blocks {
        for i in 0..n {
            let norm = |i: usize| block.index_axis(ndarray::Axis(0), i).iter().map(|c| c * c).sum::<f64>();
            assert!((norm(i) - norm(n + i)).abs() < 1e-12 * norm(i).max(1e-6));
        }
    }
}

#[test]
fn a_list_from_earlier_does_the_same() {
    let golden = golden("gto_expansion_periodic", Some(1e-8));
    let expansion = SphericalExpansion::new(&golden.settings, &golden.species).unwrap();
    let expected = expansion.forward(std::slice::from_ref(&golden.structure)).unwrap();
    let mut list = VerletList::new(golden.settings.density.r_cut, 0.3).unwrap();
    list.update(&golden.structure).unwrap();
    let mut found = expected.clone();
    let mut views: Vec<_> = found.blocks.iter_mut().map(|b| b.view_mut()).collect();
    expansion.forward_to(std::slice::from_ref(&golden.structure), Some(&[list]), None, &mut views).unwrap();
    for (found, expected) in found.blocks.iter().zip(&expected.blocks) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-13));
    }
}

#[test]
fn refusals_name_the_place_the_value_and_the_remedy() {
    let settings = ExpansionSettings { primitive: Primitive::Gto { n_max: 4 }, l_max: 2, ..Default::default() };
    let expansion = SphericalExpansion::new(&settings, &[1, 8]).unwrap();
    let good = Structure::molecule(vec![1, 8], vec![[0.0; 3], [0.0, 0.0, 1.0]]);
    let message = |bad: Structure| expansion.forward(&[good.clone(), bad]).unwrap_err().to_string();
    let says = |message: &str, words: &[&str]| words.iter().for_each(|w| assert!(message.contains(w), "{message}"));

    says(
        &message(Structure { species: vec![1, 17], ..good.clone() }),
        &["frame 1, atom 1", "Cl", "H, O", "fit the basis"],
    );
    let nan = Structure { positions: vec![[0.0; 3], [0.0, f64::NAN, 1.0]], ..good.clone() };
    says(&message(nan), &["frame 1, atom 1", "NaN", "not finite"]);
    says(&message(Structure { pbc: [true; 3], ..good.clone() }), &["frame 1", "no volume"]);
    let close = Structure { positions: vec![[0.0; 3], [0.0, 0.0, 1e-4]], ..good.clone() };
    says(&message(close), &["frame 1, atom 0", "atoms 0 and 1", "1.000e-4 Å", "duplicate"]);

    let refused = |settings: ExpansionSettings| SphericalExpansion::new(&settings, &[1]).unwrap_err().to_string();
    let with = |density: Density| ExpansionSettings { density, ..settings.clone() };
    says(&refused(with(Density { r_cut: -1.0, ..Density::default() })), &["r_cut = -1", "positive"]);
    says(&refused(with(Density { cutoff_width: 9.0, ..Density::default() })), &["cutoff_width = 9", "r_cut = 5"]);
    let only_carbon = Sigma::PerSpecies([(6, 0.3)].into_iter().collect());
    says(&refused(with(Density { sigma: only_carbon, ..Density::default() })), &["sigma = C=0.3", "no width for H"]);
    says(&refused(ExpansionSettings { l_max: 21, ..settings.clone() }), &["l_max = 21", "at most 20"]);
    says(&refused(ExpansionSettings { spline_accuracy: Some(0.0), ..settings.clone() }), &["spline_accuracy = 0"]);
}
