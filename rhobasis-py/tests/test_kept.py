"""What `ase.Atoms` hold: each frame keeps what is its own, and what cannot be kept is named."""

import copy
import warnings
from collections import deque
from pathlib import Path

import ase.io
import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import BaseCalculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixBondLength, FixCartesian
from ase.spacegroup import crystal

STALE = "frame 0.*its calculator holds results of other (cell and )?positions; give each frame a calculator of its own"


def frames_of(n):
    frames = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=k)
        frames.append(atoms)
    return frames


def shared(n):
    """Frames that have been through one calculator, which holds the results of the last."""
    frames, calculator = frames_of(n), EMT()
    for atoms in frames:
        atoms.calc = calculator
        atoms.get_forces()
    return frames


def one_by_one(n):
    """The same, each calculated when its turn comes."""
    calculator = EMT()
    for atoms in frames_of(n):
        atoms.calc = calculator
        atoms.get_forces()
        yield atoms


def own(n):
    """The same with results that stay."""
    frames = []
    for atoms in one_by_one(n):
        results = dict(atoms.calc.results)
        atoms.calc = SinglePointCalculator(atoms, **{key: results[key] for key in ("energy", "forces", "stress")})
        frames.append(atoms)
    return frames


def potential():
    basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=2, q_max=3)
    return rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(alpha=1e-9))


ENERGIES = [float(atoms.get_potential_energy()) for atoms in one_by_one(4)]


@pytest.mark.parametrize("collection", [list, tuple, deque, iter, lambda frames: map(copy.copy, frames)])
def test_frames_do_not_get_the_results_of_the_last_one(collection):
    with pytest.warns(UserWarning, match=r"^frame 0 and 2 others: left out, as its calculator holds results of other"):
        frames = rb.Frames(collection(shared(4)))
    assert [atoms.info.get("energy") for atoms in frames] == [None, None, None, ENERGIES[3]]
    assert ["forces" in atoms.arrays for atoms in frames] == [False, False, False, True]
    with pytest.warns(UserWarning, match="^frame 0 and 2 others: left out, as its calculator"):
        rb.write("f.xyz", collection(shared(4)))
    assert [atoms.info.get("energy") for atoms in rb.read("f.xyz")] == [None, None, None, ENERGIES[3]]


@pytest.mark.parametrize("make", [one_by_one, lambda n: map(copy.copy, own(n)), lambda n: deque(own(n)), own])
def test_frames_that_come_one_by_one_keep_their_own_results(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = rb.Frames(make(4))
        rb.write("f.xyz", make(4))
    assert [atoms.info["energy"] for atoms in frames] == ENERGIES
    assert [atoms.info["energy"] for atoms in rb.read("f.xyz")] == ENERGIES


def test_a_potential_is_fitted_to_what_the_frames_themselves_have():
    expected = potential().fit(own(12)).predict(frames_of(3)).energies
    for frames in (one_by_one(12), deque(own(12)), map(copy.copy, own(12)), rb.Frames(one_by_one(12))):
        np.testing.assert_array_equal(potential().fit(frames).predict(frames_of(3)).energies, expected)
    fitted = potential().fit(own(12))
    assert fitted.score(one_by_one(12)) == fitted.score(own(12))


def test_results_of_others_are_refused_where_they_are_needed():
    fitted = potential().fit(own(12))
    with pytest.warns(UserWarning, match="left out"):
        held = rb.Frames(shared(4))
    for frames in (shared(4), iter(shared(4)), deque(shared(4)), held, held[::-1][1:][::-1]):
        with pytest.raises(rb.RhobasisError, match=STALE):
            fitted.score(frames)
    for frames in (shared(4), iter(shared(4)), held):
        with pytest.raises(rb.RhobasisError, match=STALE):
            potential().fit(frames)
    supervised = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=1, q_max=2, method="pcovr", gamma=0.5)
    for frames in (shared(4), held):
        with pytest.raises(rb.RhobasisError, match=STALE):
            supervised.fit(frames)
    # Where they are not needed, nobody asks.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        potential().fit(shared(4), ENERGIES, force_sigma=None)
        assert rb.PowerSpectrum(potential().features.basis).fit_transform(shared(2)).shape[0] == 8
        assert fitted.score(shared(4), ENERGIES) == fitted.score(own(4))
    frames = shared(4)
    for atoms, energy in zip(frames, ENERGIES, strict=True):
        atoms.info["energy"] = energy
    assert fitted.score(frames) == fitted.score(own(4))


def test_what_is_changed_after_the_calculation_has_no_results():
    changes = {
        "positions": lambda a: a.rattle(0.1),
        "cell": lambda a: a.set_cell(1.1 * a.cell.array),
        "numbers": lambda a: a.set_atomic_numbers([47] * 4),
        "pbc": lambda a: a.set_pbc(False),
    }
    for what, change in changes.items():
        (atoms,) = own(1)
        change(atoms)
        with pytest.warns(UserWarning, match=f"holds results of other {what};"):
            assert "energy" not in rb.Frames(atoms)[0].info


def test_a_calculator_that_calls_any_state_another_is_judged_by_its_atoms():
    class Uncached(BaseCalculator):
        implemented_properties = ["energy"]  # noqa: RUF012

        def calculate(self, atoms, properties, system_changes=all_changes):
            self.atoms, self.results = atoms.copy(), {"energy": -1.0}

    class Bare:
        results = {"energy": -1.0}  # noqa: RUF012

    atoms, other = frames_of(2)
    atoms.calc = Uncached(use_cache=False)
    atoms.get_potential_energy()
    assert rb.Frames(atoms)[0].info["energy"] == -1.0
    other.calc = atoms.calc
    with pytest.warns(UserWarning, match="results of other positions;"):
        assert "energy" not in rb.Frames(other)[0].info
    other.calc = Bare()
    with pytest.warns(UserWarning, match="results of other structures, or does not say of which;"):
        assert "energy" not in rb.Frames(other)[0].info


def test_results_of_the_frame_are_no_rows_of_three_atoms():
    water = molecule("H2O")
    water.calc = SinglePointCalculator(water, energy=-14.2, dipole=[0.0, 0.0, 0.4], charges=[-0.6, 0.3, 0.3])
    rb.write("water.xyz", water)
    (ours,), theirs = rb.read("water.xyz"), ase.io.read("water.xyz")
    assert ours.info["dipole"].tolist() == theirs.get_dipole_moment().tolist() == [0.0, 0.0, 0.4]
    assert ours.arrays["charges"].tolist() == theirs.get_charges().tolist() == [-0.6, 0.3, 0.3]


def test_what_no_file_can_hold_is_left_out_and_named_once():
    salt = crystal(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[5.6] * 3 + [90] * 3)
    salt.info.update(nothing=None, origin={"code": "x"}, energy=-3.4, ragged=[[1], [2, 3]], mixed=[1.5, "a"], big=2**63)
    salt.info[7] = "seven"
    salt.arrays["notes"] = np.array([None] * len(salt), dtype=object)
    with pytest.warns(UserWarning, match="left out") as said:
        frames = rb.Frames([salt, salt.copy(), salt.copy()])
    words = [str(w.message) for w in said]
    for name in ("info['spacegroup'] is of the type Spacegroup", "info['nothing'] is None", "info['ragged']"):
        assert sum(name in w for w in words) == 1
    for name in ("info['origin'] is of the type dict", "info['mixed']", "info['big']", "the key 7 of info is no text"):
        assert sum(name in w for w in words) == 1
    assert sum("arrays['notes'] has the dtype object and the shape (8,)" in w for w in words) == 1
    assert all(w.startswith("frame 0 and 2 others: left out, as ") for w in words)
    assert all(w.filename == __file__ for w in said)
    assert {"energy", "unit_cell"} <= set(frames[2].info) <= {"energy", "unit_cell", "occupancy"}
    assert "notes" not in frames[2].arrays
    with pytest.warns(UserWarning, match="left out, as info"):
        rb.write("salt.xyz", [salt])
    assert rb.read("salt.xyz")[0].info["energy"] == -3.4


def test_a_label_that_cannot_be_read_is_refused_where_it_is_needed():
    frames = own(3)
    for atoms in frames:
        atoms.calc = None
        atoms.info["energy"] = {"value": -1.0}
    with pytest.raises(rb.RhobasisError, match=r"^frame 0: info\['energy'\] is of the type dict; a number"):
        potential().fit(frames)


def same_constraints(a, b):
    mask = ase.io.extxyz._make_move_mask
    np.testing.assert_array_equal(mask(a), mask(b))
    assert [len(a.constraints) > 0] == [len(b.constraints) > 0]


CONSTRAINTS = {
    "atoms": [FixAtoms([0, 2])],
    "from the end": [FixAtoms([-1])],
    "mask": [FixAtoms(mask=[True, False, False, True])],
    "axis": [FixCartesian(1, (False, False, True))],
    "axes": [FixCartesian([1, 3], (True, False, True)), FixCartesian(0, (True, True, False))],
    "both": [FixAtoms([0]), FixCartesian([1, 0], (False, True, False))],
    "none": [],
}


@pytest.mark.parametrize("constraints", CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_constraints_are_written_and_read_as_ase_does(constraints):
    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint(constraints)
    rb.write("ours.xyz", atoms)
    ase.io.write("theirs.xyz", atoms, format="extxyz")
    for name in ("ours.xyz", "theirs.xyz"):
        for back in (rb.read(name)[0], ase.io.read(name), rb.Frames(rb.read(name)[0])[0]):
            same_constraints(back, atoms)
            assert "move_mask" not in back.arrays
    same_constraints(rb.Frames(atoms)[0], atoms)
    columns = [next(w for w in Path(n).read_text().split() if w.startswith("Prop")) for n in ("ours.xyz", "theirs.xyz")]
    assert columns[0] == columns[1]


def test_constraints_that_no_file_can_hold_are_named():
    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint([FixBondLength(0, 1), FixAtoms([0])])
    with pytest.warns(UserWarning, match="left out, as the constraint FixBondLengths has no place in a file; FixAtoms"):
        rb.write("f.xyz", atoms)
    assert rb.read("f.xyz")[0].constraints[0].index.tolist() == [0]


def test_deuterium_is_named_with_what_to_write():
    Path("heavy.xyz").write_text("2\n\nO 0 0 0\nD 0 0 1\n")
    with pytest.raises(rb.RhobasisError, match=r'^heavy.xyz, frame 0, atom 1: unknown element "D"; write H for an iso'):
        rb.read("heavy.xyz")
    with pytest.raises(rb.RhobasisError, match="is no element; write H for an isotope"):
        rb.SphericalExpansion(rb.Density(sigma={"D": 0.3}), rb.Gto(n_max=4), l_max=1).transform(Atoms("O"))


def test_places_in_messages_are_frames_or_arrays():
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 1]])
    atoms.arrays["positions"] = np.zeros((2, 2))
    with pytest.raises(TypeError, match=r"^frames\[1\].positions must be an \(n, 3\) array of numbers, not"):
        rb.Frames([Atoms("H"), atoms])
