"""Fits on many machines with Dask: ``pip install 'rhobasis[dask]'``.

The frames are cut into parts by their index, each part is accumulated by one task, and the accumulators are added up
in a tree. Parts and tree depend on nothing but the frames, so the result has the same bits for any number of workers,
and whichever of them are lost on the way: Dask computes what was lost with a worker again. It differs from that of a
local fit in the last bits only, as sums in another order do (1e-13 relative).

Each worker process takes as many threads as Dask gave it (``nthreads``), unless ``RAYON_NUM_THREADS`` is set there.
"""

from __future__ import annotations

import os
import sys
import uuid
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from . import _native
from ._accumulation import NEAREST
from ._errors import RhobasisError
from .nice import Nice
from .optimal import OptimalBasis
from .structure import Frames, as_native, streamed_files

if TYPE_CHECKING:
    from .structure import FramesLike

# Accumulator, and the frames and atoms that should be in it.
_Sum: TypeAlias = tuple[bytes, int, int]
_Fitted = TypeVar("_Fitted", OptimalBasis, Nice)

_CHUNK = 1024
_FAN_IN = 8


def fit(basis: _Fitted, frames: FramesLike, client: Any = None, part: int = 1024) -> _Fitted:
    """Fits `basis` on the workers of a `dask.distributed.Client`; without one, on those of the client in use.

    It is an `OptimalBasis`, or a `Nice` with a fitted basis: then the workers sample its atoms, and the products are
    chosen here, with the bits of `Nice.fit`.

    Files must be there under the same name on all workers. Each of them is read from its beginning to the end of a
    part, so a packed file is unpacked many times: unpack it, or cut it into several files. `part` is the number of
    frames of a task. The number of frames and atoms is checked at the end, and that the files are as they were.

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> from dask.distributed import Client
    >>> frames = [molecule(name) for name in ("H2O", "CH4", "NH3", "HCN")]
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=1, q_max=2)
    >>> with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
    ...     rb.distributed.fit(basis, frames, client, part=2).n_centers_
    15
    """
    client = _client(client)
    if not isinstance(part, int) or part < 1:
        raise RhobasisError(f"part = {part!r}: a task takes at least one frame; the default is 1024")
    if isinstance(basis, OptimalBasis) and basis.method != "pca":
        raise RhobasisError(
            f"method = {basis.method}: the regression of energies is made in one run over all frames; "
            "call OptimalBasis.fit, or use method='pca'"
        )
    if isinstance(basis, OptimalBasis) and basis.weighting == NEAREST:
        raise RhobasisError(
            f"weighting = {NEAREST}: distances are those of all frames, and each worker sees a part of them; give the "
            "numbers, weighting=RadialScaling(...)"
        )
    empty = _unfitted(basis)
    _begin(empty)  # refuses its parameters here rather than on a worker
    pieces, files, n_frames = _pieces(frames, part)
    run = uuid.uuid4().hex
    name, kind = f"rhobasis-part-{run}", type(_begin(empty))
    sums = [client.submit(_accumulate, empty, *piece, key=f"{name}-{k}") for k, piece in enumerate(pieces)]
    while len(sums) > 1:
        groups = [sums[k : k + _FAN_IN] for k in range(0, len(sums), _FAN_IN)]
        name = f"{name}-sum"
        sums = [client.submit(_merge, kind, group, key=f"{name}-{k}") for k, group in enumerate(groups)]
    accumulated, n_read, n_atoms = cast(_Sum, sums[0].result()) if sums else (None, 0, 0)
    total = _begin(empty) if accumulated is None else kind.from_bytes(accumulated)
    found_atoms = total.counts()[1] if isinstance(total, _native.Covariance) else n_atoms
    if (n_frames, n_frames, n_atoms) != (n_read, total.counts()[0], found_atoms):
        raise RhobasisError(
            f"{total.counts()[0]} frames with {found_atoms} centres were accumulated, but there are {n_frames} with "
            f"{n_atoms}; the files changed meanwhile, or differ between the workers: give all workers the same files"
        )
    if files:
        names = [name for name, _, _ in files]
        _native.check_unchanged(files, _native.Dataset.of_files(names, None, None, part).identity())
    total.set_files(files, None)
    basis._adopt(total)  # pyright: ignore[reportArgumentType]
    if isinstance(basis, OptimalBasis):
        basis._finish()
    return basis


def _unfitted(of: _Fitted) -> OptimalBasis | Nice:
    """What a worker needs to begin."""
    if isinstance(of, OptimalBasis):
        return OptimalBasis(**of.get_params(deep=False))
    twin = of._unfitted()
    twin.basis = of.basis_
    return twin


def _begin(of: OptimalBasis | Nice) -> _native.Covariance | _native.NiceSample:
    """An empty accumulator."""
    return _native.Covariance(of) if isinstance(of, OptimalBasis) else of._empty_sample()


def _add(total: _native.Covariance | _native.NiceSample, frames: _native.Frames) -> None:
    total.add(frames, None) if isinstance(total, _native.Covariance) else total.add(frames)


def _client(client: Any) -> Any:
    try:
        from distributed import default_client
    except ImportError as error:
        raise ImportError("Dask is needed to fit on many machines; pip install 'rhobasis[dask]'") from error
    if client is not None:
        return client
    try:
        return default_client()
    except ValueError as error:
        raise RhobasisError("client: none is in use; make one with dask.distributed.Client(...)") from error


def _pieces(frames: FramesLike, part: int) -> tuple[list[tuple[Any, int, int]], list[tuple[str, int, str]], int]:
    """Frames or file, first frame and number of frames of each task; the files; all frames."""
    names = streamed_files(frames)
    if names is None:
        native = as_native(frames)
        starts = range(0, len(native), part)
        pieces = [(Frames(native.slice(a, 1, min(part, len(native) - a))), 0, part) for a in starts]
        return pieces, [], len(native)
    counting = _native.Dataset.of_files(names, None, None, part)
    counting.skip(sys.maxsize)
    next(counting, None)
    pieces, files = [], counting.files()
    for name, n_frames, _ in files:
        path = os.path.abspath(name)
        pieces += [(path, a, min(part, n_frames - a)) for a in range(0, n_frames, part)]
    return pieces, files, sum(n for _, n, _ in files)


def _accumulate(basis: OptimalBasis | Nice, frames: Frames | str, first: int, n: int) -> _Sum:
    """One part, on a worker."""
    _take_threads()
    total = _begin(basis)
    n_read = n_atoms = 0
    if isinstance(frames, Frames):
        _add(total, frames._native)
        return total.to_bytes(), len(frames), sum(frames.n_atoms)
    data = _native.Dataset.of_files([frames], None, None, min(_CHUNK, n))
    data.skip(first)
    for chunk, _, _, _ in data:
        chunk = chunk.slice(0, 1, min(len(chunk), n - n_read))
        _add(total, chunk)
        n_read += len(chunk)
        n_atoms += sum(chunk.n_atoms())
        if n_read == n:
            break
    return total.to_bytes(), n_read, n_atoms


def _merge(kind: Any, parts: list[_Sum]) -> _Sum:
    """The sum of some parts, accumulators of this kind, in their order, on a worker."""
    _take_threads()
    total = kind.from_bytes(parts[0][0])
    for part, _, _ in parts[1:]:
        total.merge(kind.from_bytes(part))
    return total.to_bytes(), sum(n for _, n, _ in parts), sum(n for _, _, n in parts)


def _take_threads() -> None:
    """Before the first computation of a worker process: the threads that Dask gave it."""
    if "RAYON_NUM_THREADS" in os.environ:
        return
    from distributed import get_worker

    _native.set_threads(get_worker().state.nthreads)
