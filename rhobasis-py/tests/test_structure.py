"""Frames from ASE, from files, and back."""

import copy
import pickle
from pathlib import Path

import ase.io
import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays


def awkward():
    """Frames that other readers trip over."""
    rng = np.random.default_rng(0)
    plain = Atoms("Si2", positions=rng.normal(size=(2, 3)) * 50, cell=-np.eye(3) * 4, pbc=True)
    slab = Atoms(
        "OH", positions=[[0, 0, 0.1], [1e-17, 1 / 3, 1e9]], cell=[[1, 2, 3], [0, 1, 0], [0, 0, 0]], pbc=[1, 1, 0]
    )
    labelled = Atoms("CO", positions=rng.normal(size=(2, 3)))
    labelled.info.update(
        name='a "quoted" = {text}', number=12, text_number="12", flag=True, real=0.1, vector=np.arange(3), empty=""
    )
    labelled.info["matrix"] = rng.normal(size=(2, 2))
    labelled.arrays.update(height=rng.normal(size=2), tensor=rng.normal(size=(2, 9)), chosen=np.array([True, False]))
    labelled.arrays["kind"] = np.array(["C1", "O_x"])
    computed = Atoms("Ne", positions=[[0, 0, 0]], cell=[5, 5, 5], pbc=True)
    results = {"energy": -1.25, "forces": rng.normal(size=(1, 3)), "stress": rng.normal(size=6)}
    computed.calc = SinglePointCalculator(computed, **results)
    return [plain, slab, labelled, computed]


def same(a, b):
    np.testing.assert_array_equal(a.numbers, b.numbers)
    np.testing.assert_array_equal(a.positions, b.positions)
    np.testing.assert_array_equal(a.cell.array, b.cell.array)
    np.testing.assert_array_equal(a.pbc, b.pbc)


def labels(atoms):
    """info and arrays, with the results that ASE's reader moves to a calculator."""
    info, per_atom = dict(atoms.info), {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    results = atoms.calc.results if atoms.calc is not None else {}
    for name, value in results.items():
        (per_atom if np.shape(value)[:1] == (len(atoms),) and name != "stress" else info)[name] = value
    if np.shape(info.get("stress")) == (6,):
        xx, yy, zz, yz, xz, xy = info["stress"]
        info["stress"] = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return info, per_atom


def same_labels(a, b):
    for left, right in zip(labels(a), labels(b), strict=True):
        assert set(left) == set(right)
        for key, value in left.items():
            np.testing.assert_array_equal(value, right[key], err_msg=key)


def test_ase_reads_exactly_what_was_written():
    frames = awkward()
    rb.write("frames.xyz", frames)
    for ours, written in zip(ase.io.read("frames.xyz", ":"), frames, strict=True):
        same(ours, written)
        same_labels(ours, written)


def test_frames_are_what_ase_reads_from_the_same_file():
    ase.io.write("frames.extxyz", awkward())
    read = rb.read("frames.extxyz")
    assert len(read) == 4
    for ours, theirs in zip(read, ase.io.read("frames.extxyz", ":"), strict=True):
        same(ours, theirs)
        same_labels(ours, theirs)


@pytest.mark.parametrize("ending", ["gz", "zst", "xz"])
def test_packed_files_give_the_same_frames(ending):
    rb.write("plain.xyz", awkward())
    rb.write(f"packed.xyz.{ending}", rb.read("plain.xyz"))
    for ours, plain in zip(rb.read(f"packed.xyz.{ending}"), rb.read("plain.xyz"), strict=True):
        same(ours, plain)
        same_labels(ours, plain)


def test_slices_of_frames_and_of_files_agree(molecules):
    rb.write("m.xyz", molecules)
    frames = rb.read("m.xyz")
    for text in ("1:6", "::3", ":-2", "-3:"):
        python = slice(*(int(p) if p else None for p in text.split(":")))
        chosen, expected = frames[python], molecules[python]
        assert isinstance(chosen, rb.Frames)
        for ours, file, atoms in zip(chosen, rb.read(f"m.xyz@{text}"), expected, strict=True):
            same(ours, atoms)
            same(file, atoms)
    same(frames[::-1][0], molecules[-1])
    same(frames[-1], molecules[-1])
    assert len(frames[5:2]) == 0
    with pytest.raises(IndexError):
        frames[len(frames)]
    assert len(rb.read(["m.xyz@:2", "m.xyz@-1"])) == 3


def test_named_keys_become_energy_forces_and_stress():
    atoms = Atoms("Si2", positions=[[0, 0, 0], [1.3, 1.3, 1.3]], cell=[4, 4, 4], pbc=True)
    atoms.info.update(dft_energy=-3.0, dft_virial=np.diag([64.0, 0.0, 0.0]))
    atoms.arrays["dft_force"] = np.arange(6.0).reshape(2, 3)
    ase.io.write("f.extxyz", atoms)
    (read,) = rb.read("f.extxyz", energy_key="dft_energy", force_key="dft_force", virial_key="dft_virial")
    assert read.info["energy"] == -3.0
    np.testing.assert_array_equal(read.arrays["forces"], atoms.arrays["dft_force"])
    np.testing.assert_allclose(read.info["stress"], np.diag([-1.0, 0, 0]), atol=1e-14)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"energy_key": "dft"}, r"^f\.xyz, frame 1: there is no 'dft'; the frame has energy; name one of these"),
        ({"force_key": "dft_force"}, r"^force_key = dft_force: no frame has this column; the columns are species and"),
        ({"stress_key": "dft_stress"}, r"^stress_key = dft_stress: no frame has this key; there is "),
    ],
)
def test_named_keys_that_are_missing_are_refused(keys, message):
    first, second = Atoms("H", info={"dft": -1.0}), Atoms("H", info={"energy": -2.0})
    rb.write("f.xyz", [first, second])
    with pytest.raises(rb.RhobasisError, match=message):
        rb.read("f.xyz", **keys)


def test_named_keys_that_some_frames_have_are_enough():
    cell = {"cell": [4, 4, 4], "pbc": True}
    frames = [Atoms("H", info={"dft": -1.0, "energy": -9.0, "W": np.eye(3)}, **cell), Atoms("H", info={"note": "bare"})]
    frames.append(Atoms("H", info={"dft": np.nan, "energy": -9.0, "W": np.eye(3)}))
    rb.write("f.xyz", frames)
    with pytest.warns(UserWarning, match="absent|left out") as told:
        first, bare, last = rb.read("f.xyz", energy_key="dft", virial_key="W")
    text = "\n".join(str(warning.message) for warning in told)
    assert "the energy of 1 frame is NaN, hence absent; first: f.xyz, frame 2" in text
    assert "the stress of 1 frame is left out" in text
    assert first.info["energy"] == -1.0
    np.testing.assert_allclose(first.info["stress"], -np.eye(3) / 64)
    assert bare.info == {"note": "bare"}
    assert "energy" not in last.info  # what stood there was of another origin
    assert "stress" not in last.info


def test_a_misspelt_cell_is_not_lost():
    Path("f.xyz").write_text('1\nlattice="4 0 0 0 4 0 0 0 4"\nSi 0 0 0\n')
    with pytest.raises(
        rb.RhobasisError, match=r"f\.xyz, frame 0: the key 'lattice' differs from Lattice .*; write Lattice"
    ):
        rb.read("f.xyz")


def test_frames_survive_pickles_and_copies():
    rb.write("a.xyz", awkward())
    for frames in (rb.Frames(awkward()), rb.read("a.xyz")[1:]):
        for other in (pickle.loads(pickle.dumps(frames)), copy.deepcopy(frames)):
            assert repr(other) == repr(frames)
            for ours, theirs in zip(other, frames, strict=True):
                same(ours, theirs)
                for left, right in ((ours.info, theirs.info), (ours.arrays, theirs.arrays)):
                    assert list(left) == list(right)
                    for key, value in left.items():
                        np.testing.assert_array_equal(value, right[key])
                        assert type(value) is type(right[key])
                        assert np.asarray(value).dtype == np.asarray(right[key]).dtype


def positions_of(values):
    atoms = Atoms("H" * len(values))
    atoms.arrays["positions"] = values
    return rb.Frames([atoms])[0].positions


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.just(3)), elements=st.floats(-1e3, 1e3)))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_positions_of_any_layout_and_type_are_read_by_their_meaning(x):
    wide = np.zeros((len(x), 7))
    wide[:, ::3] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    for layout in (
        np.asfortranarray(x),
        wide[:, ::3],
        read_only,
        x[::-1][::-1],
        x.T.copy().T,
        x.tolist(),
        x.astype(">f8"),
    ):
        np.testing.assert_array_equal(positions_of(layout), x)
    np.testing.assert_array_equal(positions_of(x.astype(np.float32)), x.astype(np.float32))


def test_atomic_numbers_of_any_type():
    for dtype in (np.int32, np.uint8, np.int64):
        atoms = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 1.8]])
        atoms.arrays["numbers"] = np.array([14, 6], dtype=dtype)
        assert rb.Frames(atoms)[0].numbers.tolist() == [14, 6]


@pytest.mark.parametrize("wrong", [3, None, {"a": 1}, np.zeros((3, 3))])
def test_what_is_no_structure_is_named(wrong):
    with pytest.raises(TypeError, match="frames must be"):
        rb.Frames(wrong)


def test_an_element_that_is_no_structure_is_named():
    with pytest.raises(TypeError, match=r"frames\[1\] must be an ase.Atoms, not 7 \(int\)"):
        rb.Frames([Atoms("H"), 7])
