//! The covariance and the basis made from it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ndarray::{Array1, Array2};
use numpy::{IntoPyArray, PyArray1, PyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rhobasis::density::{BlockKey, ContractionMatrix};
use rhobasis::extxyz::SourceFile;
use rhobasis::files::Stored;
use rhobasis::optimal::{self, CovarianceSettings, Method, OptimalBasis, PcovrSettings, Task};

use crate::atoms::reals;
use crate::centers::Centers;
use crate::errors::refuse;
use crate::expansion::{
    Adjoints, Coefficients, JacobianParts, Tables, backward, channel_tables, forward, motions, radial_functions,
    radial_integrals, tangent,
};
use crate::settings::{self, Values};
use crate::structure::Frames;
use crate::threads::detach;

/// Accumulates the covariance of the density coefficients.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Covariance {
    inner: Mutex<optimal::Covariance>,
}

#[pymethods]
impl Covariance {
    /// From an object with density, primitive, l_max, spline_accuracy, mixing, center_specific, q_max and retain; the
    /// last two are only checked, before any work is done.
    #[new]
    fn new(settings: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = settings.py();
        let truncation = settings::truncation(settings)?;
        let settings = Values::of(settings)?.read(CovarianceSettings::read)?;
        let inner = detach(py, || optimal::Covariance::new(&settings)).map_err(refuse)?;
        inner.check_truncation(truncation).map_err(refuse)?;
        Ok(Covariance::from(inner))
    }

    /// Adds frames, with a weight per centre or none.
    fn add(&self, py: Python<'_>, frames: &Frames, weights: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let weights: Option<Array1<f64>> =
            weights.map(|w| reals("weights", "one number for each centre", w)).transpose()?;
        let weights = weights.as_ref().and_then(|w| w.as_slice());
        detach(py, || {
            let mut covariance = self.lock();
            let first = covariance.n_structures();
            covariance.add(frames.structures(), weights).map_err(|e| (e, first))
        })
        .map_err(|(e, first)| frames.refuse(e, first))
    }

    /// Notes the (path, frames, sha256) of the files, and the shard (i, n) that was taken of them.
    fn set_files(&self, files: Vec<File>, shard: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let shard = settings::shard(shard)?;
        self.lock().set_files(source_files(files), shard);
        Ok(())
    }

    /// The (path, frames, sha256) of the files.
    fn files(&self) -> Vec<File> {
        files_of(self.lock().files())
    }

    /// The settings as in files (JSON).
    fn settings(&self) -> PyResult<String> {
        to_json(self.lock().settings())
    }

    /// Structures and centres added so far.
    fn counts(&self) -> (usize, usize) {
        let covariance = self.lock();
        (covariance.n_structures(), covariance.kinds().into_iter().map(|kind| covariance.n_centers(kind)).sum())
    }

    /// Adds the sums of another accumulator.
    fn merge(&self, py: Python<'_>, other: &Covariance) -> PyResult<()> {
        detach(py, || {
            let other = optimal::Covariance::from_bytes(&other.lock().to_bytes())?; // one lock at a time
            self.lock().merge(&other)
        })
        .map_err(refuse)
    }

    /// The union of accumulator files.
    #[staticmethod]
    fn merge_files(py: Python<'_>, paths: Vec<PathBuf>) -> PyResult<Self> {
        detach(py, || optimal::Covariance::merge_files(&paths)).map(Covariance::from).map_err(refuse)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detach(py, || self.lock().save(&path)).map_err(refuse)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &detach(py, || self.lock().to_bytes()))
    }

    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        optimal::Covariance::from_bytes(bytes).map(Covariance::from).map_err(refuse)
    }

    /// Writes a checkpoint; frame `next` of the files comes next.
    fn save_checkpoint(
        &self,
        py: Python<'_>,
        path: PathBuf,
        files: Vec<File>,
        shard: Option<&Bound<'_, PyAny>>,
        next: usize,
    ) -> PyResult<()> {
        let task = Task { files: source_files(files), shard: settings::shard(shard)? };
        detach(py, || self.lock().save_checkpoint(&path, &task, next)).map_err(refuse)
    }

    /// Continues from a checkpoint, if there is one: the frame that comes next.
    fn resume(
        &self,
        py: Python<'_>,
        path: PathBuf,
        files: Vec<File>,
        shard: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<usize>> {
        let task = Task { files: source_files(files), shard: settings::shard(shard)? };
        detach(py, || self.lock().resume(&path, &task)).map_err(refuse)
    }

    /// By kind of centre: neighbour species (none of all) and l of each block, and C.
    fn matrices<'py>(&self, py: Python<'py>) -> Matrices<'py> {
        let found = detach(py, || matrices(&self.lock()));
        into_numpy(py, found)
    }

    /// The basis of matrices U by kind of centre, neighbour species (none of all) and l.
    fn basis_of(&self, py: Python<'_>, matrices: Vec<GivenMatrix<'_>>, orthonormalise: bool) -> PyResult<Basis> {
        let z = |z: Option<Bound<'_, PyAny>>| z.map(|z| settings::species("contraction", &z)).transpose();
        let of = |(center, species, l, u): GivenMatrix<'_>| {
            let u: Array2<f64> = reals("contraction", "a matrix of numbers, [q, n], of each block", &u)?;
            Ok(ContractionMatrix { center: z(center)?, species: z(species)?, block: BlockKey::density(l), u })
        };
        let matrices = matrices.into_iter().map(of).collect::<PyResult<Vec<_>>>()?;
        detach(py, || OptimalBasis::from_contraction(&self.lock(), &matrices, orthonormalise))
            .map(|inner| Basis { inner })
            .map_err(refuse)
    }

    /// Diagonalises, and keeps what `q_max` and `retain` of `settings` say.
    fn basis(&self, py: Python<'_>, settings: &Bound<'_, PyAny>) -> PyResult<Basis> {
        let truncation = settings::truncation(settings)?;
        detach(py, || OptimalBasis::from_covariance(&self.lock(), truncation))
            .map(|inner| Basis { inner })
            .map_err(refuse)
    }
}

impl Covariance {
    fn lock(&self) -> MutexGuard<'_, optimal::Covariance> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Species of centres and of neighbours, l, and U.
type GivenMatrix<'py> = (Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>, usize, Bound<'py, PyAny>);

/// Kind of centre, and its blocks: neighbour species, l, C `[n, n]`.
type Matrices<'py> = Vec<(Option<u16>, Vec<(Option<u16>, usize, Bound<'py, PyArray2<f64>>)>)>;

type Blocks = Vec<(Option<u8>, Vec<(Option<u8>, usize, Array2<f64>)>)>;

fn matrices(covariance: &optimal::Covariance) -> Blocks {
    covariance.kinds().into_iter().map(|center| (center, covariance.blocks(center))).collect()
}

fn into_numpy(py: Python<'_>, blocks: Blocks) -> Matrices<'_> {
    let of = |(z, l, matrix): (Option<u8>, usize, Array2<f64>)| (z.map(u16::from), l, matrix.into_pyarray(py));
    blocks.into_iter().map(|(center, blocks)| (center.map(u16::from), blocks.into_iter().map(of).collect())).collect()
}

impl From<optimal::Covariance> for Covariance {
    fn from(covariance: optimal::Covariance) -> Self {
        Covariance { inner: Mutex::new(covariance) }
    }
}

/// Accumulates the covariance, and the regression of energies.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct SupervisedCovariance {
    inner: Mutex<optimal::SupervisedCovariance>,
}

#[pymethods]
impl SupervisedCovariance {
    /// From an object like that of `Covariance`, with gamma.
    #[new]
    fn new(settings: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (py, truncation) = (settings.py(), settings::truncation(settings)?);
        let values = Values::of(settings)?;
        values.read(PcovrSettings::read)?;
        let settings = values.read(CovarianceSettings::read)?;
        let inner = detach(py, || optimal::SupervisedCovariance::new(&settings)).map_err(refuse)?;
        inner.covariance().check_truncation(truncation).map_err(refuse)?;
        Ok(SupervisedCovariance { inner: Mutex::new(inner) })
    }

    /// Adds frames and their energies, in eV.
    fn add(&self, py: Python<'_>, frames: &Frames, energies: &Bound<'_, PyAny>) -> PyResult<()> {
        let energies: Array1<f64> = reals("energies", "one number for each frame", energies)?;
        let energies = energies.as_standard_layout();
        detach(py, || {
            let mut covariance = self.lock();
            let first = covariance.covariance().n_structures();
            covariance.add(frames.structures(), energies.as_slice().unwrap_or(&[])).map_err(|e| (e, first))
        })
        .map_err(|(e, first)| frames.refuse(e, first))
    }

    /// As of `Covariance`.
    fn matrices<'py>(&self, py: Python<'py>) -> Matrices<'py> {
        let found = detach(py, || matrices(self.lock().covariance()));
        into_numpy(py, found)
    }

    /// Notes the (path, frames, sha256) of the files.
    fn set_files(&self, files: Vec<File>) {
        self.lock().set_files(source_files(files));
    }

    /// The basis of Eq. (14) for `gamma`, `q_max` and `retain` of `settings`.
    fn basis(&self, py: Python<'_>, settings: &Bound<'_, PyAny>) -> PyResult<Basis> {
        let (pcovr, truncation) = (Values::of(settings)?.read(PcovrSettings::read)?, settings::truncation(settings)?);
        detach(py, || self.lock().basis(pcovr, truncation)).map(|inner| Basis { inner }).map_err(refuse)
    }
}

impl SupervisedCovariance {
    fn lock(&self) -> MutexGuard<'_, optimal::SupervisedCovariance> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the method of an object like that of `Covariance` is principal covariates regression.
#[pyfunction]
pub(crate) fn is_pcovr(settings: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(matches!(Values::of(settings)?.read(Method::read)?, Method::Pcovr(_)))
}

/// Path, frames, sha256.
pub(crate) type File = (String, usize, String);

pub(crate) fn files_of(files: &[SourceFile]) -> Vec<File> {
    files.iter().map(|f| (f.path.clone(), f.frames, f.sha256.clone())).collect()
}

pub(crate) fn source_files(files: Vec<File>) -> Vec<SourceFile> {
    files.into_iter().map(|(path, frames, sha256)| SourceFile { path, frames, sha256 }).collect()
}

/// Refuses files, known by path, frames and sha256, that an earlier pass has read with other content.
#[pyfunction]
pub(crate) fn check_unchanged(before: Vec<File>, now: Vec<File>) -> PyResult<()> {
    SourceFile::unchanged(&source_files(before), &source_files(now)).map_err(refuse)
}

/// Removes a checkpoint, and what a run that was killed while writing has left of it.
#[pyfunction]
pub(crate) fn remove_checkpoint(path: PathBuf) -> PyResult<()> {
    optimal::remove_checkpoint(&path).map_err(refuse)
}

/// An optimal basis.
#[pyclass(frozen, module = "rhobasis._native")]
pub(crate) struct Basis {
    pub(crate) inner: OptimalBasis,
}

/// Species and l of one contraction, its eigenvalues, and U.
type Block<'py> = (Option<u16>, usize, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>);

#[pymethods]
impl Basis {
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        detach(py, || OptimalBasis::load(&path)).map(|inner| Basis { inner }).map_err(refuse)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detach(py, || self.inner.save(&path)).map_err(refuse)
    }

    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        OptimalBasis::from_bytes(bytes).map(|inner| Basis { inner }).map_err(refuse)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &detach(py, || self.inner.to_bytes()))
    }

    /// The settings as in the basis file (JSON).
    fn settings(&self) -> PyResult<String> {
        to_json(self.inner.settings())
    }

    /// The provenance as in the basis file (JSON).
    fn provenance(&self) -> PyResult<String> {
        to_json(self.inner.provenance())
    }

    fn species(&self) -> Vec<u16> {
        self.inner.species().iter().map(|&z| z.into()).collect()
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings().to_vec()
    }

    /// Largest errors of the splines, of value and derivative; none for tables from a file or exact integrals.
    fn spline_error(&self) -> Option<(f64, f64)> {
        self.inner.expansion().spline_error().map(|e| (e.value, e.derivative))
    }

    /// (centre, number of centres, blocks) of each kind of centre.
    fn kinds<'py>(&self, py: Python<'py>) -> Vec<(Option<u16>, usize, Vec<Block<'py>>)> {
        let block = |b: &optimal::ContractionBlock| {
            let eigenvalues = b.contraction.eigenvalues.clone().into_pyarray(py);
            (b.species.map(u16::from), b.key.lambda, eigenvalues, b.contraction.u.clone().into_pyarray(py))
        };
        let kinds = self.inner.kinds().iter();
        kinds.map(|k| (k.center.map(u16::from), k.n_centers, k.blocks.iter().map(block).collect())).collect()
    }

    fn residual_variance<'py>(
        &self,
        py: Python<'py>,
        center: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let center = center.map(|z| settings::species("center", z)).transpose()?;
        if center.is_some() {
            self.inner.kind(center).map_err(refuse)?;
        }
        Ok(self.inner.residual_variance(center).into_pyarray(py))
    }

    fn discarded_variance(&self) -> f64 {
        self.inner.discarded_variance()
    }

    /// Functions (`[x, q]` for each l) of neighbours of `species` around `center`.
    fn radial_functions<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        species: &Bound<'py, PyAny>,
        center: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Tables<'py>> {
        radial_functions(py, &self.radial(species, center)?, x)
    }

    /// Integrals ⟨aql|r; g⟩ and their derivatives (`[r, q]` for each l).
    fn radial_integrals<'py>(
        &self,
        py: Python<'py>,
        r: &Bound<'py, PyAny>,
        species: &Bound<'py, PyAny>,
        center: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Tables<'py>, Tables<'py>)> {
        radial_integrals(py, &self.radial(species, center)?, r)
    }

    /// featomic's hyperparameters by neighbour species (JSON).
    fn to_featomic(&self, py: Python<'_>, center: Option<&Bound<'_, PyAny>>, accuracy: f64) -> PyResult<String> {
        let center = center.map(|z| settings::species("center", z)).transpose()?;
        to_json(&detach(py, || self.inner.to_featomic(center, accuracy)).map_err(refuse)?.by_species)
    }

    fn forward<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        centers: Option<Bound<'py, Centers>>,
        single: bool,
        ignore_unknown: bool,
    ) -> PyResult<Coefficients<'py>> {
        forward(py, self.inner.expansion(), frames, centers.as_ref(), [single, ignore_unknown])
    }

    fn backward<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        gradient: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Adjoints<'py>> {
        backward(py, self.inner.expansion(), frames, &gradient)
    }

    fn tangent<'py>(
        &self,
        py: Python<'py>,
        frames: &Frames,
        velocities: &Bound<'py, PyAny>,
        strain: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Coefficients<'py>> {
        tangent(py, self.inner.expansion(), frames, &motions(frames, velocities, strain)?)
    }

    fn jacobian(&self, frames: &Frames, by: &str, most_bytes: Option<usize>) -> PyResult<JacobianParts> {
        JacobianParts::new(self.inner.expansion(), frames, by, most_bytes)
    }

    /// (species, n) of the channels of each l.
    fn channels<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyArray2<i64>>>> {
        channel_tables(py, self.inner.expansion())
    }
}

impl Basis {
    pub(crate) fn expansion(&self) -> &rhobasis::density::SphericalExpansion {
        self.inner.expansion()
    }

    fn radial(
        &self,
        species: &Bound<'_, PyAny>,
        center: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<rhobasis::density::RadialIntegrals> {
        let center = center.map(|z| settings::species("center", z)).transpose()?;
        self.inner.radial_integrals(center, settings::species("species", species)?).map_err(refuse)
    }
}

/// As in files.
pub(crate) fn to_json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|e| crate::errors::RhobasisError::new_err(e.to_string()))
}
