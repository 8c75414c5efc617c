"""Potentials in i-PI: the file that its `ffdirect` and `i-pi-py_driver` load. Over sockets, see `rhobasis ipi`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _native
from ._errors import RhobasisError
from .potential import Potential

if TYPE_CHECKING:
    from .structure import PathLike

__all__ = ["Evaluator", "pes_path"]

#: An eV in hartree, an Å in bohr: the constants of i-PI (``ipi/utils/units.py``), so that its eV and Å are ours.
ELECTRON_VOLT = 0.036749326
ANGSTROM = 1.8897261

_EXTRAS = ("energies", "uncertainty", "extrapolation")


def pes_path() -> str:
    """Path of the file for ``<pes_path>`` of i-PI's `ffdirect`, and for ``i-pi-py_driver -m custom -P``.

    >>> import rhobasis as rb
    >>> rb.ipi.pes_path()
    '...ipi_pes.py'
    """
    return str(Path(__file__).with_name("ipi_pes.py"))


class Evaluator:
    """What that file holds: energy, forces and virial of one structure after the other, in atomic units.

    Parameters
    ----------
    potential : Potential or path
        A fitted `Potential`, or a file of one.
    template : path
        A file whose first frame has the atoms in the order of i-PI's, with their species and periodicity.
    extras : str or list of str
        What to send beside, as JSON: ``"energies"`` of the atoms; ``"uncertainty"``, the standard deviation of the
        energy under the key ``energy_uncertainty``, both in eV; ``"extrapolation"`` of the atoms, see
        `Potential.predict`. One name, or several in a list or with spaces between.
    skin : float
        In Å. Pairs are listed to this far beyond the cutoff, as for `rhobasis.ase.Calculator`.
    """

    def __init__(
        self,
        potential: Potential | PathLike,
        template: PathLike,
        extras: str | Sequence[str] = (),
        skin: float = 0.5,
    ) -> None:
        from .extxyz import read
        from .files import load

        if not isinstance(potential, Potential):
            file, potential = potential, load(potential)  # pyright: ignore[reportAssignmentType]
            if not isinstance(potential, Potential):
                raise TypeError(f"{file} holds no potential; give a file that 'rhobasis train' or Potential.save wrote")
        self.extras = extras.replace(",", " ").split() if isinstance(extras, str) else list(extras)
        if unknown := [name for name in self.extras if name not in _EXTRAS]:
            raise RhobasisError(f"extras = {', '.join(unknown)}: there is no such extra; give {' or '.join(_EXTRAS)}")
        self.potential = potential
        self.atoms = read(template, 0)
        if not self.atoms.pbc.any() and any(key.startswith("CELL") for key in self.atoms.info):
            raise RhobasisError(
                f"{template}: the cell is in a comment of i-PI, and would not be seen; write it as extended XYZ, "
                'Lattice="…" pbc="T T T", and give i-PI that file with <file mode=\'ase\'>'
            )
        self._driver = _native.Driver(potential._fitted(), float(skin))
        self._evaluate()  # what it cannot evaluate is known at once

    def evaluate(self, cell: Any, positions: Any) -> tuple[float, np.ndarray, np.ndarray, str]:
        """Energy in hartree, forces in hartree/bohr, virial −dE/dε in hartree, and extras.

        Parameters
        ----------
        cell : ndarray [3, 3]
            In bohr, lattice vectors in columns, as i-PI has it.
        positions : ndarray [atom, 3]
            In bohr, ``[atom, 3]``.
        """
        positions = np.asarray(positions, dtype=float).reshape(-1, 3)
        if len(positions) != len(self.atoms):
            raise RhobasisError(
                f"positions of {len(positions)} atoms, and the template has {len(self.atoms)}; "
                "give the frame that i-PI starts from as template"
            )
        self.atoms.positions = positions / ANGSTROM
        self.atoms.set_cell(np.asarray(cell, dtype=float).reshape(3, 3).T / ANGSTROM)
        energy, forces, virial, extras = self._evaluate()
        forces *= ELECTRON_VOLT / ANGSTROM
        return energy * ELECTRON_VOLT, forces, virial * ELECTRON_VOLT, json.dumps(extras) if extras else ""

    def _evaluate(self) -> tuple[float, np.ndarray, np.ndarray, dict[str, Any]]:
        extras: dict[str, Any] = {}
        if "extrapolation" in self.extras:
            found, _, extrapolation = self._driver.evaluate_with(self.atoms, virials=False, extrapolation=True)
            extras["extrapolation"] = extrapolation.tolist()
        else:
            found = self._driver.evaluate(self.atoms)
        energy, of_atoms, forces, virial, _ = found
        if "energies" in self.extras:
            extras["energies"] = of_atoms.tolist()
        if "uncertainty" in self.extras:
            extras["energy_uncertainty"] = self._driver.energy_deviation(self.atoms)
        return energy, forces, virial, extras
