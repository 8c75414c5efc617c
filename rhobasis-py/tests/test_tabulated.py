"""Radial functions from a table."""

import pathlib
import pickle
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import rhobasis as rb
from ase.build import molecule
from scipy.interpolate import make_interp_spline
from sklearn.base import clone

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "how-to" / "own-functions.md"
DENSITY = rb.Density(r_cut=4.0, sigma=0.4)


def sines(n_max=5, r_cut=4.0, points=129):
    """Orthonormal."""
    k = np.pi * np.arange(1, n_max + 1)[:, None] / r_cut
    return rb.Tabulated.from_function(
        lambda r: np.sqrt(2 / r_cut) * k * np.sinc(k * r / np.pi), n_max, r_cut, points=points
    )


def expansion(primitive, **options):
    return rb.SphericalExpansion(DENSITY, primitive, **{"l_max": 2, **options})


def test_between_the_radii_functions_are_the_spline_of_scipy():
    rng = np.random.default_rng(3)
    r = np.concatenate([[0], np.sort(rng.uniform(0.1, 4.4, 20)), [4.5]])
    R = rng.normal(size=(3, 1, 22))
    point = rb.SphericalExpansion(rb.Density(r_cut=4.0, sigma=0.0), rb.Tabulated(r, R), l_max=2, species=["H"])
    x = np.linspace(0.01, 4.0, 300)
    for l in range(3):
        spline = make_interp_spline(r, R[l, 0], k=5)
        nodes, weights = np.polynomial.legendre.leggauss(12)
        norm = sum(
            (b - a) / 2 * np.sum(weights * (y := (a + b) / 2 + (b - a) / 2 * nodes) ** 2 * spline(y) ** 2)
            for a, b in pairwise(r)
        )
        scale = np.abs(spline(x)).max()
        found = point.radial_integrals(x, l=l)[:, 0] * np.sqrt(norm)
        np.testing.assert_allclose(found, spline(x), atol=1e-6 * scale, rtol=0)
        slopes = point.radial_integrals(x, l=l, derivative=True)[:, 0] * np.sqrt(norm)
        np.testing.assert_allclose(slopes, spline(x, 1), atol=1e-6 * np.abs(spline(x, 1)).max(), rtol=0)


def test_orthonormal_functions_stay_and_others_become_so():
    x, w = np.polynomial.legendre.leggauss(200)
    x, w = 2 * (x + 1), 2 * w
    table = sines()
    R = expansion(table, species=["H"]).radial_functions(x, l=1)
    np.testing.assert_allclose(R.T, np.sqrt(0.5) * np.sin(np.pi / 4 * np.outer(np.arange(1, 6), x)) / x, atol=1e-8)
    mixed = rb.Tabulated(table.r, (np.eye(5) + 0.3) @ np.diag([1, 9, 1, 0.1, 1]) @ table.R)
    R = expansion(mixed, species=["H"]).radial_functions(x, l=1)
    np.testing.assert_allclose(np.einsum("kn,kq,k->nq", R, R, w * x**2), np.eye(5), atol=1e-10)
    # What is spanned is the same, and so are the variances of the optimal basis.
    variances = [
        rb.OptimalBasis(DENSITY, t, l_max=1, q_max=3).fit(molecule("CH3OH")).eigenvalues_ for t in (table, mixed)
    ]
    for one, other in zip(*(np.concatenate([np.ravel(e) for e in flat(v)]) for v in variances), strict=True):
        assert one == pytest.approx(other, rel=1e-7, abs=1e-12)


def flat(values):
    """Arrays in lists and dicts."""
    if isinstance(values, dict):
        values = list(values.values())
    return [values] if isinstance(values, np.ndarray) else [array for value in values for array in flat(value)]


def test_gtos_as_a_table_have_the_coefficients_of_gtos(molecules):
    gto = expansion(rb.Gto(n_max=5)).fit(molecules)
    r = np.linspace(0, 20, 801)
    table = expansion(rb.Tabulated(r, gto.radial_functions(r, species="H", l=0).T)).fit(molecules)
    for c, d in zip(gto.transform(molecules).blocks, table.transform(molecules).blocks, strict=True):
        np.testing.assert_allclose(c, d, atol=1e-6 * np.abs(c).max())


def test_files_hold_the_table(molecules):
    for table in (sines(), rb.Tabulated(sines().r, np.stack([sines().R, sines().R[::-1] * 2.0, sines().R]))):
        basis = rb.OptimalBasis(DENSITY, table, l_max=2, q_max=2).fit(molecules)
        basis.save("b.rho")
        loaded = rb.load("b.rho")
        assert loaded.primitive == table
        np.testing.assert_array_equal(loaded.transform(molecules).to_matrix(), basis.transform(molecules).to_matrix())
        r = np.linspace(0, 4, 50)
        for one, other in zip(
            loaded.radial_functions(r, species="H"), basis.radial_functions(r, species="H"), strict=True
        ):
            np.testing.assert_array_equal(one, other)
        run = [sys.executable, "-c", "from rhobasis._cli import main; main()", "show", "b.rho"]
        shown = subprocess.run(run, capture_output=True, text=True, check=True).stdout
        of_l = " for each l" if np.ndim(table.R) == 3 else ""
        assert f"5 functions{of_l} at 129 radii up to 4 Å, " in shown
        hypers = basis.to_featomic(accuracy=1e-6)
        assert sorted(hypers) == [1, 6, 7, 8]


def test_a_potential_in_a_table_is_stored_and_its_forces_are_derivatives(crystals):
    frames = [crystal for crystal in crystals for _ in range(4)]
    rng = np.random.default_rng(1)
    frames = [atoms.copy() for atoms in frames]
    for atoms in frames:
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
        atoms.info["energy"] = float(np.sum(atoms.get_all_distances(mic=True) ** 0.5))
    features = rb.PowerSpectrum(expansion(sines(4)))
    model = rb.Potential(features, rb.Ridge(alpha=1e-6)).fit(frames, force_sigma=None, stress_sigma=None)
    model.save("m.rho")
    loaded = rb.load("m.rho")
    predicted = loaded.predict(frames[:1])
    np.testing.assert_array_equal(predicted.energies, model.predict(frames[:1]).energies)
    moved = [frames[0].copy() for _ in range(2)]
    for sign, atoms in zip((1, -1), moved, strict=True):
        atoms.positions[0, 1] += sign * 1e-4
    up, down = loaded.predict(moved).energies
    force = -(up - down) / 2e-4
    assert predicted.forces[0][0, 1] == pytest.approx(force, rel=1e-4, abs=1e-6)


def test_tables_are_parameters_like_others(molecules):
    basis = expansion(sines()).fit(molecules)
    assert repr(sines()) == "Tabulated(5 functions, 129 radii up to 4.0 Å)"
    assert sines() == sines()
    assert sines() != sines(4)
    before = basis.transform(molecules).to_matrix()
    for same in (clone(basis).fit(molecules), pickle.loads(pickle.dumps(basis))):
        assert same.primitive == basis.primitive
        np.testing.assert_array_equal(same.transform(molecules).to_matrix(), before)
    copy = clone(basis).fit(molecules)
    copy.transform(molecules)
    copy.primitive.R[2, 60] += 1e-3  # in place
    assert copy.primitive != basis.primitive
    assert np.abs(copy.transform(molecules).to_matrix() - before).max() > 1e-6
    lists = rb.Tabulated(list(sines().r), [list(row) for row in sines().R])
    np.testing.assert_array_equal(expansion(lists).fit(molecules).transform(molecules).to_matrix(), before)


@pytest.mark.parametrize(
    ("r", "R", "error", "message"),
    [
        (np.zeros(0), np.zeros((1, 0)), rb.RhobasisError, "0 radii: too few"),
        (np.arange(6.0), np.ones((2, 3, 5)), ValueError, r"R has shape \(2, 3, 5\) and r \(6,\)"),
        (np.ones((2, 6)), np.ones((2, 6)), ValueError, r"r \(2, 6\); give r \[k\], and R"),
        (np.arange(6.0), np.ones(6), ValueError, r"R has shape \(6,\)"),
        (np.arange(6.0), [["a"] * 6], TypeError, "R must be an array of numbers"),
        (np.arange(6.0) + 1, np.ones((1, 6)), rb.RhobasisError, "the first radius is not 0"),
        (np.arange(6.0), np.ones((2, 6)), rb.RhobasisError, "R = 2 functions: they are linearly dependent"),
        (np.arange(6.0), [[np.nan] * 6], rb.RhobasisError, "R = NaN: not finite: function n = 0 of l = 0 at r = 0 Å"),
        (np.arange(6.0), np.ones((2, 1, 6)), rb.RhobasisError, "l_max = 2: .* ends with l = 1; use l_max <= 1"),
    ],
)
def test_what_is_no_table_is_refused(r, R, error, message):
    with pytest.raises(error, match=message):
        expansion(rb.Tabulated(r, R)).transform(molecule("H2O"))


def test_a_function_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"f must give an array \[n_max, len\(r\)\] = \(3, 257\), not \(257, 3\)"):
        rb.Tabulated.from_function(lambda r: np.ones((len(r), 3)), 3, 4.0)
    with pytest.raises(ValueError, match=r"f must give, for each l, an array .* = \(3, 257\), not \(2, 257\)"):
        rb.Tabulated.from_function(lambda l, r: np.ones((2, len(r))), 3, 4.0, l_max=1)


def test_the_page_runs(molecules, capsys):
    rb.write("data.xyz", molecules)
    names: dict = {}
    for piece in PAGE.read_text().split("```python\n")[1:]:
        exec(piece.split("```")[0], names)
    chebyshev, bessel, error = capsys.readouterr().out.splitlines()
    assert chebyshev.startswith("Chebyshev [")
    assert bessel.startswith("Bessel [")
    assert float(error) < 1e-6
    assert rb.load("own.rho").primitive == names["table"]
