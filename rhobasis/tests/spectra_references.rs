//! Invariants against values of codes we did not write, and for environments that they cannot tell apart.

mod common;

use common::{Arrays, load, npz, relative_difference, root, settings};
use rhobasis::Structure;
use rhobasis::correlations::{Invariants, Nice, NiceSample, NiceSettings};
use rhobasis::density::{Density, ExpansionSettings, Primitive, RadialScaling, Sigma, SphericalExpansion, species_of};
use serde_json::Value;

/// Arrays and settings of `reference/<name>`.
fn reference(name: &str) -> (Arrays, Value) {
    let path = root().join("reference").join(name).join("values.safetensors");
    (load(&path), settings(&path))
}

fn structure(arrays: &Arrays, prefix: &str, periodic: bool) -> Structure {
    let of = |key: &str| &arrays[&format!("{prefix}{key}")].1;
    let rows = |key: &str| of(key).chunks(3).map(|r| [r[0], r[1], r[2]]).collect::<Vec<_>>();
    let species: Vec<u8> = of("numbers").iter().map(|&z| z as u8).collect();
    match periodic {
        true => Structure::crystal(species, rows("positions"), rows("cell").try_into().expect("three lattice vectors")),
        false => Structure::molecule(species, rows("positions")),
    }
}

/// The expansion that these settings describe, without splines.
fn expansion(s: &Value, species: &[u8]) -> SphericalExpansion {
    let number = |key: &str| s[key].as_f64().expect(key);
    let count = |key: &str| s[key].as_u64().expect(key) as usize;
    let scaling = s["radial_scaling"].as_object().map(|u| RadialScaling {
        rate: u["rate"].as_f64().expect("rate"),
        scale: u["scale"].as_f64().expect("scale"),
        exponent: u["exponent"].as_f64().expect("exponent"),
    });
    let density = Density {
        r_cut: number("r_cut"),
        sigma: Sigma::Same(number("sigma")),
        cutoff_width: number("cutoff_width"),
        scaling,
        center_weight: number("center_weight"),
        ..Density::default()
    };
    let primitive = Primitive::Gto { n_max: count("n_max") };
    let settings = ExpansionSettings { density, primitive, l_max: count("l_max"), spline_accuracy: None };
    SphericalExpansion::new(&settings, species).unwrap()
}

/// Row of the pair α ≤ β of n channels in the order of `numpy.triu_indices`.
fn row_of_pair(alpha: usize, beta: usize, n: usize) -> usize {
    alpha * n - alpha * alpha.saturating_sub(1) / 2 + beta - alpha
}

#[test]
fn power_spectra_equal_the_extended_precision_reference() {
    for (name, periodic) in [("gto_expansion_molecule", false), ("gto_expansion_periodic", true)] {
        let (arrays, s) = reference(name);
        let structure = structure(&arrays, "", periodic);
        let expansion = expansion(&s, &species_of(std::slice::from_ref(&structure)));
        let soap = Invariants::power_spectrum(&expansion, None, false).unwrap();
        let (shape, values) = &arrays["power_spectrum"]; // [center, pair, l]
        let n_channels = expansion.channels()[0].len();
        let columns = soap.columns();
        assert_eq!(columns.nrows(), shape[1] * shape[2]);
        let expected: Vec<f64> = (0..shape[0])
            .flat_map(|i| columns.outer_iter().map(move |c| (i, row_of_pair(c[1], c[2], n_channels), c[0])))
            .map(|(i, pair, l)| values[(i * shape[1] + pair) * shape[2] + l])
            .collect();
        let found = soap.forward(&[structure]).unwrap();
        let difference = relative_difference(found.as_slice().unwrap(), &expected);
        println!("{name}: {difference:.1e} of the largest");
        assert!(difference < 1e-9, "{name}: {difference:e}");
    }
}

#[test]
fn power_spectra_equal_those_of_featomic() {
    let bytes = std::fs::read(root().join("reference/power_spectrum/values.npz")).unwrap();
    let (arrays, notes) = npz(&bytes);
    for (case, s) in notes["cases"].as_object().expect("cases") {
        let structure = structure(&arrays, &format!("{case}_"), s["periodic"] == true);
        let species = species_of(std::slice::from_ref(&structure));
        let expansion = expansion(s, &species);
        let n_max = s["n_max"].as_u64().expect("n_max") as usize;
        let v = s["sigma"].as_f64().expect("sigma").powi(2) * std::f64::consts::PI;
        let of_density = v.powf(0.75) / (2.0 * v).powf(1.5);

        let labels = &arrays[&format!("{case}_columns")].1; // [l, species, n, species, n]
        let (shape, theirs) = &arrays[&format!("{case}_values")]; // [center, column]
        let channel = |z: f64, n: f64| {
            let s = species.iter().position(|&a| f64::from(a) == z).expect("a species of the structure");
            s * n_max + n as usize
        };
        let (mut columns, mut of_column) = (Vec::new(), Vec::new());
        for (k, label) in labels.chunks(5).enumerate() {
            let (l, alpha, beta) = (label[0] as usize, channel(label[1], label[2]), channel(label[3], label[4]));
            if alpha > beta {
                continue; // the same number as of (β, α), of which we have one
            }
            let order = if label[1] == label[3] && alpha != beta { 2_f64.sqrt() } else { 1.0 };
            let sign = if l % 2 == 1 { -1.0 } else { 1.0 };
            columns.push([l, alpha, beta]);
            of_column.push((k, sign * order * of_density * of_density));
        }
        let expected: Vec<f64> =
            theirs.chunks(shape[1]).flat_map(|row| of_column.iter().map(|&(k, factor)| factor * row[k])).collect();

        let all = Invariants::power_spectrum(&expansion, None, false).unwrap();
        assert_eq!(columns.len(), all.n_features(), "{case}: one of theirs for each of ours");
        let soap = Invariants::power_spectrum(&expansion, Some(&columns), false).unwrap();
        let found = soap.forward(&[structure]).unwrap();
        let difference = relative_difference(found.as_slice().unwrap(), &expected);
        println!("{case}: {difference:.1e} of the largest");
        assert!(difference < 1e-9, "{case}: {difference:e}");
    }
}

/// Of centre 0 of both environments, the largest difference over the largest value: of the sorted Gram matrices of all four
/// neighbours, which no rotation changes; of the power spectra; of the bispectra.
fn differences_of_a_pair(name: &str) -> [f64; 3] {
    let (arrays, notes) = reference("degenerate_pairs");
    let pair = ["A", "B"].map(|which| structure(&arrays, &format!("{name}_{which}_"), false));
    let [gram_a, gram_b] = ["A", "B"].map(|which| &arrays[&format!("{name}_{which}_gram4")].1);
    let expansion = expansion(&notes[name], &species_of(&pair));
    let of_centers = |features: Invariants| {
        let [a, b] = pair.each_ref().map(|s| features.forward(std::slice::from_ref(s)).unwrap().row(0).to_vec());
        relative_difference(&a, &b)
    };
    let found = [
        relative_difference(gram_a, gram_b),
        of_centers(Invariants::power_spectrum(&expansion, None, false).unwrap()),
        of_centers(Invariants::bispectrum(&expansion, false).unwrap()),
    ];
    println!("{name}: four neighbours {:.1e}, power spectrum {:.1e}, bispectrum {:.1e}", found[0], found[1], found[2]);
    found
}

#[test]
fn environments_that_the_power_spectrum_confuses_are_told_apart_by_the_bispectrum() {
    let [four, power, bispectrum] = differences_of_a_pair("nu2");
    assert!(four > 0.1 && power < 1e-12 && bispectrum > 1e-2, "{four:e} {power:e} {bispectrum:e}");
}

#[test]
fn environments_that_differ_in_four_neighbours_confuse_the_bispectrum_too() {
    let [four, power, bispectrum] = differences_of_a_pair("nu3");
    assert!(four > 0.1 && power < 1e-12 && bispectrum < 1e-12, "{four:e} {power:e} {bispectrum:e}");
}

/// Largest differences of NICE features of centre 0 of both environments over the largest value, of ν = 1, 2, 3, 4.
fn differences_of_nice(name: &str) -> [f64; 4] {
    let (arrays, notes) = reference("degenerate_pairs");
    let pair = ["A", "B"].map(|which| structure(&arrays, &format!("{name}_{which}_"), false));
    let expansion = expansion(&notes[name], &species_of(&pair));
    let settings = NiceSettings { nu_max: 4, ..NiceSettings::default() };
    let mut sample = NiceSample::new(&expansion, settings.n_centers).unwrap();
    sample.add(&pair).unwrap();
    let nice = Invariants::nice(&expansion, &Nice::fit(&settings, &sample).unwrap(), false).unwrap();
    let [a, b] = pair.each_ref().map(|s| nice.forward(std::slice::from_ref(s)).unwrap().row(0).to_vec());
    let columns = nice.columns();
    [1, 2, 3, 4].map(|nu| {
        let of_order =
            |x: &[f64]| -> Vec<f64> { (0..x.len()).filter(|&k| columns[[k, 0]] == nu).map(|k| x[k]).collect() };
        relative_difference(&of_order(&a), &of_order(&b))
    })
}

#[test]
fn nice_tells_environments_apart_at_the_order_at_which_they_differ() {
    let [one, two, three, _] = differences_of_nice("nu2");
    assert!(one < 1e-12 && two < 1e-12 && three > 1e-2, "{one:e} {two:e} {three:e}");
    let [one, two, three, four] = differences_of_nice("nu3");
    assert!(one < 1e-12 && two < 1e-12 && three < 1e-12 && four > 1e-3, "{one:e} {two:e} {three:e} {four:e}");
}
