"""Principal covariates regression: of matrices, and bases that know of energies (Eq. 14)."""

import pathlib
import pickle

import numpy as np
import pytest
import rhobasis as rb
from rhobasis import PCovR
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

ROOT = pathlib.Path(__file__).resolve().parents[2]
SILICON = f"{ROOT}/examples/data/silicon.xyz.xz@::8"


@parametrize_with_checks([PCovR(), PCovR(gamma=0.1, n_components=1), PCovR(center=False)])
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(ROOT / "reference/pcovr/golden.npz"))


def test_projectors_are_those_of_scikit_matter(golden):
    X, y = golden["X_scaled"], golden["y_scaled"]
    for gamma in (1, 0.5, 0.1, 0.001):
        found = PCovR(gamma, n_components=3).fit(X, y)
        expected = golden[f"pcovr_mixing_{gamma}_projector"]
        assert np.allclose(found.pxt_, expected, rtol=0, atol=1e-8)
        eigenvalues = golden[f"pcovr_mixing_{gamma}_eigenvalues"]
        assert np.allclose(found.explained_variance_ * (len(X) - 1), eigenvalues, rtol=1e-9)
        q = np.linalg.qr(found.pxt_)[0]
        r = golden[f"pcovr_mixing_{gamma}_orthogonalised"]
        assert np.allclose(q @ q.T, r @ r.T, rtol=0, atol=1e-8)


def test_all_components_are_the_whole_regression_and_the_whole_matrix(golden):
    X = golden["X_scaled"] + 3.0
    y = golden["y_scaled"][:, 0] - 7.0
    model = PCovR(0.3).fit(X, y)
    weights = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)[0]
    assert np.allclose(model.predict(X), (X - X.mean(axis=0)) @ weights + y.mean(), atol=1e-10)
    assert np.allclose(model.inverse_transform(model.transform(X)), X, atol=1e-10)
    left = np.sum((y - model.predict(X)) ** 2) / np.sum((y - y.mean()) ** 2)
    assert model.score(X, y) == pytest.approx(1 - left)
    assert list(model.get_feature_names_out())[:2] == ["pcovr0", "pcovr1"]
    one = PCovR(1e-10, n_components=1).fit(X, y)
    cosine = abs(one.pxt_[:, 0] @ weights) / np.linalg.norm(one.pxt_) / np.linalg.norm(weights)
    assert cosine == pytest.approx(1, abs=1e-9)


def test_the_estimator_lives_in_pipelines(golden):
    X, y = golden["X_scaled"], golden["y_scaled"][:, 0]
    pipeline = make_pipeline(StandardScaler(), PCovR(0.5, n_components=2))
    assert cross_val_score(pipeline, X, y).shape == (5,)
    model = clone(pipeline[-1]).fit(X, y)
    restored = pickle.loads(pickle.dumps(model))
    assert np.array_equal(restored.predict(X), model.predict(X))


def test_matrices_that_make_no_sense_are_refused_by_name():
    X, y = np.eye(4), np.arange(4.0)
    for call, words in [
        (lambda: PCovR(gamma=1.5).fit(X, y), "gamma = 1.5"),
        (lambda: PCovR(alpha=-1).fit(X, y), "alpha = -1"),
        (lambda: PCovR(n_components=5).fit(X, y), "n_components = 5"),
        (lambda: PCovR(n_components=1.5).fit(X, y), "n_components = 1.5"),
        (lambda: PCovR().fit(X, y[:3]), "inconsistent"),
        (lambda: PCovR().fit(X, y * np.nan), "y contains NaN"),
        (lambda: PCovR().fit(X, None), "requires y"),
        (lambda: PCovR().fit(X, y).inverse_transform(X), "components"),
        (lambda: PCovR().transform(X), "not fitted"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()


def basis(**changes):
    settings = {"l_max": 1, "q_max": 2, "spline_accuracy": 1e-5, "method": "pcovr", "gamma": 0.1}
    return rb.OptimalBasis(rb.Density(r_cut=5.0), rb.Gto(n_max=6), **{**settings, **changes})


def same(a, b):
    return all(np.array_equal(a.contraction_[key], b.contraction_[key]) for key in a.contraction_)


def test_energies_come_from_files_frames_calculators_or_y():
    from_file = basis().fit(SILICON)
    frames = rb.read(SILICON)
    energies = [atoms.info["energy"] for atoms in frames]
    assert same(from_file, basis().fit(frames))
    assert same(from_file, basis().fit(frames, energies))
    assert same(from_file, basis().fit(SILICON, energies))
    assert same(from_file, basis().fit(list(frames)))
    renamed = list(frames)
    for atoms in renamed:
        atoms.info["dft"] = atoms.info.pop("energy")
    assert same(from_file, basis().fit(renamed, energy_key="dft"))
    from ase.calculators.singlepoint import SinglePointCalculator

    for atoms in renamed:
        atoms.calc = SinglePointCalculator(atoms, energy=atoms.info.pop("dft"))
    assert same(from_file, basis().fit(renamed))
    parts = basis()
    for start in range(0, len(frames), 7):
        parts.partial_fit(frames[start : start + 7])
    assert same(from_file, parts)
    assert 0 < from_file.energy_r2_ < 1
    assert basis(method="pca").fit(SILICON).energy_r2_ is None
    assert np.allclose(from_file.fit_transform(frames).blocks[0], from_file.transform(frames).blocks[0])


def test_a_few_functions_predict_better_and_hold_less_variance():
    frames = rb.read(SILICON)
    y = np.array([atoms.info["energy"] / len(atoms) for atoms in frames])

    def error(one):
        c = one.transform(frames)
        x = np.stack([c.blocks[0][c.centers["structure"] == k, 0].mean(axis=0) for k in range(len(frames))])
        x = np.hstack([x, np.ones((len(x), 1))])
        return np.std(y - x @ np.linalg.lstsq(x, y, rcond=None)[0])

    pca, pcovr = basis(method="pca", q_max=1).fit(frames), basis(gamma=1e-4, q_max=1).fit(frames)
    assert error(pcovr) < 0.7 * error(pca)
    assert pcovr.residual_variance()[1] > pca.residual_variance()[1]
    assert np.array_equal(pca.contraction_[14, 1], pcovr.contraction_[14, 1])


def test_gamma_is_a_setting_that_is_kept_and_may_be_changed(tmp_path):
    one = basis().fit(SILICON)
    other = basis(gamma=0.9).fit(SILICON)
    assert not same(one, other)
    assert same(one.set_params(gamma=0.9), other)
    one.save(tmp_path / "a.rho")
    loaded = rb.load(tmp_path / "a.rho")
    assert (loaded.method, loaded.gamma) == ("pcovr", 0.9)
    assert same(loaded, other)
    assert same(pickle.loads(pickle.dumps(one)), other)
    with pytest.raises(rb.RhobasisError, match=r"gamma = 0\.2.*changed"):
        _ = loaded.set_params(gamma=0.2).contraction_
    hypers = other.to_featomic()
    assert list(hypers) == [14]
    pca = basis(method="pca").fit(SILICON)
    assert same(pca, pca.set_params(gamma=0.3)), "principal components know no gamma"


def test_what_makes_no_basis_is_refused_by_name(tmp_path):
    frames = rb.read(SILICON)
    bare = [atoms.copy() for atoms in frames]
    for atoms in bare:
        atoms.info.clear()
    for call, words in [
        (lambda: basis(method="ridge").fit(frames), 'method = "ridge"'),
        (lambda: basis(gamma=0.0).fit(frames), "gamma = 0"),
        (lambda: basis(gamma=2.0).fit(frames), "gamma = 2"),
        (lambda: basis().fit(bare), "frame 0: there is no energy under the key 'energy'"),
        (lambda: basis().fit(SILICON, energy_key="dft"), "silicon.*frame 0: there is no energy under the key 'dft'"),
        (lambda: basis().fit(frames, [1.0]), "y = 1 energies"),
        (lambda: basis().fit(SILICON, [1.0]), "y = 1 energies"),
        (lambda: basis().fit(SILICON, np.ones(len(frames) + 1)), "energies: one for each frame"),
        (lambda: basis().fit(frames, "x"), "y = 'x'"),
        (lambda: basis().fit(frames, np.ones(len(frames)), energy_key="e"), "energy_key = e"),
        (lambda: basis(method="pca").fit(frames, energy_key="e"), "energy_key = e"),
        (lambda: basis(nu=2).fit(frames), "nu = 2"),
        (lambda: basis().fit(frames, weights=np.ones(sum(frames.n_atoms))), "leave weights"),
        (lambda: basis().fit(frames, checkpoint=tmp_path / "c"), "checkpoint"),
        (lambda: basis().accumulate(frames, tmp_path / "a.cov"), "one run"),
        (lambda: basis().fit(frames, [-float(len(a)) for a in frames]), "compositions alone"),
    ]:
        with pytest.raises(rb.RhobasisError, match=words):
            call()
