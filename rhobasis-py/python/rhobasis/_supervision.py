"""The linear fit below a supervised basis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _native
from ._errors import RhobasisError
from ._progress import Progress

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_SIGMAS = ("energy_sigma", "force_sigma", "stress_sigma")


def labels_of(frames: _native.Frames, energies: ArrayLike | None, energy_key: str | None) -> _native.Labels:
    """Energies, or all that the frames are labelled with."""
    if energies is None:
        return _native.Labels.of_frames(frames, energy_key, None, None, None)
    if energy_key is not None:
        raise RhobasisError(f"energy_key = {energy_key}: y has the energies already; give one of the two")
    return _native.Labels.given(frames, np.asarray(energies, dtype=float), None, None)


def linear_fit(
    span: _native.Basis,
    frames: _native.Frames,
    labels: _native.Labels,
    target: dict[str, Any] | None,
    progress: bool,
) -> _native.Potential:
    """A linear model of the power spectrum; weights, baseline and, if linear, the regulariser are those of `target`."""
    model = {"model": "ridge", "alpha": list(_native.SUPERVISING_ALPHAS), "solver": "qr"}
    if target is None:
        there = (n > 0 for n in labels.counts())
        sigmas = {name: _native.DEFAULTS[name] if any_ else None for name, any_ in zip(_SIGMAS, there, strict=True)}
        weights = {**sigmas, "by_type": {}}
        target = {"model": model, "baseline": "least-squares", "repulsion": "none", "weights": weights}
    elif target["model"]["model"] == "ridge":
        model = target["model"]
    spectrum = {
        "kind": "power-spectrum",
        "columns": None,
        "normalize": False,
        "q_max": None,
        "l_max": None,
        "weight": 1.0,
    }
    bar = Progress("supervision", progress)

    def watch(done: int, n_frames: int, _: int) -> None:
        bar.update(done / max(n_frames, 1))

    fitted = _native.Potential.fit({**target, "model": model, "features": [spectrum]}, span, frames, labels, watch)
    bar.done()
    return fitted
