"""Potentials: features of atoms and a model of them, fitted to energies, forces and stresses."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from . import _native
from ._accumulation import dataset
from ._base import Parameters
from ._errors import RhobasisError
from ._given_labels import given_labels
from ._html import rows_of_potential, table
from ._matrix import not_fitted
from ._mixed import Features, common_basis, features_of, member_settings, members_of
from ._output import tags_of_frames
from ._pictures import parity
from ._prediction import Prediction
from ._progress import FitProgress, Progress
from ._repulsion import Repulsion, repulsion_of, repulsion_settings
from ._site_models import Gap, Model, model_of, model_settings
from ._stored import expansion_parameters
from .correlations import Invariants
from .density import SphericalExpansion
from .models import KernelRidge
from .optimal import OptimalBasis
from .sensitivity import Sensitivity
from .structure import as_native

if TYPE_CHECKING:
    from typing_extensions import Self

    from .structure import FramesLike, PathLike

__all__ = ["Gap", "Potential", "Prediction"]

_DEFAULT = _native.DEFAULTS
_SIGMAS = ("energy_sigma", "force_sigma", "stress_sigma")

Energies: TypeAlias = Mapping[int, float] | Mapping[str, float] | Mapping[int | str, float]
Baseline: TypeAlias = Literal["least-squares", "isolated-atoms"] | Energies | None


class Potential(Parameters):
    """Energy of a structure as a sum over its atoms, E = Σ_i e(a_i) + Σ_i model(features of atom i), with all that
    follows from it: forces, stress, uncertainty; fitted, saved, loaded, and a calculator for ASE (`rhobasis.ase`).

    Parameters
    ----------
    features : PowerSpectrum, RadialSpectrum, Bispectrum, Nice, or a list of these
        What describes an atom. Columns of several, all of one basis, stand beside each other:
        ``[PowerSpectrum(basis), Bispectrum(basis, q_max=4, l_max=3)]`` describes pairs of neighbours finely and triples
        coarsely. The density is expanded once; `weight` says how much each kind counts.
        Unless they, or their basis, were fitted or loaded before, `fit` fits a copy on the training frames, anew each
        time, `features_`. Rows are divided by their norm if ``normalize=True``; with ``normalize=None``, the default,
        they are for kernels (`Gap`, `KernelRidge`) and are not for `Ridge`.
    model : Ridge, Gap or KernelRidge
        What an energy is of the features; one of

        * `Ridge`: weights for each species of centre, E_i = w · X_i. Here, λ = `alpha` · (largest singular value of the
          weighted rows)² in min |W(Xw − y)|² + λ|w|², so that `alpha` has no unit: 1e-14 to 1e-8 are usual, and
          ``alpha=None`` stands for 1e-12. Of several, the best by cross-validation on the training frames is taken.
          There is no intercept (`fit_intercept` is not looked at): that is what the baseline is.
        * `Gap`: a sparse kernel model.
        * `KernelRidge`: all training environments as sparse points, exact, for energies only: min |W(Kw − y)|² +
          `alpha` wᵀKw, which is the mean of a Gaussian process whose prior standard deviation is 1/√`alpha` eV.

    baseline : {"least-squares", "isolated-atoms"}, dict or None, default "least-squares"
        e(a), which the model does not learn. ``"least-squares"`` of the training energies on the composition;
        ``"isolated-atoms"``, from frames of one atom alone; a dict from species to eV. An atom alone has exactly the
        energy e(a) of these two, and frames of one are not trained on. None for zero: whole energies are learned.

    repulsion : "zbl", dict or None, default "zbl"
        What acts, besides, between atoms that are nearer to each other than any of their species were in training,
        where the model knows nothing. ``"zbl"``: the screened repulsion of nuclei (Ziegler, Biersack, Littmark), whole
        below 0.7 of that distance (or of 0.9 times the sum of the covalent radii, where that is smaller), zero beyond
        it; other fractions as ``{"inner": 0.6, "outer": 0.9}``. None: nothing. Neither the fit nor what is predicted at
        distances of the training set depends on it.

    Notes
    -----
    For scikit-learn this is a regressor from frames to their energies: ``cross_val_score(potential, frames)`` learns
    from all that the frames are labelled with, ``cross_val_score(potential, frames, energies)`` from energies alone,
    and both give the R² of `score`, of energies per atom. `clone` keeps features, and a basis, that were handed over
    fitted.

    Attributes
    ----------
    features_ : Invariants or list of Invariants
        The features that it was fitted with, a list if `features` is one of several, and ``features_.basis_`` their
        basis; `features` stays as it is.
    baseline_ : dict of float
        e(a) by atomic number, in eV.
    species_ : list of int
        Atomic numbers of atoms that it knows, ascending.
    nearest_ : dict of float, or None
        Smallest distance in training of each pair of species, in Å; nearer ones give a warning.
    n_parameters_ : int
        Number of weights, or of sparse points.
    n_features_ : int
        Number of features of an atom.
    alpha_ : float or None
        Of a `Ridge`, the regulariser that was taken; else None.
    condition_number_ : float
        Of the weighted rows of the fit and the regulariser together; NaN for `KernelRidge`.

    Examples
    --------
    >>> import rhobasis as rb
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> frames = [bulk("Cu", cubic=True) for _ in range(8)]
    >>> for k, atoms in enumerate(frames):
    ...     atoms.rattle(0.1, seed=k)
    ...     atoms.calc = EMT()
    ...     _ = atoms.get_forces()  # from now on, the calculator holds energy and forces
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=8), l_max=3, q_max=4)
    >>> potential = rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(alpha=1e-10)).fit(frames)
    >>> prediction = potential.predict(frames)
    >>> bool(abs(prediction.energies[0] - frames[0].get_potential_energy()) < 0.05)
    True
    >>> prediction.forces[0].shape, prediction.stresses.shape
    ((4, 3), (8, 3, 3))
    """

    _parts = ("features",)

    def __init__(
        self,
        features: Features,
        model: Model,
        baseline: Baseline = "least-squares",
        repulsion: Repulsion = "zbl",
    ) -> None:
        self.features = features
        self.model = model
        self.baseline = baseline
        self.repulsion: Repulsion = repulsion

    def fit(
        self,
        frames: FramesLike,
        energies: ArrayLike | None = None,
        *,
        forces: Any = None,
        stresses: ArrayLike | None = None,
        energy_sigma: float | None = _DEFAULT["energy_sigma"],
        force_sigma: float | None = _DEFAULT["force_sigma"],
        stress_sigma: float | None = _DEFAULT["stress_sigma"],
        weights: Mapping[str, Mapping[str, float | None]] | None = None,
        energy_key: str | None = None,
        force_key: str | None = None,
        stress_key: str | None = None,
        virial_key: str | None = None,
        progress: bool = False,
        checkpoint: PathLike | None = None,
        checkpoint_every: float = 60.0,
    ) -> Self:
        """Fits to the energies, forces and stresses of `frames`, whichever each frame has.

        Labels come from `Frames` and files (``info`` and ``arrays``), or from `ase.Atoms`: their `info` and `arrays`,
        and the results of their calculators, which count more; those of other atoms, as a calculator that several share
        has them, are refused. They are looked up under the usual names ``energy``, ``forces``, ``stress``, ``virial``,
        or of `energy_key` …, which some frame must have; "" leaves one out. Labels that are missing or NaN, and
        stresses without full periodicity, are left out with a warning; other warnings tell of a basis that keeps
        little, labels that hardly count, free atoms that no composition tells apart, absurd energies.

        Parameters
        ----------
        frames : Frames, Atoms, list of Atoms, or file names
            What to learn from.
        energies : array_like [frame], optional
            In eV; NaN where there is none. With one of these three, labels of the frames are not looked at.
        forces : list of array_like [atom, 3], or array_like [atom, 3], optional
            In eV/Å, for each frame, None where there are none; or one array over all frames.
        stresses : array_like [frame, 3, 3] or [frame, 6], optional
            In eV/Å³, six in the order xx, yy, zz, yz, xz, xy; NaN where there is none.
        energy_sigma : float or None
            What residuals of energies are divided by, in eV, for a frame of one atom; for N atoms it is √N as much.
            None leaves energies out.
        force_sigma, stress_sigma : float or None
            Likewise for each component of a force, in eV/Å, and of a stress, in eV/Å³.
        weights : dict, optional
            Exceptions by the ``config_type`` of a frame, as in ``{"liquid": {"force_sigma": 0.2}}``.
        energy_key, force_key, stress_key, virial_key : str, optional
            Names of the labels; None for the usual ones, "" to leave one out.
        progress : bool, default False
            Say the memory that the fit will take, and show how far it is.
        checkpoint : path, optional
            A file to which the state is written every `checkpoint_every` seconds, and from which it is continued if it
            is there: same settings, same data, same result to the last bit. It is removed at the end.
        """
        self.__dict__.pop("_potential", None)
        members = members_of(self.features)
        given = energies is not None or forces is not None or stresses is not None
        keys = {"energy_key": energy_key, "force_key": force_key, "stress_key": stress_key, "virial_key": virial_key}
        if given and any(key is not None for key in keys.values()):
            named = ", ".join(name for name, key in keys.items() if key is not None)
            raise RhobasisError(f"{named}: energies, forces and stresses are given as arrays; give one or the other")
        native = as_native(frames, everything=True, lenient=True)
        if len(native) == 0:
            raise RhobasisError("frames = []: there is nothing to learn from; give frames with energies or forces")
        if given:
            labels = given_labels(native, energies, forces, stresses)
        else:
            labels = _native.Labels.of_frames(native, energy_key, force_key, stress_key, virial_key)
        baseline = "none" if self.baseline is None else self.baseline
        settings = {
            "features": [member_settings(member, self.model) for member in members],
            "model": model_settings(self.model),
            "baseline": dict(baseline) if isinstance(baseline, Mapping) else baseline,
            "repulsion": repulsion_settings(self.repulsion),
            "weights": self._weights(native, labels, (energy_sigma, force_sigma, stress_sigma), weights),
        }
        evaluator = common_basis(members, native, labels, settings)._evaluator(native)
        bar = FitProgress(progress)
        self._potential = _native.Potential.fit(
            settings, evaluator, native, labels, bar, checkpoint, float(checkpoint_every)
        )
        bar.done()
        for text in self._potential.warnings():
            warnings.warn(text, UserWarning, stacklevel=2)
        return self

    def _weights(
        self,
        frames: _native.Frames,
        labels: _native.Labels,
        sigmas: Sequence[float | None],
        weights: Mapping[str, Mapping[str, float | None]] | None,
    ) -> dict[str, Any]:
        by_type = {} if weights is None else weights
        if not isinstance(by_type, Mapping) or not all(isinstance(of, Mapping) for of in by_type.values()):
            raise TypeError(
                'weights must be a dict from config_type to a dict of sigmas, as {"liquid": {"force_sigma": 0.2}}, '
                f"not {weights!r}"
            )
        types = sorted(set(_native.config_types(frames)) - {""})
        for name in by_type:
            if name not in types:
                known = f"the frames have {', '.join(types)}" if types else "no frame has one"
                raise RhobasisError(f"weights[{name!r}]: no frame is of this config_type; {known}")
        all_frames = dict(zip(_SIGMAS, sigmas, strict=True))
        n_energies, n_forces, _ = labels.counts()
        if isinstance(self.model, KernelRidge):
            named = [of[name] for of in by_type.values() for name in _SIGMAS[1:] if name in of]
            if any(s is not None for s in named) or any(
                all_frames[name] not in (None, _DEFAULT[name]) for name in _SIGMAS[1:]
            ):
                raise RhobasisError(
                    "force_sigma, stress_sigma: KernelRidge learns from energies only; use Gap or Ridge, or leave "
                    "them out"
                )
        elif (n_energies > 0) != (n_forces > 0):
            name, what = ("force_sigma", "forces") if n_energies else ("energy_sigma", "an energy")
            if any({**all_frames, **of}[name] is not None for of in ({}, *by_type.values())):
                warnings.warn(f"no frame has {what}, which are not learned then; {name}=None says so", stacklevel=3)
        return {**all_frames, "by_type": {name: {**all_frames, **of} for name, of in by_type.items()}}

    def predict(
        self, frames: FramesLike, forces: bool = True, uncertainty: bool = False, interval: float | None = None
    ) -> Prediction:
        """Energies of `frames` and of their atoms; forces, virials and stresses too, unless `forces` is False.

        `uncertainty` adds standard deviations of energies and forces, and the extrapolation of each atom; those of
        forces take tens of times as long as these: leave them out with ``forces=False``. `interval`, a number between 0
        and 1, adds all of this and half widths of intervals that hold this part of the errors, whatever their
        distribution: conformal ones, by the frames that were left out of the fit. Raises `RhobasisError` for species
        that were not in the training set, for structures that cannot be used, and for an interval that these frames
        were too few for.
        """
        native, potential = as_native(frames), self._fitted()
        widths = (None, None) if interval is None else potential.interval(float(interval))
        uncertainty = uncertainty or interval is not None
        energies, of_atoms, adjoint = potential.predict(native, bool(forces))
        of_frames, virials, stresses = (None, None, None) if adjoint is None else adjoint
        if not uncertainty:
            return Prediction(energies, of_atoms, of_frames, virials, stresses, None)
        deviations = np.sqrt(potential.energy_variances(native))
        if not self.calibration_:
            warnings.warn(
                "standard deviations of this potential are not calibrated, and far too small: it was fitted by an "
                "older version, or to fewer than eight different frames; fit it anew",
                UserWarning,
                stacklevel=2,
            )
        of_forces = potential.force_deviations(native) if forces else None
        extrapolation = None if potential.calibration() is None else potential.extrapolation(native)
        told = Prediction(energies, of_atoms, of_frames, virials, stresses, deviations, of_forces, extrapolation)
        if widths[0] is not None:
            told.energy_intervals = widths[0] * deviations
        elif interval is not None:
            warnings.warn(f"interval = {interval}: too few energies were left out of the fit for it", stacklevel=2)
        if widths[1] is not None and of_forces is not None:
            told.forces_intervals = [widths[1] * of_frame for of_frame in of_forces]
        return told

    def supervised(self, q_max: int, supervised: int | Literal["all"] = "all") -> OptimalBasis:
        """The basis of `q_max` functions for each l with which a linear model such as this fits its training set best.

        This potential is a `Ridge` on a `PowerSpectrum` of an optimal basis of more functions (12 are enough as a
        rule), of which those of the new one are combinations. `supervised` says how many of the functions are made so;
        principal functions of the rest follow them, which kernels want: 1 is best for `Gap` and `KernelRidge`. Labels,
        weights and regulariser are those of the fit, of which no frame is seen again.

        ``OptimalBasis(method="supervised")`` does all of it in one call of `fit`.

        >>> import rhobasis as rb
        >>> from ase.build import bulk
        >>> from ase.calculators.emt import EMT
        >>> frames = [bulk("Cu", cubic=True) for _ in range(8)]
        >>> for k, atoms in enumerate(frames):
        ...     atoms.rattle(0.1, seed=k)
        ...     atoms.calc = EMT()
        ...     _ = atoms.get_forces()
        >>> span = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=8), l_max=2, q_max=6)
        >>> potential = rb.Potential(rb.PowerSpectrum(span), rb.Ridge(alpha=1e-8)).fit(frames)
        >>> basis = potential.supervised(q_max=1)
        >>> rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(alpha=1e-8)).fit(frames).n_parameters_
        3
        """
        settings = {"q_max": q_max, "supervised": supervised}
        return OptimalBasis._of_native(self._fitted().supervised(settings)[0])

    def sensitivity(self, frames: FramesLike, progress: bool = False) -> Sensitivity:
        """What the energies of atoms depend on in `frames`: sums of g gᵀ, g = ∂E_i/∂⟨qlm|ρ_i⟩, of an optimal basis.

        A `Sensitivity` gives bases that keep both variance and this, for every l: Eq. (14) goes that way for l = 0.
        Files are streamed.
        """
        native, bar = self._fitted().sensitivity(), Progress("sensitivity", progress)
        for chunk, _, _, fraction in dataset(frames):
            native.add(chunk)
            bar.update(fraction)
        bar.done()
        return Sensitivity(native)

    def score(self, frames: FramesLike, energies: ArrayLike | None = None) -> float:
        """R² of the energies per atom, over the frames that have one: those in the frames, or `energies`."""
        if energies is None:
            native = as_native(frames, everything=True, lenient=True)
            target = _native.Labels.of_frames(native, None, "", "", "").energies()
        else:
            native = as_native(frames)
            target = _native.Labels.given(native, energies, None, None).energies()
        n_atoms = np.array(native.n_atoms())
        known = np.isfinite(target) & (n_atoms > 0)
        if not known.any():
            raise RhobasisError("no frame has an energy: there is nothing to compare with; give energies=…")
        predicted = self._fitted().predict(native, False)[0]
        y, of_model = target[known] / n_atoms[known], predicted[known] / n_atoms[known]
        spread = np.sum((y - y.mean()) ** 2)
        error = np.sum((y - of_model) ** 2)
        if spread == 0:  # as scikit-learn has it
            return float(error == 0)
        return float(1 - error / spread)

    def plot(
        self, frames: FramesLike, energy_key: str | None = None, force_key: str | None = None, axes: Any = None
    ) -> np.ndarray:
        """Draws predicted energies per atom and components of forces against those of `frames`, with their RMSE.

        One picture for energies and one for forces, of what the frames are labelled with, under the usual names or
        under `energy_key` and `force_key`, "" for neither. `axes` holds as many of matplotlib; the axes are returned.
        Raises `RhobasisError` where no frame is labelled, and ImportError without matplotlib (``rhobasis[plot]``).
        """
        native = as_native(frames, everything=True, lenient=True)
        labels = _native.Labels.of_frames(native, energy_key, force_key, "", "")
        energies, _, adjoint = self._fitted().predict(native, labels.counts()[1] > 0)
        return parity(labels, energies, None if adjoint is None else adjoint[0], native.n_atoms(), axes)

    def save(self, path: PathLike) -> None:
        """Writes one file (``*.rho``) with all that it takes, basis included; `rhobasis.load` reads it."""
        self._fitted().save(path)

    @classmethod
    def _of(cls, native: _native.Potential) -> Self:
        settings = json.loads(native.settings())
        baseline = settings["baseline"]
        if isinstance(baseline, dict):
            baseline = {int(z): energy for z, energy in baseline.items()}
        known, model = _features_of(native), model_of(settings["model"])
        potential = cls(known, model, None if baseline == "none" else baseline, repulsion_of(settings))
        potential._potential = native
        return potential

    def _fitted(self) -> _native.Potential:
        potential = self.__dict__.get("_potential")
        if potential is None:
            raise not_fitted(self)
        return potential

    def __sklearn_is_fitted__(self) -> bool:
        return "_potential" in self.__dict__

    def _repr_html_(self) -> str:
        known = self.__sklearn_is_fitted__()
        rows = rows_of_potential(self._fitted()) if known else [("state", "not fitted; call fit(frames)")]
        return table("Potential", self._shown(), rows)

    def __sklearn_clone__(self) -> Self:
        return self._unfitted()

    def __sklearn_tags__(self) -> Any:
        return tags_of_frames("regressor")

    @property
    def features_(self) -> Invariants | list[Invariants]:
        """The features that it was fitted with, on the basis that it was fitted with; of several kinds a list."""
        return _features_of(self._fitted())

    @property
    def baseline_(self) -> dict[int, float]:
        """Energies of free atoms by atomic number, in eV."""
        return self._fitted().baseline()

    @property
    def species_(self) -> list[int]:
        """Atomic numbers of atoms that it knows, ascending."""
        return self._fitted().species()

    @property
    def nearest_(self) -> dict[tuple[int, int], float] | None:
        """Smallest distances in training, in Å, by two atomic numbers, the smaller first; None if not known."""
        return self._fitted().nearest()

    @property
    def n_features_(self) -> int:
        """Number of features of an atom."""
        return self._fitted().n_features()

    @property
    def n_parameters_(self) -> int:
        """Number of weights, or of sparse points."""
        return self._fitted().n_parameters()

    @property
    def alpha_(self) -> float | None:
        """The regulariser that was taken, of a `Ridge`."""
        return self._fitted().alpha()

    @property
    def calibration_(self) -> dict[str, float]:
        """What standard deviations of the posterior are multiplied by, of "energy" and "force", as far as it is known.

        Found by leaving frames out of the fit; empty for `KernelRidge`, and for files of older versions.
        """
        energy, force, *_ = self._fitted().calibration() or (None, None)
        return {name: factor for name, factor in (("energy", energy), ("force", force)) if factor is not None}

    @property
    def left_out_errors_(self) -> dict[str, float]:
        """Root mean square errors of frames that were left out of the fit: "energy" in eV per atom, "force" in eV/Å.

        What a cross-validation would find, as far as basis and regulariser do not depend on the frames that are left
        out. It costs nothing, since `fit` needs it for `calibration_`. Of up to 500 frames; empty as `calibration_` is.
        """
        _, _, energy, force = self._fitted().calibration() or (None, None, None, None)
        return {name: error for name, error in (("energy", energy), ("force", force)) if error is not None}

    @property
    def condition_number_(self) -> float:
        """Condition number of the weighted rows of the fit and the regulariser together; NaN for `KernelRidge`."""
        return self._fitted().condition_number()

    def __getstate__(self) -> dict[str, Any]:
        state = self.get_params(deep=False)
        if "_potential" in self.__dict__:
            state["_potential"] = self._potential.to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_potential" in state:
            self._potential = _native.Potential.from_bytes(state["_potential"])


def _features_of(native: _native.Potential) -> Invariants | list[Invariants]:
    settings = json.loads(native.settings())
    features = settings["features"]
    members = features if isinstance(features, list) else [features]
    return features_of(members, basis_of(native), model_of(settings["model"]), native.nice)


def basis_of(native: _native.Potential | _native.EquivariantRidge) -> OptimalBasis | SphericalExpansion:
    """The basis inside a fitted model."""
    basis = native.basis()
    if basis is not None:
        return OptimalBasis._of_native(basis)
    primitive = native.primitive()
    assert primitive is not None  # the one or the other
    settings, species = primitive
    return SphericalExpansion(species=species, **expansion_parameters(json.loads(settings)))
