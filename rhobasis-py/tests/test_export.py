"""Bases for other programs, and features in pieces."""

import importlib.util
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import rhobasis as rb

ROOT = pathlib.Path(__file__).parents[2]
REFERENCE = ROOT / "reference" / "featomic_export"


def recipe():
    spec = importlib.util.spec_from_file_location("make", REFERENCE / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(*arguments):
    code = "import sys, rhobasis._cli as c; sys.exit(c.main())"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


def code_of(page, k):
    """The k-th piece of Python on a page of docs/how-to."""
    return (ROOT / "docs" / "how-to" / page).read_text().split("```python\n")[k + 1].split("```")[0]


def small(**options):
    options = {"l_max": 2, "q_max": 3, **options}
    return rb.OptimalBasis(rb.Density(r_cut=3.5, sigma=0.4), rb.Gto(n_max=6), **options)


@pytest.mark.parametrize("case", ["per_species", "combined", "center_specific", "delta"])
def test_featomic_found_the_same_with_the_exported_basis(case):
    make, stored = recipe(), np.load(REFERENCE / "values.npz")
    basis = rb.load(REFERENCE / f"{case}.rho")
    for name, atoms in make.frames().items():
        blocks = [stored[f"{case}/{name}/l{l}"] for l in range(basis.l_max + 1)]
        value, force = make.differences(basis, atoms, blocks, stored[f"{case}/{name}/forces"])
        assert value < 1e-9
        assert force < 2e-7


@pytest.mark.parametrize("case", ["per_species", "combined", "center_specific", "delta"])
def test_featomic_finds_the_same_with_the_exported_basis(case):
    pytest.importorskip("featomic")
    make = recipe()
    basis = make.bases()[case].fit(make.training())
    for atoms in make.frames().values():
        value, force = make.differences(basis, atoms, *make.with_featomic(basis, atoms))
        assert value < 1e-9
        assert force < 2e-7


def test_the_splines_handed_over_are_those_of_transform():
    basis = rb.load(REFERENCE / "combined.rho")
    for z, hypers in basis.to_featomic(accuracy=1e-11).items():
        for l, channel in hypers["basis"]["by_angular"].items():
            r, values, slopes = (
                np.array([p[key] for p in channel["points"]]) for key in ("position", "values", "derivatives")
            )
            assert (r[0], r[-1]) == (0.0, pytest.approx(4.5, abs=1e-14))
            exact = basis.radial_integrals(r, species=z, l=int(l))
            exact_slopes = basis.radial_integrals(r, species=z, l=int(l), derivative=True)
            scale = np.abs(exact).max(axis=0)
            assert (np.abs(values - exact) / scale).max() < 1e-6  # the accuracy of the basis
            assert (np.abs(slopes - exact_slopes) / scale).max() < 1e-3
    assert hypers["density"]["scaling"] == {"type": "Willatt2018", "rate": 1.0, "scale": 2.0, "exponent": 7.0}


def test_an_l_without_channels_and_exact_integrals_are_exported(molecules):
    basis = small(retain=0.2, q_max=None, mixing="combined", spline_accuracy=None).fit(molecules)
    counts = [len(basis.contraction_[l]) for l in range(3)]
    assert 0 in counts
    channels = basis.to_featomic(accuracy=1e-6)[1]["basis"]["by_angular"]
    assert [len(channels[str(l)]["points"][0]["values"]) for l in range(3)] == counts


def test_what_cannot_be_exported_is_refused(molecules):
    basis = small(center_specific=True).fit(molecules)
    assert list(basis.to_featomic(center="C")) == [1, 6, 7, 8]
    with pytest.raises(rb.RhobasisError, match=r"center = none: .*; name one of H C N O"):
        basis.to_featomic()
    with pytest.raises(rb.RhobasisError, match=r"center = Si: .*; name one of H C N O"):
        basis.to_featomic(center="Si")
    for accuracy in (0.0, float("nan"), 1e-20):
        with pytest.raises(rb.RhobasisError, match=r"accuracy = .* must lie between 1e-12 and 1e-2"):
            basis.to_featomic(center="C", accuracy=accuracy)


def test_the_command_exports_what_python_does(molecules):
    basis = small().fit(molecules)
    basis.save("basis.rho")
    assert command("export", "basis.rho", "--to", "featomic", "-o", "basis.json").returncode == 0
    exported = json.loads(pathlib.Path("basis.json").read_text())
    assert {int(z): hypers for z, hypers in exported.items()} == basis.to_featomic()


@pytest.mark.parametrize("center_specific", [False, True])
def test_the_table_holds_functions_and_integrals(molecules, center_specific):
    basis = small(center_specific=center_specific).fit(molecules)
    basis.save("basis.rho")
    done = command("export", "basis.rho", "--to", "csv", "-o", "basis.csv", "--points", 11, "--r-max", 4)
    assert done.returncode == 0, done.stderr
    names, *rows = (line.split(",") for line in pathlib.Path("basis.csv").read_text().splitlines())
    assert names[:5] == ["centre", "neighbour", "l", "q", "r_angstrom"]
    n_channels = sum(len(u) for kind in _kinds(basis).values() for u in kind.values())
    assert len(rows) == 11 * n_channels
    r = np.linspace(0, 4, 11)
    for l, q, center in [(0, 1, "H"), (2, 3, "C")]:
        name = center if center_specific else "all"
        table = np.array([row[4:] for row in rows if row[:4] == [name, "O", str(l), str(q)]], dtype=float)
        where = {"species": "O", "l": l, "center": center if center_specific else None}
        integrals = [basis.radial_integrals(r, derivative=d, **where)[:, q - 1] for d in (False, True)]
        expected = [r, basis.radial_functions(r, **where)[:, q - 1], *integrals]
        np.testing.assert_allclose(table, np.transpose(expected), rtol=1e-12, atol=1e-13)


def _kinds(basis):
    return basis.contraction_ if basis.center_specific else {None: basis.contraction_}


def test_the_pieces_of_code_on_the_page_run(molecules, capsys):
    small().fit(molecules).save("basis.rho")
    for target, name in [("featomic", "basis.json"), ("csv", "basis.csv")]:
        assert command("export", "basis.rho", "--to", target, "-o", name).returncode == 0
    names: dict = {}
    exec(code_of("export.md", 1), names)
    expected = rb.load("basis.rho").radial_integrals(names["r"], species="C", l=1)[:, 1]
    np.testing.assert_allclose(names["i_r"], expected, rtol=1e-12, atol=1e-13)
    pytest.importorskip("featomic")
    exec(code_of("export.md", 0), {"frames": molecules})
    assert "6 2 (" in capsys.readouterr().out


def test_the_pieces_of_code_on_matrices_run(crystals):
    basis = rb.OptimalBasis(rb.Density(r_cut=5.0), rb.Gto(n_max=12), l_max=2, q_max=4).fit(crystals)
    names = {"basis": basis, "frames": crystals, "rb": rb}
    exec(code_of("export.md", 2), names)
    exec(code_of("export.md", 3), names)
    given = rb.load("given.rho")
    assert np.allclose(given.residual_variance()[:5], basis.residual_variance()[:5], atol=1e-12)


def in_chunks(*more):
    return command("features", "m.xyz", "--basis", "basis.rho", "-o", "X.npy", "--chunk-rows", 10, *more)


@pytest.fixture
def written(molecules):
    basis = small().fit(molecules)
    basis.save("basis.rho")
    rb.write("m.xyz", molecules)
    done = in_chunks()
    assert done.returncode == 0, done.stderr
    return basis.transform(molecules)


def chunks():
    return sorted(pathlib.Path().glob("X-*.npy"))


def test_chunks_are_the_rows_of_one_matrix(written):
    n = len(written)
    assert [len(np.load(path)) for path in chunks()] == [10] * (n // 10) + ([n % 10] if n % 10 else [])
    np.testing.assert_allclose(np.concatenate([np.load(path) for path in chunks()]), written.to_matrix(), atol=1e-14)
    whole, parts = np.load("X.meta.npz"), [np.load(path.with_suffix(".meta.npz")) for path in chunks()]
    for name in ("structure", "atom", "species"):
        np.testing.assert_array_equal(whole[name], written.centers[name])
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name])
    assert json.loads(str(whole["settings"]))["chunk_rows"] == 10
    assert len(whole["columns"]) == np.load("X-00000.npy").shape[1]


def test_an_interrupted_run_goes_on(written):
    before = {path: path.stat().st_mtime_ns for path in chunks()}
    bits = [path.read_bytes() for path in chunks()]
    pathlib.Path("X.meta.npz").unlink()
    for path in chunks()[2:]:
        path.unlink()
    done = in_chunks()
    assert "20 rows are there already" in done.stdout
    assert [path.read_bytes() for path in chunks()] == bits
    assert all(path.stat().st_mtime_ns == before[path] for path in chunks()[:2])
    assert len(np.load("X.meta.npz")["atom"]) == len(written)


def test_chunks_of_another_run_are_refused(written):
    for change in (["--chunk-rows", "10", "m.xyz@:4"], ["--chunk-rows", "7", "m.xyz"]):
        done = command("features", "--basis", "basis.rho", "-o", "X.npy", *change)
        assert done.returncode == 1
        assert "X-00000.npy: was written by another run" in done.stderr
        assert "remove these files, or choose another name" in done.stderr
    for name in ("X-00000.npy", "X.meta.npz"):
        pathlib.Path(name).unlink()
    pathlib.Path("X-00099.npy").write_bytes(b"")
    assert "X-00099.npy: was written by another run" in in_chunks().stderr
    assert command("features", "m.xyz", "--basis", "basis.rho", "-o", "X.npz", "--chunk-rows", 10).returncode == 2


def test_the_pieces_of_code_that_read_chunks_run(written, capsys):
    names: dict = {}
    exec(code_of("export.md", 4), names)
    assert "(10, " in capsys.readouterr().out
    pytest.importorskip("dask.array")
    exec(code_of("export.md", 5), names)
    np.testing.assert_allclose(names["mean"], written.to_matrix().mean(axis=0))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read as Linux tells it")
@pytest.mark.parametrize(
    ("data", "q_max", "output"),
    [("molecules.xyz.xz@:3", 2, "X.npz"), ("molecules.xyz.xz", 6, "X.npz"), ("silicon.xyz.xz", 20, "X.npy")],
)
def test_the_memory_of_features_is_what_was_said(data, q_max, output):
    data = str(ROOT / "examples" / "data" / data)
    basis = rb.OptimalBasis(rb.Density(), rb.Gto(n_max=20), l_max=6, q_max=q_max).fit(data.split("@")[0] + "@::40")
    basis.save("basis.rho")
    code = (
        "import sys; from rhobasis import _native; code = _native.main(['rhobasis', *sys.argv[1:]]);"
        "print(open('/proc/self/status').read()); sys.exit(code)"
    )
    arguments = ["features", data, "--basis", "basis.rho", "-o", output, "--threads", "2"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    number, unit = re.search(r"memory: about ([\d.]+) (MB|GB)", done.stderr).groups()
    said = float(number) * {"MB": 1e6, "GB": 1e9}[unit]
    measured = 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1])
    print(f"{data}: said {said / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB")
    assert abs(said / measured - 1) < 0.2
