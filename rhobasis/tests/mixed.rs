//! Features of a part of the coefficients, and of several kinds beside each other.

use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rhobasis::Structure;
use rhobasis::correlations::{FeatureKind, Invariants, Member};
use rhobasis::density::{Density, ExpansionSettings, Motion, Primitive, SphericalExpansion, Variable};
use rhobasis::optimal::{Covariance, CovarianceSettings, Mixing, OptimalBasis, Truncation};
use rhobasis::potential::FeatureSettings;
use rhobasis::settings::Given;

fn frames() -> Vec<Structure> {
    let place = |k: usize| {
        let wave = |d: usize| 1.7 * ((5 * k + 3 * d + 1) as f64).sin();
        [0.6 * k as f64 + wave(0), wave(1), wave(2)]
    };
    let cell = [[3.1, 0.2, 0.0], [0.0, 3.4, 0.3], [0.5, 0.0, 2.9]];
    vec![
        Structure::molecule(vec![6, 8, 6, 1, 1, 1, 6, 1, 8, 1], (0..10).map(place).collect()),
        Structure::crystal(vec![1, 8, 6], vec![[0.1, 0.0, 0.2], [1.5, 1.6, 1.2], [0.4, 2.2, 2.0]], cell),
    ]
}

fn optimal(mixing: Mixing, l_max: usize, truncation: Truncation) -> SphericalExpansion {
    let density = Density { r_cut: 4.0, ..Density::default() };
    let expansion =
        ExpansionSettings { density, primitive: Primitive::Gto { n_max: 5 }, l_max, spline_accuracy: Some(1e-10) };
    let settings = CovarianceSettings { expansion, mixing, center_specific: false, weighting: None };
    let mut covariance = Covariance::new(&settings).unwrap();
    covariance.add(&frames(), None).unwrap();
    OptimalBasis::from_covariance(&covariance, truncation).unwrap().expansion().clone()
}

fn leading(kind: FeatureKind, q_max: usize, l_max: usize) -> Member {
    Member { q_max: Some(q_max), l_max: Some(l_max), ..Member::new(kind, false) }
}

fn of(expansion: &SphericalExpansion, members: &[Member]) -> Invariants {
    Invariants::of_members(expansion, members).unwrap_or_else(|e| panic!("{e}"))
}

fn assert_near(found: ArrayView2<f64>, expected: ArrayView2<f64>, tolerance: f64) {
    let largest = |x: Array2<f64>| x.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    assert_eq!(found.dim(), expected.dim());
    let worst = largest(&found - &expected) / largest(expected.to_owned()).max(1e-12);
    assert!(worst < tolerance, "{worst:e}");
}

const KINDS: [FeatureKind; 3] = [FeatureKind::RadialSpectrum, FeatureKind::PowerSpectrum, FeatureKind::Bispectrum];

#[test]
fn leading_channels_are_those_of_a_truncated_basis() {
    for mixing in [Mixing::PerSpecies, Mixing::Combined] {
        let (large, small) = (optimal(mixing, 3, Truncation::QMax(4)), optimal(mixing, 2, Truncation::QMax(2)));
        for kind in KINDS {
            for normalize in [false, true] {
                let part = of(&large, &[Member { normalize, ..leading(kind, 2, 2) }]);
                let whole = of(&small, &[Member::new(kind, normalize)]);
                let (x, y) = (part.forward(&frames()).unwrap(), whole.forward(&frames()).unwrap());
                // The truncated basis may have functions of the other sign: squares of features do not.
                assert_near((&x * &x).view(), (&y * &y).view(), 1e-7);
            }
        }
    }
}

#[test]
fn the_part_that_has_leading_channels_only_is_what_leading_channels_make() {
    let ragged = optimal(Mixing::PerSpecies, 3, Truncation::Retain(0.99));
    for expansion in [ragged, optimal(Mixing::Combined, 3, Truncation::QMax(4))] {
        // Which channel of its species each is.
        let rank: Vec<Vec<usize>> =
            expansion.channels().iter().map(|of_l| of_l.iter().map(|channel| channel.n).collect()).collect();
        for kind in KINDS {
            let (whole, part) = (of(&expansion, &[Member::new(kind, false)]), of(&expansion, &[leading(kind, 2, 2)]));
            let columns = whole.columns();
            let n_l = if kind == FeatureKind::Bispectrum { 3 } else { 1 };
            let is_leading = |column: usize| {
                let row = columns.row(column).to_vec();
                let (ls, channels) = row.split_at(n_l);
                ls.iter().all(|&l| l <= 2)
                    && channels.iter().enumerate().all(|(k, &channel)| rank[ls[k.min(n_l - 1)]][channel] < 2)
            };
            let chosen: Vec<usize> = (0..columns.nrows()).filter(|&column| is_leading(column)).collect();
            assert!(chosen.len() < columns.nrows());
            assert_eq!(part.columns(), columns.select(Axis(0), &chosen), "{kind:?}");
            let x = whole.forward(&frames()).unwrap();
            assert_eq!(part.forward(&frames()).unwrap(), x.select(Axis(1), &chosen), "{kind:?}");
        }
    }
}

#[test]
fn several_kinds_are_what_each_is_alone() {
    let expansion = optimal(Mixing::PerSpecies, 3, Truncation::QMax(3));
    let columns = Some(vec![[1, 0, 1], [0, 0, 0], [2, 3, 7]]);
    let members = [
        Member { weight: 2.0, ..Member::new(FeatureKind::RadialSpectrum, true) },
        Member::new(FeatureKind::PowerSpectrum, false),
        Member { normalize: true, ..leading(FeatureKind::Bispectrum, 2, 2) },
        Member { columns, ..Member::new(FeatureKind::PowerSpectrum, false) },
        Member { weight: 0.125, ..leading(FeatureKind::Bispectrum, 1, 3) },
    ];
    let mixed = of(&expansion, &members);
    let alone: Vec<Invariants> = members.iter().map(|member| of(&expansion, std::slice::from_ref(member))).collect();
    let beside = |parts: Vec<Array2<f64>>| {
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        concatenate(Axis(1), &views).unwrap()
    };
    let all = |of: &dyn Fn(&Invariants) -> Array2<f64>| beside(alone.iter().map(of).collect());
    assert_eq!(mixed.forward(&frames()).unwrap(), all(&|x| x.forward(&frames()).unwrap()));
    let wave = |k: usize| ((7 * k + 3) as f64).sin();
    let motion = |frame: &Structure| {
        let velocities = (0..frame.len()).map(|i| std::array::from_fn(|d| wave(3 * i + d))).collect();
        Motion { velocities, strain: std::array::from_fn(|p| std::array::from_fn(|q| wave(40 + 3 * p + q))) }
    };
    let motions: Vec<Motion> = frames().iter().map(motion).collect();
    assert_eq!(mixed.tangent(&frames(), &motions).unwrap(), all(&|x| x.tangent(&frames(), &motions).unwrap()));
    for variable in [Variable::Positions, Variable::Strain] {
        let jacobian = |x: &Invariants| {
            let values = x.jacobian(&frames()[1..], variable).unwrap().values;
            let (rows, components, columns) = values.dim();
            values.into_shape_with_order((rows * components, columns)).unwrap()
        };
        // Of a whole power spectrum alone it is computed in another order.
        assert_near(jacobian(&mixed).view(), all(&jacobian).view(), 1e-14);
    }
    let g = Array2::from_shape_fn((13, mixed.n_features()), |(i, k)| wave(i + 5 * k));
    let mut first = 0;
    let mut sum = vec![0.0; 39];
    for part in &alone {
        let own = g.slice(ndarray::s![.., first..first + part.n_features()]);
        first += part.n_features();
        let forces = part.backward(&frames(), own).unwrap().into_iter().flat_map(|adjoint| adjoint.forces);
        sum.iter_mut().zip(forces.collect::<Vec<_>>().as_flattened()).for_each(|(sum, f)| *sum += f);
    }
    let found = mixed.backward(&frames(), g.view()).unwrap().into_iter().flat_map(|adjoint| adjoint.forces);
    let found: Vec<f64> = found.collect::<Vec<_>>().into_flattened();
    let row = |x: Vec<f64>| Array2::from_shape_vec((1, 39), x).unwrap();
    assert_near(row(found).view(), row(sum).view(), 1e-13);
    // Each row names its member and holds its fields.
    let columns = mixed.columns();
    assert_eq!(columns.ncols(), 7);
    let of_third: Vec<usize> = (0..columns.nrows()).filter(|&k| columns[[k, 0]] == 2).collect();
    assert_eq!(columns.select(Axis(0), &of_third).slice(ndarray::s![.., 1..]), alone[2].columns());
}

#[test]
fn components_are_named_by_channels_of_the_whole_basis() {
    let expansion = optimal(Mixing::PerSpecies, 3, Truncation::QMax(4));
    let part = of(&expansion, &[leading(FeatureKind::PowerSpectrum, 2, 2)]);
    let columns: Vec<[usize; 3]> =
        part.columns().rows().into_iter().map(|row| std::array::from_fn(|k| row[k])).collect();
    let picked: Vec<usize> = vec![3, 0, 7];
    let some = Some(picked.iter().map(|&k| columns[k]).collect());
    let of_part = of(&expansion, &[Member { columns: some.clone(), ..leading(FeatureKind::PowerSpectrum, 2, 2) }]);
    let of_whole = of(&expansion, &[Member { columns: some, ..Member::new(FeatureKind::PowerSpectrum, false) }]);
    let expected = part.forward(&frames()).unwrap().select(Axis(1), &picked);
    assert_eq!(of_part.forward(&frames()).unwrap(), expected);
    assert_eq!(of_whole.forward(&frames()).unwrap(), expected);
}

#[test]
fn what_the_basis_does_not_have_is_refused() {
    let expansion = optimal(Mixing::PerSpecies, 3, Truncation::QMax(4));
    let refused = |member: Member, words: &str| {
        let said = Invariants::of_members(&expansion, &[member]).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    };
    let power = |q_max, l_max| leading(FeatureKind::PowerSpectrum, q_max, l_max);
    refused(power(5, 3), "q_max = 5: this basis has 4 channels");
    refused(power(0, 3), "q_max = 0: this basis has 4 channels");
    refused(power(4, 4), "l_max = 4: this basis ends at l_max = 3");
    refused(Member { columns: Some(vec![[0, 0, 1], [0, 0, 2]]), ..power(2, 3) }, "columns = [0, 0, 2] (row 1)");
    refused(Member { weight: -1.0, ..power(4, 3) }, "weight = -1: must be a positive number");
    let none = Invariants::of_members(&expansion, &[]).unwrap_err().to_string();
    assert!(none.contains("there are no features"), "{none}");
}

#[test]
fn settings_of_one_kind_are_a_table_and_of_several_a_list() {
    let read = |entries: &[(&'static str, Given)]| {
        FeatureSettings::read(&|name| entries.iter().find(|e| e.0 == name).map(|e| e.1.clone()), false)
    };
    let old = r#"{"kind":"power-spectrum","normalize":true}"#;
    let one: FeatureSettings = serde_json::from_str(old).unwrap();
    assert_eq!(one, Member::new(FeatureKind::PowerSpectrum, true).into());
    assert_eq!(serde_json::to_string(&one).unwrap(), old);

    let list = |items: [Given; 2]| Given::List(items.to_vec());
    let kinds = ("kind", list(["power-spectrum".into(), "bispectrum".into()]));
    let q_max = ("q_max", list([Given::Nothing, Given::Count(4)]));
    let given = [kinds.clone(), q_max, ("l_max", Given::Count(3)), ("weight", list([1.0.into(), 0.5.into()]))];
    let two = read(&given).unwrap();
    let pairs = Member { l_max: Some(3), ..Member::new(FeatureKind::PowerSpectrum, false) };
    let triples = Member { weight: 0.5, ..leading(FeatureKind::Bispectrum, 4, 3) };
    assert_eq!(two, FeatureSettings { members: vec![pairs, triples] });
    let text = serde_json::to_string(&two).unwrap();
    assert!(text.starts_with(r#"[{"kind":"power-spectrum","normalize":false,"l_max":3},{"#), "{text}");
    assert_eq!(serde_json::from_str::<FeatureSettings>(&text).unwrap(), two);

    let refused = |entries: &[(&'static str, Given)], words: &str| {
        let said = read(entries).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    };
    let three = Given::List(vec![Given::Count(4); 3]);
    refused(
        &[kinds.clone(), ("q_max", three)],
        "q_max = [4, 4, 4]: there are 2 kinds; give one value, or one for each",
    );
    refused(&[kinds.clone(), ("q_max", list([Given::Count(0), Given::Count(1)]))], "q_max = 0: must be at least 1");
    refused(&[("q_max", list([Given::Count(4), Given::Count(4)]))], "q_max = [4, 4]: must be a whole number");
    refused(&[("kind", Given::List(Vec::new()))], "kind = []: there are no features");
    refused(
        &[("kind", list(["power-spectrum".into(), "bispectra".into()]))],
        "the nearest known one is \"bispectrum\"",
    );
}
