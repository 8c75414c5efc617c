"""Atoms outside of what a potential was trained on: told, and a reason to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from conftest import HEAD, Engine, alloy, silicon

import rhobasis as rb

# Extrapolation of each atom, and the largest, as LAMMPS knows them.
ASKED = """
fix grade all pair {every} rhobasis extrapolation 1
compute largest all pair rhobasis
dump 1 all custom {every} dump.txt id x y z f_grade
dump_modify 1 sort id format float %.17g
thermo_style custom step pe c_largest[1]
thermo_modify format float %.17g
thermo 1
"""


def of_dump(home: Path) -> list[np.ndarray]:
    """Positions and extrapolation of the atoms of each frame."""
    blocks = (home / "dump.txt").read_text().split("ITEM: ATOMS id x y z f_grade\n")[1:]
    lines = [block.split("ITEM")[0].strip().splitlines() for block in blocks]
    return [np.array([[float(x) for x in line.split()[1:]] for line in frame]) for frame in lines]


def said_by(ran: object) -> str:
    """What it printed, for LAMMPS breaks lines."""
    return " ".join((ran.stdout + ran.stderr).split())  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("name", "ranks"), [("linear", 1), ("sparse", 3), ("nice", 2), ("alloy", 2)])
def test_lammps_knows_the_extrapolation_of_atoms(
    name: str, ranks: int, models: dict[str, Path], engine: Callable[..., Engine]
) -> None:
    atoms, elements = (alloy(), ["Ag", "Au", "Cu", "Ni"]) if name == "alloy" else (silicon(), ["Si"])
    here = engine(atoms, elements)
    script = f"pair_style rhobasis extrapolation 900 1000 every 2\npair_coeff * * {models[name]} {' '.join(elements)}\n"
    script += "mass * 40\nvelocity all create 300 1\nfix 1 all nve\n" + ASKED.format(every=2) + "run 4\n"
    ran = here.start(HEAD + script, ranks)
    assert ran.returncode == 0, said_by(ran)
    frames = of_dump(here.home)
    assert len(frames) == 3
    rows = [line.split() for line in ran.stdout.splitlines()]
    largest = {int(row[0]): float(row[2]) for row in rows if len(row) == 3 and row[0].isdigit()}
    for k, frame in enumerate(frames):
        moved = atoms.copy()
        moved.positions = frame[:, :3]
        told = rb.load(models[name]).predict(moved, uncertainty=True).extrapolation[0]
        np.testing.assert_allclose(frame[:, 3], told, rtol=1e-6)
        assert largest[2 * k] == pytest.approx(told.max(), rel=1e-6)
    assert largest[1] == largest[0]  # nothing is asked between


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_run_is_warned_once_and_ends(models: dict[str, Path], ranks: int, engine: Callable[..., Engine]) -> None:
    atoms = bulk("Si", a=5.43, cubic=True).repeat((1, 1, 2))
    here = engine(atoms, ["Si"])
    calm = rb.load(models["linear"]).predict(atoms, uncertainty=True).extrapolation[0].max()
    warn, stop = 1.02 * calm, 3 * calm
    script = (
        f"pair_style rhobasis extrapolation {warn} {stop} every 2\npair_coeff * * {models['linear']} Si\nmass 1 28\n"
    )
    script += "velocity all create 3000 3\nfix 1 all nve\nthermo 2\nrun 400\n"
    ran = here.start(HEAD + script, ranks)
    said = said_by(ran)
    assert ran.returncode != 0, said[-1500:]
    assert said.count("WARNING: The extrapolation of atom") == 1, said[-1500:]
    warned = said.split("WARNING: ")[1].split(" (")[0]
    assert warned.endswith(": from now on the potential guesses. This is said once")
    assert f"above {warn:.6}"[:11] in warned
    ended = said.split("ERROR: ")[1].split(" (")[0]
    assert ended.endswith(": label such frames, and train on them too")
    assert f"above {stop:.6}"[:11] in ended
    step = int(ended.split(" at step ")[1].split(",")[0])
    assert step % 2 == 0
    assert int(warned.split(" at step ")[1].split(",")[0]) < step


def test_atoms_nearer_than_in_training_are_warned_of_once(
    models: dict[str, Path], engine: Callable[..., Engine]
) -> None:
    atoms = silicon()
    atoms.positions[6] = atoms.positions[2] + np.array([0, 0, 1.5])
    body = f"pair_style rhobasis\npair_coeff * * {models['linear']} Si\nmass 1 28\nfix 1 all nve\nrun 3\n"
    said = said_by(engine(atoms, ["Si"]).start(HEAD + body))
    assert said.count("WARNING: Atoms ") == 1, said[-1500:]
    assert "WARNING: Atoms 3 and 7 are 1.500 Angstrom apart at step 0" in said or "Atoms 7 and 3 are 1.500" in said
    assert "the smallest distance in training is 1.8" in said
    calm = said_by(engine(bulk("Si", a=5.43, cubic=True), ["Si"]).start(HEAD + body))
    assert "Angstrom apart" not in calm


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("extrapolation 1.2", "takes no arguments but 'extrapolation WARN STOP every N'"),
        ("extrapolation 2 1", "the first not above the second"),
        ("extrapolation 1 2 every 0", "steps from 1 on"),
        ("extrapolation one 2", "floating point"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    words: str, expected: str, models: dict[str, Path], engine: Callable[..., Engine]
) -> None:
    body = f"pair_style rhobasis {words}\npair_coeff * * {models['linear']} Si\nmass 1 28\nrun 0\n"
    ran = engine(silicon(), ["Si"]).start(HEAD + body)
    assert ran.returncode != 0
    assert expected in said_by(ran), said_by(ran)[-800:]
