//! The sum over neighbours and its adjoint.

use ndarray::{Array2, Array3};
use numpy::{IntoPyArray, PyArray2, PyArray3};
use pyo3::prelude::*;
use rhobasis::density::{Equivariants, SphericalExpansion, centers_of};

use crate::refuse;
use crate::settings;
use crate::structure::{Frames, reals};

/// Blocks `[center, m, channel]`; structure, atom and species of each centre; (species, n) of the channels of each l.
pub(crate) type Coefficients<'py> =
    (Vec<Bound<'py, PyArray3<f64>>>, Bound<'py, PyArray2<i64>>, Vec<Bound<'py, PyArray2<i64>>>);

/// Forces of each structure, and its virial.
pub(crate) type Adjoints<'py> = (Vec<Bound<'py, PyArray2<f64>>>, Bound<'py, PyArray3<f64>>);

/// An expansion in a primitive basis.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Expansion {
    inner: SphericalExpansion,
}

#[pymethods]
impl Expansion {
    /// From an object with density, primitive, l_max and spline_accuracy.
    #[new]
    fn new(settings: &Bound<'_, PyAny>, species: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        let py = settings.py();
        let settings = settings::expansion(settings)?;
        let species = species.iter().map(|z| settings::species("species", z)).collect::<PyResult<Vec<_>>>()?;
        let inner = py.detach(|| SphericalExpansion::new(&settings, &species)).map_err(refuse)?;
        Ok(Expansion { inner })
    }

    fn species(&self) -> Vec<u16> {
        self.inner.species().iter().map(|&z| z.into()).collect()
    }

    fn forward<'py>(&self, py: Python<'py>, frames: &Frames) -> PyResult<Coefficients<'py>> {
        forward(py, &self.inner, frames)
    }

    fn backward<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        gradient: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Adjoints<'py>> {
        backward(py, &self.inner, frames, &gradient)
    }
}

pub(crate) fn forward<'py>(
    py: Python<'py>,
    expansion: &SphericalExpansion,
    frames: &Frames,
) -> PyResult<Coefficients<'py>> {
    let Equivariants { blocks, centers, channels } =
        py.detach(|| expansion.forward(frames.structures())).map_err(|e| frames.refuse(e, 0))?;
    let table = |rows: usize, cell: &dyn Fn(usize, usize) -> i64, columns: usize| {
        Array2::from_shape_fn((rows, columns), |(i, k)| cell(i, k)).into_pyarray(py)
    };
    let center = |i: usize, k: usize| match k {
        0 => centers[i].structure as i64,
        1 => centers[i].atom as i64,
        _ => centers[i].species.into(),
    };
    let centers = table(centers.len(), &center, 3);
    let channels = channels
        .iter()
        .map(|c| table(c.len(), &|i, k| if k == 0 { c[i].species.into() } else { c[i].n as i64 }, 2))
        .collect();
    Ok((blocks.into_iter().map(|b| b.into_pyarray(py)).collect(), centers, channels))
}

pub(crate) fn backward<'py>(
    py: Python<'py>,
    expansion: &SphericalExpansion,
    frames: &Frames,
    gradient: &[Bound<'py, PyAny>],
) -> PyResult<Adjoints<'py>> {
    let blocks = gradient
        .iter()
        .enumerate()
        .map(|(l, block)| reals(&format!("gradient[{l}]"), "an array [center, m, channel]", block))
        .collect::<PyResult<Vec<Array3<f64>>>>()?;
    let channels = expansion.channels().to_vec();
    let gradient = Equivariants { blocks, centers: centers_of(frames.structures()), channels };
    let adjoints = py.detach(|| expansion.backward(frames.structures(), &gradient)).map_err(|e| frames.refuse(e, 0))?;
    let mut virials = Array3::zeros((adjoints.len(), 3, 3));
    let mut forces = Vec::with_capacity(adjoints.len());
    for (adjoint, mut virial) in adjoints.into_iter().zip(virials.outer_iter_mut()) {
        virial.assign(&adjoint.virial);
        forces.push(Array2::from_shape_fn((adjoint.forces.len(), 3), |(i, d)| adjoint.forces[i][d]).into_pyarray(py));
    }
    Ok((forces, virials.into_pyarray(py)))
}
