"""The optimal basis, Eqs. (6)-(14), (22)."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from . import _native
from ._arguments import of_l, only_species
from ._errors import RhobasisError, warn_of
from ._given_contraction import GivenContraction
from ._html import rows_of_basis, table
from ._pictures import functions_and_variance
from ._stored import basis_parameters, scaling_of
from ._supervision import labels_of, linear_fit
from .density import _DEFAULT, Density, Equivariants, RadialScaling
from .primitive import Primitive
from .structure import Frames, as_native

if TYPE_CHECKING:
    from typing_extensions import Self

    from .structure import FramesLike, PathLike


class OptimalBasis(GivenContraction):
    """The radial basis that describes the atom density of a data set in the fewest numbers.

    Parameters
    ----------
    density, primitive, l_max, spline_accuracy
        As in `SphericalExpansion`.
    q_max : int, optional
        Channels to keep for each (species, l), or for each l when combined.
    retain : float, optional
        Keep instead the fewest channels that hold this fraction of the variance. With neither, all are kept.
    mixing : {"per-species", "combined"}, default "per-species"
        ``"per-species"`` contracts n for each neighbour species, ``"combined"`` (species, n) together.
    center_specific : bool, default False
        Whether each species of centre has a basis of its own.
    nu : int, default 1
        Order of the correlations that the basis is for. Above 1, `fit` sweeps over the data, weighting each environment
        by |P c_i|^(2(ν−1)) (Eq. 21), until Σ_i |P c_i|^{2ν} grows no more; as many channels of each block are kept as
        for ν = 1. Eigenvalues are then those of the weighted covariance.
    method : {"pca", "pcovr", "supervised", "sensitivity", "given"}, default "pca"
        ``"pca"`` finds the functions as principal components, Eqs. (7), (12); ``"pcovr"`` those of l = 0 by principal
        covariates regression on the energies of the frames, Eq. (14), and those of l > 0 as before; ``"supervised"``
        those of every l as what a linear model of the power spectrum needs for energies, forces and stresses, see
        `Potential.supervised`. (Bases that `Sensitivity` made say ``"sensitivity"``, those of `from_contraction`
        ``"given"``.)
    gamma : float, default 0.5
        For ``"pcovr"``: 1 is principal components, towards 0 regression. May be changed after the fit.
    supervised : int or "all", optional
        For ``"supervised"``: how many functions of each l are made so, a number or ``"all"``; principal functions of
        the rest follow them. None stands for all, but for 1 below a `Gap` or a `KernelRidge`.
    span : int, default 12
        For ``"supervised"``: the leading principal functions of which the others are combinations.
    weighting : RadialScaling or "nearest", optional
        `RadialScaling` by which neighbours are weighted besides while the covariance is taken; the functions are used
        on the density as it is. ``"nearest"`` is 1/(1 + (r/r0)^7) with r0 = 0.85 of the median distance of nearest
        neighbours of all frames, which are read once more for it. Eigenvalues and variances are then those of the
        weighted density.

    Attributes
    ----------
    eigenvalues_ : dict of ndarray
        By (species, l), or by l when combined: all eigenvalues, descending. Centre-specific: a dict of these by centre
        species. With ``method="pcovr"``, the variance that each function of l = 0 keeps, which need not fall.
    contraction_ : dict of ndarray
        With the same keys, U [q, n] (or [q, (species, n)]).
    covariance_ : dict of ndarray
        With the same keys, C [n, n′] of Eq. (6) (or [(species, n), (species, n)′], Eq. (11)); see the property.
    species_ : list of int
        Neighbour species, ascending.
    weighting_ : RadialScaling or None
        The `RadialScaling` by which the density was weighted, numbers for ``"nearest"`` too, or None.
    energy_r2_ : float or None
        With ``method="pcovr"``, R² of the regression of energies on the coefficients of l = 0; else None.
    retained_ : ndarray
        For nu > 1, Σ_i |P c_i|^{2ν} / Σ_i |c_i|^{2ν} after each sweep, the first being that of ν = 1.

    Examples
    --------
    >>> from ase import Atoms
    >>> import rhobasis as rb
    >>> dimers = [Atoms("Si2", positions=[[0, 0, 0], [0, 0, d]]) for d in (2.0, 2.3, 2.6)]
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=5.0), rb.Gto(n_max=8), l_max=2, q_max=2).fit(dimers)
    >>> bool(basis.residual_variance()[2] < 0.01)  # two functions keep 99 % of the density
    True
    >>> basis.transform(dimers).blocks[1].shape
    (6, 3, 2)
    """

    def __init__(
        self,
        density: Density,
        primitive: Primitive,
        l_max: int = _DEFAULT["l_max"],
        q_max: int | None = None,
        retain: float | None = None,
        mixing: Literal["per-species", "combined"] = "per-species",
        center_specific: bool = False,
        spline_accuracy: float | None = _DEFAULT["spline_accuracy"],
        nu: int = 1,
        method: Literal["pca", "pcovr", "supervised", "sensitivity", "given"] = "pca",
        gamma: float = 0.5,
        supervised: int | Literal["all"] | None = None,
        span: int = 12,
        weighting: RadialScaling | Literal["nearest"] | None = None,
    ) -> None:
        self.density = density
        self.primitive = primitive
        self.l_max = l_max
        self.q_max = q_max
        self.retain = retain
        self.mixing = mixing
        self.center_specific = center_specific
        self.spline_accuracy = spline_accuracy
        self.nu = nu
        self.method = method
        self.gamma = gamma
        self.supervised = supervised
        self.span = span
        self.weighting = weighting

    def fit(
        self,
        frames: FramesLike,
        y: Any = None,
        weights: ArrayLike | None = None,
        progress: bool = False,
        checkpoint: PathLike | None = None,
        checkpoint_every: float = 60.0,
        energy_key: str | None = None,
    ) -> Self:
        """Accumulates the covariance of `frames`, diagonalises, tabulates. Files are streamed.

        `y` holds the total energy of each frame, in eV, for ``method="pcovr"`` and ``"supervised"``; without it,
        energies are those that the frames have under `energy_key` ("energy" if None). Principal components ignore `y`.
        ``"supervised"`` learns from forces and stresses of the frames too, under the usual names, with the default
        weights of a `Potential`; below a `Potential`, it takes what that learns from, and its weights.
        `weights` holds a non-negative number for each centre (Eq. 21). With `checkpoint`, what is
        accumulated is written to that file every `checkpoint_every` seconds, and continued from if it is there: same
        settings, same data, same result to the last bit. It is removed at the end.
        """
        self._forget()
        self._check_is_found()
        try:
            if self.method == "supervised":
                if weights is not None or checkpoint is not None:
                    raise RhobasisError(
                        "method = supervised: the fit to labels is made in one run, and weighs no environments; leave "
                        "weights and checkpoint out"
                    )
                native = as_native(frames, everything=True, lenient=True)
                labels = labels_of(native, y, energy_key)
                return self._fit_to(native, labels, None, progress)
            if self._is_pcovr(energy_key):
                if weights is not None or checkpoint is not None:
                    raise RhobasisError(
                        "method = pcovr: energies weigh no environments, and the regression is made in one run; "
                        "leave weights and checkpoint out, or use method='pca'"
                    )
                self._supervise(frames, y, energy_key, progress)
                self._finish()
                return self
            if self.nu != 1:
                if weights is not None or checkpoint is not None:
                    raise RhobasisError(
                        f"nu = {self.nu}: such a basis has weights of its own, in several sweeps over the data; "
                        "leave weights and checkpoint out"
                    )
                self._adapt(frames, progress)
                return self
            self._accumulate(frames, weights, progress, None, checkpoint, checkpoint_every)
            self._finish()
        except BaseException:
            self._forget()  # no basis of half the frames
            raise
        if checkpoint is not None:
            _native.remove_checkpoint(checkpoint)
        return self

    def _fit_to(
        self, frames: _native.Frames, labels: _native.Labels, target: dict[str, Any] | None, progress: bool = False
    ) -> Self:
        """A supervised basis for what a potential of these settings learns; for energies, forces, stresses if None."""
        kernel = target is not None and target["model"]["model"] != "ridge"
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # what a potential says of the labels, and the last of the functions, of noise
            span = OptimalBasis(**self.get_params(deep=False) | {"method": "pca", "q_max": None, "retain": None})
            span.fit(Frames(frames), progress=progress)
            span.q_max = min(self.span, len(span.residual_variance()) - 1)
            made = linear_fit(span._finish(), frames, labels, target, progress)
        one = kernel and self.supervised is None
        counts = {"q_max": self.q_max, "supervised": 1 if one else self.supervised, "span": self.span}
        if self.retain is not None:
            counts["retain"] = self.retain
        self._basis = made.supervised(counts)[0]
        self._truncation, self._accumulated = self._late(), self._settings()
        return self

    def accumulate(
        self,
        frames: FramesLike,
        output: PathLike,
        shard: tuple[int, int] | None = None,
        weights: ArrayLike | None = None,
        progress: bool = False,
        checkpoint: PathLike | None = None,
        checkpoint_every: float = 60.0,
    ) -> None:
        """Writes the covariance of `frames` to an accumulator file (``*.cov``), for `merge`; this basis stays as it is.

        `shard` = (i, n) takes only part i = 1 … n of the frames, those with index mod n = i − 1. `checkpoint` as in
        `fit`. Files are known by their content, so that `merge` refuses what would count twice; frames in memory are
        not.

        >>> import rhobasis as rb
        >>> from ase.build import molecule
        >>> frames = [molecule(name) for name in ("H2O", "CH4", "NH3")]
        >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=1)
        >>> for i in (1, 2):
        ...     basis.accumulate(frames, f"part-{i}.cov", shard=(i, 2))
        >>> merged = rb.OptimalBasis.merge(["part-1.cov", "part-2.cov"], q_max=2)
        >>> merged.species_, merged.n_centers_
        ([1, 6, 7, 8], 12)
        """
        if self.method == "supervised" or self._is_pcovr():
            raise RhobasisError(
                f"method = {self.method}: the regression of energies is made in one run over all frames; call fit, or "
                "use method='pca'"
            )
        one = OptimalBasis(**self.get_params(deep=False))
        one._accumulate(frames, weights, progress, shard, checkpoint, checkpoint_every)
        one._covariance.set_files(one._files, shard)
        one._covariance.save(output)
        if checkpoint is not None:
            _native.remove_checkpoint(checkpoint)

    @classmethod
    def merge(cls, parts: Sequence[PathLike], q_max: int | None = None, retain: float | None = None) -> Self:
        """The basis of accumulator files: all shards of one data set, or accumulators of different data.

        Settings are those of the files, which must agree. Missing or repeated shards are refused.
        """
        names = [os.fspath(part) for part in parts]
        covariance = _native.Covariance.merge_files(names)
        for name in names:
            warn_of(name)
        return cls._of(covariance, q_max=q_max, retain=retain)

    @classmethod
    def _of(cls, covariance: _native.Covariance, **truncation: Any) -> Self:
        basis = cls(**basis_parameters(json.loads(covariance.settings())), **truncation)
        basis._adopt(covariance)
        basis._finish()
        return basis

    def partial_fit(
        self,
        frames: FramesLike,
        y: Any = None,
        weights: ArrayLike | None = None,
        energy_key: str | None = None,
    ) -> Self:
        """Adds frames to the covariance; the basis is made when it is first asked for.

        The result has the same bits however the frames were cut into calls. `y` and `energy_key` as in `fit`.
        """
        if self.nu == 1 and "_covariance" not in self.__dict__ and "_basis" in self.__dict__:
            raise RhobasisError(
                "partial_fit: this basis was loaded, and a basis file does not hold the covariance; "
                "call fit with all frames"
            )
        if self.method == "supervised":
            raise RhobasisError("method = supervised: it is made in one run over all frames; call fit")
        if self._is_pcovr(energy_key):
            if weights is not None:
                raise RhobasisError("method = pcovr: energies weigh no environments; leave weights out")
            self._supervise(frames, y, energy_key, progress=False, all_or_nothing=True)
        else:
            self._accumulate(frames, weights, progress=False, all_or_nothing=True)
        self.__dict__.pop("_basis", None)
        return self

    def _evaluator(self, frames: _native.Frames) -> _native.Basis:
        return self._finish()

    def _check_species(self) -> None:
        self._finish()

    @property
    def species_(self) -> list[int]:
        """Neighbour species, ascending."""
        return self._finish().species()

    @property
    def eigenvalues_(self) -> dict[Any, Any]:
        """All eigenvalues, or variances of the functions; see the class for order and keys."""
        return self._by_key(2)

    @property
    def contraction_(self) -> dict[Any, Any]:
        """U of the channels that are kept; see the class for the keys."""
        return self._by_key(3)

    @property
    def n_centers_(self) -> int | dict[int, int]:
        """Centres in the covariance, by species of centre if centre-specific."""
        counts = {center: n for center, n, _ in self._finish().kinds()}
        return counts.get(None, counts)  # pyright: ignore[reportReturnType]

    @property
    def retained_(self) -> np.ndarray:
        """For nu > 1, Σ_i |P c_i|^{2ν} / Σ_i |c_i|^{2ν} of each sweep, the first being that of ν = 1; else empty."""
        return np.array(json.loads(self._finish().provenance()).get("retained", []))

    @property
    def energy_r2_(self) -> float | None:
        """R² of the regression of energies that a basis of ``method="pcovr"`` was made with; else None."""
        return json.loads(self._finish().provenance()).get("energy_r2")

    @property
    def weighting_(self) -> RadialScaling | None:
        """What the density was weighted by while the covariance was taken."""
        return scaling_of(json.loads(self._finish().settings()).get("weighting"))

    @property
    def discarded_variance_(self) -> float:
        """Fraction of the variance that the kept channels leave out; of the weighted density, with `weighting`."""
        return self._finish().discarded_variance()

    def _by_key(self, field: Literal[2, 3]) -> dict[Any, Any]:
        kinds = {
            center: {block[1] if block[0] is None else (block[0], block[1]): block[field] for block in blocks}
            for center, _, blocks in self._finish().kinds()
        }
        return kinds.get(None, kinds)

    def residual_variance(self, center: int | str | None = None) -> np.ndarray:
        """Fraction of the variance that q channels of each block leave out, Eq. (22), for q = 0 … n.

        With `weighting`, it is the variance of the weighted density, not of the one that `transform` sees. `center`
        names one kind of centre of a centre-specific basis; None averages over all centres.
        """
        return self._finish().residual_variance(center)

    def radial_functions(
        self,
        r: ArrayLike,
        species: int | str | None = None,
        l: int | None = None,
        center: int | str | None = None,
    ) -> np.ndarray | list[np.ndarray]:
        """Radial functions, Eq. (10), in Å^(−3/2): [r, q] for this `l`, or a list over l.

        `species` is that of the neighbours, and may be left out where there is only one.
        """
        return of_l(self._finish().radial_functions(r, self._one_species(species), center), l)

    def radial_integrals(
        self,
        r: ArrayLike,
        species: int | str | None = None,
        l: int | None = None,
        center: int | str | None = None,
        derivative: bool = False,
    ) -> np.ndarray | list[np.ndarray]:
        """Contracted radial integrals, Eq. (9), without spline: [r, q] for this `l`, or a list over l.

        `derivative` gives d/dr instead.
        """
        tables = self._finish().radial_integrals(r, self._one_species(species), center)
        return of_l(tables[int(derivative)], l)

    def plot(
        self, l: int = 0, species: int | str | None = None, center: int | str | None = None, axes: Any = None
    ) -> np.ndarray:
        """Draws the leading radial functions of this `l`, Eq. (10), and the residual variance, Eq. (22).

        `species` is that of the neighbours, `center` a kind of centre of a centre-specific basis; each may be left out
        where there is one. `axes` holds two of matplotlib; the axes are returned. ImportError without matplotlib.
        """
        r = np.linspace(0.0, self.density.r_cut, 300)
        functions = np.asarray(self.radial_functions(r, species, l, center))  # [r, q]
        return functions_and_variance(r, functions, l, self.residual_variance(center), self.discarded_variance_, axes)

    def _repr_html_(self) -> str:
        try:
            rows = rows_of_basis(self._finish())
        except RhobasisError as error:
            rows = [("state", error)]
        return table("OptimalBasis", self._shown(), rows)

    def _one_species(self, species: int | str | None) -> int | str:
        return only_species(self.species_) if species is None else species

    def to_featomic(self, center: int | str | None = None, accuracy: float = 1e-9) -> dict[int, dict[str, Any]]:
        """This basis in the words of featomic: by neighbour species, the arguments of ``featomic.SphericalExpansion``.

        The coefficients of `transform` are those of featomic, without any factor: of the calculator made for neighbours
        of species a, the blocks with ``neighbor_type`` a, as [center, m, q]. A combined basis sums these blocks over a.

            c_i[m, q] = Σ_j f(r_ji) I_q(r_ji) Y_lm(r_ji)         (featomic's δ density, f with its scaling)

        The radial integrals I_q of Eq. (9), Gaussian included, are handed over as splines that differ from those of
        `transform` by at most `accuracy`, relative to the largest value of each channel. The dictionary holds numbers,
        lists and texts: ``json.dump`` writes it, and featomic need not be installed.

        `center` names the kind of centre of a centre-specific basis, whose rows are then the ones to take. An l without
        channels gives blocks without properties.

        >>> import rhobasis as rb
        >>> from ase.build import molecule
        >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=1, q_max=2).fit(molecule("H2O"))
        >>> hypers = basis.to_featomic()
        >>> {z: list(arguments) for z, arguments in hypers.items()}
        {1: ['basis', 'cutoff', 'density'], 8: ['basis', 'cutoff', 'density']}
        >>> hypers[8]["density"]
        {'center_atom_weight': 1.0, 'type': 'DiracDelta'}

        With featomic: ``featomic.SphericalExpansion(**hypers[8]).compute(frames)``, as in docs/how-to/export.md.
        """
        return {int(z): hypers for z, hypers in json.loads(self._finish().to_featomic(center, accuracy)).items()}

    def save(self, path: PathLike) -> None:
        """Writes the basis file (``*.rho``); `rhobasis.load` reads it, and so do ten lines of numpy.

        A file of another kind is not replaced.
        """
        self._finish().save(path)

    def fit_transform(
        self, frames: FramesLike, y: Any = None, weights: ArrayLike | None = None, energy_key: str | None = None
    ) -> Equivariants:
        """`fit` and `transform`."""
        frames = Frames(
            as_native(frames, everything=self.method in ("pcovr", "supervised") and y is None, lenient=True)
        )
        return self.fit(frames, y, weights=weights, energy_key=energy_key).transform(frames)

    def __getstate__(self) -> dict[str, Any]:
        state = self.get_params(deep=False)
        if self.__sklearn_is_fitted__():
            fit = self._fit_of()
            state |= {**fit, "_basis": fit["_basis"].to_bytes()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_basis" in state:
            self._basis = _native.Basis.from_bytes(state["_basis"])
