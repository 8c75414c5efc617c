"""Potentials in ASE."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, cast

try:
    from ase.calculators.calculator import Calculator as _Calculator
    from ase.calculators.calculator import (
        PropertyNotImplementedError,
        all_changes,
        external_calculators,
        register_calculator_class,
    )
    from ase.stress import full_3x3_to_voigt_6_stress
except ImportError as error:
    raise ImportError("ASE is needed for its calculators; pip install 'rhobasis[ase]'") from error

from . import _native
from ._errors import RhobasisError
from .potential import Potential

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from .structure import PathLike


class Calculator(_Calculator):
    """Energy, forces and stress of a `rhobasis.Potential` for ASE.

    Parameters
    ----------
    potential : Potential or path
        A fitted `Potential`, or a file of one.
    skin : float, default 0.3
        In Å. Pairs are listed to this far beyond the cutoff, and the list serves until an atom has moved by more than
        half of it. Results do not depend on it, but for rounding. It may be changed by ``set(skin=…)``.
    uncertainty : bool, default False
        Adds to `results` ``energy_std``, the standard deviation of the energy in eV, and ``extrapolation`` `[atom]`,
        above 1 for atoms outside of what the potential was trained on; see `get_forces_std` for forces.

    Notes
    -----
    Images of a band and beads of a ring polymer may share a calculator: each keeps a list while others are evaluated.

    Properties: ``energy`` and ``free_energy`` (the same), ``energies`` of the atoms, in eV; ``forces`` in eV/Å;
    ``stress`` in eV/Å³, positive under tension, in the order xx, yy, zz, yz, xz, xy, of structures that are periodic in
    all three directions; and, where it is asked for, ``stresses`` of the atoms [atom, 6], which add up to it:

        σ_j = (1/V) Σ_i sym(r_ji ⊗ dE_i/dr_ji),    Σ_j σ_j = σ

    with the volume V of the cell, as ASE has it, and sym the symmetric part. Of the ways to share out the stress of a
    many-body potential it is that of the flux of heat, and of ``compute stress/atom`` with our plugin of LAMMPS.

    Once `rhobasis.ase` is imported, ASE knows the class by its name: ``get_calculator_class("rhobasis")``.

    Examples
    --------
    >>> import rhobasis as rb
    >>> from ase.build import bulk
    >>> frames = [bulk("Al", a=a) for a in (3.9, 4.0, 4.1, 4.2)]
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=0, q_max=3)
    >>> potential = rb.Potential(rb.RadialSpectrum(basis), rb.Ridge(alpha=1e-12))
    >>> potential = potential.fit(frames, energies=[-3.2, -3.3, -3.2, -3.0], force_sigma=None)
    >>> atoms = bulk("Al", a=4.05)
    >>> atoms.calc = rb.ase.Calculator(potential)
    >>> bool(-3.4 < atoms.get_potential_energy() < -3.1), atoms.get_stress().shape
    (True, (6,))
    >>> bool(abs(atoms.get_stresses().sum(axis=0) - atoms.get_stress()).max() < 1e-12)
    True
    """

    implemented_properties = [  # noqa: RUF012 (as in ASE)
        *("energy", "free_energy", "energies", "forces", "stress", "stresses")
    ]
    nolabel = True  # for `ase run`: nothing is written
    default_parameters = {"skin": 0.3}  # noqa: RUF012
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012

    def __init__(
        self, potential: Potential | PathLike, skin: float = default_parameters["skin"], uncertainty: bool = False
    ) -> None:
        if not isinstance(potential, Potential):
            from .files import load

            file, potential = potential, load(potential)  # pyright: ignore[reportAssignmentType]
            if not isinstance(potential, Potential):
                raise TypeError(f"{file} holds a basis, and a Potential is needed; fit one on it")
        self.potential = potential
        self.uncertainty = bool(uncertainty)
        if self.uncertainty and not potential.calibration_:
            raise RhobasisError(
                "uncertainty = True: this potential knows none that is calibrated; fit a Ridge or Gap anew, to eight "
                "different frames at least"
            )
        self._driver = _native.Driver(potential._fitted(), skin)
        super().__init__(skin=skin)

    def _get_name(self) -> str:
        return "rhobasis"

    @property
    def skin(self) -> float:
        """In Å."""
        return cast("dict[str, float]", self.parameters)["skin"]

    @skin.setter
    def skin(self, skin: float) -> None:
        self.set(skin=skin)

    def set(self, **kwargs: Any) -> dict[str, Any]:
        """Changes `skin`, all there is to change, and returns what has changed; results stay."""
        if unknown := kwargs.keys() - {"skin"}:
            raise TypeError(
                f"{', '.join(sorted(unknown))}: only skin can be set; for another potential, make another Calculator"
            )
        driver = _native.Driver(self.potential._fitted(), kwargs["skin"]) if kwargs else self._driver
        changed = super().set(**kwargs)
        if changed:
            self._driver = driver
        return changed

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fills `results` with all there is: forces cost little more than the energy, and are mostly needed too.

        Stresses of atoms are there if they are asked for.
        """
        asked = set(properties or ())
        here: Any = self.atoms if atoms is None else atoms
        if here is None:
            raise TypeError("atoms must be an ase.Atoms, not None: nothing was calculated before")
        if asked & {"stress", "stresses"} and not here.pbc.all():
            name = min(asked & {"stress", "stresses"})
            raise PropertyNotImplementedError(
                f"{name} needs a cell that is periodic in all three directions, and pbc is {here.pbc.tolist()}"
            )
        self.results = {}  # whatever follows, none of other atoms stay
        super().calculate(atoms, properties, system_changes)
        beside: dict[str, Any] = {}
        if self.uncertainty or "stresses" in asked:
            found, virials, extrapolation = self._driver.evaluate_with(
                self.atoms, virials="stresses" in asked, extrapolation=self.uncertainty
            )
            if "stresses" in asked:
                beside["stresses"] = full_3x3_to_voigt_6_stress(-virials / here.get_volume())
            if self.uncertainty:
                beside |= {"energy_std": self._driver.energy_deviation(self.atoms), "extrapolation": extrapolation}
        else:
            found = self._driver.evaluate(self.atoms)
        energy, of_atoms, forces, _, stress = found
        results: dict[str, Any] = {"energy": energy, "free_energy": energy, "energies": of_atoms, "forces": forces}
        results.update(beside)
        if stress is not None:
            results["stress"] = full_3x3_to_voigt_6_stress(stress)
        self.results = results

    def get_forces_std(self, atoms: Atoms) -> np.ndarray:
        """Standard deviations of the components of the forces `[atom, 3]`, in eV/Å.

        They take tens of times as long as the forces, and are computed anew with each call.
        """
        return self._driver.force_deviations(atoms)

    def __getstate__(self) -> dict[str, Any]:
        state = {key: value for key, value in self.__dict__.items() if key != "_driver"}
        # A copy has its own.
        state["parameters"] = copy(self.parameters)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({"uncertainty": False, **state})  # of older versions there is no such thing
        self._driver = _native.Driver(self.potential._fitted(), self.skin)


if "rhobasis" not in external_calculators:
    register_calculator_class("rhobasis", Calculator)
