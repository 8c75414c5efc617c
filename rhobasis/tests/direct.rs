//! Contracted coefficients evaluated directly, Eqs. (8), (13), against U applied to primitive ones, Eqs. (7), (12); basis files
//! and refusals.

mod naive;

use naive::{eq7, eq12, largest_difference};
use rhobasis::density::{
    Density, Equivariants, ExpansionSettings, Primitive, Sigma, SphericalExpansion, centers_of, species_of,
};
use rhobasis::files::Stored;
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::{Error, Structure};

fn crystals() -> Vec<Structure> {
    (0..1).map(naive::rattled_diamond).collect()
}

fn molecules() -> Vec<Structure> {
    let mut all: Vec<Structure> = (0..2).map(|k| naive::random_molecule(&[6, 1, 8, 1, 7], k)).collect();
    all.push(naive::random_molecule(&[1, 7], 9));
    all.push(Structure::molecule(vec![8], vec![[1.0, 2.0, 3.0]]));
    all
}

fn fitted(
    structures: &[Structure],
    expansion: &ExpansionSettings,
    mixing: Mixing,
    center_specific: bool,
    truncation: Truncation,
) -> Result<OptimalBasis, Error> {
    let settings = CovarianceSettings { expansion: expansion.clone(), mixing, center_specific, weighting: None };
    let mut covariance = Covariance::new(&settings)?;
    covariance.add(structures, None)?;
    OptimalBasis::from_covariance(&covariance, truncation)
}

fn settings(primitive: Primitive, l_max: usize, spline_accuracy: Option<f64>) -> ExpansionSettings {
    let density = Density { r_cut: 3.5, sigma: Sigma::Same(0.4), ..Density::default() };
    ExpansionSettings { density, primitive, l_max, spline_accuracy }
}

/// Eq. (7) or (12), by the plain loops, on unsplined primitive coefficients; a channel that the centre's kind lacks is zero.
fn two_steps(basis: &OptimalBasis, structures: &[Structure], like: &Equivariants) -> Equivariants {
    let expansion = ExpansionSettings { spline_accuracy: None, ..basis.settings().expansion.clone() };
    let primitive = SphericalExpansion::new(&expansion, basis.species()).unwrap().forward(structures).unwrap();
    let mut out = Equivariants::zeros(centers_of(structures), like.keys.clone(), like.channels.clone());
    for (i, center) in primitive.centers.iter().enumerate() {
        let kind = basis.kind(basis.settings().center_specific.then_some(center.species)).unwrap();
        for block in &kind.blocks {
            let (l, u) = (block.key.lambda, &block.contraction.u);
            let rows = match block.species {
                None => eq12(&primitive, l, i, u),
                Some(a) => eq7(&primitive, l, i, a, u),
            };
            for ((m, q), value) in rows.indexed_iter() {
                let is_this = |c: &rhobasis::density::Channel| c.species == block.species.unwrap_or(0) && c.n == q;
                let channel = like.channels[l].iter().position(is_this).expect("a channel for each row of U");
                out.blocks[l][[i, m, channel]] = *value;
            }
        }
    }
    out
}

const CONTRACTIONS: [(Mixing, bool); 4] =
    [(Mixing::PerSpecies, false), (Mixing::PerSpecies, true), (Mixing::Combined, false), (Mixing::Combined, true)];

#[test]
fn eq8_and_eq13_evaluated_directly_equal_eq7_and_eq12() {
    let bases = [
        Primitive::Gto { n_max: 8 },
        Primitive::Dvr { n_max: 7, quadrature: false },
        Primitive::LaplacianEigenstates { n_max: 6 },
    ];
    for structures in [crystals(), molecules()] {
        for (mixing, center_specific) in CONTRACTIONS {
            for truncation in [Truncation::QMax(3), Truncation::Retain(0.999)] {
                for (primitive, spline_accuracy, bound) in [
                    (&bases[0], None, 1e-12),
                    (&bases[0], Some(1e-8), 1e-7),
                    (&bases[1], None, 1e-12),
                    (&bases[2], Some(1e-8), 1e-7),
                ] {
                    let settings = settings(primitive.clone(), 4, spline_accuracy);
                    let basis = fitted(&structures, &settings, mixing, center_specific, truncation).unwrap();
                    let direct = basis.transform(&structures).unwrap();
                    let found = largest_difference(&direct, &two_steps(&basis, &structures, &direct));
                    assert!(
                        found < bound,
                        "{} species, {mixing:?}, center_specific {center_specific}, {truncation:?}, {primitive:?}, \
                         splines {spline_accuracy:?}: {found:e}",
                        species_of(&structures).len()
                    );
                }
            }
        }
    }
}

#[test]
fn a_file_keeps_every_bit_of_the_coefficients() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("basis.rho");
    let structures = molecules();
    for (mixing, center_specific) in CONTRACTIONS {
        for truncation in [Truncation::QMax(4), Truncation::Retain(0.99)] {
            for spline_accuracy in [None, Some(1e-6)] {
                let settings = settings(Primitive::Gto { n_max: 6 }, 3, spline_accuracy);
                let basis = fitted(&structures, &settings, mixing, center_specific, truncation).unwrap();
                basis.save(&path).unwrap();
                let loaded = OptimalBasis::load(&path).unwrap();
                assert_eq!(loaded.kinds(), basis.kinds());
                assert_eq!(loaded.settings(), basis.settings());
                let [before, after] = [&basis, &loaded].map(|b| b.transform(&structures).unwrap());
                assert_eq!(before.channels, after.channels);
                for (b, a) in before.blocks.iter().flatten().zip(after.blocks.iter().flatten()) {
                    assert_eq!(b.to_bits(), a.to_bits());
                }
            }
        }
    }
}

#[test]
fn a_file_keeps_widths_by_species_and_numbers_to_the_last_bit() {
    let directory = tempfile::tempdir().unwrap();
    let (rho, cov) = (directory.path().join("basis.rho"), directory.path().join("sums.cov"));
    let mut expansion = settings(Primitive::Gto { n_max: 5 }, 2, Some(1e-6));
    expansion.density.sigma = Sigma::PerSpecies([(1, 0.3), (6, 0.4), (7, 0.5), (8, 0.1 + 0.2)].into_iter().collect());
    expansion.density.r_cut = 9.767_231_467_948_639 / 2.0; // a number that sloppy parsing rounds to its neighbour
    let contraction =
        CovarianceSettings { expansion, mixing: Mixing::Combined, center_specific: false, weighting: None };
    let mut covariance = Covariance::new(&contraction).unwrap();
    covariance.add(&molecules(), None).unwrap();
    covariance.save(&cov).unwrap();
    assert_eq!(Covariance::load(&cov).unwrap().settings(), covariance.settings());
    let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(3)).unwrap();
    basis.save(&rho).unwrap();
    let loaded = OptimalBasis::load(&rho).unwrap();
    assert_eq!(loaded.settings(), basis.settings());
    assert_eq!(loaded.transform(&molecules()).unwrap(), basis.transform(&molecules()).unwrap());
    assert!(loaded.expansion().spline_error().is_some_and(|e| e.value <= 1e-6));
}

#[test]
fn the_first_bad_frame_is_named_whatever_the_threads_do() {
    let expansion = settings(Primitive::Gto { n_max: 3 }, 1, Some(1e-4));
    let mut frames = vec![naive::random_molecule(&[6, 1], 1); 600];
    for bad in [130, 540] {
        frames[bad].positions[0][0] = f64::NAN;
    }
    let evaluator = SphericalExpansion::new(&expansion, &[1, 6]).unwrap();
    let contraction =
        CovarianceSettings { expansion, mixing: Mixing::Combined, center_specific: false, weighting: None };
    for _ in 0..5 {
        let mut covariance = Covariance::new(&contraction).unwrap();
        assert!(covariance.add(&frames, None).unwrap_err().to_string().contains("frame 130"));
        assert!(evaluator.forward(&frames).unwrap_err().to_string().contains("frame 130"));
    }
}

#[test]
fn a_density_without_variance_or_beyond_numbers_is_refused() {
    let refusal = |center_weight: f64| {
        let mut expansion = settings(Primitive::Gto { n_max: 3 }, 1, Some(1e-4));
        expansion.density.center_weight = center_weight;
        let contraction =
            CovarianceSettings { expansion, mixing: Mixing::Combined, center_specific: false, weighting: None };
        let mut covariance = Covariance::new(&contraction).unwrap();
        covariance.add(&[Structure::molecule(vec![6], vec![[0.0; 3]])], None).unwrap();
        OptimalBasis::from_covariance(&covariance, Truncation::QMax(1)).unwrap_err().to_string()
    };
    assert!(refusal(0.0).contains("no variance"), "{}", refusal(0.0));
    assert!(refusal(1e160).contains("overflow"), "{}", refusal(1e160));
}

#[test]
fn the_last_knot_is_not_lost_beyond_the_sphere_of_laplacian_eigenstates() {
    // Of these numbers of knots some round step · (n − 1) to just above r_cut, where the functions are over.
    let structures = [naive::random_molecule(&[6, 1, 1], 3)];
    for accuracy in [1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7] {
        let mut settings = settings(Primitive::LaplacianEigenstates { n_max: 6 }, 2, Some(accuracy));
        settings.density.sigma = Sigma::Same(0.0);
        let expansion = SphericalExpansion::new(&settings, &[1, 6]).unwrap();
        assert!(expansion.spline_error().unwrap().value <= accuracy);
        assert!(fitted(&structures, &settings, Mixing::PerSpecies, false, Truncation::Retain(0.9999)).is_ok());
    }
}

#[test]
fn more_channels_than_functions_are_refused_with_the_largest_number_possible() {
    let structures = molecules();
    let settings = settings(Primitive::Gto { n_max: 5 }, 2, Some(1e-4));
    let message =
        |mixing, truncation| fitted(&structures, &settings, mixing, false, truncation).unwrap_err().to_string();
    let per_species = message(Mixing::PerSpecies, Truncation::QMax(6));
    assert!(per_species.contains("q_max = 6") && per_species.contains("at most 5"), "{per_species}");
    let combined = message(Mixing::Combined, Truncation::QMax(21));
    assert!(combined.contains("q_max = 21") && combined.contains("at most 20"), "{combined}");
    assert!(message(Mixing::Combined, Truncation::QMax(0)).contains("q_max = 0"));
    for fraction in [0.0, -1.0, 1.5, f64::NAN] {
        assert!(message(Mixing::Combined, Truncation::Retain(fraction)).contains("retain"));
    }
    assert!(fitted(&structures, &settings, Mixing::PerSpecies, false, Truncation::QMax(5)).is_ok());
    assert!(fitted(&structures, &settings, Mixing::Combined, false, Truncation::QMax(20)).is_ok());
    let empty = fitted(&[], &settings, Mixing::PerSpecies, false, Truncation::QMax(1)).unwrap_err().to_string();
    assert!(empty.contains("at least one structure"), "{empty}");
}

#[test]
fn a_species_that_the_basis_does_not_know_is_refused_with_its_place() {
    let settings = settings(Primitive::Gto { n_max: 4 }, 1, Some(1e-4));
    let chlorine = Structure::molecule(vec![1, 17], vec![[0.0; 3], [0.0, 0.0, 1.3]]);
    for (mixing, center_specific) in CONTRACTIONS {
        let basis = fitted(&molecules(), &settings, mixing, center_specific, Truncation::QMax(2)).unwrap();
        let message = basis.transform(&[molecules()[0].clone(), chlorine.clone()]).unwrap_err().to_string();
        assert!(message.contains("frame 1") && message.contains("atom 1") && message.contains("Cl"), "{message}");
    }
}

#[test]
fn l_of_20_a_delta_density_and_the_rule_of_the_nodes_are_evaluated_directly_too() {
    let mut structures = vec![naive::random_molecule(&[6, 1, 8], 3), Structure::molecule(vec![8], vec![[1.0; 3]])];
    structures.push(Structure::molecule(vec![6, 1, 1], vec![[0.0; 3], [0.0, 0.0, 1.09], [0.0, 0.0, -1.09]]));
    let cases = [
        (Primitive::Gto { n_max: 8 }, 0.4, 20),
        (Primitive::LaplacianEigenstates { n_max: 12 }, 0.3, 20),
        (Primitive::LaplacianEigenstates { n_max: 6 }, 0.0, 4),
        (Primitive::Gto { n_max: 6 }, 0.0, 4),
        (Primitive::Dvr { n_max: 8, quadrature: true }, 0.4, 4),
    ];
    for (primitive, sigma, l_max) in cases {
        for mixing in [Mixing::PerSpecies, Mixing::Combined] {
            for (spline_accuracy, bound) in [(None, 1e-12), (Some(1e-8), 1e-7)] {
                let mut settings = settings(primitive.clone(), l_max, spline_accuracy);
                settings.density.sigma = Sigma::Same(sigma);
                let basis = fitted(&structures, &settings, mixing, false, Truncation::Retain(0.9999)).unwrap();
                let direct = basis.transform(&structures).unwrap();
                let found = largest_difference(&direct, &two_steps(&basis, &structures, &direct));
                assert!(found < bound, "{primitive:?}, sigma {sigma}, {mixing:?}, {spline_accuracy:?}: {found:e}");
            }
        }
    }
}

#[test]
fn a_single_atom_has_only_its_own_density() {
    let settings = settings(Primitive::Gto { n_max: 6 }, 3, Some(1e-8));
    for (mixing, center_specific) in CONTRACTIONS {
        let basis = fitted(&molecules(), &settings, mixing, center_specific, Truncation::QMax(4)).unwrap();
        let atom = Structure::molecule(vec![8], vec![[0.0; 3]]);
        let c = basis.transform(&[atom]).unwrap();
        assert!(c.blocks[0].iter().any(|x| *x != 0.0));
        assert!(c.blocks[1..].iter().flatten().all(|x| *x == 0.0));
    }
}

#[test]
fn a_neighbor_that_no_such_centre_had_in_the_fit_adds_nothing() {
    // Hydrogen centres never saw fluorine: their basis has no channels for it.
    let fitted = [
        Structure::molecule(vec![1, 6], vec![[0.0; 3], [0.0, 0.0, 1.1]]),
        Structure::molecule(vec![9, 6], vec![[0.0; 3], [0.0, 0.0, 1.4]]),
    ];
    let new = Structure::molecule(vec![1, 9], vec![[0.0; 3], [0.0, 0.0, 0.92]]);
    for mixing in [Mixing::PerSpecies, Mixing::Combined] {
        let expansion =
            ExpansionSettings { primitive: Primitive::Gto { n_max: 5 }, l_max: 2, ..ExpansionSettings::default() };
        let mut covariance =
            Covariance::new(&CovarianceSettings { expansion, mixing, center_specific: true, weighting: None }).unwrap();
        covariance.add(&fitted, None).unwrap();
        let basis = OptimalBasis::from_covariance(&covariance, Truncation::QMax(2)).unwrap();
        let alone = Structure::molecule(vec![1], vec![[0.0; 3]]);
        let (c, expected) = (basis.transform(std::slice::from_ref(&new)).unwrap(), basis.transform(&[alone]).unwrap());
        for (block, expected) in c.blocks.iter().zip(&expected.blocks) {
            assert_eq!(block.index_axis(ndarray::Axis(0), 0), expected.index_axis(ndarray::Axis(0), 0));
        }
        let gradient = &basis.expansion().backward(std::slice::from_ref(&new), &c.views()).unwrap()[0];
        assert!(gradient.forces.iter().flatten().all(|f| f.is_finite()));
    }
}
