//! Hyperparameters from the attributes of Python objects, and the library's defaults for Python signatures.

use std::collections::BTreeMap;

use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use rhobasis::density::Density;
use rhobasis::optimal::{CovarianceSettings, Shard, Truncation};
use rhobasis::potential::{ModelSettings, Repulsion, Sigmas};
use rhobasis::settings::{Given, Source};
use rhobasis::{Error, Result, structure};

use crate::errors::refuse;

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

/// An atomic number, or the symbol of an element.
pub(crate) fn species(name: &'static str, value: &Bound<'_, PyAny>) -> PyResult<u8> {
    if let Ok(symbol) = value.extract::<String>() {
        let remedy = structure::isotope_remedy(&symbol).unwrap_or("use symbols from H to Og");
        return structure::atomic_number(&symbol)
            .ok_or_else(|| refuse(Error::setting(name, symbol, "is no element", remedy)));
    }
    let Ok(z) = value.extract::<i64>() else {
        return Err(wrong_type(name, "an atomic number or the symbol of an element", value));
    };
    match u8::try_from(z) {
        Ok(z) if z > 0 && usize::from(z) < structure::SYMBOLS.len() => Ok(z),
        _ => Err(refuse(Error::setting(name, z, "is no element", "use atomic numbers from 1 to 118"))),
    }
}

/// A value, for the library to make something of.
pub(crate) fn given(value: &Bound<'_, PyAny>) -> Given {
    if value.is_none() {
        return Given::Nothing;
    }
    if let Ok(flag) = value.extract::<bool>() {
        return Given::Flag(flag);
    }
    if let Ok(text) = value.extract::<String>() {
        return Given::Text(text.into());
    }
    if let Ok(map) = value.cast::<PyDict>() {
        return Given::Table(map.iter().map(|(key, value)| (given(&key), given(&value))).collect());
    }
    if value.len().is_ok()
        && let Ok(items) = value.try_iter()
    {
        return Given::List(items.flatten().map(|item| given(&item)).collect());
    }
    let count = value.extract().map(Given::Count);
    let number = count.or_else(|_| value.extract().map(Given::Number));
    number.unwrap_or_else(|_| Given::Other(value.repr().map_or_else(|_| "?".into(), |shown| shown.to_string())))
}

/// An entry of a dict.
pub(crate) fn item<'py>(of: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    of.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_string()))
}

/// Values by name.
#[derive(Default)]
pub(crate) struct Values(BTreeMap<String, Given>);

impl Values {
    /// Those of a dict.
    pub(crate) fn of_dict(dict: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Values(dict.iter().map(|(key, value)| Ok((key.extract()?, given(&value)))).collect::<PyResult<_>>()?))
    }

    /// Those of an object with density, primitive and l_max, and of the settings that it has besides.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut values = Values::default();
        let density = object.getattr("density")?;
        for (setting, _) in Density::default().values() {
            let value = attribute(&density, "density", "a rhobasis.Density", setting.name)?;
            let given = if setting.name == "scaling" && !value.is_none() {
                scaling("scaling", "a rhobasis.RadialScaling or None", &value)?
            } else {
                given(&value)
            };
            values.set(setting.name, given);
        }
        const CLASSES: &str = "a rhobasis.Gto, Dvr, LaplacianEigenstates or Tabulated";
        let primitive = object.getattr("primitive")?;
        let kind: String = attribute(&primitive, "primitive", CLASSES, "_kind")?.extract()?;
        if kind == "tabulated" {
            values.set("primitive", given(&primitive.call_method0("_table")?));
        } else {
            let quadrature = primitive.getattr("quadrature").map_or(Ok(false), |quadrature| quadrature.is_truthy())?;
            let family = if quadrature { format!("{kind}-quadrature") } else { kind };
            values.set("primitive", Given::Text(family.into()));
            values.set("n_max", given(&attribute(&primitive, "primitive", CLASSES, "n_max")?));
        }
        for name in ["l_max", "spline_accuracy", "mixing", "center_specific", "method", "gamma"] {
            if let Ok(value) = object.getattr(name) {
                values.set(name, given(&value));
            }
        }
        if let Ok(value) = object.getattr("weighting") {
            let plain = value.is_none() || value.is_instance_of::<PyString>();
            let numbers = |value| scaling("weighting", "a rhobasis.RadialScaling, \"nearest\" or None", value);
            values.set("weighting", if plain { given(&value) } else { numbers(&value)? });
        }
        Ok(values)
    }

    pub(crate) fn set(&mut self, name: &str, given: Given) {
        self.0.insert(name.into(), given);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What the library makes of them.
    pub(crate) fn read<T>(&self, read: impl FnOnce(Source) -> Result<T>) -> PyResult<T> {
        read(&|name| self.0.get(name).cloned()).map_err(refuse)
    }
}

fn attribute<'py>(of: &Bound<'py, PyAny>, what: &str, class: &str, name: &str) -> PyResult<Bound<'py, PyAny>> {
    of.getattr(name).map_err(|_| wrong_type(what, class, of))
}

fn scaling(what: &str, class: &str, value: &Bound<'_, PyAny>) -> PyResult<Given> {
    let get = |name| attribute(value, what, class, name).map(|x| given(&x));
    Ok(Given::List(vec![get("rate")?, get("scale")?, get("exponent")?]))
}

/// A shard (i, n), or none.
pub(crate) fn shard(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Shard>> {
    let Some(value) = value else { return Ok(None) };
    let (index, of) =
        value.extract().map_err(|_| wrong_type("shard", "a pair (i, n) of whole numbers, 1 ≤ i ≤ n", value))?;
    Shard::new(index, of).map(Some).map_err(refuse)
}

/// How many channels to keep, from `q_max` and `retain` of an object; all, if neither is given.
pub(crate) fn truncation(of: &Bound<'_, PyAny>) -> PyResult<Truncation> {
    let mut values = Values::default();
    for name in ["q_max", "retain"] {
        let value = of.getattr(name)?;
        if !value.is_none() {
            values.set(name, given(&value));
        }
    }
    if values.0.is_empty() { Ok(Truncation::Retain(1.0)) } else { values.read(Truncation::read) }
}

/// The defaults of the library, by name; alpha is that of a model within a potential.
pub(crate) fn defaults(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let mut values = CovarianceSettings::default().values();
    values.extend(Sigmas::default().values());
    values.extend(ModelSettings::ridge().values());
    values.extend(ModelSettings::gap().values());
    values.extend(Repulsion::default().values());
    let defaults = PyDict::new(py);
    for (setting, value) in values {
        match value {
            Given::Flag(flag) => defaults.set_item(setting.name, flag)?,
            Given::Count(n) => defaults.set_item(setting.name, n)?,
            Given::Number(x) => defaults.set_item(setting.name, x)?,
            Given::Text(text) => defaults.set_item(setting.name, text)?,
            _ => defaults.set_item(setting.name, py.None())?,
        }
    }
    Ok(defaults)
}
