"""LAMMPS and ASE find the same energies, forces and stresses, however the atoms are spread over processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from conftest import ELEMENTS, HEAD, Engine, Frame, alloy, silicon

import rhobasis as rb

VOIGT = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]  # xx yy zz xy xz yz, as in LAMMPS

NVE = """pair_style rhobasis
pair_coeff * * {model} {elements}
mass * 30
velocity all create 900 12345 loop geom
neighbor 0.3 bin
{dump}
fix 1 all nve
run 12
"""


def same(found: np.ndarray | float, expected: np.ndarray | float, scale: np.ndarray | float | None = None) -> None:
    largest = np.abs(expected if scale is None else scale).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * largest)


def check(frame: Frame, model: Path, atoms: Atoms | None = None, scale: Frame | None = None) -> None:
    """All that LAMMPS says, against ASE; `atoms` in place of those of the frame, relative to the numbers of `scale`."""
    atoms, scale = frame.atoms if atoms is None else atoms, scale or frame
    atoms.calc = rb.ase.Calculator(model)
    same(frame.energy, atoms.get_potential_energy())
    same(frame.forces, atoms.get_forces(), scale.forces)
    same(frame.energies, atoms.get_potential_energies(), frame.energy)  # a kernel's are small sums of large terms
    stress = atoms.get_stress(voigt=False)
    # Virials of atoms: LAMMPS calls the negative so; of their large terms the sum keeps little.
    volume = atoms.get_volume()
    same(-frame.pressure, np.array([stress[i] for i in VOIGT]), np.abs(scale.virials).sum(axis=0) / volume)
    nine = frame.centroid.sum(axis=0) / volume
    same(frame.virials.sum(axis=0) / volume, -frame.pressure, frame.virials / volume)
    same(nine[:6], -frame.pressure, frame.centroid / volume)
    same(nine[6:], nine[3:6], frame.centroid / volume)
    same(frame.virials[:, :3], frame.centroid[:, :3])
    same(frame.virials[:, 3:], 0.5 * (frame.centroid[:, 3:6] + frame.centroid[:, 6:]), frame.virials)


CASES = [
    ("linear", 1),
    ("linear", 2),
    ("linear", 3),
    ("alloy", 1),
    ("alloy", 2),
    ("alloy", 3),
    ("sparse", 1),
    ("table", 2),
    ("nice", 2),
    ("supervised", 1),
]


@pytest.mark.parametrize(("name", "ranks"), CASES)
def test_energies_forces_and_stress_are_those_of_ase(
    name: str, ranks: int, models: dict[str, Path], engine: Callable[..., Engine]
) -> None:
    kind, atoms = ("alloy", alloy()) if name == "alloy" else ("silicon", silicon())
    body = NVE.replace("{model}", str(models[name])).replace("{elements}", " ".join(ELEMENTS[kind]))
    frames = engine(atoms, ELEMENTS[kind]).frames(body, every=6, ranks=ranks)
    assert len(frames) == 3
    assert np.abs(frames[-1].atoms.positions - frames[0].atoms.positions).max() > 0.02
    for frame in frames:
        check(frame, models[name])


def test_a_cell_that_moves_is_followed(models: dict[str, Path], engine: Callable[..., Engine]) -> None:
    body = f"""pair_style rhobasis
pair_coeff * * {models["linear"]} Si
mass 1 28.085
velocity all create 600 1
{{dump}}
fix 1 all npt temp 600 600 0.1 tri 5e4 5e4 0.1
run 20
"""
    frames = engine(silicon(), ["Si"]).frames(body, every=10, ranks=2)
    assert np.abs(frames[-1].atoms.cell - frames[0].atoms.cell).max() > 1e-3
    for frame in frames:
        check(frame, models["linear"])


def test_a_minimum_is_one(models: dict[str, Path], engine: Callable[..., Engine]) -> None:
    body = f"""pair_style rhobasis
pair_coeff * * {models["linear"]} Si
mass 1 28.085
{{dump}}
min_style cg
minimize 0 1e-3 200 2000
"""
    frames = engine(silicon(), ["Si"]).frames(body, every=1000, ranks=1)
    assert frames[-1].energy < frames[0].energy - 0.1
    check(frames[-1], models["linear"], scale=frames[0])


def test_a_repulsion_is_added(models: dict[str, Path], engine: Callable[..., Engine]) -> None:
    def run(style: str, coeff: str) -> Frame:
        body = f"pair_style {style}\n{coeff}\nmass 1 28\n{{dump}}\nrun 0\n"
        return engine(silicon(), ["Si"]).frames(body)[0]

    ours = run("rhobasis", f"pair_coeff * * {models['linear']} Si")
    zbl = run("zbl 2.0 3.0", "pair_coeff 1 1 14 14")
    both = run(
        "hybrid/overlay rhobasis zbl 2.0 3.0",
        f"pair_coeff * * rhobasis {models['linear']} Si\npair_coeff 1 1 zbl 14 14",
    )
    for quantity in ("energy", "pressure", "forces", "energies", "virials"):
        same(getattr(both, quantity), getattr(ours, quantity) + getattr(zbl, quantity))


def test_types_of_another_style_are_not_seen(models: dict[str, Path], engine: Callable[..., Engine]) -> None:
    atoms = silicon()
    atoms.symbols[3:6] = "Ar"
    body = f"""pair_style hybrid rhobasis zero 4.0
pair_coeff * * rhobasis {models["linear"]} Si NULL
pair_coeff 1 2 zero
pair_coeff 2 2 zero
mass * 30
{{dump}}
run 0
"""
    frame = engine(atoms, ["Si", "Ar"]).frames(body, ranks=2)[0]
    ours = frame.atoms.symbols == "Si"
    assert not frame.forces[~ours].any()
    for name in ("forces", "energies", "virials", "centroid"):
        setattr(frame, name, getattr(frame, name)[ours])
    check(frame, models["linear"], frame.atoms[ours])


def test_processes_without_atoms_take_part(models: dict[str, Path], engine: Callable[..., Engine]) -> None:
    atoms = silicon()[:2]
    atoms.set_cell([5.4, 5.5, 40.0])
    body = f"pair_style rhobasis\npair_coeff * * {models['linear']} Si\nmass 1 28\n{{dump}}\nrun 0\n"
    frame = engine(atoms, ["Si"]).frames(body, ranks=3, head="processors 1 1 3\n" + HEAD)[0]
    check(frame, models["linear"])


def test_virials_of_atoms_carry_the_heat(models: dict[str, Path], engine: Callable[..., Engine]) -> None:
    """d/dt Σ r_i E_i, less what moves with the atoms, is Σ W_j v_j: the flux of heat by forces, of any velocities."""
    atoms = silicon()[:6]
    atoms.set_cell([20, 21, 22])
    atoms.center()
    body = f"pair_style rhobasis\npair_coeff * * {models['linear']} Si\nmass 1 28\n{{dump}}\nrun 0\n"
    frame = engine(atoms, ["Si"]).frames(body)[0]
    order = [(*VOIGT, (1, 0), (2, 0), (2, 1)).index((p, q)) for p in range(3) for q in range(3)]
    virials = -frame.centroid[:, order].reshape(-1, 3, 3)

    velocities, h = np.random.default_rng(0).normal(size=(6, 3)), 1e-5
    calculator, energies = rb.ase.Calculator(models["linear"]), []
    for step in (-h, h):
        moved = frame.atoms.copy()
        moved.positions += step * velocities
        energies.append(calculator.get_property("energies", moved))
    power = (energies[1] - energies[0]) / (2 * h) + (frame.forces * velocities).sum(axis=1)
    expected = power @ frame.atoms.positions
    np.testing.assert_allclose(np.einsum("jpq,jq->p", virials, velocities), expected, rtol=1e-6)
