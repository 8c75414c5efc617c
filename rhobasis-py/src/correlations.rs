//! Invariant features of atoms.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayViewMut2};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray3, PyReadonlyArray2};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rhobasis::Error;
use rhobasis::correlations::{self, AuditRow, Member, PartOfSpecies, PerStructure, Reduction};
use rhobasis::density::{JacobianCursor, SphericalExpansion, Variable, centers_of};
use rhobasis::files::Stored;
use rhobasis::settings::Named;
use rhobasis::structure::symbol;

use crate::atoms::reals;
use crate::centers::{Centers, center_table};
use crate::errors::refuse;
use crate::expansion::{self, Adjoints, Expansion, jacobian_rows, motions, variable};
use crate::memory::{Memory, Number};
use crate::optimal::Basis;
use crate::settings::{Values, item};
use crate::structure::Frames;
use crate::threads::detach;

/// Features `[center, column]` of single or double precision; structure, atom and species of each centre.
type Features<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray2<i64>>);

/// Radial spectrum, power spectrum or bispectrum of an expansion or a basis.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Invariants {
    inner: correlations::Invariants,
}

#[pymethods]
impl Invariants {
    #[new]
    fn new(settings: &Bound<'_, PyDict>, evaluator: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = evaluator.py();
        let members = [member(settings)?];
        let made =
            |expansion: &SphericalExpansion| detach(py, || correlations::Invariants::of_members(expansion, &members));
        let inner = match evaluator.cast::<Basis>() {
            Ok(basis) => made(basis.get().expansion()),
            Err(_) => made(evaluator.cast::<Expansion>()?.get().expansion()),
        };
        inner.map(|inner| Invariants { inner }).map_err(refuse)
    }

    fn n_features(&self) -> usize {
        self.inner.n_features()
    }

    /// What the features are, a row for each.
    fn columns<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<i64>> {
        self.inner.columns().mapv(|field| field as i64).into_pyarray(py)
    }

    /// (species, n) of the channels of each l.
    fn channels<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyArray2<i64>>>> {
        expansion::channel_tables(py, self.inner.expansion())
    }

    /// Features of these centres, or of all.
    fn forward<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        centers: Option<Bound<'py, Centers>>,
        single: bool,
        ignore_unknown: bool,
    ) -> PyResult<Features<'py>> {
        let inner = self.inner(ignore_unknown);
        let (structures, centers) = (frames.structures(), centers.as_ref().map(|centers| &centers.get().inner));
        let table = centers.map_or_else(|| centers_of(structures), |centers| centers.table(structures));
        let shape = [table.len(), inner.n_features()];
        let x = match (single, centers) {
            (true, _) => matrix::<f32>(py, shape, |out| inner.forward_centers_to(structures, centers, out)),
            (false, Some(_)) => matrix::<f64>(py, shape, |out| inner.forward_centers_to(structures, centers, out)),
            (false, None) => matrix::<f64>(py, shape, |out| inner.forward_to(structures, None, None, out)),
        };
        Ok((x?.map_err(|e| frames.refuse(e, 0))?, center_table(py, &table)?))
    }

    /// Rows of whole frames, `[frame, column]`, over these centres, or over all.
    #[allow(clippy::too_many_arguments)] // as Python gives them
    fn per_structure<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        reduce: &str,
        by_species: bool,
        centers: Option<Bound<'py, Centers>>,
        single: bool,
        ignore_unknown: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let inner = self.inner(ignore_unknown);
        let how = PerStructure { reduction: Reduction::parse("reduce", reduce).map_err(refuse)?, by_species };
        let (structures, centers) = (frames.structures(), centers.as_ref().map(|centers| &centers.get().inner));
        let shape = [structures.len(), inner.n_features_per_structure(how)];
        let x = match single {
            true => matrix::<f32>(py, shape, |out| inner.per_structure_to(structures, how, centers, out)),
            false => matrix::<f64>(py, shape, |out| inner.per_structure_to(structures, how, centers, out)),
        };
        x?.map_err(|e| frames.refuse(e, 0))
    }

    /// The species that atoms may have, ascending.
    fn species(&self) -> Vec<u8> {
        self.inner.expansion().species().to_vec()
    }

    fn tangent<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        velocities: &Bound<'py, PyAny>,
        strain: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Features<'py>> {
        let (structures, motions) = (frames.structures(), motions(frames, velocities, strain)?);
        let centers = centers_of(structures);
        let fill = |out: ArrayViewMut2<f64>| self.inner.forward_to(structures, None, Some(&motions), out);
        let x = matrix(py, [centers.len(), self.inner.n_features()], fill)?;
        Ok((x.map_err(|e| frames.refuse(e, 0))?, center_table(py, &centers)?))
    }

    /// From dE/dX `[center, column]`, or `[column]` for all centres alike.
    fn backward<'py>(&self, py: Python<'py>, frames: &Frames, gradient: &Bound<'py, PyAny>) -> PyResult<Adjoints<'py>> {
        let n_dimensions = gradient.getattr("ndim").and_then(|n| n.extract::<usize>());
        let adjoints = if n_dimensions.is_ok_and(|n| n == 1) {
            let weights: Array1<f64> = reals("gradient", "an array [column]", gradient)?;
            let n_centers = frames.structures().iter().map(rhobasis::Structure::len).sum::<usize>();
            let view = weights.broadcast((n_centers, weights.len())).expect("a row can be repeated");
            detach(py, || self.inner.backward(frames.structures(), view))
        } else if let Ok(gradient) = gradient.extract::<PyReadonlyArray2<f64>>() {
            let view = gradient.as_array();
            detach(py, || self.inner.backward(frames.structures(), view))
        } else {
            let gradient: Array2<f64> = reals("gradient", "an array [center, column]", gradient)?;
            detach(py, || self.inner.backward(frames.structures(), gradient.view()))
        };
        expansion::adjoint_arrays(py, adjoints.map_err(|e| frames.refuse(e, 0))?)
    }

    fn jacobian(&self, frames: &Frames, by: &str, most_bytes: Option<usize>) -> PyResult<InvariantsJacobianParts> {
        let variable = variable(by)?;
        let cursor = self.inner.jacobian_cursor(variable, most_bytes.unwrap_or(usize::MAX));
        Ok(InvariantsJacobianParts { inner: self.inner.clone(), frames: frames.share(), variable, cursor })
    }

    /// For each part: what moves (an element, or "center"), columns, `[row, component, column]`, rows.
    fn jacobian_by_species<'py>(&self, py: Python<'py>, frames: &Frames) -> PyResult<Vec<OfSpecies<'py>>> {
        let structures = frames.structures();
        let jacobian = detach(py, || self.inner.jacobian_by_species(structures)).map_err(|e| frames.refuse(e, 0))?;
        let memory = |part: &PartOfSpecies| Memory::new(part.n_numbers());
        let mut arrays = jacobian.parts.iter().map(memory).collect::<PyResult<Vec<Memory>>>()?;
        let out = arrays.iter_mut().map(Memory::as_mut_slice).collect();
        detach(py, || self.inner.fill_jacobian_by_species(&jacobian, structures, out))
            .map_err(|e| frames.refuse(e, 0))?;
        let named = |(part, values): (&PartOfSpecies, Memory)| {
            let columns = PyArray1::from_vec(py, part.columns.iter().cloned().flatten().collect());
            let values = values.into_array(py, [part.rows.len(), 3, part.n_columns()])?;
            Ok((part.species.map_or("center", symbol), columns, values, jacobian_rows(py, &part.rows)?))
        };
        jacobian.parts.iter().zip(arrays).map(named).collect()
    }
}

impl Invariants {
    /// The same, without neighbours of unknown species if so.
    fn inner(&self, ignore_unknown: bool) -> Cow<'_, correlations::Invariants> {
        match ignore_unknown {
            true => Cow::Owned(self.inner.ignoring_unknown_neighbors()),
            false => Cow::Borrowed(&self.inner),
        }
    }
}

/// A matrix that `fill` fills.
fn matrix<'py, T: Number>(
    py: Python<'py>,
    shape: [usize; 2],
    fill: impl FnOnce(ArrayViewMut2<T>) -> rhobasis::Result<()> + Send,
) -> PyResult<rhobasis::Result<Bound<'py, PyAny>>> {
    let mut memory = Memory::<T>::new(shape.iter().product())?;
    let filled = detach(py, || {
        let out = ArrayViewMut2::from_shape(shape, memory.as_mut_slice()).expect("as many numbers as the shape says");
        fill(out)
    });
    match filled {
        Ok(()) => memory.into_array(py, shape).map(|x| Ok(x.into_any())),
        Err(e) => Ok(Err(e)),
    }
}

/// From a dict of the fields of [`Member`].
pub(crate) fn member(of: &Bound<'_, PyDict>) -> PyResult<Member> {
    let columns = item(of, "columns")?;
    let columns = if columns.is_none() { None } else { Some(components(&columns)?) };
    let fitted = of.get_item("fitted")?.map(|nice| nice.cast_into::<Nice>()).transpose()?;
    let fitted = fitted.map(|nice| nice.get().inner.clone());
    Ok(Member { columns, fitted, ..Values::of_dict(of)?.read(|given| Member::read(given, false))? })
}

/// NICE, fitted.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Nice {
    pub(crate) inner: Arc<correlations::Nice>,
}

/// An order: ν and parts of its squared norm, in the order of [`AuditRow`].
type Account = (usize, [f64; 11]);

#[pymethods]
impl Nice {
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        detach(py, || correlations::Nice::load(&path)).map(Nice::from).map_err(refuse)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detach(py, || self.inner.save(&path)).map_err(refuse)
    }

    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        correlations::Nice::from_bytes(bytes).map(Nice::from).map_err(refuse)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &detach(py, || self.inner.to_bytes()))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        Ok((slf.getattr("from_bytes")?, (slf.get().to_bytes(slf.py()),)))
    }

    /// Its settings, by name (JSON).
    fn settings(&self) -> PyResult<String> {
        serde_json::to_string(self.inner.settings()).map_err(|e| PyTypeError::new_err(e.to_string()))
    }

    fn n_centers(&self) -> usize {
        self.inner.n_centers()
    }

    /// The account of the sequence of all centres (0), or of those of each species.
    fn audit(&self) -> Vec<(u8, Vec<Account>)> {
        let of = |row: &AuditRow| {
            let AuditRow { full, inherited, lambda, choice, contraction, kept, .. } = *row;
            let [all, unseen, lower] = [row.invariants, row.invariants_choice, row.invariants_purified];
            let [dropped, own] = [row.invariants_contraction, row.invariants_kept];
            (row.nu, [full, inherited, lambda, choice, contraction, kept, all, unseen, lower, dropped, own])
        };
        let own = |(center, nice): (Option<u8>, &correlations::Nice)| {
            (center.unwrap_or(0), nice.audit().iter().map(of).collect())
        };
        self.inner.sequences().into_iter().map(own).collect()
    }

    /// Variance of each feature of each order from 2 on, by species as in `audit`.
    fn variances<'py>(&self, py: Python<'py>) -> Vec<(u8, Vec<Bound<'py, PyArray1<f64>>>)> {
        let arrays = |nice: &correlations::Nice| {
            nice.variances().into_iter().map(|variances| PyArray1::from_slice(py, variances)).collect()
        };
        self.inner.sequences().into_iter().map(|(center, nice)| (center.unwrap_or(0), arrays(nice))).collect()
    }

    /// Equivariants of order ν: (σ, λ) of each block, the blocks, structure, atom and species of each centre.
    fn equivariants<'py>(
        &self,
        py: Python<'py>,
        evaluator: &Bound<'py, PyAny>,
        frames: &Frames,
        nu: usize,
    ) -> PyResult<OfOrder<'py>> {
        let structures = frames.structures();
        let made = |expansion: &SphericalExpansion| detach(py, || self.inner.equivariants(expansion, nu, structures));
        let made = match evaluator.cast::<Basis>() {
            Ok(basis) => made(basis.get().expansion()),
            Err(_) => made(evaluator.cast::<Expansion>()?.get().expansion()),
        }
        .map_err(|e| frames.refuse(e, 0))?;
        let keys = made.keys.iter().map(|key| (key.sigma, key.lambda)).collect();
        let blocks = made.blocks.into_iter().map(|block| block.into_pyarray(py)).collect();
        Ok((keys, blocks, center_table(py, &centers_of(structures))?))
    }
}

type OfOrder<'py> = (Vec<(i8, usize)>, Vec<Bound<'py, PyArray3<f64>>>, Bound<'py, PyArray2<i64>>);

impl From<correlations::Nice> for Nice {
    fn from(nice: correlations::Nice) -> Self {
        Nice { inner: Arc::new(nice) }
    }
}

/// Rows [l, α, β].
fn components(columns: &Bound<'_, PyAny>) -> PyResult<Vec<[usize; 3]>> {
    columns.extract().map_err(|_| {
        let shown: String = columns.repr().map_or("columns".into(), |text| text.to_string().chars().take(60).collect());
        let problem = "rows [l, alpha, beta] of whole numbers are needed";
        refuse(Error::setting("columns", shown, problem, "give some rows of columns_, or the file of a selection"))
    })
}

/// All derivatives, some centres at a time: an iterator of (`[row, component, column]`, (structure, center, atom or −1) of the
/// rows).
#[pyclass(module = "rhobasis._native")]
pub(crate) struct InvariantsJacobianParts {
    inner: correlations::Invariants,
    frames: Frames,
    variable: Variable,
    cursor: JacobianCursor,
}

type OfSpecies<'py> = (&'static str, Bound<'py, PyArray1<usize>>, Bound<'py, PyArray3<f64>>, Bound<'py, PyArray2<i64>>);

type Part<'py> = (Bound<'py, PyArray3<f64>>, Bound<'py, PyArray2<i64>>);

#[pymethods]
impl InvariantsJacobianParts {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Part<'py>>> {
        let InvariantsJacobianParts { inner, frames, variable, cursor } = self;
        let next = detach(py, || cursor.next_part(inner.expansion(), frames.structures()));
        let Some(part) = next.map_err(|e| frames.refuse(e, 0))? else { return Ok(None) };
        let shape = [part.rows.len(), variable.n_components(), inner.n_features()];
        let mut memory = Memory::new(shape.iter().product())?;
        detach(py, || inner.fill_jacobian(&part, frames.structures(), memory.as_mut_slice()))
            .map_err(|e| frames.refuse(e, 0))?;
        Ok(Some((memory.into_array(py, shape)?, jacobian_rows(py, &part.rows)?)))
    }
}

/// Real Clebsch–Gordan coefficients: m1, m2, μ of those that are not zero, from 0, and their values.
#[pyfunction]
pub(crate) fn clebsch_gordan(l1: usize, l2: usize, lambda: usize) -> PyResult<Vec<(usize, usize, usize, f64)>> {
    let couplings = correlations::clebsch_gordan(l1, l2, lambda).map_err(refuse)?;
    Ok(couplings.into_iter().map(|c| (c.m1, c.m2, c.mu, c.value)).collect())
}
