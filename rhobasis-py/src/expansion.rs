//! The sum over neighbours and its adjoint.

use ndarray::{Array1, Array2, Array3, ArrayViewMut3};
use numpy::{IntoPyArray, PyArray2, PyArray3, PyArray4, PyArrayMethods, PyReadonlyArray3};
use pyo3::prelude::*;
use rhobasis::density::{
    Adjoint, Channel, ExpansionSettings, JacobianCursor, JacobianRow, Motion, RadialIntegrals, SphericalExpansion,
    Variable, centers_of,
};
use rhobasis::{Error, Structure};

use crate::atoms::reals;
use crate::centers::{Centers, center_table, table};
use crate::errors::refuse;
use crate::memory::{Memory, Number};
use crate::settings::{self, Values};
use crate::structure::Frames;
use crate::threads::detach;

/// Blocks `[center, m, channel]` of single or double precision; structure, atom and species of each centre; (species, n) of the
/// channels of each l.
pub(crate) type Coefficients<'py> = (Vec<Bound<'py, PyAny>>, Bound<'py, PyArray2<i64>>, Vec<Bound<'py, PyArray2<i64>>>);

/// Forces of each structure, and its virial.
pub(crate) type Adjoints<'py> = (Vec<Bound<'py, PyArray2<f64>>>, Bound<'py, PyArray3<f64>>);

/// An expansion in a primitive basis.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Expansion {
    pub(crate) inner: SphericalExpansion,
    pub(crate) settings: ExpansionSettings,
}

/// Tables `[r, n]` for each l: of a function, or of a function and its derivative.
pub(crate) type Tables<'py> = Vec<Bound<'py, PyArray2<f64>>>;

#[pymethods]
impl Expansion {
    /// From an object with density, primitive, l_max and spline_accuracy.
    #[new]
    fn new(settings: &Bound<'_, PyAny>, species: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        let py = settings.py();
        let settings = Values::of(settings)?.read(ExpansionSettings::read)?;
        let species = species.iter().map(|z| settings::species("species", z)).collect::<PyResult<Vec<_>>>()?;
        let inner = detach(py, || SphericalExpansion::new(&settings, &species)).map_err(refuse)?;
        Ok(Expansion { inner, settings })
    }

    fn species(&self) -> Vec<u16> {
        self.inner.species().iter().map(|&z| z.into()).collect()
    }

    fn forward<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        centers: Option<Bound<'py, Centers>>,
        single: bool,
        ignore_unknown: bool,
    ) -> PyResult<Coefficients<'py>> {
        forward(py, &self.inner, frames, centers.as_ref(), [single, ignore_unknown])
    }

    fn backward<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        gradient: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Adjoints<'py>> {
        backward(py, &self.inner, frames, &gradient)
    }

    fn tangent<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        velocities: &Bound<'py, PyAny>,
        strain: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Coefficients<'py>> {
        tangent(py, &self.inner, frames, &motions(frames, velocities, strain)?)
    }

    fn jacobian(&self, frames: &Frames, by: &str, most_bytes: Option<usize>) -> PyResult<JacobianParts> {
        JacobianParts::new(&self.inner, frames, by, most_bytes)
    }

    /// (species, n) of the channels of each l.
    fn channels<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyArray2<i64>>>> {
        channel_tables(py, &self.inner)
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
    pub(crate) fn expansion(&self) -> &SphericalExpansion {
        &self.inner
    }

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
    let tables: Vec<Array2<f64>> = detach(py, || {
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
    let (values, derivatives) = detach(py, || {
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

/// Coefficients of these centres (all, if none are given), rounded to single precision if so, without neighbours of unknown species
/// if so.
pub(crate) fn forward<'py>(
    py: Python<'py>,
    expansion: &SphericalExpansion,
    frames: &Frames,
    centers: Option<&Bound<'py, Centers>>,
    [single, ignore_unknown]: [bool; 2],
) -> PyResult<Coefficients<'py>> {
    let ignoring = ignore_unknown.then(|| expansion.ignoring_unknown_neighbors());
    let expansion = ignoring.as_ref().unwrap_or(expansion);
    let (structures, centers) = (frames.structures(), centers.map(|centers| &centers.get().inner));
    let table = centers.map_or_else(|| centers_of(structures), |centers| centers.table(structures));
    let n = table.len();
    let blocks = match (single, centers) {
        (true, _) => blocks::<f32>(py, expansion, n, |out| expansion.forward_centers_to(structures, centers, out)),
        (false, Some(_)) => {
            blocks::<f64>(py, expansion, n, |out| expansion.forward_centers_to(structures, centers, out))
        }
        (false, None) => blocks::<f64>(py, expansion, n, |out| expansion.forward_to(structures, None, None, out)),
    };
    let blocks = blocks?.map_err(|e| frames.refuse(e, 0))?;
    Ok((blocks, center_table(py, &table)?, channel_tables(py, expansion)?))
}

/// Derivatives of the coefficients of all centres along motions.
pub(crate) fn tangent<'py>(
    py: Python<'py>,
    expansion: &SphericalExpansion,
    frames: &Frames,
    motions: &[Motion],
) -> PyResult<Coefficients<'py>> {
    let structures = frames.structures();
    let centers = centers_of(structures);
    let fill = |out: &mut [ArrayViewMut3<f64>]| expansion.forward_to(structures, None, Some(motions), out);
    let blocks = blocks(py, expansion, centers.len(), fill)?.map_err(|e| frames.refuse(e, 0))?;
    Ok((blocks, center_table(py, &centers)?, channel_tables(py, expansion)?))
}

/// Arrays `[center, m, channel]` of each l, which `fill` fills.
fn blocks<'py, T: Number>(
    py: Python<'py>,
    expansion: &SphericalExpansion,
    n_centers: usize,
    fill: impl FnOnce(&mut [ArrayViewMut3<T>]) -> rhobasis::Result<()> + Send,
) -> PyResult<rhobasis::Result<Vec<Bound<'py, PyAny>>>> {
    let shapes: Vec<[usize; 3]> =
        expansion.channels().iter().enumerate().map(|(l, c)| [n_centers, 2 * l + 1, c.len()]).collect();
    let mut blocks: Vec<Memory<T>> =
        shapes.iter().map(|shape| Memory::new(shape.iter().product())).collect::<PyResult<_>>()?;
    let filled = detach(py, || {
        let view = |(block, shape): (_, &[usize; 3])| {
            let numbers: &mut [T] = Memory::as_mut_slice(block);
            ArrayViewMut3::from_shape(*shape, numbers).expect("as many numbers as the shape says")
        };
        fill(&mut blocks.iter_mut().zip(&shapes).map(view).collect::<Vec<_>>())
    });
    if let Err(e) = filled {
        return Ok(Err(e));
    }
    let array = |(block, shape): (Memory<T>, _)| block.into_array(py, shape).map(Bound::into_any);
    blocks.into_iter().zip(shapes).map(array).collect::<PyResult<_>>().map(Ok)
}

/// (species, n) of the channels of each l.
pub(crate) fn channel_tables<'py>(
    py: Python<'py>,
    expansion: &SphericalExpansion,
) -> PyResult<Vec<Bound<'py, PyArray2<i64>>>> {
    let of_l = |channels: &Vec<Channel>| {
        table(py, channels.iter().flat_map(|c| [i64::from(c.species), c.n as i64]).collect(), 2)
    };
    expansion.channels().iter().map(of_l).collect()
}

/// Velocities of all atoms, one after the other, and strain rates of the frames, as a motion for each frame.
pub(crate) fn motions(
    frames: &Frames,
    velocities: &Bound<'_, PyAny>,
    strains: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<Motion>> {
    let structures = frames.structures();
    let velocities: Array2<f64> = reals("velocities", "an array [atom, 3]", velocities)?;
    let n_atoms: usize = structures.iter().map(Structure::len).sum();
    if velocities.dim() != (n_atoms, 3) {
        let problem = format!("the frames have {n_atoms} atoms");
        let found = format!("{:?}", velocities.shape());
        return Err(refuse(Error::setting("velocities", found, problem, "give x, y, z for each atom, in Å per unit")));
    }
    let strains: Option<Array3<f64>> = strains.map(|s| reals("strain", "an array [frame, 3, 3]", s)).transpose()?;
    if let Some(strains) = &strains
        && strains.dim() != (structures.len(), 3, 3)
    {
        let found = format!("{:?}", strains.shape());
        let problem = format!("one matrix for each frame is needed (frames: {})", structures.len());
        return Err(refuse(Error::setting("strain", found, problem, "give an array [frame, 3, 3]")));
    }
    let mut first = 0;
    let motion = |(s, structure): (usize, &Structure)| {
        let atoms = first..first + structure.len();
        first = atoms.end;
        let velocities = atoms.map(|i| std::array::from_fn(|d| velocities[[i, d]])).collect();
        let strain = std::array::from_fn(|p| {
            std::array::from_fn(|q| strains.as_ref().map_or(0.0, |strains| strains[[s, p, q]]))
        });
        Motion { velocities, strain }
    };
    Ok(structures.iter().enumerate().map(motion).collect())
}

pub(crate) fn backward<'py>(
    py: Python<'py>,
    expansion: &SphericalExpansion,
    frames: &Frames,
    gradient: &[Bound<'py, PyAny>],
) -> PyResult<Adjoints<'py>> {
    let as_block = |(l, block): (usize, &Bound<'py, PyAny>)| -> PyResult<PyReadonlyArray3<'py, f64>> {
        if let Ok(block) = block.extract() {
            return Ok(block);
        }
        let (name, axes) = (format!("gradient[{l}]"), "an array [center, m, channel]");
        let converted: Array3<f64> = reals(&name, axes, block)?;
        Ok(converted.into_pyarray(py).readonly())
    };
    let blocks = gradient.iter().enumerate().map(as_block).collect::<PyResult<Vec<_>>>()?;
    let views: Vec<_> = blocks.iter().map(|block| block.as_array()).collect();
    let adjoints = detach(py, || expansion.backward(frames.structures(), &views)).map_err(|e| frames.refuse(e, 0))?;
    adjoint_arrays(py, adjoints)
}

pub(crate) fn adjoint_arrays(py: Python<'_>, adjoints: Vec<Adjoint>) -> PyResult<Adjoints<'_>> {
    let mut virials = Array3::zeros((adjoints.len(), 3, 3));
    let mut forces = Vec::with_capacity(adjoints.len());
    for (adjoint, mut virial) in adjoints.into_iter().zip(virials.outer_iter_mut()) {
        virial.assign(&adjoint.virial);
        let n_atoms = adjoint.forces.len();
        forces.push(adjoint.forces.into_flattened().into_pyarray(py).reshape([n_atoms, 3])?);
    }
    Ok((forces, virials.into_pyarray(py)))
}

/// The full Jacobian, some centres at a time: an iterator of (blocks `[row, component, m, channel]`, (structure, center,
/// atom or −1) of the rows).
#[pyclass(module = "rhobasis._native")]
pub(crate) struct JacobianParts {
    expansion: SphericalExpansion,
    frames: Frames,
    variable: Variable,
    cursor: JacobianCursor,
}

/// What a Jacobian is by, by its name.
pub(crate) fn variable(by: &str) -> PyResult<Variable> {
    match by {
        "positions" => Ok(Variable::Positions),
        "strain" => Ok(Variable::Strain),
        "cell" => Ok(Variable::Cell),
        _ => {
            let known = "name one of 'positions', 'strain', 'cell'";
            Err(refuse(Error::setting("by", format!("'{by}'"), "no such derivative", known)))
        }
    }
}

/// Structure, center and atom (or −1) of each row.
pub(crate) fn jacobian_rows<'py>(py: Python<'py>, rows: &[JacobianRow]) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let row = |r: &JacobianRow| [r.structure as i64, r.center as i64, r.atom.map_or(-1, |atom| atom as i64)];
    table(py, rows.iter().flat_map(row).collect(), 3)
}

type JacobianPart<'py> = (Vec<Bound<'py, PyArray4<f64>>>, Bound<'py, PyArray2<i64>>);

impl JacobianParts {
    pub fn new(expansion: &SphericalExpansion, frames: &Frames, by: &str, most_bytes: Option<usize>) -> PyResult<Self> {
        let variable = variable(by)?;
        let cursor = JacobianCursor::new(variable, most_bytes.unwrap_or(usize::MAX));
        Ok(JacobianParts { expansion: expansion.clone(), frames: frames.share(), variable, cursor })
    }
}

#[pymethods]
impl JacobianParts {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<JacobianPart<'py>>> {
        let JacobianParts { expansion, frames, variable, cursor } = self;
        let next = detach(py, || cursor.next_part(expansion, frames.structures()));
        let Some(part) = next.map_err(|e| frames.refuse(e, 0))? else { return Ok(None) };
        let mut blocks: Vec<Memory> =
            (0..=expansion.l_max()).map(|l| Memory::new(part.len_of(expansion, l))).collect::<PyResult<_>>()?;
        detach(py, || {
            let mut slices: Vec<&mut [f64]> = blocks.iter_mut().map(Memory::as_mut_slice).collect();
            part.fill(expansion, frames.structures(), &mut slices)
        })
        .map_err(|e| frames.refuse(e, 0))?;
        let n_rows = part.rows.len();
        let array = |(l, block): (usize, Memory)| {
            block.into_array(py, [n_rows, variable.n_components(), 2 * l + 1, expansion.channels()[l].len()])
        };
        let blocks = blocks.into_iter().enumerate().map(array).collect::<PyResult<_>>()?;
        Ok(Some((blocks, jacobian_rows(py, &part.rows)?)))
    }
}
