"""Files of other formats through ASE, and which frames of a file are read."""

import gzip
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms


def trajectory(n=5):
    frames = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames


FRAMES = trajectory()


def same(ours, atoms, atol=0.0):
    np.testing.assert_array_equal(ours.numbers, atoms.numbers)
    np.testing.assert_allclose(ours.positions, atoms.positions, rtol=0, atol=atol)
    np.testing.assert_allclose(ours.cell.array, atoms.cell.array, rtol=0, atol=atol)
    np.testing.assert_array_equal(ours.pbc, atoms.pbc)


@pytest.mark.parametrize("name", ["md.traj", "md.db", "md.json", "traj_without_an_ending"])
def test_trajectories_are_read_with_their_results(name):
    ase.io.write(name, FRAMES, format="traj" if "." not in name else None)
    frames = rb.read(name)
    assert isinstance(frames, rb.Frames)
    for ours, atoms in zip(frames, FRAMES, strict=True):
        same(ours, atoms)
        assert ours.info["energy"] == atoms.get_potential_energy()
        np.testing.assert_array_equal(ours.arrays["forces"], atoms.get_forces())
        np.testing.assert_array_equal(ours.info["stress"], atoms.get_stress())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("POSCAR", {"format": "vasp"}),
        ("CONTCAR", {"format": "vasp"}),
        ("POSCAR.gz", {"format": "vasp"}),
        ("XDATCAR", {"format": "vasp-xdatcar"}),
        ("cu.cif", {}),
        ("cu.res", {}),
        ("cu.gen", {}),
        ("geometry.in", {"format": "aims"}),
        ("cu.xsf", {}),
    ],
)
def test_other_formats_give_what_ase_reads(name, options):
    ase.io.write(name, FRAMES[1], **options)
    (ours,) = rb.read(name)
    same(ours, ase.io.read(name))
    assert ours.get_volume() == pytest.approx(FRAMES[1].get_volume(), rel=1e-6)


@pytest.mark.parametrize("name", ["water.pdb", "water.gro", "water.mol"])
def test_formats_of_molecules(name):
    water = molecule("H2O", cell=[10.0, 10.0, 10.0], pbc=True)
    if name.endswith("mol"):
        Path(name).write_text(
            "water\n\n\n  3  2  0  0  0  0  0  0  0  0999 V2000\n"
            "    0.0000    0.0000    0.1193 O   0  0\n    0.0000    0.7632   -0.4770 H   0  0\n"
            "    0.0000   -0.7632   -0.4770 H   0  0\n  1  2  1\n  1  3  1\nM  END\n"
        )
    else:
        ase.io.write(name, water)
    same(rb.read(name)[0], ase.io.read(name))


@pytest.mark.parametrize("name", ["cu.lammps-data", "cu.data", "data.cu"])
def test_files_of_lammps_must_tell_their_elements(name):
    copper = bulk("Cu", cubic=True)
    ase.io.write(name, copper, format="lammps-data", masses=True)
    same(rb.read(name)[0], copper)
    ase.io.write(name, copper, format="lammps-data")
    with pytest.raises(rb.RhobasisError, match=f"^{name}: has numbers for its types of atoms, and says not of which"):
        rb.read(name)
    box = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
    Path("md.dump").write_text(f"{box}ITEM: ATOMS id element x y z\n1 Cu 0 0 0\n")
    same(rb.read("md.dump")[0], Atoms("Cu", cell=[4, 4, 4], pbc=True))
    Path("md.dump").write_text(f"{box}ITEM: ATOMS id type x y z\n1 1 0 0 0\n")
    with pytest.raises(rb.RhobasisError, match=r"^md\.dump: has numbers for its types"):
        rb.read("md.dump")


def test_a_poscar_with_a_number_as_its_title_is_no_xyz():
    ase.io.write("POSCAR", FRAMES[0], format="vasp")
    lines = Path("POSCAR").read_text().splitlines()
    Path("POSCAR").write_text("\n".join(["4", *lines[1:], ""]))
    same(rb.read("POSCAR")[0], FRAMES[0], atol=1e-9)


def test_constraints_come_along():
    atoms = FRAMES[0].copy()
    atoms.set_constraint(FixAtoms([0, 3]))
    for name in ("POSCAR", "fixed.traj"):
        ase.io.write(name, atoms, format="vasp" if name == "POSCAR" else None)
        assert rb.read(name)[0].constraints[0].index.tolist() == [0, 3]


@pytest.mark.parametrize("name", ["x.traj", "POSCAR", "x.db", "x.cif", "x", "x.xyz.gz", "x.txt"])
def test_extended_xyz_is_known_by_its_content(name):
    """Whatever it is called, and however it is packed."""
    rb.write("plain.xyz", FRAMES)
    text = Path("plain.xyz").read_bytes()
    Path(name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    for ours, atoms in zip(rb.read(name), FRAMES, strict=True):
        same(ours, atoms)
    (one,) = rb.read(f"{name}@1")
    same(one, FRAMES[1])


def test_a_broken_extended_xyz_is_refused_by_its_own_reader():
    rb.write("plain.xyz", FRAMES)
    text = Path("plain.xyz").read_text()
    for name in ("broken.traj", "broken.xyz"):
        Path(name).write_text(text.replace("Cu ", "Qq ", 1))
        with pytest.raises(rb.RhobasisError, match=f'^{name}, frame 0, atom 0: unknown element "Qq"'):
            rb.read(name)
    for name in ("words.xyz", "words"):
        Path(name).write_text("nothing but words\nin two lines\n")
        with pytest.raises(rb.RhobasisError, match=f"^{name}"):
            rb.read(name)
    Path("empty.traj").touch()
    with pytest.raises(rb.RhobasisError, match="the file holds no frame"):
        rb.read("empty.traj")
    with pytest.raises(rb.RhobasisError, match="no such file"):
        rb.read("absent.traj")


def test_what_ase_cannot_read_is_named():
    Path("broken.cif").write_text("data_x\nloop_\n_atom_site_label\n")
    with pytest.raises(rb.RhobasisError, match=r"^broken.cif: ASE takes it for the format cif, and finds no str"):
        rb.read("broken.cif")
    ase.io.write("whole.traj", FRAMES)
    Path("cut.traj").write_bytes(Path("whole.traj").read_bytes()[:200])
    with pytest.raises(rb.RhobasisError, match=r"^cut.traj: ASE takes it for the format traj, and cannot read it \("):
        rb.read("cut.traj")
    for name in ("f.traj", "f.xyz"):
        ase.io.write(name, FRAMES)
        with pytest.raises(rb.RhobasisError, match=f"^{name}@4:2: no frame is selected; change the slice"):
            rb.read(name, "4:2")


def test_frames_of_other_files_have_their_places_in_messages():
    bad = FRAMES[2].copy()
    bad.positions[3] = np.nan
    ase.io.write("bad.traj", [FRAMES[0], FRAMES[1], bad])
    for name in ("bad.traj", "bad.traj@2:", "bad.traj@-1"):
        with pytest.raises(rb.RhobasisError, match=r"^bad.traj, frame 2, atom 3: position"):
            rb.read(name)
    ase.io.write("good.traj", FRAMES)
    rb.write("plain.xyz", FRAMES)
    for names in (
        ["plain.xyz", "good.traj@1:"],
        ["good.traj@1:", "plain.xyz"],
        ["plain.xyz", "good.traj@:3", "bad.traj@0"],
    ):
        assert len(rb.read(names)) == 9
    with pytest.raises(rb.RhobasisError, match=r"^good.traj, frame 1: there is no 'dft'; the frame has energy stress;"):
        rb.read("good.traj@1:", energy_key="dft")


def test_named_keys_of_other_formats():
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])
    atoms.info["dft"] = -31.7
    ase.io.write("h.traj", atoms)
    assert rb.read("h.traj", energy_key="dft")[0].info["energy"] == -31.7


SLICES = [":3", "::2", "1:", "-2:", ":-1", "::-1", "3:1:-1", slice(1, 4, 2), slice(None, None, -2), slice(9)]


@pytest.mark.parametrize("index", SLICES, ids=str)
@pytest.mark.parametrize("name", ["f.xyz", "f.traj"])
def test_slices_are_those_of_ase(name, index):
    ase.io.write(name, FRAMES)
    expected = FRAMES[index if isinstance(index, slice) else slice(*(int(p) if p else None for p in index.split(":")))]
    for frames in (rb.read(name, index), rb.read(name, index=index)):
        assert isinstance(frames, rb.Frames)
        assert [a.info["energy"] for a in frames] == [a.get_potential_energy() for a in expected]


@pytest.mark.parametrize("name", ["f.xyz", "f.traj"])
def test_a_number_gives_one_structure_as_in_ase(name):
    ase.io.write(name, FRAMES)
    for index in (0, 3, -1, -5, "2", "-1", np.int64(1)):
        one = rb.read(name, index)
        assert isinstance(one, Atoms)
        assert one.info["energy"] == FRAMES[int(index)].get_potential_energy()
    for index in (5, -6, "7"):
        with pytest.raises(rb.RhobasisError, match=rf"^{name}: frame {index} was asked for, but the file has"):
            rb.read(name, index)
        with pytest.raises(rb.RhobasisError, match=rf"^{name}: frame {index} was asked for, but the file has"):
            rb.read(f"{name}@{index}")


def test_two_slices_and_none_at_all_are_refused():
    rb.write("f.xyz", FRAMES)
    with pytest.raises(rb.RhobasisError, match=r"index = ':3': f.xyz has the slice @::2 already; give one of the two"):
        rb.read("f.xyz@::2", ":3")
    with pytest.raises(rb.RhobasisError, match="index = 0: there are 2 files; give each its slice, as in"):
        rb.read(["f.xyz", "f.xyz"], 0)
    for index in ("first", "1:2:3:4", 1.5, True, "::0", [0]):
        with pytest.raises(TypeError, match="index must be a number, a slice, or text such as"):
            rb.read("f.xyz", index)
    with pytest.raises(rb.RhobasisError, match="no such file"):
        rb.read("absent.xyz", ":3")


def test_a_name_with_an_at_sign_is_a_name():
    rb.write("f@1.xyz", FRAMES)
    assert len(rb.read("f@1.xyz", ":2")) == 2
    assert rb.read("f@1.xyz", 1).info["energy"] == FRAMES[1].get_potential_energy()


def test_estimators_take_the_same_files():
    ase.io.write("f.traj", FRAMES)
    rb.write("f.xyz", FRAMES)
    density, options = rb.Density(r_cut=4.0), {"l_max": 1, "q_max": 3}
    ours, theirs = (rb.OptimalBasis(density, rb.Gto(n_max=4), **options).fit(name) for name in ("f.xyz", "f.traj"))
    np.testing.assert_array_equal(
        rb.PowerSpectrum(ours).transform("f.traj@:2"), rb.PowerSpectrum(theirs).transform("f.xyz@:2")
    )
    supervised = [
        rb.OptimalBasis(density, rb.Gto(n_max=4), method="pcovr", gamma=0.5, **options).fit(name)
        for name in ("f.xyz", "f.traj")
    ]
    np.testing.assert_array_equal(*(rb.PowerSpectrum(basis).transform("f.xyz@0") for basis in supervised))


def test_without_ase_other_formats_say_what_reads_them():
    ase.io.write("f.traj", FRAMES)
    rb.write("f.xyz", FRAMES)
    code = (
        "import sys; sys.modules['ase'] = None; import rhobasis as rb\n"
        "assert len(rb.read('f.xyz', ':2')) == 2\n"
        "try: rb.read('f.traj')\nexcept rb.RhobasisError as e: print(e)"
    )
    words = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert words.startswith("f.traj: is no extended XYZ")
    assert "pip install 'rhobasis[ase]'" in words
