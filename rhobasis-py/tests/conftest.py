"""Structures that several tests use."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule


@pytest.fixture
def molecules():
    """Small molecules of H C N O, rattled."""
    rng = np.random.default_rng(1)
    frames = [molecule(name) for name in ("H2O", "CH4", "NH3", "CH3OH", "HCN", "CO2", "C2H6", "H2CO")]
    for atoms in frames:
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
    return frames


@pytest.fixture
def crystals():
    """Silicon carbide and silicon: skewed, left-handed, atoms outside the cell, cells smaller than the cutoff."""
    rng = np.random.default_rng(2)
    frames = [bulk("Si"), bulk("SiC", crystalstructure="zincblende", a=4.36), bulk("Si", cubic=True)]
    frames[1].set_cell(frames[1].cell.array[::-1] + rng.normal(scale=0.1, size=(3, 3)))
    frames[2].positions += frames[2].cell.array[0] * 3
    slab = Atoms("SiC2", positions=rng.uniform(0, 3, (3, 3)), cell=[[3, 0, 0], [1, 3, 0], [0, 0, 0]], pbc=[1, 1, 0])
    return [*frames, slab]
