"""Features of whole frames: sums and means over their atoms, alone and in scikit-learn."""

import itertools

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import bulk, molecule
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

NAMES = ["H2O", "CH4", "CH3OH", "NH3", "C2H6", "CO2", "H2", "HCN", "CH3CN", "H2CO", "N2", "CH3CH2OH"]
FRAMES = [molecule(name) for name in NAMES]
DENSITY = rb.Density(r_cut=4.0, sigma=0.3)


def primitive():
    return rb.SphericalExpansion(DENSITY, rb.Gto(n_max=3), l_max=2)


def basis():
    return rb.OptimalBasis(DENSITY, rb.Gto(n_max=5), l_max=2, q_max=2, mixing="combined")


KINDS = [
    rb.RadialSpectrum(primitive()),
    rb.PowerSpectrum(primitive(), normalize=True),
    rb.PowerSpectrum(basis(), columns=[[1, 0, 1], [0, 0, 0]]),
    rb.Bispectrum(basis(), l_max=1),
    rb.Nice(basis(), nu_max=3, n_equivariants=4, n_invariants=5, sequence="per-species"),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize(("reduce", "by_species"), itertools.product(["sum", "mean"], [False, True]))
def test_rows_of_frames_are_sums_and_means_of_those_of_atoms(kind, reduce, by_species):
    frames = [*FRAMES, Atoms(), Atoms("N"), bulk("C").repeat((5, 5, 5))]
    features = clone(kind).fit(FRAMES)
    X, centers = features.transform(frames), features.centers(frames)
    species = [1, 6, 7, 8] if by_species else [None]
    expected = np.zeros((len(frames), len(species), X.shape[1]))
    for row, (structure, _, z) in zip(X, centers.tolist(), strict=True):
        n = len(frames[structure]) if reduce == "mean" else 1
        expected[structure, species.index(z) if by_species else 0] += row / n
    expected = expected.reshape(len(frames), -1)
    found = features.transform(frames, reduce=reduce, by_species=by_species)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * abs(expected).max())
    assert not found[len(FRAMES)].any()
    own = clone(kind).set_params(reduce=reduce, by_species=by_species).fit(FRAMES)
    np.testing.assert_array_equal(own.transform(frames), found)
    np.testing.assert_array_equal(own.transform(frames, progress=True), found)
    assert own.n_features_out_ == found.shape[1]
    names = own.get_feature_names_out()
    assert len(set(names)) == len(names) == found.shape[1]
    if by_species:
        plain = features.get_feature_names_out()
        assert list(names) == [f"{symbol}_{name}" for symbol in ("H", "C", "N", "O") for name in plain]


def test_models_of_frames_in_scikit_learn():
    y = np.array([len(atoms) for atoms in FRAMES]) + np.array([atoms.numbers.mean() for atoms in FRAMES])
    pipeline = make_pipeline(rb.PowerSpectrum(basis(), reduce="mean"), Ridge(alpha=1e-6))
    scores = cross_val_score(pipeline, FRAMES, y, cv=3)
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    by_hand = []
    for k in range(3):
        test = list(range(4 * k, 4 * k + 4))
        train = [i for i in range(12) if i not in test]
        soap = rb.PowerSpectrum(basis()).fit([FRAMES[i] for i in train])
        rows = {i: soap.transform(FRAMES[i]).mean(axis=0) for i in range(12)}
        model = Ridge(alpha=1e-6).fit([rows[i] for i in train], y[train])
        by_hand.append(model.score([rows[i] for i in test], y[test]))
    np.testing.assert_allclose(scores, by_hand, rtol=1e-6)
    grid = {"powerspectrum__reduce": ["sum", "mean"], "powerspectrum__by_species": [True, False]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(FRAMES, y)
    assert len(set(search.cv_results_["mean_test_score"])) == 4


def test_tables_of_frames_name_rows_and_columns():
    pytest.importorskip("pandas")
    soap = rb.PowerSpectrum(basis(), reduce="sum", by_species=True).set_output(transform="pandas").fit(FRAMES)
    table = soap.transform(FRAMES)
    assert table.index.name == "structure"
    assert list(table.columns) == list(soap.get_feature_names_out())
    assert (table.loc[0, [name for name in table.columns if name.startswith("C_")]] == 0).all()
    whole = rb.PowerSpectrum(soap.basis_).set_output(transform="pandas").transform(FRAMES, reduce="sum")
    assert list(whole.columns) == list(rb.PowerSpectrum(soap.basis_).get_feature_names_out())
    blocks = table.to_numpy().reshape(len(FRAMES), -1, whole.shape[1])
    np.testing.assert_allclose(blocks.sum(axis=1), whole.to_numpy(), rtol=1e-12)


def test_what_makes_no_sense_is_refused():
    soap = rb.PowerSpectrum(primitive()).fit(FRAMES)
    with pytest.raises(rb.RhobasisError, match=r'reduce = "average": is unknown.*use one of "sum", "mean"'):
        soap.transform(FRAMES, reduce="average")
    with pytest.raises(rb.RhobasisError, match=r'by_species = True: .* give reduce="sum" or "mean"'):
        soap.transform(FRAMES, by_species=True)
    with pytest.raises(rb.RhobasisError, match="Au"):
        soap.transform([Atoms("Au")], reduce="sum")
    nice = rb.Nice(basis(), nu_max=2, n_equivariants=3, n_invariants=3, all_equivariants=True, reduce="sum")
    with pytest.raises(rb.RhobasisError, match="reduce = 'sum' of nice: it is for features"):
        rb.EquivariantRidge(nice).fit(FRAMES)
    energies = np.arange(len(FRAMES), dtype=float)
    with pytest.raises(rb.RhobasisError, match="reduce = 'mean' of PowerSpectrum: a potential sums"):
        rb.Potential(rb.PowerSpectrum(basis(), reduce="mean"), rb.Ridge()).fit(FRAMES, energies)
