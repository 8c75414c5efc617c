"""The examples of the README run as they stand."""

import pathlib
import re

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """The working folder, where examples may write, with the bundled data."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")


def test_a_basis_for_molecules(folder):
    (example,) = [text for text in EXAMPLES if "molecules.rho" in text]
    names = {}
    exec(example, names)
    assert names["basis"].discarded_variance_ < 0.001
    assert len(names["X"]) == len(names["c"])


def test_from_a_file_to_a_relaxation_with_ase(folder):
    (example,) = [text for text in EXAMPLES if "rb.ase.Calculator" in text]
    names = {}
    exec(example, names)
    atoms, potential, frames = names["atoms"], names["potential"], names["frames"]
    assert potential.score(frames[1::2]) > 0.9999
    assert atoms.get_potential_energy() / len(atoms) == pytest.approx(-4.3364, abs=0.003)  # Stillinger-Weber
    np.testing.assert_allclose(atoms.cell.lengths(), 5.431, atol=0.01)
