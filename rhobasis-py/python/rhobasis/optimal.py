"""The optimal basis, Eqs. (6)-(14), (22)."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from . import _native
from ._errors import NotFittedError, RhobasisError
from ._progress import Progress
from .density import (
    _DEFAULT,
    Density,
    Dvr,
    Equivariants,
    Evaluator,
    Gto,
    LaplacianEigenstates,
    Primitive,
    RadialScaling,
    of_l,
    only_species,
)
from .structure import Frames, as_native, file_names

if TYPE_CHECKING:
    from typing_extensions import Self

    from .structure import FramesLike, PathLike

_CHUNK = 1024
_LATE = ("q_max", "retain", "gamma")


class OptimalBasis(Evaluator):
    """The radial basis that describes the atom density of a data set in the fewest numbers.

    Parameters
    ----------
    density, primitive, l_max, spline_accuracy : as in `SphericalExpansion`.
    q_max : channels to keep for each (species, l), or for each l when combined.
    retain : keep instead the fewest channels that hold this fraction of the variance. With neither, all are kept.
    mixing : ``"per-species"`` contracts n for each neighbour species, ``"combined"`` (species, n) together.
    center_specific : whether each species of centre has a basis of its own.
    nu : order of the correlations that the basis is for. Above 1, `fit` sweeps over the data, weighting each
        environment by |P c_i|^(2(ν−1)) (Eq. 21), until Σ_i |P c_i|^{2ν} grows no more; as many channels of each block
        are kept as for ν = 1. Eigenvalues are then those of the weighted covariance.
    method : ``"pca"`` finds the functions as principal components, Eqs. (7), (12); ``"pcovr"`` those of l = 0 by
        principal covariates regression on the energies of the frames, Eq. (14), and those of l > 0 as before.
    gamma : for ``"pcovr"``: 1 is principal components, towards 0 regression. May be changed after the fit.

    Attributes
    ----------
    eigenvalues_ : by (species, l), or by l when combined: all eigenvalues, descending. Centre-specific: a dict of these
        by centre species. With ``method="pcovr"``, the variance that each function of l = 0 keeps, which need not fall.
    contraction_ : with the same keys, U [q, n] (or [q, (species, n)]).
    species_ : neighbour species, ascending.
    energy_r2_ : with ``method="pcovr"``, R² of the regression of energies on the coefficients of l = 0; else None.
    retained_ : for nu > 1, Σ_i |P c_i|^{2ν} / Σ_i |c_i|^{2ν} after each sweep, the first being that of ν = 1.

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
        method: Literal["pca", "pcovr"] = "pca",
        gamma: float = 0.5,
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

        `y` holds the total energy of each frame, in eV, for ``method="pcovr"``; without it, energies are those that the
        frames have under `energy_key` ("energy" if None). Principal components ignore `y`.
        `weights` holds a non-negative number for each centre (Eq. 21). With `checkpoint`, what is
        accumulated is written to that file every `checkpoint_every` seconds, and continued from if it is there: same
        settings, same data, same result to the last bit. It is removed at the end.
        """
        self._forget()
        try:
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

    def _is_pcovr(self, energy_key: str | None = None) -> bool:
        pcovr = _native.is_pcovr(self)
        if not pcovr and energy_key is not None:
            raise RhobasisError(
                f"energy_key = {energy_key}: principal components need no energies; use method='pcovr', or leave it out"
            )
        if pcovr and self.nu != 1:
            raise RhobasisError(
                f"nu = {self.nu}: method = pcovr weighs no environments; set nu to 1, or use method='pca'"
            )
        return pcovr

    def _supervise(self, frames: FramesLike, y: Any, energy_key: str | None, progress: bool) -> None:
        if y is not None and energy_key is not None:
            raise RhobasisError(f"energy_key = {energy_key}: y has the energies already; give one of the two")
        energies = None if y is None else _energies(y)
        self._begin(_native.SupervisedCovariance)
        key = "energy" if energy_key is None else energy_key
        if energies is None and file_names(frames) is None:
            frames = Frames(frames)  # with their labels
        bar, share, used = Progress("fit", progress), _Share(frames, (1, 1)), 0
        if energies is not None and share.native is not None and len(share.native) != len(energies):
            raise _wrong_count(len(energies), len(share.native))
        for chunk, fraction in share.chunks(in_parts=progress):
            part = chunk.energies(key) if energies is None else energies[used : used + len(chunk)]
            if len(part) != len(chunk):
                raise _wrong_count(len(energies if energies is not None else part), f"more than {used + len(part)}")
            self._covariance.add(chunk, part)
            used += len(chunk)
            bar.update(fraction)
        bar.done()
        self._files += share.files
        if energies is not None and used != len(energies):
            raise _wrong_count(len(energies), used)

    def _adapt(self, frames: FramesLike, progress: bool) -> None:
        adaptation, done, sweep = _native.Adaptation(self, self.nu), False, 0
        if file_names(frames) is None:
            frames = Frames(as_native(frames))  # once, for all sweeps
        share = _Share(frames, (1, 1))
        while not done:
            if sweep:
                share = _Share(frames, (1, 1))
            bar = Progress(f"sweep {sweep}", progress)
            first = 0
            for chunk, fraction in share.chunks(in_parts=progress):
                adaptation.add(chunk, first)
                first += len(chunk)
                bar.update(fraction)
            bar.done()
            done, sweep = adaptation.finish_sweep(), sweep + 1
        self._basis, self._truncation = adaptation.basis(share.files), self._late()
        if texts := self._basis.warnings():
            warnings.warn(_noise(texts), UserWarning, stacklevel=3)

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
        if self._is_pcovr():
            raise RhobasisError(
                "method = pcovr: the regression of energies is made in one run over all frames; call fit, or use "
                "method='pca'"
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
        return cls._of(_native.Covariance.merge_files([os.fspath(part) for part in parts]), q_max=q_max, retain=retain)

    @classmethod
    def _of(cls, covariance: _native.Covariance, **truncation: Any) -> Self:
        basis = cls(**_parameters(json.loads(covariance.settings())), **truncation)
        basis._adopt(covariance)
        basis._finish()
        return basis

    @classmethod
    def _of_native(cls, native: _native.Basis) -> Self:
        """The basis that was read from a file."""
        settings = json.loads(native.settings())
        truncation = {key: value for key, value in settings["truncation"].items() if (key, value) != ("retain", 1.0)}
        basis = cls(**_parameters(settings), **truncation)
        basis._basis, basis._truncation = native, basis._late()
        return basis

    def _adopt(self, covariance: _native.Covariance) -> None:
        self._forget()
        self._covariance, self._files, self._accumulated = covariance, covariance.files(), self._settings()

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
        if self._is_pcovr(energy_key):
            if weights is not None:
                raise RhobasisError("method = pcovr: energies weigh no environments; leave weights out")
            self._supervise(frames, y, energy_key, progress=False)
        else:
            self._accumulate(frames, weights, progress=False)
        self.__dict__.pop("_basis", None)
        return self

    def _settings(self) -> dict[str, str]:
        return {name: repr(value) for name, value in self.get_params(deep=False).items() if name not in _LATE}

    def _late(self) -> str:
        """What may change after the fit."""
        return repr((self.q_max, self.retain, self.method, self.gamma if self.method == "pcovr" else None))

    def _begin(self, accumulator: Any) -> None:
        """An accumulator for the settings as they are, which must not change from call to call."""
        settings = self._settings()
        if "_covariance" not in self.__dict__:
            self._covariance, self._files, self._accumulated = accumulator(self), [], settings
        for name, value in settings.items():
            if value != self._accumulated[name]:
                raise RhobasisError(
                    f"{name} = {value}: it was {self._accumulated[name]} and has changed since accumulation began; "
                    "call fit with all frames, or set it back"
                )

    def _accumulate(
        self,
        frames: FramesLike,
        weights: ArrayLike | None,
        progress: bool,
        shard: tuple[int, int] | None = None,
        checkpoint: PathLike | None = None,
        checkpoint_every: float = 60.0,
    ) -> None:
        if self.nu != 1:
            raise RhobasisError(
                f"nu = {self.nu}: such a basis takes several sweeps over all the data; call fit, or set nu to 1"
            )
        self._begin(_native.Covariance)
        bar = Progress("fit", progress)
        all_weights = None if weights is None else _weights(weights)
        if all_weights is not None and (shard is not None or checkpoint is not None):
            raise RhobasisError(
                "weights: they are not known for frames of other shards and of earlier runs; "
                "give this part's own frames and weights, without shard and checkpoint"
            )
        share = _Share(frames, (1, 1) if shard is None else shard)
        task: list[tuple[str, int, str]] = []
        if checkpoint is not None:
            task = share.identity()
            share.done = self._covariance.resume(checkpoint, task, shard) or 0
        last = time.monotonic()
        used = 0
        for chunk, fraction in share.chunks(in_parts=progress or checkpoint is not None):
            part = None
            if all_weights is not None:
                n_centers = sum(chunk.n_atoms())
                part = all_weights[used : used + n_centers]
                used += n_centers
            self._covariance.add(chunk, part)
            bar.update(fraction)
            if checkpoint is not None and time.monotonic() - last >= checkpoint_every:
                self._covariance.save_checkpoint(checkpoint, task, shard, share.next)
                last = time.monotonic()
        bar.done()
        self._files += share.files
        if all_weights is not None and used != len(all_weights):
            raise RhobasisError(
                f"weights = {len(all_weights)}: one weight per centre is needed, and there are {used} centres; "
                "give them in file order"
            )

    def _finish(self) -> _native.Basis:
        truncation = self._late()
        made = "_basis" in self.__dict__
        if "_covariance" in self.__dict__ and not (made and self._truncation == truncation):
            if self._is_pcovr() != isinstance(self._covariance, _native.SupervisedCovariance):
                raise RhobasisError(
                    f"method = {self.method}: it has changed since accumulation began; "
                    "call fit with all frames, or set it back"
                )
            if isinstance(self._covariance, _native.SupervisedCovariance):
                self._covariance.set_files(self._files)
            else:
                self._covariance.set_files(self._files, None)
            self._basis, self._truncation = self._covariance.basis(self), truncation
            if texts := self._basis.warnings():
                warnings.warn(_noise(texts), UserWarning, stacklevel=3)
        elif made and self.__dict__.get("_truncation", truncation) != truncation:
            gamma = f", gamma = {self.gamma}" if self.method == "pcovr" else ""
            raise RhobasisError(
                f"q_max = {self.q_max}, retain = {self.retain}{gamma}: they have changed since this basis was made, "
                "and it holds no covariance to be cut anew (it was loaded, unpickled, or made for nu > 1); "
                "call fit, or set them back"
            )
        elif not made:
            raise NotFittedError("this OptimalBasis has not been fitted; call fit(frames) first")
        return self._basis

    def _forget(self) -> None:
        for name in ("_covariance", "_accumulated", "_files", "_basis", "_truncation"):
            self.__dict__.pop(name, None)

    def _evaluator(self, frames: _native.Frames) -> _native.Basis:
        return self._finish()

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
    def discarded_variance_(self) -> float:
        """Fraction of the variance that the kept channels leave out."""
        return self._finish().discarded_variance()

    def _by_key(self, field: Literal[2, 3]) -> dict[Any, Any]:
        kinds = {
            center: {block[1] if block[0] is None else (block[0], block[1]): block[field] for block in blocks}
            for center, _, blocks in self._finish().kinds()
        }
        return kinds.get(None, kinds)

    def residual_variance(self, center: int | str | None = None) -> np.ndarray:
        """Fraction of the variance that q channels of each block leave out, Eq. (22), for q = 0 … n.

        `center` names one kind of centre of a centre-specific basis; None averages over all centres.
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
        """Writes the basis file (``*.rho``); `rhobasis.load` reads it, and so do ten lines of numpy."""
        self._finish().save(path)

    def fit_transform(
        self, frames: FramesLike, y: Any = None, weights: ArrayLike | None = None, energy_key: str | None = None
    ) -> Equivariants:
        """`fit` and `transform`."""
        frames = Frames(as_native(frames, everything=self.method == "pcovr" and y is None))
        return self.fit(frames, y, weights=weights, energy_key=energy_key).transform(frames)

    def __getstate__(self) -> dict[str, Any]:
        state = self.get_params(deep=False)
        if "_basis" in self.__dict__ or "_covariance" in self.__dict__:
            state["_basis"] = self._finish().to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_basis" in state:
            self._basis = _native.Basis.from_bytes(state["_basis"])
            self._truncation = self._late()


def _parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the constructor, from the settings of a file."""
    method = dict(settings.get("method", {"name": "pca"}))
    return {
        **expansion_parameters(settings["expansion"]),
        "mixing": settings["mixing"],
        "center_specific": settings["center_specific"],
        "nu": settings.get("nu", 1),
        "method": method.pop("name"),
        **method,
    }


def expansion_parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a `SphericalExpansion`, from its settings in a file."""
    density = dict(settings["density"])
    if isinstance(density["sigma"], dict):
        density["sigma"] = {int(z): sigma for z, sigma in density["sigma"].items()}
    if density["scaling"] is not None:
        density["scaling"] = RadialScaling(**density["scaling"])
    primitive = dict(settings["primitive"])
    classes: dict[str, Any] = {c._kind: c for c in (Gto, Dvr, LaplacianEigenstates)}
    return {
        "density": Density(**density),
        "primitive": classes[primitive.pop("kind")](**primitive),
        "l_max": settings["l_max"],
        "spline_accuracy": settings["spline_accuracy"],
    }


class _Share:
    """Frames that are to be added: those of a shard, from frame `done` on."""

    def __init__(self, frames: FramesLike, shard: tuple[int, int]) -> None:
        self.names = file_names(frames)
        self.native = as_native(frames) if self.names is None else None
        self.index, self.of = _shard(shard)
        self.done = self.next = 0
        self.files: list[tuple[str, int, str]] = []
        self._hashes: list[str] | None = None

    def identity(self) -> list[tuple[str, int, str]]:
        """What tells a checkpoint of these frames from others."""
        if self.native is not None:
            return [("frames in memory", 0, self.native.sha256())]
        self._hashes = [_sha256(name) for name in self.names or []]
        return [(name, 0, sha256) for name, sha256 in zip(self.names or [], self._hashes, strict=True)]

    def _first(self, frame: int) -> int:
        return frame + (self.index - 1 - frame) % self.of

    def chunks(self, in_parts: bool) -> Iterator[tuple[_native.Frames, float]]:
        """Frames, and the fraction of the work that is done with them; `next` is the frame after them."""
        if self.native is not None:
            yield from self._slices(self.native, in_parts)
            return
        names = self.names or []
        # All are opened first: a name that is wrong is found before hours of work.
        readers = [_native.Reader(name, None, None, None, None) for name in names]
        for k, (name, reader) in enumerate(zip(names, readers, strict=True)):
            n_frames = 0
            while True:
                before = self.next
                first = self._first(max(before, self.done)) - before
                chunk, gone_by = reader.chunk(_CHUNK, first, self.of)
                self.next += gone_by
                n_frames += len(range(self._first(before), self.next, self.of))
                if not len(chunk):
                    break
                yield chunk, (k + reader.progress()) / len(names)
            self.files.append((name, n_frames, _sha256(name) if self._hashes is None else self._hashes[k]))

    def _slices(self, native: _native.Frames, in_parts: bool) -> Iterator[tuple[_native.Frames, float]]:
        step = _CHUNK if in_parts else max(len(native), 1)
        for frame in range(self._first(self.done), len(native), step * self.of):
            n = len(range(frame, min(frame + step * self.of, len(native)), self.of))
            self.next = frame + (n - 1) * self.of + 1
            yield native.slice(frame, self.of, n), self.next / len(native)


def _shard(shard: Any) -> tuple[int, int]:
    if not (isinstance(shard, tuple) and len(shard) == 2 and all(isinstance(k, int) for k in shard)):
        raise TypeError(f"shard must be a pair (i, n) of whole numbers, 1 ≤ i ≤ n, not {shard!r}")
    if not 1 <= shard[0] <= shard[1]:
        raise RhobasisError(
            f"shard = {shard[0]}/{shard[1]}: a shard i/n has 1 ≤ i ≤ n; count the shards from 1, as in (1, 4)"
        )
    return shard


def _energies(y: Any) -> np.ndarray:
    try:
        array = np.asarray(y, dtype=float)
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim != 1:
        shown = repr(y)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise RhobasisError(
            f"y = {shown} ({type(y).__name__}): one energy for each frame is needed; give a list of numbers"
        )
    return array


def _wrong_count(n: int, frames: int | str) -> RhobasisError:
    return RhobasisError(f"y = {n} energies: one for each frame is needed, and there are {frames}; give them in order")


def _weights(weights: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim != 1:
        shown = repr(weights)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise RhobasisError(
            f"weights = {shown} ({type(weights).__name__}): one number for each centre is needed; "
            "give a list of numbers, in the order of the atoms of all frames"
        )
    return array


def _noise(texts: list[str]) -> str:
    blocks = "1 block keeps" if len(texts) == 1 else f"{len(texts)} blocks keep"
    more = "; …" if len(texts) > 3 else ""
    return f"{blocks} fewer channels than asked for: {'; '.join(texts[:3])}{more}"


def _sha256(spec: str) -> str:
    path = spec if os.path.exists(spec) else spec.rpartition("@")[0]
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
