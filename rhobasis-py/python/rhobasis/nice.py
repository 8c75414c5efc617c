"""NICE: invariants of one to ν neighbours at a time, chosen by data, and the equivariants they are made of."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _native
from ._accumulation import dataset
from ._centers import CENTERS
from ._errors import NotFittedError, RhobasisError, warn_of
from ._progress import Progress
from .correlations import Invariants, Reduce
from .density import Evaluator
from .structure import Frames, as_native, streamed_files

if TYPE_CHECKING:
    from typing_extensions import Self

    from .structure import FramesLike, PathLike

_ACCOUNT = [
    "full",
    "inherited",
    "lambda",
    "choice",
    "contraction",
    "kept",
    "invariants",
    "invariants_choice",
    "invariants_purified",
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
    basis : OptimalBasis or SphericalExpansion
        Whose coefficients are multiplied.
    nu_max : int, default 3
        Largest order ν.
    lambda_max : int, optional
        Largest λ of equivariants; None for l_max of the basis.
    n_candidates : int, default 1000
        Pairs looked at, for each order and parity.
    n_equivariants : int, default 100
        Equivariants kept of each order and (σ, λ).
    n_invariant_candidates, n_invariants : int
        Invariant products looked at, and features kept, of each order.
    choice : {"variance", "per-channel", "degree"}, default "variance"
        How pairs are ranked: by "variance"; "per-channel", variances relative to those of their σ and λ; or "degree",
        the lowest n + l first.
    selection : {"cholesky", "pca"}, default "cholesky"
        "cholesky" keeps products, "pca" principal components of them: several times slower.
    split : {"density", "balanced"}, default "density"
        Of which orders ν is made: "density", ν − 1 and 1; "balanced", two halves, which needs fewer equivariants.
    sequence : {"shared", "per-species"}, default "shared"
        "shared", the same products for all centres; or "per-species", for centres of each species products that are
        chosen by its atoms alone. Zeros complete the columns of species that have fewer.
    purify : bool, default False
        Take out of the features of each order what is linear in those of lower orders: over the atoms it is fitted to,
        they are then uncorrelated with these.
    rotate : bool, default True
        Combine the invariants that are chosen so that their covariance is diagonal. Without, features are the products
        themselves: made in a sixth of the time, and as good for ridge regression. For "cholesky" only; what "degree"
        chooses is never rotated.
    n_centers : int, default 10000
        Atoms (of each species, if "per-species") it is fitted to, a sample that depends neither on the order of the
        frames nor on their cut.
    unit_density : bool, default True
        Divide coefficients by the root of their mean squared norm, so that all orders are of one size.
    normalize, q_max, l_max, weight, reduce, by_species
        As for all `Invariants`.
    all_equivariants : bool, default False
        Keep equivariants of every order, the last one too: not for features, but for `EquivariantRidge`.

    Notes
    -----
    Columns are (ν, k): the coefficients of l = 0 first, then the features of each order, by falling variance where they
    are rotated.

    Examples
    --------
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
        sequence: Literal["shared", "per-species"] = "shared",
        purify: bool = False,
        rotate: bool = True,
        n_centers: int = 10_000,
        unit_density: bool = True,
        normalize: bool | None = None,
        q_max: int | None = None,
        l_max: int | None = None,
        weight: float = 1.0,
        all_equivariants: bool = False,
        reduce: Reduce | None = None,
        by_species: bool = False,
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
        self.sequence = sequence
        self.purify = purify
        self.rotate = rotate
        self.n_centers = n_centers
        self.unit_density = unit_density
        self.all_equivariants = all_equivariants
        self.normalize = normalize
        self.q_max = q_max
        self.l_max = l_max
        self.weight = weight
        self.reduce = reduce
        self.by_species = by_species

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
        "sequence",
        "purify",
        "rotate",
        "n_centers",
        "unit_density",
        "all_equivariants",
    )

    def fit(
        self,
        frames: FramesLike,
        y: Any = None,
        progress: bool = False,
        checkpoint: PathLike | None = None,
        checkpoint_every: float = 60.0,
    ) -> Self:
        """Fits a copy of `basis`, unless that is fitted, and chooses products by the atoms of `frames`.

        Files are streamed.
        With `checkpoint`, the sample of atoms is written to that file every `checkpoint_every` seconds, and later each
        order that is fitted to it; both are continued from if it is there: same basis, same settings, same data, same
        result to the last bit. It is removed at the end.
        """
        if streamed_files(frames) is None:
            frames = Frames(as_native(frames, everything=y is None, lenient=True))  # once: they may be an iterator
        self._forget()
        super().fit(frames, y)
        sample = self._empty_sample()
        kept = self._add_to(sample, frames, None, progress, checkpoint, checkpoint_every)
        self._fitted_nice = sample.fit(self._plain_settings(), kept)
        if checkpoint is not None:
            _native.remove_nice_checkpoint(checkpoint)
        return self

    def partial_fit(self, frames: FramesLike, y: Any = None) -> Self:
        """Adds frames to those whose atoms choose the products, which is done when they are first asked for.

        The basis must be fitted before. The result has the same bits however the frames were cut into calls.

        >>> import rhobasis as rb
        >>> from ase.build import molecule
        >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=2, q_max=3, mixing="combined")
        >>> basis = basis.fit([molecule("H2O"), molecule("CH4")])
        >>> nice = rb.Nice(basis, n_equivariants=3, n_invariants=3)
        >>> nice.partial_fit(molecule("H2O")).partial_fit(molecule("CH4")).transform(molecule("H2O")).shape
        (3, 9)
        """
        sample = self.__dict__.get("_sample")
        if sample is None:
            if "_fitted_nice" in self.__dict__:
                raise RhobasisError(
                    "partial_fit: these products were chosen already, and the atoms that chose them are not kept; "
                    "call fit with all frames, or clone this first"
                )
            sample = self._empty_sample()
        else:
            sample.check_basis(self._own_evaluator())
            before = {"n_centers": sample.counts()[2], "sequence": sample.sequence()}
            for name, value in before.items():
                if getattr(self, name) != value:
                    raise RhobasisError(
                        f"{name} = {getattr(self, name)}: it was {value} where the sample was begun; set it back"
                    )
        for chunk, _, _, _ in dataset(frames, in_parts=False):
            sample.add(chunk)
        self._sample = sample
        self.__dict__.pop("_fitted_nice", None)
        self.__dict__.pop("_cached", None)
        return self

    def accumulate(
        self,
        frames: FramesLike,
        output: PathLike,
        shard: tuple[int, int] | None = None,
        progress: bool = False,
        checkpoint: PathLike | None = None,
        checkpoint_every: float = 60.0,
    ) -> None:
        """Writes a sample of the atoms of `frames` to a file (``*.sample``), for `merge`; the basis must be fitted.

        `shard` = (i, n) takes only part i = 1 … n of the frames, those with index mod n = i − 1. `checkpoint` as in
        `fit`. Of the parameters only `basis`, `n_centers` and `sequence` matter.

        >>> import rhobasis as rb
        >>> from ase.build import molecule
        >>> frames = [molecule(name) for name in ("H2O", "CH4", "NH3")]
        >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=2, q_max=3, mixing="combined")
        >>> nice = rb.Nice(basis.fit(frames), n_equivariants=5, n_invariants=6)
        >>> for i in (1, 2):
        ...     nice.accumulate(frames, f"part-{i}.sample", shard=(i, 2))
        >>> merged = rb.Nice.merge(["part-1.sample", "part-2.sample"], basis, n_equivariants=5, n_invariants=6)
        >>> bool((merged.transform(frames) == nice.fit(frames).transform(frames)).all())
        True
        """
        sample = self._empty_sample()
        self._add_to(sample, frames, shard, progress, checkpoint, checkpoint_every)
        sample.save(output)
        if checkpoint is not None:
            _native.remove_nice_checkpoint(checkpoint)

    @classmethod
    def merge(cls, parts: Sequence[PathLike], basis: Evaluator, **parameters: Any) -> Self:
        """Fitted to the atoms of sample files: all shards of one data set, or samples of different data.

        It is the fit to all frames, to the last bit. `parameters` are those of the class; `n_centers` and `sequence`
        are those of the files. Missing or repeated shards are refused, and so is a basis that the samples were not
        taken with.
        """
        names = [os.fspath(part) for part in parts]
        sample = _native.NiceSample.merge_files(names)
        for name in names:
            warn_of(name)
        made = cls(basis, **({"n_centers": sample.counts()[2], "sequence": sample.sequence()} | parameters))
        made._adopt(sample)
        return made

    def _adopt(self, sample: _native.NiceSample) -> None:
        """Fits to a sample."""
        sample.check_basis(self._own_evaluator())
        self._forget()
        self._fitted_nice = sample.fit(self._plain_settings(), None)

    def _own_evaluator(self) -> _native.Expansion | _native.Basis:
        basis = self.basis_
        basis._check_species()
        return basis._evaluator(_native.Frames.from_atoms([], False))

    def _empty_sample(self) -> _native.NiceSample:
        return _native.NiceSample(self._own_evaluator(), self._plain_settings())

    def _add_to(
        self,
        sample: _native.NiceSample,
        frames: FramesLike,
        shard: tuple[int, int] | None,
        progress: bool,
        checkpoint: PathLike | None,
        checkpoint_every: float,
    ) -> tuple[PathLike, list[tuple[str, int, str]], tuple[int, int] | None, int] | None:
        """Adds frames; the checkpoint that holds them, if there is to be one."""
        data = dataset(frames, shard)
        following, task = 0, []
        if checkpoint is not None:
            task = data.identity()
            if (done := sample.resume(checkpoint, task, shard)) is not None:
                warn_of(checkpoint)
                data.skip(done)
                following = done
        begun, last = sample.counts()[0], time.monotonic()
        bar = Progress("fit", progress)
        for chunk, _, following, fraction in data:
            sample.add(chunk)
            bar.update(fraction)
            if checkpoint is not None and time.monotonic() - last >= checkpoint_every:
                sample.save_checkpoint(checkpoint, task, shard, following)
                last = time.monotonic()
        bar.done()
        sample.set_files(data.files(), shard)
        if checkpoint is None:
            return None
        if sample.counts()[0] > begun:  # else it may hold orders beside the sample, which stay
            sample.save_checkpoint(checkpoint, task, shard, following)
        return checkpoint, task, shard, following

    def _forget(self) -> None:
        for name in ("_sample", "_fitted_nice", "_cached"):
            self.__dict__.pop(name, None)

    def _fitted_native(self) -> _native.Nice:
        fitted: _native.Nice | None = self.__dict__.get("_fitted_nice")
        if fitted is not None:
            return fitted
        if "_sample" not in self.__dict__:
            raise NotFittedError("this Nice has not been fitted; call fit(frames) first")
        self._fitted_nice = self._sample.fit(self._plain_settings(), None)
        return self._fitted_nice

    def __sklearn_is_fitted__(self) -> bool:
        return super().__sklearn_is_fitted__() and not self.__dict__.keys().isdisjoint(("_sample", "_fitted_nice"))

    def _twin(self) -> Self:
        twin = super()._twin()
        if not self.__dict__.keys().isdisjoint(("_sample", "_fitted_nice")):
            twin._fitted_nice = self._fitted_native()
        return twin

    def _plain_settings(self) -> dict[str, Any]:
        """What a fit is told."""
        return super()._settings(bool(self.normalize)) | {name: getattr(self, name) for name in self._OWN}

    def _settings(self, normalize: bool) -> dict[str, Any]:
        settings = super()._settings(normalize) | {name: getattr(self, name) for name in self._OWN}
        is_fitted = not self.__dict__.keys().isdisjoint(("_sample", "_fitted_nice"))
        return settings | {"fitted": self._fitted_native()} if is_fitted else settings

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
        return EquivariantBlocks(dict(zip(keys, blocks, strict=True)), centers.view(CENTERS)[:, 0])

    @property
    def audit_(self) -> Any:
        """What each order from 2 on keeps and has lost: a structured array of mean squared norms.

        ``full`` = (|ρ¹|²)^ν = ``inherited`` (lost at lower orders) + ``lambda`` (beyond λ_max) + ``choice`` (pairs
        that were not looked at) + ``contraction`` (products that are not kept) + ``kept``; zero from ``lambda`` on
        where an order has no equivariants. ``invariants`` = ``invariants_choice`` + ``invariants_purified`` (linear in
        lower orders, if they are purified) + ``invariants_contraction`` + ``invariants_kept``: of all invariant
        products of what is left of the two factors. With a sequence per species, a dict of such arrays by species of
        centre.
        """
        dtype = [("nu", int), *((name, float) for name in _ACCOUNT)]
        accounts = self._fitted_native().audit()
        made = {z: np.array([(nu, *parts) for nu, parts in rows], dtype=dtype) for z, rows in accounts}
        return made.get(0, made)

    @property
    def variances_(self) -> Any:
        """Variances of the features of each order from 2 on, over the atoms it was fitted to: a list of arrays.

        With a sequence per species, a dict of such lists by species of centre.
        """
        made = dict(self._fitted_native().variances())
        return made.get(0, made)

    def _names_of_features(self) -> np.ndarray:
        """nu1_0, …, nu2_0, …"""
        return np.array([f"nu{nu}_{k}" for nu, k in self.columns_.tolist()], dtype=object)

    def save(self, path: PathLike) -> None:
        """Writes the products that were chosen (``*.nice``), for `Nice.load` and ``rhobasis features --nice``."""
        self._fitted_native().save(path)

    @classmethod
    def load(cls, path: PathLike, basis: Evaluator, **parameters: Any) -> Self:
        """What `save` has written, with the basis that it was fitted with.

        `parameters` are `normalize`, `q_max`, `l_max`, `weight`, `reduce` and `by_species`, which the file does not
        hold.
        """
        return cls._of_native(_native.Nice.load(path), basis, parameters)

    @classmethod
    def _of_native(cls, native: _native.Nice, basis: Evaluator, parameters: dict[str, Any]) -> Self:
        made = cls(basis, **json.loads(native.settings()), **parameters)
        made._fitted_nice = native
        return made
