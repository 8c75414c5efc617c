//! Settings are declared once: defaults, conversions, ranges and words.

use std::collections::BTreeMap;

use rhobasis::Error;
use rhobasis::density::{CutoffFunction, Density, ExpansionSettings, Primitive, RadialScaling, Sigma};
use rhobasis::optimal::{CovarianceSettings, Method, Mixing, PcovrSettings, Truncation, Weighting};
use rhobasis::potential::{Alpha, Baseline, FeatureKind, FeatureSettings, ModelSettings, Sigmas, SparseMethod};
use rhobasis::settings::{Given, Named, Setting, Source, nearest, unknown_key};

/// Reads what is listed.
fn of<'a>(entries: &'a [(&'static str, Given)]) -> impl Fn(&'static str) -> Option<Given> + 'a {
    |name| entries.iter().find(|(known, _)| *known == name).map(|(_, given)| given.clone())
}

fn named(values: Vec<(&'static Setting, Given)>) -> Vec<(&'static str, Given)> {
    values.into_iter().map(|(setting, value)| (setting.name, value)).collect()
}

#[test]
fn defaults_are_those_of_the_table() {
    let cutoff_function = CutoffFunction::Cosine;
    let (sigma, cutoff_width) = (Sigma::Same(0.3), 0.5);
    let density = Density { r_cut: 5.0, sigma, cutoff_function, cutoff_width, scaling: None, center_weight: 1.0 };
    assert_eq!(Density::default(), density);
    let (primitive, spline_accuracy) = (Primitive::Gto { n_max: 20 }, Some(1e-8));
    assert_eq!(ExpansionSettings::default(), ExpansionSettings { density, primitive, l_max: 6, spline_accuracy });
    assert_eq!(CovarianceSettings::default().mixing, Mixing::PerSpecies);
    assert_eq!(PcovrSettings::default().gamma, 0.5);
    assert_eq!(Truncation::read(&|_| None).unwrap(), Truncation::Retain(0.9999));
    assert_eq!(FeatureSettings::default().members[0].kind, FeatureKind::PowerSpectrum);
    assert!(matches!(ModelSettings::ridge(), ModelSettings::Ridge { alpha: Alpha::Fixed(1e-12), .. }));
    let method = SparseMethod::Fps;
    let gap = ModelSettings::Gap { n_sparse: 1000, zeta: 4, sparse_method: method, delta: 1.0, jitter: 1e-12 };
    assert_eq!(ModelSettings::gap(), gap);
    assert_eq!(ModelSettings::kernel_ridge(), ModelSettings::KernelRidge { zeta: 2, delta: 1.0 });
    let Sigmas { energy_sigma, force_sigma, stress_sigma } = Sigmas::default();
    assert_eq!([energy_sigma, force_sigma, stress_sigma], [Some(0.002), Some(0.05), Some(0.002)]);
}

#[test]
fn what_is_said_of_settings_is_read_back() {
    let scaling = Some(RadialScaling { rate: 1.0, scale: 2.0, exponent: 7.0 });
    let sigma = Sigma::PerSpecies(BTreeMap::from([(1, 0.25), (14, 0.5)]));
    let density = Density { sigma, scaling, ..Density::default() };
    let weighting = Some(Weighting::Nearest);
    let primitive = Primitive::Dvr { n_max: 9, quadrature: true };
    let expansion = ExpansionSettings { density, primitive, l_max: 3, spline_accuracy: None };
    let settings = CovarianceSettings { expansion, mixing: Mixing::Combined, center_specific: true, weighting };
    let values = named(settings.values());
    assert_eq!(CovarianceSettings::read(&of(&values)).unwrap(), settings);
    // As a person writes them in flags.
    let texts: Vec<_> = values.iter().filter(|(_, value)| !matches!(value, Given::Flag(_) | Given::List(_))).collect();
    for (name, value) in texts {
        let text = if *name == "spline_accuracy" { "exact".into() } else { value.to_text() };
        let typed = |asked: &'static str| match asked == *name {
            true => Some(Given::from_text(&text)),
            false => of(&values)(asked),
        };
        assert_eq!(CovarianceSettings::read(&typed).unwrap(), settings, "{name} = {text}");
    }
    let by = CovarianceSettings {
        weighting: Some(Weighting::By(RadialScaling { rate: 1.0, scale: 2.0, exponent: 7.0 })),
        ..settings.clone()
    };
    assert_eq!(CovarianceSettings::read(&of(&named(by.values()))).unwrap(), by);
    let mut other = settings.clone();
    other.expansion.primitive = Primitive::Dvr { n_max: 9, quadrature: false };
    assert_eq!(settings.difference(&other), Some(("primitive", "dvr-quadrature".into(), "dvr".into())));
    assert_eq!(settings.difference(&settings), None);
    let alpha = [("model", "ridge".into()), ("alpha", Given::List(vec![1e-9.into(), Given::Count(1)]))];
    let ModelSettings::Ridge { alpha, .. } = ModelSettings::read(&of(&alpha)).unwrap() else { panic!("no ridge") };
    assert_eq!(alpha, Alpha::Best(vec![1e-9, 1.0]));
    let pcovr = [("method", "pcovr".into()), ("gamma", Given::Count(1))];
    assert_eq!(Method::read(&of(&pcovr)).unwrap(), Method::Pcovr(PcovrSettings { gamma: 1.0 }));
    assert_eq!(Sigmas::read(&of(&[("force_sigma", "none".into())]), &Sigmas::default()).unwrap().force_sigma, None);
}

#[test]
fn a_step_has_no_width_and_tanh_needs_one() {
    let density = |function: &'static str, width: Option<f64>| {
        let width = width.map(|width| ("cutoff_width", width.into()));
        let entries: Vec<_> = width.into_iter().chain([("cutoff_function", function.into())]).collect();
        Density::read(&of(&entries))
    };
    for (function, width, held) in
        [("step", None, 0.0), ("step", Some(0.0), 0.0), ("polynomial", None, 0.5), ("tanh", Some(5.0), 5.0)]
    {
        let density = density(function, width).unwrap();
        assert_eq!((density.cutoff_function.name(), density.cutoff_width), (function, held));
        assert_eq!(Density::read(&of(&named(density.values()))).unwrap(), density);
    }
    for (function, width, said) in [
        ("step", 0.5, "cutoff_width = 0.5: the cutoff function \"step\" has no shell in which it falls; leave it out"),
        (
            "tanh",
            0.0,
            "cutoff_width = 0: the cutoff function \"tanh\", tanh³((r_cut − r)/cutoff_width), divides by it; give",
        ),
        ("tanh", 6.0, "cutoff_width = 6: must lie between 0 and r_cut = 5"),
        (
            "polynomal",
            0.5,
            "cutoff_function = \"polynomal\": is unknown, the nearest known one is \"polynomial\"; use one of",
        ),
    ] {
        let error = density(function, Some(width)).unwrap_err().to_string();
        assert!(error.contains(said), "'{said}' is missing in: {error}");
    }
}

#[test]
fn files_mention_a_cutoff_function_that_is_no_cosine() {
    let cosine = Density::default();
    let text = serde_json::to_string(&cosine).unwrap();
    assert_eq!(text, r#"{"r_cut":5.0,"sigma":0.3,"cutoff_width":0.5,"scaling":null,"center_weight":1.0}"#);
    assert_eq!(serde_json::from_str::<Density>(&text).unwrap(), cosine);
    let tanh = Density { cutoff_function: CutoffFunction::Tanh, ..cosine };
    let text = serde_json::to_string(&tanh).unwrap();
    assert!(text.contains(r#""cutoff_function":"tanh","cutoff_width":0.5"#), "{text}");
    assert_eq!(serde_json::from_str::<Density>(&text).unwrap(), tanh);
}

#[test]
fn types_and_values_are_told_apart() {
    let density = |source: Source| Density::read(source).unwrap_err();
    assert!(matches!(density(&of(&[("r_cut", "5".into())])), Error::Type { name: "r_cut", .. }));
    assert!(matches!(density(&of(&[("r_cut", Given::Count(0))])), Error::Setting { name: "r_cut", .. }));
    assert!(matches!(density(&of(&[("r_cut", Given::Nothing)])), Error::Type { .. }));
    let twice = Given::Table(vec![("H".into(), 0.1.into()), (Given::Count(1), 0.2.into())]);
    assert!(density(&of(&[("sigma", twice)])).to_string().contains("sigma = H: this species is given twice"));
    let none = ModelSettings::read(&of(&[("alpha", Given::List(Vec::new()))])).unwrap_err();
    assert!(none.to_string().starts_with("alpha = []: there is none to choose from"), "{none}");
    let missing = Baseline::read(&of(&[("baseline", "given".into())])).unwrap_err();
    assert!(missing.to_string().starts_with("energies = none: they are missing; give energies"), "{missing}");
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    assert_eq!(nearest("enrgy_sigma", ["force_sigma", "energy_sigma"]), Some("energy_sigma"));
    let (problem, remedy) = unknown_key("r_ctu", ["sigma", "r_cut", "sigma"]);
    assert_eq!(problem, "unknown key 'r_ctu', the nearest known one is 'r_cut'");
    assert_eq!(remedy, "known here are r_cut, sigma");
    let said = FeatureKind::parse("kind", "bispectra").unwrap_err().to_string();
    let known = "use one of \"radial-spectrum\", \"power-spectrum\", \"bispectrum\", \"nice\"";
    assert_eq!(said, format!("kind = \"bispectra\": is unknown, the nearest known one is \"bispectrum\"; {known}"));
    for (value, word) in FeatureKind::VALUES.iter().zip(FeatureKind::WORDS) {
        assert_eq!((value.name(), FeatureKind::parse("kind", word.name).unwrap()), (word.name, *value));
    }
}
