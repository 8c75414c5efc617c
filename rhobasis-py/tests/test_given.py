"""The covariance that a basis was made from, and bases of matrices that are given."""

import itertools

import numpy as np
import pytest
import rhobasis as rb
from sklearn.base import clone

pytestmark = pytest.mark.filterwarnings("ignore:.* fewer channels than asked")
KINDS = list(itertools.product(("per-species", "combined"), (False, True)))
DENSITY, PRIMITIVE = rb.Density(r_cut=3.5, sigma=0.4), rb.Gto(n_max=5)


def basis_of(**options):
    return rb.OptimalBasis(DENSITY, PRIMITIVE, **{"l_max": 2, "q_max": 3, **options})


def flat(values, center_specific):
    """(centre, key, matrix) of a dict with or without kinds of centre."""
    kinds = values.items() if center_specific else [(None, values)]
    return [(center, key, matrix) for center, blocks in kinds for key, matrix in blocks.items()]


@pytest.mark.parametrize(("mixing", "center_specific"), KINDS)
def test_eqs_6_and_11_are_the_sums_over_centres(mixing, center_specific, molecules):
    basis = basis_of(mixing=mixing, center_specific=center_specific).fit(molecules)
    c = rb.SphericalExpansion(DENSITY, PRIMITIVE, l_max=2, species=basis.species_).transform(molecules)
    for center, key, matrix in flat(basis.covariance_, center_specific):
        species, l = (None, key) if mixing == "combined" else key
        rows = c.blocks[l] if center is None else c.blocks[l][c.centers["species"] == center]
        if species is not None:
            rows = rows[:, :, c.channels[l][:, 0] == species]
        expected = np.einsum("imp,imq->pq", rows, rows) / len(rows)
        assert np.abs(matrix - expected).max() < 1e-9 * max(np.abs(expected).max(), 1e-30)


def test_its_eigenvalues_and_eigenvectors_are_those_of_the_basis(molecules):
    basis = basis_of().fit(molecules)
    for key, c in basis.covariance_.items():
        u, kept = basis.contraction_[key], basis.eigenvalues_[key]
        assert np.abs(np.linalg.eigvalsh(c)[::-1] - kept).max() < 1e-12 * kept.max()
        assert np.abs(u @ c @ u.T - np.diag(kept[: len(u)])).max() < 1e-12 * kept.max()


def test_more_frames_change_it_and_shards_add_up_to_it(molecules, tmp_path):
    basis = basis_of().fit(molecules)
    growing = basis_of().partial_fit(molecules[:2])
    before = growing.covariance_[1, 0]
    assert np.abs(growing.partial_fit(molecules[2:]).covariance_[1, 0] - basis.covariance_[1, 0]).max() == 0.0
    assert np.abs(before - basis.covariance_[1, 0]).max() > 0.0
    for i in (1, 2):
        basis_of().accumulate(molecules, tmp_path / f"{i}.cov", shard=(i, 2))
    merged = rb.OptimalBasis.merge([tmp_path / "1.cov", tmp_path / "2.cov"], q_max=2)
    assert np.allclose(merged.covariance_[1, 0], basis.covariance_[1, 0], rtol=1e-13)


def test_principal_covariates_have_it_too(molecules):
    energies = np.arange(len(molecules), dtype=float)
    pcovr = basis_of(method="pcovr", gamma=0.5).fit(molecules, energies)
    assert np.array_equal(pcovr.covariance_[6, 1], basis_of().fit(molecules).covariance_[6, 1])


def test_a_basis_without_its_covariance_says_so(molecules, tmp_path):
    basis = basis_of().fit(molecules)
    basis.save(tmp_path / "b.rho")
    loaded = rb.load(tmp_path / "b.rho")
    assert not hasattr(loaded, "covariance_")
    with pytest.raises(AttributeError, match=r"does not hold the covariance .* loaded"):
        _ = loaded.covariance_
    with pytest.raises(AttributeError, match="has not been fitted"):
        _ = basis_of().covariance_


@pytest.mark.parametrize(("mixing", "center_specific"), KINDS)
def test_the_matrices_of_a_basis_make_it_again(mixing, center_specific, molecules, tmp_path):
    fitted = basis_of(mixing=mixing, center_specific=center_specific).fit(molecules)
    given = rb.OptimalBasis.from_contraction(DENSITY, PRIMITIVE, fitted.contraction_, molecules)
    assert (given.mixing, given.center_specific, given.method, given.l_max) == (mixing, center_specific, "given", 2)
    for a, b in zip(given.transform(molecules).blocks, fitted.transform(molecules).blocks, strict=True):
        assert np.array_equal(a, b)
    for (_, _, a), (_, _, b) in zip(
        flat(given.eigenvalues_, center_specific), flat(fitted.eigenvalues_, center_specific), strict=True
    ):
        assert np.abs(a - b).max() <= 1e-12 * b.max()
    assert np.allclose(given.residual_variance(), fitted.residual_variance(), atol=1e-12)
    given.save(tmp_path / "given.rho")
    loaded = rb.load(tmp_path / "given.rho")
    spectrum = rb.PowerSpectrum(fitted).transform(molecules)
    assert np.array_equal(rb.PowerSpectrum(loaded).transform(molecules), spectrum)
    assert rb.PowerSpectrum(given).fit(molecules).basis_.method == "given"


def test_functions_that_are_not_principal_keep_what_the_covariance_says(molecules):
    fitted = basis_of(q_max=5).fit(molecules)
    turned = {}
    for key, u in fitted.contraction_.items():
        angle = 0.7
        rows = np.array([np.cos(angle) * u[0] + np.sin(angle) * u[2], u[1]]) if len(u) > 2 else u[:1]
        turned[key] = rows
    given = rb.OptimalBasis.from_contraction(DENSITY, PRIMITIVE, turned, molecules)
    for key, u in turned.items():
        c, variances = fitted.covariance_[key], given.eigenvalues_[key]
        assert np.allclose(variances[: len(u)], np.diag(u @ c @ u.T), atol=1e-12 * c.max())
        assert np.isclose(variances.sum(), np.trace(c))
    assert given.discarded_variance_ > basis_of(q_max=2).fit(molecules).discarded_variance_


def test_symbols_name_species_and_no_rows_keep_no_function(molecules):
    fitted = basis_of(l_max=1).fit(molecules)
    symbols = {1: "H", 6: "C", 7: "N", 8: "O"}
    matrices = {(symbols[z], l): u for (z, l), u in fitted.contraction_.items()}
    matrices["H", 1] = np.zeros((0, 5))
    given = rb.OptimalBasis.from_contraction(DENSITY, PRIMITIVE, matrices, molecules)
    assert given.contraction_[1, 1].shape == (0, 5)
    assert 1 not in given.transform(molecules).channels[1][:, 0]


def test_rows_that_are_not_orthonormal_are_refused_or_mended(molecules):
    fitted = basis_of(l_max=0).fit(molecules)
    skewed = {key: u + 1e-3 * np.roll(u, 1, axis=1) for key, u in fitted.contraction_.items()}
    with pytest.raises(rb.RhobasisError, match=r"not orthonormal: U Uᵀ is off by .*e-3"):
        rb.OptimalBasis.from_contraction(DENSITY, PRIMITIVE, skewed, molecules)
    mended = rb.OptimalBasis.from_contraction(DENSITY, PRIMITIVE, skewed, molecules, orthonormalise=True)
    for key, u in mended.contraction_.items():
        values, vectors = np.linalg.eigh(skewed[key] @ skewed[key].T)
        nearest = vectors @ np.diag(values**-0.5) @ vectors.T @ skewed[key]
        assert np.abs(u - nearest).max() < 1e-12
    dependent = {key: u[[0, 0]] for key, u in fitted.contraction_.items()}
    with pytest.raises(rb.RhobasisError, match="depend on one another"):
        rb.OptimalBasis.from_contraction(DENSITY, PRIMITIVE, dependent, molecules, orthonormalise=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda u: {(1, 0): u[1, 0]}, "l = 0, C neighbours: no matrix is given"),
        (lambda u: u | {(1, 0): u[1, 0][:, :4]}, "U has 4 columns, and there are 5 primitive functions"),
        (lambda u: u | {(1, 0): np.eye(6)[:, :5]}, "U has 6 rows"),
        (lambda u: u | {(14, 0): np.eye(5), (14, 1): np.eye(5)}, "l = 0, Si neighbours: the frames have no such block"),
        (lambda u: u | {(1, 0): np.full((2, 5), np.nan)}, "U holds NaN"),
        (lambda u: u | {0: np.eye(5)}, r"some keys are \(species, l\), others l alone"),
        (lambda u: {0: np.eye(5)}, "U has 5 columns, and there are 20 primitive functions"),
        (lambda u: u | {("Qq", 0): np.eye(5)}, "Qq"),
        (lambda u: {key: matrix[:0] for key, matrix in u.items()}, "no matrix has a row"),
        (lambda u: {}, "no dict of matrices"),
        (lambda u: {"s": np.eye(5)}, "neither"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, words, molecules):
    fitted = basis_of(l_max=1).fit(molecules)
    with pytest.raises(rb.RhobasisError, match=words):
        rb.OptimalBasis.from_contraction(DENSITY, PRIMITIVE, change(fitted.contraction_), molecules)


def test_a_given_basis_is_not_fitted_anew(molecules):
    fitted = basis_of(l_max=1).fit(molecules)
    given = rb.OptimalBasis.from_contraction(DENSITY, PRIMITIVE, fitted.contraction_, molecules)
    with pytest.raises(rb.RhobasisError, match="from_contraction makes the basis"):
        clone(given).fit(molecules)
    with pytest.raises(AttributeError, match="does not hold the covariance"):
        _ = given.covariance_
