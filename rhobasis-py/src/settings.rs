//! Hyperparameters from the attributes of Python objects, and the library's defaults for Python signatures.

use std::collections::BTreeMap;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rhobasis::density::{Density, ExpansionSettings, Primitive, RadialScaling, Sigma};
use rhobasis::optimal::{Mixing, Shard, Truncation};
use rhobasis::potential::{Alpha, ModelSettings, Sigmas};
use rhobasis::{Error, structure};

use crate::refuse;

/// `name must be …, not VALUE (TYPE)`.
pub(crate) fn wrong_type(name: &str, expected: &str, found: &Bound<'_, PyAny>) -> PyErr {
    let kind = found.get_type().name().map_or_else(|_| "?".to_string(), |n| n.to_string());
    let mut value = found.repr().map_or_else(|_| String::new(), |r| r.to_string());
    if value.chars().count() > 60 {
        value = value.chars().take(57).chain("...".chars()).collect();
    }
    PyTypeError::new_err(format!("{name} must be {expected}, not {value} ({kind})"))
}

/// A real number.
pub(crate) fn number(name: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    value.extract().map_err(|_| wrong_type(name, "a number", value))
}

/// A count: a whole number that is not negative.
pub(crate) fn count(name: &'static str, value: &Bound<'_, PyAny>) -> PyResult<usize> {
    let Ok(n) = value.extract::<i64>() else { return Err(wrong_type(name, "a whole number", value)) };
    usize::try_from(n).map_err(|_| refuse(Error::setting(name, n, "must not be negative", "it counts functions")))
}

/// An atomic number, or the symbol of an element.
pub(crate) fn species(name: &'static str, value: &Bound<'_, PyAny>) -> PyResult<u8> {
    if let Ok(symbol) = value.extract::<String>() {
        return structure::atomic_number(&symbol)
            .ok_or_else(|| refuse(Error::setting(name, symbol, "is no element", "use symbols from H to Og")));
    }
    let Ok(z) = value.extract::<i64>() else {
        return Err(wrong_type(name, "an atomic number or the symbol of an element", value));
    };
    match u8::try_from(z) {
        Ok(z) if z > 0 && usize::from(z) < structure::SYMBOLS.len() => Ok(z),
        _ => Err(refuse(Error::setting(name, z, "is no element", "use atomic numbers from 1 to 118"))),
    }
}

fn attribute<'py>(of: &Bound<'py, PyAny>, what: &str, class: &str, name: &str) -> PyResult<Bound<'py, PyAny>> {
    of.getattr(name).map_err(|_| wrong_type(what, class, of))
}

fn sigma(value: &Bound<'_, PyAny>) -> PyResult<Sigma> {
    let Ok(map) = value.cast::<PyDict>() else {
        let width =
            value.extract().map_err(|_| wrong_type("sigma", "a number, or a dict from species to number", value));
        return Ok(Sigma::Same(width?));
    };
    let mut widths = BTreeMap::new();
    for (key, width) in map.iter() {
        let z = species("sigma", &key)?;
        if widths.insert(z, number("sigma", &width)?).is_some() {
            let symbol = structure::SYMBOLS[usize::from(z)];
            let problem = "this species is given twice, by symbol and by number";
            return Err(refuse(Error::setting("sigma", format!("{symbol} {width}"), problem, "leave one of them out")));
        }
    }
    Ok(Sigma::PerSpecies(widths))
}

fn density(value: &Bound<'_, PyAny>) -> PyResult<Density> {
    let get = |name| attribute(value, "density", "a rhobasis.Density", name);
    let scaling = get("scaling")?;
    let scaling = if scaling.is_none() {
        None
    } else {
        let get = |name| {
            let value = attribute(&scaling, "scaling", "a rhobasis.RadialScaling or None", name)?;
            number(&format!("scaling {name}"), &value)
        };
        Some(RadialScaling { rate: get("rate")?, scale: get("scale")?, exponent: get("exponent")? })
    };
    Ok(Density {
        r_cut: number("r_cut", &get("r_cut")?)?,
        sigma: sigma(&get("sigma")?)?,
        cutoff_width: number("cutoff_width", &get("cutoff_width")?)?,
        scaling,
        center_weight: number("center_weight", &get("center_weight")?)?,
    })
}

fn primitive(value: &Bound<'_, PyAny>) -> PyResult<Primitive> {
    const CLASSES: &str = "a rhobasis.Gto, Dvr or LaplacianEigenstates";
    let n_max = count("n_max", &attribute(value, "primitive", CLASSES, "n_max")?)?;
    let kind: String = attribute(value, "primitive", CLASSES, "_kind")?.extract()?;
    match kind.as_str() {
        "gto" => Ok(Primitive::Gto { n_max }),
        "dvr" => Ok(Primitive::Dvr { n_max, quadrature: value.getattr("quadrature")?.is_truthy()? }),
        "laplacian" => Ok(Primitive::LaplacianEigenstates { n_max }),
        _ => Err(wrong_type("primitive", CLASSES, value)),
    }
}

/// The settings of an expansion, from an object that has them as attributes.
pub(crate) fn expansion(of: &Bound<'_, PyAny>) -> PyResult<ExpansionSettings> {
    let accuracy = of.getattr("spline_accuracy")?;
    Ok(ExpansionSettings {
        density: density(&of.getattr("density")?)?,
        primitive: primitive(&of.getattr("primitive")?)?,
        l_max: count("l_max", &of.getattr("l_max")?)?,
        spline_accuracy: if accuracy.is_none() { None } else { Some(number("spline_accuracy", &accuracy)?) },
    })
}

/// A shard (i, n), or none.
pub(crate) fn shard(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Shard>> {
    let Some(value) = value else { return Ok(None) };
    let (index, of) =
        value.extract().map_err(|_| wrong_type("shard", "a pair (i, n) of whole numbers, 1 ≤ i ≤ n", value))?;
    Shard::new(index, of).map(Some).map_err(refuse)
}

pub(crate) fn mixing(value: &Bound<'_, PyAny>) -> PyResult<Mixing> {
    let text: String = value.extract().map_err(|_| wrong_type("mixing", "\"per-species\" or \"combined\"", value))?;
    match text.as_str() {
        "per-species" => Ok(Mixing::PerSpecies),
        "combined" => Ok(Mixing::Combined),
        _ => Err(refuse(Error::setting("mixing", text, "is unknown", "use per-species or combined"))),
    }
}

/// How many channels to keep, from `q_max` and `retain` of an object, of which one at most is given.
pub(crate) fn truncation(of: &Bound<'_, PyAny>) -> PyResult<Truncation> {
    let (q_max, retain) = (of.getattr("q_max")?, of.getattr("retain")?);
    match (q_max.is_none(), retain.is_none()) {
        (false, true) => Ok(Truncation::QMax(count("q_max", &q_max)?)),
        (true, false) => Ok(Truncation::Retain(number("retain", &retain)?)),
        (true, true) => Ok(Truncation::Retain(1.0)),
        (false, false) => {
            let problem = "q_max and retain both say how many channels to keep";
            Err(refuse(Error::setting("retain", retain.repr()?, problem, "give one of the two")))
        }
    }
}

/// The defaults of the library, by name.
pub(crate) fn defaults(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let ExpansionSettings { density, l_max, spline_accuracy, .. } = ExpansionSettings::default();
    let defaults = PyDict::new(py);
    defaults.set_item("r_cut", density.r_cut)?;
    match density.sigma {
        Sigma::Same(sigma) => defaults.set_item("sigma", sigma)?,
        Sigma::PerSpecies(sigma) => defaults.set_item("sigma", sigma)?,
    }
    defaults.set_item("cutoff_width", density.cutoff_width)?;
    defaults.set_item("center_weight", density.center_weight)?;
    defaults.set_item("l_max", l_max)?;
    defaults.set_item("spline_accuracy", spline_accuracy)?;
    let Sigmas { energy_sigma, force_sigma, stress_sigma } = Sigmas::default();
    defaults.set_item("energy_sigma", energy_sigma)?;
    defaults.set_item("force_sigma", force_sigma)?;
    defaults.set_item("stress_sigma", stress_sigma)?;
    if let ModelSettings::Gap { n_sparse, zeta, delta, jitter, .. } = ModelSettings::gap() {
        defaults.set_item("n_sparse", n_sparse)?;
        defaults.set_item("zeta", zeta)?;
        defaults.set_item("delta", delta)?;
        defaults.set_item("jitter", jitter)?;
    }
    if let ModelSettings::Ridge { alpha: Alpha::Fixed(alpha), .. } = ModelSettings::ridge() {
        defaults.set_item("alpha", alpha)?; // within a potential
    }
    Ok(defaults)
}
