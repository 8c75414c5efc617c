"""On the way to an optimal basis: frames that are added, and what is accumulated of them."""

from __future__ import annotations

import json
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from . import _native
from ._base import first_change
from ._errors import NotFittedError, RhobasisError, warn_of
from ._progress import Progress
from ._stored import basis_parameters
from .density import Evaluator, RadialScaling
from .structure import Frames, as_native, streamed_files

if TYPE_CHECKING:
    from typing_extensions import Self

    from .structure import FramesLike, PathLike

_CHUNK = 512
NEAREST = "nearest"
_LATE = ("q_max", "retain", "gamma")


def dataset(
    frames: FramesLike,
    shard: tuple[int, int] | None = None,
    energy_key: str | None = None,
    in_parts: bool = True,
) -> _native.Dataset:
    """Frames that are to be added, some at a time; files are all opened first, and read ahead.

    Frames in memory come all at once, unless `in_parts`: then Ctrl-C is heard between the parts.
    """
    if (names := streamed_files(frames)) is not None:
        return _native.Dataset.of_files(names, shard, energy_key, _CHUNK)
    native = as_native(frames)
    return _native.Dataset.of_frames(native, shard, energy_key, _CHUNK if in_parts else max(len(native), 1))


class Accumulation(Evaluator):
    """What `OptimalBasis` accumulates, and the basis that is made of it."""

    q_max: int | None
    retain: float | None
    nu: int
    method: str
    gamma: float
    weighting: RadialScaling | str | None
    _covariance: Any  # native, plain or supervised
    _files: list[tuple[str, int, str]]
    _accumulated: dict[str, Any]
    _basis: _native.Basis
    _truncation: str
    _current: tuple[Any, ...]

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

    def _supervise(
        self, frames: FramesLike, y: Any, energy_key: str | None, progress: bool, all_or_nothing: bool = False
    ) -> None:
        if y is not None and energy_key is not None:
            raise RhobasisError(f"energy_key = {energy_key}: y has the energies already; give one of the two")
        needed = "one energy for each frame is needed; give a list of numbers"
        energies = None if y is None else _numbers("y", y, needed)
        key = None if energies is not None else "energy" if energy_key is None else energy_key
        if streamed_files(frames) is None:
            frames = Frames(as_native(frames, everything=energies is None, lenient=True))
            if energies is not None and len(frames) != len(energies):
                raise _wrong_count(len(energies), len(frames))
        before = self._begin(_native.SupervisedCovariance, frames, progress, all_or_nothing)
        bar, used = Progress("fit", progress), 0
        data = dataset(frames, energy_key=key, in_parts=not all_or_nothing)
        for chunk, of_chunk, _, fraction in data:
            if energies is not None:
                of_chunk = energies[used : used + len(chunk)]
                if len(of_chunk) != len(chunk):
                    raise _wrong_count(len(energies), f"more than {used + len(of_chunk)}")
            self._covariance.add(chunk, of_chunk)
            used += len(chunk)
            bar.update(fraction)
        bar.done()
        _native.check_unchanged(before, data.files())
        self._files += data.files()
        if energies is not None and used != len(energies):
            raise _wrong_count(len(energies), used)

    def _adapt(self, frames: FramesLike, progress: bool) -> None:
        if streamed_files(frames) is None:
            frames = Frames(as_native(frames))  # once, for all sweeps
        weighted, files = self._weighted(frames, progress)
        adaptation, done, sweep = _native.Adaptation(weighted, self.nu), False, 0
        while not done:
            data, bar = dataset(frames), Progress(f"sweep {sweep}", progress)
            first = 0
            for chunk, _, _, fraction in data:
                adaptation.add(chunk, first)
                first += len(chunk)
                bar.update(fraction)
            bar.done()
            _native.check_unchanged(files, data.files())
            files = data.files()
            done, sweep = adaptation.finish_sweep(), sweep + 1
        self._basis, self._truncation, self._accumulated = adaptation.basis(files), self._late(), self._settings()
        if texts := self._basis.warnings():
            warnings.warn(_noise(texts), UserWarning, stacklevel=3)

    @classmethod
    def _of_native(cls, native: _native.Basis) -> Self:
        """The basis that was read from a file."""
        settings = json.loads(native.settings())
        truncation = {key: value for key, value in settings["truncation"].items() if (key, value) != ("retain", 1.0)}
        basis = cls(**basis_parameters(settings), **truncation)
        basis._basis, basis._truncation, basis._accumulated = native, basis._late(), basis._settings()
        return basis

    def _adopt(self, covariance: _native.Covariance) -> None:
        self._forget()
        self._covariance, self._files, self._accumulated = covariance, covariance.files(), self._settings()

    @property
    def covariance_(self) -> dict[Any, Any]:
        """C^l of Eq. (6), or Eq. (11), from which the basis was made:

            C^l[q, q′] = 1/N Σ_i w_i Σ_m c_i[m, q] c_i[m, q′]

        with q = n, [n, n′] by (species, l), or, combined, q = (species, n), species ascending, n fastest, by l alone;
        centre-specific: a dict of these by species of centre. c_i are the coefficients in the primitive functions, N
        counts all centres (of that species, where centre-specific), with neighbours or not, w_i are the weights of
        `fit`, else 1. In Å^−3; not centred, and not divided by 2l + 1, so that all traces add up to the mean of
        |c_i|². Its eigenvalues are `eigenvalues_`, unless ``method="pcovr"`` has turned the functions.

        The matrices are computed from the sums each time they are asked for. AttributeError for a basis that holds
        none: one that was loaded or unpickled, that matrices were given for, or that was made for nu > 1 or a target.
        """
        if "_covariance" not in self.__dict__:
            if not self.__sklearn_is_fitted__():
                raise NotFittedError("this OptimalBasis has not been fitted; call fit(frames) first")
            raise NotFittedError(
                "covariance_: this basis does not hold the covariance that it was made from (it was loaded, unpickled, "
                "given, or made for nu > 1 or a target); fit a basis of method 'pca' with nu=1 to the frames, or merge "
                "its accumulators"
            )
        kinds = {
            center: {l if species is None else (species, l): matrix for species, l, matrix in blocks}
            for center, blocks in self._covariance.matrices()
        }
        return kinds.get(None, kinds)

    def _settings(self) -> dict[str, Any]:
        """What may not change after the fit."""
        return {name: value for name, value in self._leaves().items() if name not in _LATE}

    def _check_settings(self) -> None:
        """Refuses settings that are no longer those of the fit."""
        before, now = self._accumulated, self._settings()
        if (name := first_change(before, now)) is not None:
            raise RhobasisError(
                f"{name} = {now.get(name, 'none')}: it was {before.get(name, 'none')} where this basis was fitted; "
                "call fit of the basis anew, hand over one that is not fitted, or set it back"
            )

    def __sklearn_is_fitted__(self) -> bool:
        return "_basis" in self.__dict__ or "_covariance" in self.__dict__

    def _late(self) -> str:
        """What may change after the fit."""
        return repr((self.q_max, self.retain, self.method, self.gamma if self.method == "pcovr" else None))

    def _begin(self, accumulator: Any, frames: FramesLike, progress: bool, some: bool) -> list[tuple[str, int, str]]:
        """An accumulator for the settings as they are, which must not change from call to call.

        The files that were read for it. `some` says that more frames may follow these.
        """
        files: list[tuple[str, int, str]] = []
        if "_covariance" not in self.__dict__:
            if some and self.weighting == NEAREST:
                raise RhobasisError(
                    f"weighting = {NEAREST}: distances are those of all frames, and more may follow; call fit with all "
                    "frames, or give the numbers: weighting=RadialScaling(...)"
                )
            weighted, files = self._weighted(frames, progress)
            self._covariance, self._files, self._accumulated = accumulator(weighted), [], self._settings()
        self._check_settings()
        return files

    def _weighted(self, frames: FramesLike, progress: bool) -> tuple[Self, list[tuple[str, int, str]]]:
        """This basis with numbers for the weighting, and the files that were read for them."""
        if self.weighting != NEAREST:
            return self, []
        nearest, data, bar = _native.NearestDistances(self), dataset(frames), Progress("distances", progress)
        for chunk, _, _, fraction in data:
            nearest.add(chunk)
            bar.update(fraction)
        bar.done()
        return self._unfitted().set_params(weighting=RadialScaling(*nearest.weighting())), data.files()

    def _accumulate(
        self,
        frames: FramesLike,
        weights: ArrayLike | None,
        progress: bool,
        shard: tuple[int, int] | None = None,
        checkpoint: PathLike | None = None,
        checkpoint_every: float = 60.0,
        all_or_nothing: bool = False,
    ) -> None:
        """Adds frames; `all_or_nothing`: those in memory in one call, of which nothing is added if it fails."""
        if self.nu != 1:
            raise RhobasisError(
                f"nu = {self.nu}: such a basis takes several sweeps over all the data; call fit, or set nu to 1"
            )
        if streamed_files(frames) is None:
            frames = Frames(as_native(frames))
        before = self._begin(_native.Covariance, frames, progress, all_or_nothing)
        bar = Progress("fit", progress)
        needed = "one number for each centre is needed; give a list of numbers, in the order of the atoms of all frames"
        all_weights = None if weights is None else _numbers("weights", weights, needed)
        if all_weights is not None and (shard is not None or checkpoint is not None):
            raise RhobasisError(
                "weights: they are not known for frames of other shards and of earlier runs; "
                "give this part's own frames and weights, without shard and checkpoint"
            )
        data = dataset(frames, shard, in_parts=not all_or_nothing)
        task: list[tuple[str, int, str]] = []
        if checkpoint is not None:
            task = data.identity()
            if (done := self._covariance.resume(checkpoint, task, shard)) is not None:
                warn_of(checkpoint)
                data.skip(done)
        last = time.monotonic()
        used = 0
        for chunk, _, following, fraction in data:
            part = None
            if all_weights is not None:
                n_centers = sum(chunk.n_atoms())
                part = all_weights[used : used + n_centers]
                used += n_centers
            self._covariance.add(chunk, part)
            bar.update(fraction)
            if checkpoint is not None and time.monotonic() - last >= checkpoint_every:
                self._covariance.save_checkpoint(checkpoint, task, shard, following)
                last = time.monotonic()
        bar.done()
        _native.check_unchanged(before, data.files())
        self._files += data.files()
        if all_weights is not None and used != len(all_weights):
            raise RhobasisError(
                f"weights = {len(all_weights)}: one weight per centre is needed, and there are {used} centres; "
                "give them in file order"
            )

    def _finish(self) -> _native.Basis:
        """The basis as its parameters want it."""
        made, state = "_basis" in self.__dict__, self._state()
        if made and self.__dict__.get("_current") == state:
            return self._basis
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                "this OptimalBasis has not been fitted; call fit(frames) first "
                "(features and potentials fit a copy, their basis_)"
            )
        self._check_settings()
        truncation = self._late()
        if "_covariance" in self.__dict__ and not (made and self._truncation == truncation):
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
        self._current = state
        return self._basis

    def _fit_of(self) -> dict[str, Any]:
        """What a copy of this basis needs to be fitted too, without the covariance; changed settings stay changed."""
        made, summed = "_basis" in self.__dict__, "_covariance" in self.__dict__
        if not made or (summed and first_change(self._accumulated, self._settings()) is None):
            self._finish()
        return {name: self.__dict__[name] for name in ("_basis", "_truncation", "_accumulated")}

    def _twin(self) -> Self:
        twin = self._unfitted()
        if isinstance(covariance := self.__dict__.get("_covariance"), _native.Covariance):
            twin._adopt(_native.Covariance.from_bytes(covariance.to_bytes()))
            twin._accumulated, twin._files = self._accumulated, list(self._files)
        else:
            twin.__dict__.update(self._fit_of())
        return twin

    def _forget(self) -> None:
        for name in ("_covariance", "_accumulated", "_files", "_basis", "_truncation", "_current"):
            self.__dict__.pop(name, None)


def _numbers(name: str, values: Any, needed: str) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim != 1:
        shown = repr(values)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise RhobasisError(f"{name} = {shown} ({type(values).__name__}): {needed}")
    return array


def _wrong_count(n: int, frames: int | str) -> RhobasisError:
    return RhobasisError(f"y = {n} energies: one for each frame is needed, and there are {frames}; give them in order")


def _noise(texts: list[str]) -> str:
    blocks = "1 block keeps" if len(texts) == 1 else f"{len(texts)} blocks keep"
    more = "; …" if len(texts) > 3 else ""
    return f"{blocks} fewer channels than asked for: {'; '.join(texts[:3])}{more}"
