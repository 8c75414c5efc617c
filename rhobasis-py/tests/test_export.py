"""Bases for other programs, and features in pieces."""

import importlib.util
import json
import pathlib
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
        with pytest.raises(rb.RhobasisError, match="accuracy = .* must lie between 1e-12 and 1e-2"):
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
