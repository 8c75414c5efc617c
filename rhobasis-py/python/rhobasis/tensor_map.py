"""Features and coefficients as a `metatensor.TensorMap`, which packages of that family read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ._centers import CentersLike, Precision
from ._errors import RhobasisError
from ._invariants import Invariants
from .density import Equivariants, Evaluator
from .nice import EquivariantBlocks
from .structure import Frames, as_native

if TYPE_CHECKING:
    from .structure import FramesLike

_COLUMNS = {
    "radial-spectrum": ["l", "alpha"],
    "power-spectrum": ["l", "alpha", "beta"],
    "bispectrum": ["l1", "l2", "l3", "alpha1", "alpha2", "alpha3"],
    "nice": ["nu", "k"],
}


def to_metatensor(
    what: Invariants | Evaluator | Equivariants | EquivariantBlocks,
    frames: FramesLike | None = None,
    centers: CentersLike | None = None,
    dtype: Precision = "float64",
) -> Any:
    """Features or coefficients as a `metatensor.TensorMap`, with a block for each species of centre.

    Parameters
    ----------
    what : PowerSpectrum, RadialSpectrum, Bispectrum, Nice, OptimalBasis, SphericalExpansion, Equivariants or \
EquivariantBlocks
        What computes them for `frames`; or coefficients that are there already, without `frames`.
    frames, centers, dtype : optional
        As for `transform`.

    Returns
    -------
    metatensor.TensorMap
        Samples are ``system``, ``atom``. Of features, the key is ``center_type`` (the atomic number), and properties
        are the fields of `columns_`, as in ``l``, ``alpha``, ``beta``. Of coefficients, keys are ``o3_lambda``,
        ``o3_sigma``, ``center_type``, the component is ``o3_mu`` = −λ … λ, and properties are ``species``, ``n`` of the
        channel (species 0 for all combined), or ``channel`` for equivariants of NICE.

    Raises
    ------
    ImportError
        Without metatensor: ``pip install 'rhobasis[metatensor]'``.
    RhobasisError
        For features of whole frames (`reduce`), `frames` missing or given where coefficients are there already, and
        as `transform`.

    Examples
    --------
    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> frames = [molecule("H2O"), molecule("CH4")]
    >>> soap = rb.PowerSpectrum(rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(n_max=2), l_max=1)).fit(frames)
    >>> tensor = rb.to_metatensor(soap, frames)
    >>> tensor.keys.names, tensor.keys.values.tolist()
    (['center_type'], [[1], [6], [8]])
    >>> tensor.block(center_type=1).values.shape, tensor.block(center_type=1).properties.names
    ((6, 42), ['l', 'alpha', 'beta'])
    """
    try:
        metatensor = import_module("metatensor")
    except ImportError as error:
        raise ImportError("metatensor is needed; pip install 'rhobasis[metatensor]'") from error
    if isinstance(what, (Equivariants, EquivariantBlocks)):
        if frames is not None or centers is not None:
            raise RhobasisError("frames, centers: these coefficients are there already; leave them out")
        return _of_blocks(metatensor, _blocks_of(what), what.centers)
    if not isinstance(what, (Invariants, Evaluator)):
        raise TypeError(f"what must be features, a basis or coefficients, not {what!r} ({type(what).__name__})")
    if frames is None:
        raise RhobasisError("frames = None: give the structures whose features are wanted")
    native = as_native(frames)
    if isinstance(what, Evaluator):
        c = what.transform(Frames(native), centers=centers, dtype=dtype)
        return _of_blocks(metatensor, _blocks_of(c), c.centers)
    if what.reduce is not None:
        problem = "samples are atoms here, and rows of these features whole frames"
        raise RhobasisError(f"reduce = {what.reduce!r}: {problem}; leave it out")
    x = np.asarray(what.transform(Frames(native), centers=centers, dtype=dtype))
    table, names = what.centers(Frames(native), centers), _COLUMNS[what._kind]
    properties = _labels(metatensor, names, what.columns_)
    blocks = [
        metatensor.TensorBlock(x[rows], _samples(metatensor, table[rows]), [], properties)
        for _, rows in _by_species(table)
    ]
    keys = np.array([[z] for z, _ in _by_species(table)], np.int32).reshape(-1, 1)
    return metatensor.TensorMap(_labels(metatensor, ["center_type"], keys), blocks)


_Block = tuple[int, int, np.ndarray, list[str], np.ndarray]


def _blocks_of(c: Equivariants | EquivariantBlocks) -> Iterator[_Block]:
    """λ, σ, numbers [center, μ, channel], and what the channels are."""
    if isinstance(c, Equivariants):
        for l, (block, channels) in enumerate(zip(c.blocks, c.channels, strict=True)):
            yield l, 1, block, ["species", "n"], channels
    else:
        for (sigma, lam), block in c.blocks.items():
            yield lam, sigma, block, ["channel"], np.arange(block.shape[2])[:, np.newaxis]


def _of_blocks(metatensor: Any, given: Iterator[_Block], centers: np.ndarray) -> Any:
    keys, blocks = [], []
    for lam, sigma, values, names, channels in given:
        mu = _labels(metatensor, ["o3_mu"], np.arange(-lam, lam + 1)[:, np.newaxis])
        properties = _labels(metatensor, names, channels)
        for z, rows in _by_species(centers):
            samples = _samples(metatensor, centers[rows])
            keys.append([lam, sigma, z])
            blocks.append(metatensor.TensorBlock(np.ascontiguousarray(values[rows]), samples, [mu], properties))
    names = ["o3_lambda", "o3_sigma", "center_type"]
    return metatensor.TensorMap(_labels(metatensor, names, np.array(keys).reshape(-1, 3)), blocks)


def _by_species(centers: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Species of centre that occur, ascending, and the rows of each."""
    return [(int(z), np.flatnonzero(centers["species"] == z)) for z in np.unique(centers["species"])]


def _samples(metatensor: Any, centers: np.ndarray) -> Any:
    return _labels(metatensor, ["system", "atom"], np.stack([centers["structure"], centers["atom"]], axis=1))


def _labels(metatensor: Any, names: Sequence[str], values: np.ndarray) -> Any:
    return metatensor.Labels(list(names), np.ascontiguousarray(values, np.int32))
