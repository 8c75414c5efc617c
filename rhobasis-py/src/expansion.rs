//! The sum over neighbours and its adjoint.

use ndarray::{Array1, Array2, Array3};
use numpy::{IntoPyArray, PyArray2, PyArray3};
use pyo3::prelude::*;
use rhobasis::Error;
use rhobasis::density::{Equivariants, ExpansionSettings, RadialIntegrals, SphericalExpansion, centers_of};

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
    settings: ExpansionSettings,
}

/// Tables `[r, n]` for each l: of a function, or of a function and its derivative.
pub(crate) type Tables<'py> = Vec<Bound<'py, PyArray2<f64>>>;

#[pymethods]
impl Expansion {
    /// From an object with density, primitive, l_max and spline_accuracy.
    #[new]
    fn new(settings: &Bound<'_, PyAny>, species: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        let py = settings.py();
        let settings = settings::expansion(settings)?;
        let species = species.iter().map(|z| settings::species("species", z)).collect::<PyResult<Vec<_>>>()?;
        let inner = py.detach(|| SphericalExpansion::new(&settings, &species)).map_err(refuse)?;
        Ok(Expansion { inner, settings })
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

    /// Primitive functions R_nl(x).
    fn radial_functions<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        species: &Bound<'py, PyAny>,
    ) -> PyResult<Tables<'py>> {
        radial_functions(py, &self.radial(species)?, x)
    }

    /// Primitive integrals and their derivatives.
    fn radial_integrals<'py>(
        &self,
        py: Python<'py>,
        r: &Bound<'py, PyAny>,
        species: &Bound<'py, PyAny>,
    ) -> PyResult<(Tables<'py>, Tables<'py>)> {
        radial_integrals(py, &self.radial(species)?, r)
    }
}

impl Expansion {
    fn radial(&self, species: &Bound<'_, PyAny>) -> PyResult<RadialIntegrals> {
        let ExpansionSettings { density, primitive, l_max, .. } = &self.settings;
        let sigma = density.sigma.of(settings::species("species", species)?).map_err(refuse)?;
        RadialIntegrals::new(primitive, density.r_cut, sigma, *l_max).map_err(refuse)
    }
}

fn distances(r: &Bound<'_, PyAny>) -> PyResult<Array1<f64>> {
    let r: Array1<f64> = reals("r", "distances in a one-dimensional array", r)?;
    match r.iter().position(|r| !(r.is_finite() && *r >= 0.0)) {
        None => Ok(r),
        Some(i) => {
            let problem = format!("element {i} is no distance");
            Err(refuse(Error::setting("r", r[i], problem, "give finite numbers that are not negative, in Å")))
        }
    }
}

/// R_q(x) for each l: `[x, q]`.
pub(crate) fn radial_functions<'py>(
    py: Python<'py>,
    radial: &RadialIntegrals,
    x: &Bound<'py, PyAny>,
) -> PyResult<Tables<'py>> {
    let x = distances(x)?;
    let tables: Vec<Array2<f64>> = py.detach(|| {
        let table = |l| {
            let mut table = Array2::zeros((x.len(), radial.n_functions(l)));
            for (mut row, &x) in table.rows_mut().into_iter().zip(&x) {
                row.assign(&Array1::from_vec(radial.functions(l, x)));
            }
            table
        };
        (0..=radial.l_max()).map(table).collect()
    });
    Ok(tables.into_iter().map(|t| t.into_pyarray(py)).collect())
}

/// I_q(r) and dI_q/dr for each l: `[r, q]`.
pub(crate) fn radial_integrals<'py>(
    py: Python<'py>,
    radial: &RadialIntegrals,
    r: &Bound<'py, PyAny>,
) -> PyResult<(Tables<'py>, Tables<'py>)> {
    let r = distances(r)?;
    let (values, derivatives) = py.detach(|| {
        let n = radial.offset(radial.l_max() + 1);
        let (mut values, mut derivatives) = (Array2::zeros((r.len(), n)), Array2::zeros((r.len(), n)));
        let (mut i_over_power, mut slope) = (vec![0.0; n], vec![0.0; n]);
        for (k, &r) in r.iter().enumerate() {
            radial.integrals(r, &mut i_over_power, &mut slope);
            for l in 0..=radial.l_max() {
                // I = r^l (I/r^l), where the integrals come divided.
                let p = if radial.divided_by_r_to_the_l() { l as i32 } else { 0 };
                let (power, slope_of_power) = (r.powi(p), if p == 0 { 0.0 } else { f64::from(p) * r.powi(p - 1) });
                for q in radial.offset(l)..radial.offset(l + 1) {
                    values[[k, q]] = power * i_over_power[q];
                    derivatives[[k, q]] = power * slope[q] + slope_of_power * i_over_power[q];
                }
            }
        }
        (values, derivatives)
    });
    let split = |table: &Array2<f64>| {
        let of_l = |l| table.slice(ndarray::s![.., radial.offset(l)..radial.offset(l + 1)]).to_owned();
        (0..=radial.l_max()).map(|l| of_l(l).into_pyarray(py)).collect()
    };
    Ok((split(&values), split(&derivatives)))
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
