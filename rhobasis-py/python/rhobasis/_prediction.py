"""What a potential says of structures."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._html import Rows, table


class Prediction:
    """What a potential says of some frames.

    Attributes
    ----------
    energies : ndarray [frame]
        In eV, with the energies of the free atoms.
    atom_energies : list of ndarray [atom]
        For each frame, in eV; they add up to `energies`.
    forces : list of ndarray [atom, 3], optional
        For each frame, −dE/dr in eV/Å; None if not asked for.
    virials : ndarray [frame, 3, 3], optional
        −dE/dε in eV, of all frames; None without forces.
    stresses : ndarray [frame, 3, 3], optional
        (1/V) dE/dε in eV/Å³, positive under tension; NaN for frames that are not periodic in all three directions; None
        without forces.
    energy_uncertainties : ndarray [frame], optional
        Standard deviation of each energy, in eV, by the model's own posterior and calibrated; None if not asked for.
    forces_uncertainties : list of ndarray [atom, 3], optional
        For each frame, standard deviations of the components of the forces, in eV/Å; None if not asked for, or without
        forces.
    energy_intervals : ndarray [frame], optional
        Half widths of intervals that hold the part of the errors that was asked for, in eV; None if none was.
    forces_intervals : list of ndarray [atom, 3], optional
        The same of the components of the forces, in eV/Å.
    extrapolation : list of ndarray [atom], optional
        For each frame, the leverage of each atom over the largest in training: above 1 the model extrapolates; None if
        not asked for, and of files of older versions.

    Notes
    -----
    As an array, for scikit-learn's scorers and for `cross_val_predict`, it is `energies`.
    """

    def __init__(
        self,
        energies: np.ndarray,
        atom_energies: list[np.ndarray],
        forces: list[np.ndarray] | None,
        virials: np.ndarray | None,
        stresses: np.ndarray | None,
        energy_uncertainties: np.ndarray | None,
        forces_uncertainties: list[np.ndarray] | None = None,
        extrapolation: list[np.ndarray] | None = None,
    ) -> None:
        self.energies = energies
        self.atom_energies = atom_energies
        self.forces = forces
        self.virials = virials
        self.stresses = stresses
        self.energy_uncertainties = energy_uncertainties
        self.forces_uncertainties = forces_uncertainties
        self.extrapolation = extrapolation
        self.energy_intervals: np.ndarray | None = None
        self.forces_intervals: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.energies)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.energies.astype(dtype or float, copy=bool(copy))

    def _repr_html_(self) -> str:
        sizes = np.array([len(energies) for energies in self.atom_energies])
        known = sizes > 0
        rows: Rows = [("frames", len(self)), ("atoms", int(sizes.sum()))]
        rows.append(("energy per atom / eV", _range(self.energies[known] / sizes[known])))
        if self.energy_uncertainties is not None:
            rows.append(("its standard deviation / eV", _range(self.energy_uncertainties[known] / sizes[known])))
        rows += _largest("largest component of a force / (eV/Å)", self.forces)
        rows += _largest("largest standard deviation of one / (eV/Å)", self.forces_uncertainties)
        if self.stresses is not None and np.isfinite(self.stresses).any():
            rows.append(("components of stress / (eV/Å³)", _range(self.stresses[np.isfinite(self.stresses)])))
        if self.extrapolation is not None:
            leverages = np.concatenate([np.empty(0), *self.extrapolation])
            rows.append(("atoms unlike those of training", f"{(leverages > 1).sum()} of {len(leverages)}"))
        return table("Prediction", [], rows)

    def __repr__(self) -> str:
        names = ("forces", "energy_uncertainties", "forces_uncertainties", "extrapolation")
        more = [name for name in names if getattr(self, name) is not None]
        return f"Prediction({', '.join([f'{len(self)} energies', *more])})"


def _range(values: np.ndarray) -> str:
    return f"{values.min():.4g} … {values.max():.4g}" if len(values) else "–"


def _largest(name: str, of_frames: list[np.ndarray] | None) -> Rows:
    if of_frames is None or not sum(values.size for values in of_frames):
        return []
    return [(name, f"{max(np.abs(values).max() for values in of_frames if values.size):.4g}")]
