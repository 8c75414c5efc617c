"""Labels that are passed as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _native
from ._errors import RhobasisError


def given_labels(frames: _native.Frames, energies: Any, forces: Any, stresses: Any) -> _native.Labels:
    """Those of `Potential.fit`."""
    n_atoms = frames.n_atoms()
    if forces is not None:
        one = isinstance(forces, np.ndarray) and forces.ndim == 2
        if one:
            if len(forces) != sum(n_atoms):
                raise RhobasisError(
                    f"forces = array of {len(forces)} rows: there are {sum(n_atoms)} atoms; "
                    "give x, y, z for each atom of all frames, or an array for each frame"
                )
            forces = np.split(forces, np.cumsum(n_atoms)[:-1])
        elif not isinstance(forces, (Sequence, np.ndarray)):
            raise TypeError(f"forces must be an array [atom, 3], or one for each frame, not {forces!r}")
        forces = list(forces)
    if stresses is not None:
        stresses = np.asarray(stresses, dtype=float)
        if stresses.shape in ((6,), (3, 3)):
            stresses = stresses[np.newaxis]
        if stresses.ndim == 2 and stresses.shape[1] == 6:
            stresses = stresses[:, [[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
        if stresses.ndim != 3:
            raise RhobasisError(f"stresses = {stresses.shape}: an array [frame, 3, 3] or [frame, 6] is needed")
    return _native.Labels.given(frames, energies, forces, stresses)
