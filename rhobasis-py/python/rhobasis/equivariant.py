"""Models of tensors, such as dipoles and polarisabilities, linear in equivariants of the same degree."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _native
from ._base import Parameters
from ._errors import RhobasisError
from ._matrix import not_fitted
from ._output import tags_of_frames
from .nice import Nice
from .potential import basis_of
from .structure import Frames, as_native

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typing_extensions import Self

    from .structure import FramesLike, PathLike

__all__ = ["EquivariantRidge"]

_SHAPES: dict[str, tuple[int, ...]] = {"dipole": (3,), "polarizability": (3, 3)}
_VOIGT = [[0, 5, 4], [5, 1, 3], [4, 3, 2]]


class EquivariantRidge(Parameters):
    """A tensor of a structure as a sum over its atoms, linear in their equivariants of σ = +1 and the same degree λ:

        T^λ_μ = Σ_i Σ_k w^λ_{a_i,k} V^λ_{i,k,μ}        over the channels k of all orders ν = 1 … nu_max of NICE

    with weights for each species of centre, by ridge regression for each λ. It turns and is inverted with the
    structure, exactly, and does not change where the structure is moved as a whole. So labels must not either: dipoles
    of neutral structures, or of ions about their centre of mass.

    Parameters
    ----------
    nice : Nice
        With ``all_equivariants=True``. Unless it was fitted or loaded before, `fit` fits a copy, `nice_`.
    target : {"dipole", "polarizability"}, default "dipole"
        ``"dipole"``, a vector (λ = 1), or ``"polarizability"``, a symmetric matrix (λ = 0 and 2; of the first, a
        least-squares contribution of each species is taken off, and not learned).
    alpha : float or list of float, optional
        Regulariser relative to the largest singular value squared of the sums of V; of several, the best for each λ by
        five folds, which keep frames that repeat together. None stands for 1e-12, 1e-10, 1e-8, 1e-6 and 1e-4.
    solver : {"qr", "cholesky"}, default "qr"
        ``"qr"`` of the rows, or ``"cholesky"`` of the normal equations: half the work, fewer digits.

    Notes
    -----
    The fit keeps, for each λ and fold, a triangle of the n weights: 8 n (n + max(n, 512)) bytes, whatever the number of
    frames. For scikit-learn this is a regressor from frames to tensors.

    Attributes
    ----------
    nice_ : Nice
        The iteration that was used, and ``nice_.basis_`` its basis.
    weights_ : dict of ndarray
        For each λ [species, channel], in the order of `species_`, channels of all orders, ν slowest.
    alpha_ : dict of float
        For each λ, the regulariser that was taken.
    condition_number_ : dict of float
        For each λ, of the rows and the regulariser together.
    baseline_ : dict of float
        Of a polarisability, the contribution of each species to λ = 0 by atomic number; else empty.
    species_ : list of int
        Atomic numbers of atoms that it knows, ascending.
    n_parameters_ : int
        Number of weights.

    Examples
    --------
    >>> import numpy as np
    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> frames = [molecule("H2O") for _ in range(30)]
    >>> for k, atoms in enumerate(frames):
    ...     atoms.rattle(0.05, seed=k)
    ...     atoms.info["dipole"] = np.array([-0.6, 0.3, 0.3]) @ atoms.positions  # eÅ
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=2, q_max=4, mixing="combined")
    >>> nice = rb.Nice(basis, nu_max=2, all_equivariants=True)
    >>> model = rb.EquivariantRidge(nice, target="dipole").fit(frames)
    >>> bool(np.abs(model.predict(frames)[3] - frames[3].info["dipole"]).max() < 0.01)
    True
    >>> model.derivatives(frames[:1])[0].shape  # Born charges: [atom, component of the dipole, x y z of the atom]
    (3, 3, 3)
    """

    _parts = ("nice",)

    def __init__(
        self,
        nice: Nice,
        target: Literal["dipole", "polarizability"] = "dipole",
        alpha: float | Sequence[float] | None = None,
        solver: Literal["qr", "cholesky"] = "qr",
    ) -> None:
        self.nice = nice
        self.target = target
        self.alpha = alpha
        self.solver = solver

    def fit(
        self,
        frames: FramesLike,
        tensors: ArrayLike | None = None,
        *,
        dipole_key: str | None = None,
        polarizability_key: str | None = None,
    ) -> Self:
        """Fits to `tensors`, [frame, 3] of dipoles, [frame, 3, 3] or [frame, 6] (xx, yy, zz, yz, xz, xy) of
        polarisabilities, rows of NaN where there is none; by default to those in the frames.

        In frames they are under ``dipole`` or ``polarizability`` of the comment line, of `atoms.info` or of the results
        of a calculator, or under the key that is given. Frames without are left out, with a warning.
        """
        self.__dict__.pop("_fitted_model", None)
        nice = self._checked_nice()
        native = as_native(frames, everything=True, lenient=True)
        keys = {"dipole": dipole_key, "polarizability": polarizability_key}
        labels = self._labels(native, tensors, keys)
        if not nice.__sklearn_is_fitted__():
            nice = nice._unfitted().fit(Frames(native))
        settings = {"target": self.target, "alpha": self.alpha, "solver": self.solver}
        evaluator = nice.basis_._evaluator(native)
        self._fitted_model = _native.EquivariantRidge.fit(settings, evaluator, nice._fitted_native(), native, labels)
        for text in self._fitted_model.warnings():
            warnings.warn(text, UserWarning, stacklevel=2)
        return self

    def _checked_nice(self) -> Nice:
        nice = self.nice
        if not isinstance(nice, Nice):
            raise TypeError(f"nice must be a rhobasis.Nice with all_equivariants=True, not {nice!r}")
        if not nice.all_equivariants:
            raise RhobasisError(
                f"nice = {nice!r}: of order {nice.nu_max} it keeps only invariants, and a tensor is made of "
                "equivariants; make it with all_equivariants=True"
            )
        of_features = {"normalize": (None, False), "weight": (1,), "by_species": (False,)}
        of_features |= dict.fromkeys(("q_max", "l_max", "reduce"), (None,))
        for name, plain in of_features.items():
            if getattr(nice, name) not in plain:
                raise RhobasisError(
                    f"{name} = {getattr(nice, name)!r} of nice: it is for features, and equivariants are those of the "
                    "whole basis, as they are; leave it out"
                )
        return nice

    def _shape(self) -> tuple[int, ...]:
        if self.target not in _SHAPES:
            raise RhobasisError(f"target = {self.target!r}: use one of {', '.join(map(repr, _SHAPES))}")
        return _SHAPES[self.target]

    def _labels(self, native: _native.Frames, tensors: Any, keys: dict[str, str | None]) -> np.ndarray:
        """[frame, component], NaN where there is none."""
        shape = self._shape()
        for target, key in keys.items():
            if key is not None and (target != self.target or tensors is not None):
                why = "tensors are given as an array" if target == self.target else f"the target is {self.target!r}"
                raise RhobasisError(f"{target}_key = {key!r}: {why}; leave it out")
        if tensors is None:
            return _native.tensor_labels(native, self.target, keys[self.target])
        given = np.asarray(tensors, dtype=float)
        if self.target == "polarizability" and given.shape == (len(native), 6):
            given = given[:, _VOIGT]
        if given.shape != (len(native), *shape):
            raise RhobasisError(
                f"tensors has the shape {given.shape}: {(len(native), *shape)} is needed, one for each frame"
            )
        if self.target == "polarizability":
            _check_symmetry(given)
        return given.reshape(len(native), -1)

    def predict(self, frames: FramesLike) -> np.ndarray:
        """Dipoles [frame, 3], or polarisabilities [frame, 3, 3], in the unit of the labels."""
        values = self._fitted().predict(as_native(frames))
        return values.reshape(len(values), *self._shape_of_fit())

    def derivatives(self, frames: FramesLike) -> list[np.ndarray]:
        """Derivatives of the tensor by the positions of the atoms, for each frame: of dipoles [atom, α, β], the Born
        charges ∂μ_α/∂r_β in e; of polarisabilities [atom, α, β, γ], ∂α_{αβ}/∂r_γ.

        They add up to zero over the atoms, as nothing changes where all move together. Each component costs the adjoint
        of its own.
        """
        arrays = self._fitted().derivatives(as_native(frames))
        return [array.reshape(len(array), *self._shape_of_fit(), 3) for array in arrays]

    def score(
        self,
        frames: FramesLike,
        tensors: ArrayLike | None = None,
        *,
        dipole_key: str | None = None,
        polarizability_key: str | None = None,
    ) -> float:
        """R² over all components of the frames that have a tensor: 1 − Σ(error)² / Σ(difference from the mean)²."""
        native = as_native(frames, everything=True, lenient=True)
        keys = {"dipole": dipole_key, "polarizability": polarizability_key}
        labels = self._labels(native, tensors, keys)
        known = np.isfinite(labels).all(axis=1)
        if not known.any():
            raise RhobasisError(f"no frame has a {self.target}: there is nothing to compare with")
        predicted = self._fitted().predict(native)
        error = np.sum((predicted[known] - labels[known]) ** 2)
        spread = np.sum((labels[known] - labels[known].mean(axis=0)) ** 2)
        if spread == 0:  # as scikit-learn has it
            return float(error == 0)
        return float(1 - error / spread)

    def save(self, path: PathLike) -> None:
        """Writes one file (``*.rho``) with all that it takes, basis and NICE included; `rhobasis.load` reads it."""
        self._fitted().save(path)

    @classmethod
    def _of(cls, native: _native.EquivariantRidge) -> Self:
        settings = json.loads(native.settings())
        made = cls(Nice._of_native(native.nice(), basis_of(native), {}), **settings)
        made._fitted_model = native
        return made

    def _fitted(self) -> _native.EquivariantRidge:
        fitted: _native.EquivariantRidge | None = self.__dict__.get("_fitted_model")
        if fitted is None:
            raise not_fitted(self)
        return fitted

    def _shape_of_fit(self) -> tuple[int, ...]:
        return _SHAPES[json.loads(self._fitted().settings())["target"]]

    def __sklearn_is_fitted__(self) -> bool:
        return "_fitted_model" in self.__dict__

    def __sklearn_clone__(self) -> Self:
        return self._unfitted()

    def __sklearn_tags__(self) -> Any:
        return tags_of_frames("regressor")

    @property
    def nice_(self) -> Nice:
        """The iteration that it was fitted with, on the basis that it was fitted with."""
        native = self._fitted()
        return Nice._of_native(native.nice(), basis_of(native), {})

    @property
    def weights_(self) -> dict[int, np.ndarray]:
        """Weights [species, channel] of each λ."""
        return {lam: weights for lam, weights, _, _ in self._fitted().parts()}

    @property
    def alpha_(self) -> dict[int, float]:
        """The regulariser that was taken for each λ."""
        return {lam: alpha for lam, _, alpha, _ in self._fitted().parts()}

    @property
    def condition_number_(self) -> dict[int, float]:
        """Condition number of the rows of the fit and the regulariser together, for each λ."""
        return {lam: condition for lam, _, _, condition in self._fitted().parts()}

    @property
    def baseline_(self) -> dict[int, float]:
        """What each species contributes to λ = 0, the trace over √3, before anything is learned."""
        return self._fitted().baseline()

    @property
    def species_(self) -> list[int]:
        """Atomic numbers of atoms that it knows, ascending."""
        return self._fitted().species()

    @property
    def n_parameters_(self) -> int:
        """Number of weights."""
        return sum(weights.size for weights in self.weights_.values())

    def __getstate__(self) -> dict[str, Any]:
        state = self.get_params(deep=False)
        if "_fitted_model" in self.__dict__:
            state["_fitted_model"] = self._fitted_model.to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_fitted_model" in state:
            self._fitted_model = _native.EquivariantRidge.from_bytes(state["_fitted_model"])


def _check_symmetry(tensors: np.ndarray) -> None:
    """As the labels of files: rounding, 1e-3 of the largest component, is no asymmetry."""
    with np.errstate(invalid="ignore"):  # infinite numbers are refused later
        difference = np.abs(tensors - tensors.transpose(0, 2, 1)).max(axis=(1, 2))
    wrong = np.flatnonzero(difference > 1e-3 * np.abs(tensors).max(axis=(1, 2)))
    if len(wrong):
        raise RhobasisError(
            f"tensors of frame {wrong[0]} is not symmetric: two components differ by {difference[wrong[0]]:.3g}; give "
            "symmetric matrices"
        )
