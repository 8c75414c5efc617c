"""Models of dipoles and polarisabilities: how they turn, derivatives, labels, files, habits of scikit-learn."""

import pathlib
import pickle

import numpy as np
import pytest
import rhobasis as rb
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "examples" / "data" / "molecules.xyz.xz"
FEW = {"n_candidates": 80, "n_equivariants": 8, "n_invariants": 5, "n_invariant_candidates": 20}
SHAPES = {"dipole": (3,), "polarizability": (3, 3)}


def basis():
    return rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=5), l_max=3, q_max=3, mixing="combined")


def nice(**options):
    return rb.Nice(basis(), all_equivariants=True, **({"nu_max": 3, "lambda_max": 2} | FEW | options))


@pytest.fixture(scope="module")
def frames():
    return rb.read(f"{DATA}@40:120")


@pytest.fixture(scope="module")
def models(frames):
    return {target: rb.EquivariantRidge(nice(), target, alpha=1e-8).fit(frames) for target in SHAPES}


def labels(frames, target):
    return np.array([np.reshape(np.array(info[target]), SHAPES[target]) for info in (f.info for f in atoms_of(frames))])


def atoms_of(frames):
    """As ASE has them, labels in info."""
    return [frames[k] for k in range(len(frames))]


def moved(frames, matrix):
    copies = [atoms.copy() for atoms in frames]
    for atoms in copies:
        atoms.positions = atoms.positions @ matrix.T + 1.5
    return copies


@pytest.mark.parametrize("target", SHAPES)
def test_tensors_turn_and_are_inverted_with_the_molecule(models, frames, target):
    model, few = models[target], atoms_of(frames)[:6]
    rng = np.random.default_rng(5)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    before = model.predict(few)
    for matrix in (rotation, -rotation, -np.eye(3)):
        expected = before @ matrix.T if target == "dipole" else matrix @ before @ matrix.T
        np.testing.assert_allclose(model.predict(moved(few, matrix)), expected, atol=1e-10)


@pytest.mark.parametrize("target", SHAPES)
def test_a_dense_ridge_of_summed_equivariants_gives_the_same(models, frames, target):
    model = models[target]
    y = labels(frames, target).reshape(len(frames), -1)
    parts = {1: y[:, [1, 2, 0]]}
    if target == "polarizability":
        xx, xy, xz, _, yy, yz, _, _, zz = y.T
        two = [2**0.5 * xy, 2**0.5 * yz, (2 * zz - xx - yy) / 6**0.5, 2**0.5 * xz, (xx - yy) / 2**0.5]
        parts = {0: (xx + yy + zz)[:, None] / 3**0.5, 2: np.array(two).T}
    counts = np.array([[np.sum(atoms.numbers == z) for z in model.species_] for atoms in atoms_of(frames)])
    for lam, spherical in parts.items():
        if lam == 0:
            spherical = spherical - (counts @ [model.baseline_[z] for z in model.species_])[:, None]
        columns = []
        for z in model.species_:
            for nu in (1, 2, 3):
                blocks = model.nice_.equivariants(frames, nu)
                of_z = np.where(blocks.centers["species"] == z, 1.0, 0.0)
                sums = np.zeros((len(frames), *blocks[1, lam].shape[1:]))
                np.add.at(sums, blocks.centers["structure"], blocks[1, lam] * of_z[:, None, None])
                columns.append(sums.reshape(-1, sums.shape[2]))
        x = np.concatenate(columns, axis=1)
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        w = vt.T @ (s / (s**2 + 1e-8 * s[0] ** 2) * (u.T @ spherical.ravel()))
        ours = x @ model.weights_[lam].ravel()
        np.testing.assert_allclose(ours, x @ w, atol=1e-8)


@pytest.mark.parametrize("target", SHAPES)
def test_derivatives_are_difference_quotients_and_add_up_to_zero(models, frames, target):
    model, atoms = models[target], atoms_of(frames)[17]
    derivatives = model.derivatives(atoms)[0]
    assert derivatives.shape == (len(atoms), *SHAPES[target], 3)
    np.testing.assert_allclose(derivatives.sum(axis=0), 0, atol=1e-10)
    for atom, axis in ((0, 0), (2, 1), (len(atoms) - 1, 2)):
        values, h = [], 1e-4
        for step in (-2, -1, 1, 2):
            shifted = atoms.copy()
            shifted.positions[atom, axis] += step * h
            values.append(model.predict(shifted)[0])
        quotient = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
        np.testing.assert_allclose(derivatives[atom, ..., axis], quotient, atol=1e-7)


@pytest.mark.parametrize("target", SHAPES)
def test_a_file_a_pickle_and_a_fitted_object_give_the_same(models, frames, target, tmp_path):
    model = models[target]
    model.save(tmp_path / "a.rho")
    loaded = rb.load(tmp_path / "a.rho")
    assert isinstance(loaded, rb.EquivariantRidge)
    assert (loaded.target, loaded.alpha) == (target, 1e-8)
    for other in (loaded, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(frames), model.predict(frames))
        np.testing.assert_array_equal(other.derivatives(frames[:2])[1], model.derivatives(frames[:2])[1])
    again = rb.EquivariantRidge(loaded.nice_, target, alpha=1e-8).fit(frames)
    np.testing.assert_array_equal(again.predict(frames), model.predict(frames))


def test_labels_come_from_info_calculators_arrays_and_other_keys(frames):
    bare = [molecule(name) for name in ("H2O", "CH3OH", "NH3", "HCN", "CH3CHO", "H2CO", "CH3Cl")[:6]] * 2
    for k, atoms in enumerate(bare):
        atoms.rattle(0.05, seed=k)
    dipoles = np.array([atoms.numbers @ atoms.positions - atoms.numbers.sum() * atoms.positions[0] for atoms in bare])
    in_info = [atoms.copy() for atoms in bare]
    by_calculator = [atoms.copy() for atoms in bare]
    elsewhere = [atoms.copy() for atoms in bare]
    for k, d in enumerate(dipoles):
        in_info[k].info["dipole"] = d
        by_calculator[k].calc = SinglePointCalculator(by_calculator[k], dipole=d)
        elsewhere[k].info["mu"] = d
    model = rb.EquivariantRidge(nice(), alpha=1e-8)
    expected = clone(model).fit(bare, dipoles).predict(bare)
    for frames_, options in ((in_info, {}), (by_calculator, {}), (elsewhere, {"dipole_key": "mu"})):
        np.testing.assert_array_equal(clone(model).fit(frames_, **options).predict(bare), expected)
    with pytest.raises(rb.RhobasisError, match=r"dipole_key = dipole: no frame has a dipole .* 'mu' may be it"):
        clone(model).fit(elsewhere)
    some = dipoles.copy()
    some[3] = np.nan
    del in_info[3].info["dipole"]
    with pytest.warns(UserWarning, match="1 of 12 frames have no dipole, and are left out"):
        from_frames = clone(model).fit(in_info)
    np.testing.assert_array_equal(from_frames.predict(bare), clone(model).fit(bare, some).predict(bare))


def test_matrices_may_be_given_as_six_numbers_and_must_be_symmetric(frames):
    y = labels(frames, "polarizability")
    six = y[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    model = rb.EquivariantRidge(nice(nu_max=2), "polarizability", alpha=1e-8)
    expected = clone(model).fit(frames, y).predict(frames)
    np.testing.assert_allclose(clone(model).fit(frames, six).predict(frames), expected, atol=1e-12)
    np.testing.assert_allclose(clone(model).fit(frames).predict(frames), expected, atol=1e-12)
    skew = y.copy()
    skew[5, 0, 1] += 1.0
    with pytest.raises(rb.RhobasisError, match="tensors of frame 5 is not symmetric"):
        clone(model).fit(frames, skew)
    infinite = y.copy()
    infinite[2, 1, 1] = np.inf
    with pytest.raises(rb.RhobasisError, match="component yy of its polarizability is inf"):
        clone(model).fit(frames, infinite)


def test_what_makes_no_model_is_refused(frames):
    with pytest.raises(rb.RhobasisError, match=r"of order 3 it keeps only invariants.*all_equivariants=True"):
        rb.EquivariantRidge(rb.Nice(basis(), nu_max=3)).fit(frames)
    with pytest.raises(TypeError, match=r"nice must be a rhobasis\.Nice"):
        rb.EquivariantRidge(rb.PowerSpectrum(basis())).fit(frames)
    with pytest.raises(rb.RhobasisError, match="q_max = 2 of nice"):
        rb.EquivariantRidge(nice(q_max=2)).fit(frames)
    with pytest.raises(rb.RhobasisError, match=r"target = 'quadrupole': use one of 'dipole'"):
        rb.EquivariantRidge(nice(), "quadrupole").fit(frames)
    with pytest.raises(rb.RhobasisError, match="alpha = -1"):
        rb.EquivariantRidge(nice(), alpha=-1).fit(frames)
    with pytest.raises(rb.RhobasisError, match=r"tensors has the shape \(80, 2\): \(80, 3\) is needed"):
        rb.EquivariantRidge(nice()).fit(frames, np.zeros((80, 2)))
    with pytest.raises(rb.RhobasisError, match=r"polarizability_key = 'p': the target is 'dipole'"):
        rb.EquivariantRidge(nice()).fit(frames, polarizability_key="p")
    flat = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=5), l_max=1, q_max=3, mixing="combined")
    of_flat = rb.EquivariantRidge(rb.Nice(flat, all_equivariants=True, **FEW), "polarizability", alpha=1e-8)
    with pytest.raises(rb.RhobasisError, match="l_max = 1: there is no equivariant of λ = 2"):
        of_flat.fit(frames)
    with pytest.raises(rb.NotFittedError):
        rb.EquivariantRidge(nice()).predict(frames)
    model = rb.EquivariantRidge(nice(nu_max=2), alpha=1e-8).fit(frames)
    with pytest.raises(rb.RhobasisError, match="Si"):
        model.predict(molecule("SiH4"))


def test_it_is_a_regressor_of_scikit_learn(frames):
    listed, y = atoms_of(frames), labels(frames, "dipole")
    model = rb.EquivariantRidge(nice(nu_max=2))
    scores = cross_val_score(model, listed, y, cv=2)
    assert (scores > 0.5).all()
    search = GridSearchCV(model, {"alpha": [1e-8, 1.0], "nice__nu_max": [2, 3]}, cv=2).fit(listed, y)
    assert search.best_params_["alpha"] == 1e-8
    assert clone(model).get_params()["nice__all_equivariants"] is True
    fitted = clone(model).fit(frames)
    assert fitted.score(frames) == pytest.approx(fitted.score(frames, y), abs=1e-12)
    assert set(fitted.alpha_) == {1}
    assert fitted.n_parameters_ == len(fitted.species_) * fitted.weights_[1].shape[1]
    assert not clone(fitted).__sklearn_is_fitted__()


def test_nice_with_all_equivariants_has_the_same_features(frames):
    few = frames[:30]
    expected = rb.Nice(basis(), nu_max=3, **FEW).fit(few)
    fitted = rb.Nice(basis(), nu_max=3, all_equivariants=True, **FEW).fit(few)
    np.testing.assert_array_equal(fitted.transform(few), expected.transform(few))
    with pytest.raises(rb.RhobasisError, match="equivariants of this order are not made"):
        expected.equivariants(few, nu=3)
    assert fitted.equivariants(few, nu=3)[1, 1].shape[1] == 3


def test_the_page_on_dipoles_runs(tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names = {}
    for piece in (ROOT / "docs" / "how-to" / "dipoles.md").read_text().split("```python\n")[1:]:
        exec(piece.split("```")[0], names)
    error = np.abs(names["model"].predict(names["test"]) - names["dipoles"]).mean()
    assert error < 0.4 * np.abs(names["dipoles"] - names["dipoles"].mean(axis=0)).mean()


def test_an_alpha_at_an_end_of_its_list_is_told_of(frames):
    with pytest.warns(UserWarning, match=r"λ = 1: alpha = 1e2 was chosen, the smallest of its list.*1e0"):
        rb.EquivariantRidge(nice(nu_max=2), alpha=[1e2, 1e3]).fit(frames)
