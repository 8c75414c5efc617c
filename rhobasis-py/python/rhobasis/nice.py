"""NICE: invariants of one to ν neighbours at a time, chosen by data, and the equivariants they are made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _native
from ._errors import NotFittedError
from .correlations import Invariants
from .density import _CENTERS, Evaluator
from .structure import Frames, as_native

if TYPE_CHECKING:
    from os import PathLike

    from typing_extensions import Self

    from .structure import FramesLike

_ACCOUNT = [
    "full",
    "inherited",
    "lambda",
    "choice",
    "contraction",
    "kept",
    "invariants",
    "invariants_choice",
    "invariants_contraction",
    "invariants_kept",
]


class EquivariantBlocks:
    """Equivariants of atoms, by how they turn: with σ = ±1 under inversion beyond (−1)^λ, as harmonics of degree λ.

    ``blocks[sigma, lam]`` has axes [center, μ, channel], μ = −λ … λ; `centers` says what the rows are, as for
    `Equivariants`.
    """

    def __init__(self, blocks: dict[tuple[int, int], np.ndarray], centers: np.ndarray) -> None:
        self.blocks = blocks
        self.centers = centers

    def __len__(self) -> int:
        return len(self.centers)

    def __getitem__(self, key: tuple[int, int]) -> np.ndarray:
        return self.blocks[key]

    def __repr__(self) -> str:
        shown = ", ".join(f"({s:+d}, {lam}): {b.shape[2]}" for (s, lam), b in self.blocks.items())
        return f"EquivariantBlocks({len(self)} centers, channels {{{shown}}})"


class Nice(Invariants):
    """Invariants of one to ν neighbours at a time (N-body iteration of contracted equivariants), Eqs. (16), (17).

    Order by order, equivariants of two lower orders are multiplied:

        |ρ^ν; σλμ⟩ = Σ ⟨lm; l'm'|λμ⟩ |ρ^a; s l m⟩ |ρ^b; s' l' m'⟩,   ν = a + b,   σ = s s' (−1)^(l + l' + λ)

    There are far too many of them. `fit` looks, for each order, at the products of those pairs whose variances are the
    largest, and keeps of these the ones that a pivoted Cholesky factorisation of their covariance picks. Of the
    invariant products (σ = 1, λ = 0) the ones picked are features, combined so that they are nearly the principal
    components of all. What was lost at each step is known: `audit_`.

    Parameters
    ----------
    basis : `OptimalBasis` or `SphericalExpansion`.
    nu_max : largest order ν.
    lambda_max : largest λ of equivariants; None for l_max of the basis.
    n_candidates : pairs looked at, for each order and parity.
    n_equivariants : equivariants kept of each order and (σ, λ).
    n_invariant_candidates, n_invariants : invariant products looked at, and features kept, of each order.
    choice : how pairs are ranked: by "variance"; "per-channel", variances relative to those of their σ and λ; or
        "degree", the lowest n + l first.
    selection : "cholesky" keeps products, "pca" principal components of them: several times slower.
    split : of which orders ν is made: "density", ν − 1 and 1; "balanced", two halves, which needs fewer equivariants.
    n_centers : atoms it is fitted to, a sample that depends neither on the order of the frames nor on their cut.
    unit_density : divide coefficients by the root of their mean squared norm, so that all orders are of one size.
    normalize, q_max, l_max, weight : as for all `Invariants`.
    all_equivariants : keep equivariants of every order, the last one too: not for features, but for `EquivariantRidge`.

    Columns are (ν, k): the coefficients of l = 0 first, then the features of each order by falling variance.

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> frames = [molecule(name) for name in ["H2O", "CH3OH", "CH4", "NH3"]]
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=3, q_max=6, mixing="combined")
    >>> nice = rb.Nice(basis, nu_max=4, n_equivariants=5, n_invariants=6).fit(frames)
    >>> nice.transform(frames).shape
    (18, 24)
    >>> nice.equivariants(frames, nu=2)[-1, 1].shape  # vectors that do not change sign under inversion
    (18, 3, 5)
    """

    _kind = "nice"

    def __init__(
        self,
        basis: Evaluator,
        nu_max: int = 3,
        lambda_max: int | None = None,
        n_candidates: int = 1000,
        n_equivariants: int = 100,
        n_invariant_candidates: int = 5000,
        n_invariants: int = 500,
        choice: Literal["variance", "per-channel", "degree"] = "variance",
        selection: Literal["cholesky", "pca"] = "cholesky",
        split: Literal["density", "balanced"] = "density",
        n_centers: int = 10_000,
        unit_density: bool = True,
        normalize: bool | None = None,
        q_max: int | None = None,
        l_max: int | None = None,
        weight: float = 1.0,
        all_equivariants: bool = False,
    ) -> None:
        self.basis = basis
        self.nu_max = nu_max
        self.lambda_max = lambda_max
        self.n_candidates = n_candidates
        self.n_equivariants = n_equivariants
        self.n_invariant_candidates = n_invariant_candidates
        self.n_invariants = n_invariants
        self.choice = choice
        self.selection = selection
        self.split = split
        self.n_centers = n_centers
        self.unit_density = unit_density
        self.all_equivariants = all_equivariants
        self.normalize = normalize
        self.q_max = q_max
        self.l_max = l_max
        self.weight = weight

    _OWN = (
        "nu_max",
        "lambda_max",
        "n_candidates",
        "n_equivariants",
        "n_invariant_candidates",
        "n_invariants",
        "choice",
        "selection",
        "split",
        "n_centers",
        "unit_density",
        "all_equivariants",
    )

    def fit(self, frames: FramesLike, y: Any = None) -> Self:
        """Fits a copy of `basis`, unless that is fitted, and chooses products by the atoms of `frames`."""
        native = as_native(frames, everything=y is None, lenient=True)  # once: they may be an iterator
        self.__dict__.pop("_fitted_nice", None)
        super().fit(Frames(native), y)
        evaluator = self._used_basis()._evaluator(native)
        self._fitted_nice = _native.Nice.fit(self._settings(bool(self.normalize)), evaluator, native)
        self.__dict__.pop("_cached", None)
        return self

    def _fitted_native(self) -> _native.Nice:
        fitted: _native.Nice | None = self.__dict__.get("_fitted_nice")
        if fitted is None:
            raise NotFittedError("this Nice has not been fitted; call fit(frames) first")
        return fitted

    def __sklearn_is_fitted__(self) -> bool:
        return super().__sklearn_is_fitted__() and "_fitted_nice" in self.__dict__

    def _twin(self) -> Self:
        twin = super()._twin()
        if "_fitted_nice" in self.__dict__:
            twin._fitted_nice = self._fitted_nice
        return twin

    def _settings(self, normalize: bool) -> dict[str, Any]:
        settings = super()._settings(normalize) | {name: getattr(self, name) for name in self._OWN}
        fitted = self.__dict__.get("_fitted_nice")
        return settings if fitted is None else settings | {"fitted": fitted}

    def _native(self, frames: _native.Frames | None) -> _native.Invariants:
        self._fitted_native()
        return super()._native(frames)

    def equivariants(self, frames: FramesLike, nu: int) -> EquivariantBlocks:
        """Equivariants of order ν of all atoms of `frames`.

        Raises `RhobasisError` for an order of which only invariants are made, as the last one is unless
        `all_equivariants`.
        """
        native = as_native(frames)
        evaluator = self._used_basis()._evaluator(native)
        keys, blocks, centers = self._fitted_native().equivariants(evaluator, native, nu)
        return EquivariantBlocks(dict(zip(keys, blocks, strict=True)), centers.view(_CENTERS)[:, 0])

    @property
    def audit_(self) -> np.ndarray:
        """What each order from 2 on keeps and has lost: a structured array of mean squared norms.

        ``full`` = (|ρ¹|²)^ν = ``inherited`` (lost at lower orders) + ``lambda`` (beyond λ_max) + ``choice`` (pairs
        that were not looked at) + ``contraction`` (products that are not kept) + ``kept``; zero from ``lambda`` on
        where an order has no equivariants. ``invariants`` = ``invariants_choice`` + ``invariants_contraction`` +
        ``invariants_kept``: of all invariant products of what is left of the two factors.
        """
        rows = [(nu, *parts) for nu, parts in self._fitted_native().audit()]
        return np.array(rows, dtype=[("nu", int), *((name, float) for name in _ACCOUNT)])

    @property
    def variances_(self) -> list[np.ndarray]:
        """Variances of the features of each order from 2 on, over the atoms it was fitted to."""
        return self._fitted_native().variances()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns, nu1_0, …, nu2_0, …; `input_features` is not looked at."""
        return np.array([f"nu{nu}_{k}" for nu, k in self.columns_.tolist()], dtype=object)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the products that were chosen (``*.nice``), for `Nice.load` and ``rhobasis features --nice``."""
        self._fitted_native().save(path)

    @classmethod
    def load(cls, path: str | PathLike[str], basis: Evaluator, **parameters: Any) -> Self:
        """What `save` has written, with the basis that it was fitted with.

        `parameters` are `normalize`, `q_max`, `l_max` and `weight`, which the file does not hold.
        """
        return cls._of_native(_native.Nice.load(path), basis, parameters)

    @classmethod
    def _of_native(cls, native: _native.Nice, basis: Evaluator, parameters: dict[str, Any]) -> Self:
        made = cls(basis, **json.loads(native.settings()), **parameters)
        made._fitted_nice = native
        return made
