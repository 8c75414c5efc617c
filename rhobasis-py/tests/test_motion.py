"""Frames of `rhobasis md` in ASE, relaxations and stiffness against ASE, and atoms that are too near."""

import subprocess
import sys
import warnings

import ase.io
import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms, units
from ase.build import bulk
from ase.data import atomic_masses
from ase.filters import FrechetCellFilter
from ase.md.velocitydistribution import Stationary
from ase.optimize import FIRE
from ase.stress import voigt_6_to_full_3x3_stress
from test_ase import labelled

COMMAND = "import sys, rhobasis._cli as c; sys.exit(c.main())"


def run(folder, *args):
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, args)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def potential():
    basis = rb.OptimalBasis(rb.Density(r_cut=4.5, sigma=0.5, cutoff_width=1.0), rb.Gto(n_max=8), l_max=3, q_max=5)
    return rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(alpha=1e-10)).fit(labelled(20, 0.1))


@pytest.fixture(scope="module")
def place(potential, tmp_path_factory):
    folder = tmp_path_factory.mktemp("motion")
    potential.save(folder / "m.rho")
    return folder


def test_ase_reads_the_velocities_of_a_trajectory_and_the_command_those_of_ase(place):
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.set_momenta(np.random.default_rng(3).normal(scale=1.5, size=(32, 3)))
    Stationary(atoms)
    ase.io.write(place / "start.xyz", atoms, format="extxyz")
    said = run(place, "md", "m.rho", "start.xyz", "--steps", 4, "--every", 2, "-o", "t.xyz")
    assert "'momenta' of the frame (momenta of ASE)" in said
    frames = ase.io.read(place / "t.xyz", ":")
    assert len(frames) == 3
    np.testing.assert_allclose(frames[0].get_velocities(), atoms.get_velocities(), atol=1e-9)  # written with 8 digits
    for frame in frames:
        per_fs = frame.arrays["velocities"] / units.fs
        np.testing.assert_allclose(frame.get_velocities(), per_fs, rtol=1e-6, atol=1e-9)
        assert abs(frame.get_kinetic_energy() - frame.info["kinetic_energy"]) < 1e-6
        assert frame.get_forces().shape == (32, 3)
        assert frame.get_stress().shape == (6,)
    # Finite differences of positions agree.
    moved = (frames[2].positions - frames[0].positions) / (4 * units.fs)
    np.testing.assert_allclose(moved, frames[1].get_velocities(), atol=2e-3)


def test_masses_are_those_of_ase(place):
    symbols = ["H", "C", "O", "Si", "Cu", "Ge", "Au", "U"]
    chain = Atoms(symbols, [[30.0 * k, 0, 0] for k in range(len(symbols))])
    chain.set_momenta(np.ones((len(symbols), 3)))
    for species, mass in zip(symbols, chain.get_masses(), strict=True):
        assert abs(mass - atomic_masses[Atoms(species).numbers[0]]) < 1e-9


def test_relaxed_crystals_and_their_stiffness_are_those_of_ase(potential, place):
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array * 1.01, scale_atoms=True)
    atoms.positions[1] += [0.05, -0.02, 0.03]
    ase.io.write(place / "crystal.xyz", atoms, format="extxyz")
    run(place, "relax", "m.rho", "crystal.xyz", "--cell", "-o", "relaxed.xyz", "--fmax", 1e-4, "--smax", 1e-4)
    ours = ase.io.read(place / "relaxed.xyz")
    theirs = atoms.copy()
    theirs.calc = rb.ase.Calculator(potential)
    assert FIRE(FrechetCellFilter(theirs), logfile=None).run(fmax=1e-4, steps=2000)
    assert abs(ours.get_potential_energy() - theirs.get_potential_energy()) < 1e-6
    np.testing.assert_allclose(ours.cell.cellpar(), theirs.cell.cellpar(), atol=1e-3)

    def stress(strain):
        strained = ours.copy()
        strained.set_cell(ours.cell.array @ (np.eye(3) + voigt_6_to_full_3x3_stress(strain)), scale_atoms=True)
        strained.calc = rb.ase.Calculator(potential)
        assert FIRE(strained, logfile=None).run(fmax=1e-5, steps=2000)
        return strained.get_stress() / units.GPa

    said = run(place, "elastic", "m.rho", "crystal.xyz", "--fmax", 1e-4, "--plot", "eos.svg")
    rows = [line.split()[1:] for line in said.splitlines() if line.strip().startswith("C") and "j " in line]
    found = np.array(rows[-6:], dtype=float)
    for j, h in [(0, 0.003), (3, 0.0015)]:  # shears as γ = 2 ε
        e = np.eye(6)[j] * h
        expected = (stress(e) - stress(-e)) / 0.006
        np.testing.assert_allclose(found[:, j], expected, atol=0.5)
    assert (place / "eos.svg").read_text().startswith("<svg")


def test_atoms_nearer_than_in_training_are_named_once_and_repel_each_other(potential):
    ((pair, nearest),) = potential.nearest_.items()
    assert pair == (29, 29)
    assert 1.8 < nearest < 2.6
    assert rb.Potential(potential.features, potential.model).repulsion == "zbl"
    near = [Atoms("Cu2", [[0, 0, 0], [0, 0, r]]) for r in (2.55, 1.2, 1.0)]
    with pytest.warns(UserWarning, match=r"atoms 0 \(Cu\) and 1 \(Cu\) are 1\.200 Å apart.*in 1 other frame") as said:
        prediction = potential.predict(near)
    assert len(said) == 1
    assert prediction.energies[2] > prediction.energies[1] + 10 > prediction.energies[0] + 20
    calculator = rb.ase.Calculator(potential)
    with pytest.warns(UserWarning, match=r"1\.200 Å apart; the smallest distance in training is") as said:
        energies = [calculator.get_potential_energy(near[k]) for k in (1, 2, 1)]
    assert energies[0] == energies[2]
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        potential.predict(near[:1])


def test_the_core_can_be_changed_or_left_out_and_is_kept_in_files(potential, tmp_path):
    frames = labelled(12, 0.1)
    near = [Atoms("Cu2", [[0, 0, 0], [0, 0, 1.2]])]

    def energy(fitted):
        with pytest.warns(UserWarning, match="apart"):
            return fitted.predict(near).energies[0]

    energies = {}
    for name, repulsion in {"zbl": "zbl", "late": {"inner": 0.3, "outer": 0.9}, "none": None}.items():
        basis = rb.OptimalBasis(rb.Density(r_cut=4.5), rb.Gto(n_max=6), l_max=2, q_max=3)
        fitted = rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(alpha=1e-10), repulsion=repulsion).fit(frames)
        fitted.save(tmp_path / "m.rho")
        again = rb.load(tmp_path / "m.rho")
        assert again.repulsion == repulsion
        assert again.nearest_ == fitted.nearest_
        energies[name] = energy(again)
        assert energies[name] == energy(fitted)
    assert energies["zbl"] > energies["late"] > energies["none"]
    with pytest.raises(rb.RhobasisError, match="inner = 1"):
        rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(), repulsion={"inner": 1.0}).fit(frames)
    with pytest.raises(rb.RhobasisError, match=r"repulsion: unknown key 'iner', the nearest known one is 'inner'"):
        rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(), repulsion={"iner": 0.5}).fit(frames)
