"""Invariant features from Python: shapes, columns, derivatives, arguments of every kind."""

import pickle

import numpy as np
import pytest
import rhobasis as rb
from ase.build import bulk, molecule

DENSITY = rb.Density(r_cut=4.0, sigma=0.4, cutoff_width=1.0)
FRAMES = [molecule("CH3OH"), molecule("H2O"), molecule("C2H4")]


def expansion(n_max=3, l_max=2):
    return rb.SphericalExpansion(DENSITY, rb.Gto(n_max=n_max), l_max=l_max).fit(FRAMES)


def optimal(**options):
    options = {"l_max": 2, "q_max": 3, "mixing": "combined"} | options
    return rb.OptimalBasis(DENSITY, rb.Gto(n_max=6), **options).fit(FRAMES)


SPECTRA = [rb.RadialSpectrum, rb.PowerSpectrum, rb.Bispectrum]


@pytest.mark.parametrize(
    "basis", [expansion(), optimal(), optimal(mixing="per-species"), optimal(center_specific=True)]
)
def test_eq15_is_a_matrix_product(basis):
    c = basis.transform(FRAMES)
    soap = rb.PowerSpectrum(basis)
    x, columns = soap.transform(FRAMES), soap.columns_
    for k, (l, alpha, beta) in enumerate(columns):
        p = np.einsum("im,im->i", c.blocks[l][:, :, alpha], c.blocks[l][:, :, beta]) / np.sqrt(2 * l + 1)
        np.testing.assert_allclose(x[:, k], p * (1 if alpha == beta else np.sqrt(2)), atol=1e-13 * abs(x).max())
    assert all(len(of_l) == c.blocks[l].shape[2] for l, of_l in enumerate(soap.channels_))
    centers = soap.centers(FRAMES)
    assert (centers == c.centers).all()


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_dot_products_do_not_depend_on_an_orthogonal_change_of_basis(spectrum):
    """An optimal basis that keeps all channels turns the primitive one."""
    whole = rb.OptimalBasis(DENSITY, rb.Gto(n_max=3), l_max=2, retain=1.0, spline_accuracy=None).fit(FRAMES)
    primitive = rb.SphericalExpansion(DENSITY, rb.Gto(n_max=3), l_max=2, spline_accuracy=None).fit(FRAMES)
    a, b = spectrum(whole).transform(FRAMES), spectrum(primitive).transform(FRAMES)
    np.testing.assert_allclose(a @ a.T, b @ b.T, rtol=0, atol=1e-9 * abs(b @ b.T).max())


def test_some_columns_are_those_of_the_whole():
    basis = optimal()
    whole = rb.PowerSpectrum(basis)
    picked = np.random.default_rng(1).permutation(len(whole.columns_))[:7]
    part = rb.PowerSpectrum(basis, columns=whole.columns_[picked])
    np.testing.assert_array_equal(part.transform(FRAMES), whole.transform(FRAMES)[:, picked])
    np.testing.assert_array_equal(part.columns_, whole.columns_[picked])


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("normalize", [False, True])
def test_forces_are_difference_quotients(spectrum, normalize):
    # Without splines: the second derivatives of cubic ones jump.
    basis = rb.SphericalExpansion(DENSITY, rb.Gto(n_max=2), l_max=2, spline_accuracy=None).fit(FRAMES)
    features = spectrum(basis, normalize=normalize)
    atoms = molecule("CH3OH")
    w = np.cos(np.arange(features.transform(atoms).size)).reshape(len(atoms), -1)

    def energy(shift):
        moved = atoms.copy()
        moved.positions[1, 2] += shift
        return (w * features.transform(moved)).sum()

    def slope(h):
        return (energy(h) - energy(-h)) / (2 * h)

    forces, virials = features.backward(atoms, w)
    expected = -(4 * slope(1e-3) - slope(2e-3)) / 3
    assert forces[0][1, 2] == pytest.approx(expected, abs=1e-7 * abs(forces[0]).max())
    assert virials.shape == (1, 3, 3)
    np.testing.assert_allclose(forces[0].sum(axis=0), 0, atol=1e-12 * abs(forces[0]).max())


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_jacobian_tangent_and_adjoint_agree(spectrum):
    features = spectrum(optimal())
    velocities = [np.sin(np.arange(3 * len(a))).reshape(-1, 3) for a in FRAMES]
    tangent = features.tangent(FRAMES, velocities)
    jacobian = features.jacobian(FRAMES)
    first = np.cumsum([0] + [len(a) for a in FRAMES])
    sums = np.zeros_like(tangent)
    for row, values in zip(jacobian.rows, jacobian.values, strict=True):
        sums[first[row["structure"]] + row["center"]] += velocities[row["structure"]][row["atom"]] @ values
    np.testing.assert_allclose(sums, tangent, rtol=0, atol=1e-12 * abs(tangent).max())
    parts = list(features.jacobian_parts(FRAMES, memory=5000))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), jacobian.values)
    w = np.linspace(-1, 1, tangent.shape[1])
    forces, _ = features.backward(FRAMES, w)
    along = -sum((f * v).sum() for f, v in zip(forces, velocities, strict=True))
    assert along == pytest.approx((tangent @ w).sum(), rel=1e-10)


def test_jacobians_by_species_leave_out_zeros_alone():
    soap = rb.PowerSpectrum(expansion())
    whole, parts = soap.jacobian(FRAMES), soap.jacobian_by_species(FRAMES)
    assert list(parts) == ["center", "H", "C", "O"]
    put_together = np.zeros_like(whole.values)
    for part in parts.values():
        at = np.array([np.flatnonzero(whole.rows == row)[0] for row in part.rows])
        put_together[at[:, None], :, part.columns] = part.values.transpose(0, 2, 1)
    np.testing.assert_array_equal(put_together, whole.values)
    assert sum(part.values.size for part in parts.values()) < 0.7 * whole.values.size
    assert soap.jacobian_by_species([]).keys() == {"center"}


@pytest.mark.parametrize("by", ["strain", "cell"])
def test_jacobians_by_strain_and_cell_have_nine_components(by):
    frames = [bulk("Si"), bulk("Si", cubic=True)]
    soap = rb.PowerSpectrum(rb.SphericalExpansion(DENSITY, rb.Gto(n_max=2), l_max=1))
    jacobian = soap.jacobian(frames, by=by)
    assert jacobian.values.shape == (10, 3, 3, 6)
    assert (jacobian.rows["atom"] == -1).all()
    assert soap.jacobian([], by=by).values.shape[1:3] == (3, 3)


def test_gradients_of_every_layout_give_the_same_forces():
    features = rb.PowerSpectrum(expansion())
    w = np.cos(np.arange(features.transform(FRAMES).size)).reshape(-1, features.columns_.shape[0])
    expected = features.backward(FRAMES, w)[0]
    single = w.astype(np.float32)
    wide = np.zeros((w.shape[0], 2 * w.shape[1]))
    wide[:, ::2] = w
    frozen = w.copy()
    frozen.flags.writeable = False
    for gradient in (np.asfortranarray(w), wide[:, ::2], frozen, w.tolist()):
        for found, force in zip(features.backward(FRAMES, gradient)[0], expected, strict=True):
            np.testing.assert_array_equal(found, force)
    for found, force in zip(features.backward(FRAMES, single)[0], expected, strict=True):
        np.testing.assert_allclose(found, force, rtol=0, atol=1e-5 * abs(force).max())
    alike = np.broadcast_to(w[0], w.shape)
    for found, force in zip(features.backward(FRAMES, w[0])[0], features.backward(FRAMES, alike)[0], strict=True):
        np.testing.assert_array_equal(found, force)


def test_normalised_rows_have_norm_one():
    for spectrum in SPECTRA:
        x = spectrum(optimal(), normalize=True).transform(FRAMES)
        np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-14)


def test_progress_changes_nothing(capsys):
    soap = rb.PowerSpectrum(expansion())
    np.testing.assert_array_equal(soap.transform(FRAMES * 30, progress=True), soap.transform(FRAMES * 30))


def test_parameters_are_stored_set_cloned_and_pickled():
    from sklearn.base import clone

    soap = rb.PowerSpectrum(expansion(), normalize=True)
    assert soap.get_params()["basis__density__r_cut"] == 4.0
    other = pickle.loads(pickle.dumps(soap))
    np.testing.assert_array_equal(other.transform(FRAMES), soap.transform(FRAMES))
    before = soap.transform(FRAMES)
    soap.set_params(normalize=False)
    assert abs(soap.transform(FRAMES)).max() != abs(before).max()
    unfitted = clone(rb.PowerSpectrum(rb.OptimalBasis(DENSITY, rb.Gto(n_max=4), l_max=1, q_max=2)))
    assert unfitted.fit_transform(FRAMES).shape[0] == sum(map(len, FRAMES))


def test_bad_arguments_are_refused_by_name():
    soap = rb.PowerSpectrum(expansion())
    with pytest.raises(rb.RhobasisError, match=r"gradient.*centers, features"):
        soap.backward(FRAMES, np.zeros((3, 4)))
    with pytest.raises(rb.RhobasisError, match="gradient"):
        soap.backward(FRAMES, np.zeros(4))
    with pytest.raises(rb.RhobasisError, match=r"columns.*l_max = 2"):
        rb.PowerSpectrum(expansion(), columns=[[3, 0, 0]]).transform(FRAMES)
    with pytest.raises(rb.RhobasisError, match=r"columns.*whole numbers"):
        rb.PowerSpectrum(expansion(), columns=[[0.5, 0, 0]]).transform(FRAMES)
    with pytest.raises(TypeError, match="basis must be"):
        rb.PowerSpectrum("silicon.rho").transform(FRAMES)
    with pytest.raises(rb.NotFittedError):
        rb.PowerSpectrum(rb.OptimalBasis(DENSITY, rb.Gto(4), l_max=1, q_max=2)).transform(FRAMES)
    with pytest.raises(rb.RhobasisError, match="by = 'time'"):
        soap.jacobian(FRAMES, by="time")
    with pytest.raises(rb.RhobasisError, match="at most 12"):
        rb.clebsch_gordan(13, 1, 12)


@pytest.mark.parametrize(("l1", "l2"), [(1, 1), (2, 3), (4, 4)])
def test_clebsch_gordan_keep_the_norm(l1, l2):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=2 * l1 + 1), rng.normal(size=2 * l2 + 1)
    coupled = [np.einsum("abm,a,b->m", rb.clebsch_gordan(l1, l2, k), a, b) for k in range(abs(l1 - l2), l1 + l2 + 1)]
    assert sum((c**2).sum() for c in coupled) == pytest.approx((a**2).sum() * (b**2).sum(), rel=1e-13)
