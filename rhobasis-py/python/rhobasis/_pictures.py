"""Pictures of bases and potentials; matplotlib is loaded when one is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import RhobasisError

if TYPE_CHECKING:
    from . import _native

_SHOWN = 4
"""Radial functions that are drawn: with more, none can be told apart."""


def new_axes(n: int) -> np.ndarray:
    """Axes of a new figure, `n` side by side."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("matplotlib is needed to draw; pip install 'rhobasis[plot]'") from error
    return plt.subplots(1, n, figsize=(4.5 * n, 3.6), squeeze=False, layout="constrained")[1][0]


def _axes(n: int, given: Any) -> np.ndarray:
    if given is None:
        return new_axes(n)
    axes = np.atleast_1d(np.asarray(given, dtype=object)).ravel()
    if len(axes) != n:
        raise RhobasisError(f"axes = {len(axes)} of them: {n} are drawn on; give {n}, or None for a new figure")
    return axes


def functions_and_variance(
    r: np.ndarray, functions: np.ndarray, l: int, left_out: np.ndarray, discarded: float, axes: Any
) -> np.ndarray:
    """The leading radial functions [r, q] of one l, and what 0, 1, 2 … functions of each block leave out."""
    functions_of, variance = (axes := _axes(2, axes))
    for q, function in enumerate(functions.T[:_SHOWN]):
        functions_of.plot(r, function, color=f"C{q}", label=f"q = {q + 1}")
    functions_of.axhline(0.0, color="0.7", lw=0.6, zorder=0)
    functions_of.set(xlabel="r / Å", ylabel=f"radial function, l = {l} / Å$^{{-3/2}}$", xlim=(0.0, r[-1]))
    functions_of.legend(fontsize="small")
    shown = left_out > 1e-13  # below, rounding
    variance.plot(np.arange(len(left_out))[shown], left_out[shown], "o-", ms=3)
    if discarded > 1e-13:
        variance.axhline(discarded, color="0.5", ls="--", lw=0.8, label="left out by this basis")
        variance.legend(fontsize="small")
    variance.set(xlabel="functions of each block", ylabel="residual variance", yscale="log")
    return axes


def parity(
    labels: _native.Labels, energies: np.ndarray, forces: list[np.ndarray] | None, n_atoms: list[int], axes: Any
) -> np.ndarray:
    """Predictions against labels: energies per atom, components of forces, whichever there are."""
    drawn: list[tuple[str, str, np.ndarray, np.ndarray]] = []
    sizes = np.array(n_atoms)
    known = np.isfinite(labels.energies()) & (sizes > 0)
    if known.any():
        y, found = ((values[known] / sizes[known]) for values in (labels.energies(), energies))
        drawn.append(("energy per atom", "eV", y, found))
    if forces is not None:
        pairs = [
            (f.ravel(), of_model.ravel()) for f, of_model in zip(labels.forces(), forces, strict=True) if f is not None
        ]
        y, found = (np.concatenate(side) for side in zip(*pairs, strict=True))
        drawn.append(("force component", "eV/Å", y[np.isfinite(y)], found[np.isfinite(y)]))
    if not drawn:
        raise RhobasisError("no frame has an energy or forces: there is nothing to compare with; name energy_key")
    axes = _axes(len(drawn), axes)
    for ax, (name, unit, y, found) in zip(axes, drawn, strict=True):
        ax.plot(y, found, ".", ms=3, alpha=0.5, rasterized=len(y) > 5000)
        ax.axline((y.mean(), y.mean()), slope=1.0, color="0.4", lw=0.8, zorder=0)
        rmse = np.sqrt(np.mean((found - y) ** 2))
        ax.set(xlabel=f"{name}, label / {unit}", ylabel=f"{name}, predicted / {unit}")
        ax.set_title(f"RMSE {1000 * rmse:.3g} m{unit}", fontsize="medium")
    return axes
