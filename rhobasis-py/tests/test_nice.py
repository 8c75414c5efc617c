"""NICE from Python: fits, files, equivariants, potentials."""

import pickle

import numpy as np
import pytest
import rhobasis as rb
from ase.build import molecule
from potential_samples import FRAMES, optimal, same
from sklearn.base import clone

MOLECULES = [molecule(name) for name in ["H2O", "CH3OH", "CH4", "NH3", "C2H6", "CH3CHO", "H2CO", "HCN"]]
FEW = {"nu_max": 4, "n_candidates": 60, "n_equivariants": 8, "n_invariant_candidates": 40, "n_invariants": 12}


def basis():
    return rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=3, q_max=4, mixing="combined")


def nice(**options):
    return rb.Nice(basis(), **(FEW | options)).fit(MOLECULES)


def test_columns_are_those_of_each_order_by_falling_variance():
    fitted = nice()
    x = fitted.transform(MOLECULES)
    assert fitted.columns_.shape == (x.shape[1], 2)
    np.testing.assert_array_equal(np.bincount(fitted.columns_[:, 0])[1:], [4, 12, 12, 12])
    for nu, variances in zip((2, 3, 4), fitted.variances_, strict=True):
        assert (np.diff(variances) <= 0).all()
        own = x[:, fitted.columns_[:, 0] == nu]
        assert np.isclose((own**2).sum() / len(x), variances.sum(), rtol=1e-6)
    assert list(fitted.get_feature_names_out()[[0, -1]]) == ["nu1_0", "nu4_11"]


def test_the_account_adds_up():
    account = nice().audit_
    assert list(account["nu"]) == [2, 3, 4]
    parts = sum(account[name] for name in ("inherited", "lambda", "choice", "contraction", "kept"))
    np.testing.assert_allclose(parts[:2], account["full"][:2], rtol=1e-10)
    parts = sum(account["invariants_" + name] for name in ("choice", "contraction", "kept"))
    np.testing.assert_allclose(parts, account["invariants"], rtol=1e-10)


def test_vectors_turn_with_the_molecule_and_pseudovectors_do_not_change_sign_on_inversion():
    fitted = nice()
    blocks = fitted.equivariants(MOLECULES, nu=2)
    mirrored = [m.copy() for m in MOLECULES]
    for m in mirrored:
        m.positions *= -1
    inverted = fitted.equivariants(mirrored, nu=2)
    for (sigma, lam), block in blocks.blocks.items():
        np.testing.assert_allclose(inverted[sigma, lam], sigma * (-1) ** lam * block, atol=1e-10)
    turned = [m.copy() for m in MOLECULES]
    for m in turned:
        m.positions = m.positions @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # (x, y, z) -> (-y, x, z)
    y, z, x = np.moveaxis(blocks[1, 1], 1, 0)  # in the order of m
    np.testing.assert_allclose(fitted.equivariants(turned, nu=2)[1, 1], np.stack([x, z, -y], 1), atol=1e-10)
    assert len(blocks) == sum(map(len, MOLECULES))
    assert list(blocks.centers["structure"][[0, -1]]) == [0, len(MOLECULES) - 1]


def test_a_file_a_pickle_and_a_fitted_object_give_the_same(tmp_path):
    fitted = nice()
    fitted.save(tmp_path / "a.nice")
    loaded = rb.Nice.load(tmp_path / "a.nice", fitted.basis_)
    x = fitted.transform(MOLECULES)
    np.testing.assert_array_equal(loaded.transform(MOLECULES), x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(MOLECULES), x)
    assert loaded.get_params(deep=False).keys() == fitted.get_params(deep=False).keys()
    assert loaded.n_equivariants == 8


def test_a_fit_is_needed_anew_after_a_change():
    fresh = rb.Nice(basis(), **FEW)
    with pytest.raises(rb.NotFittedError, match=r"call fit\(frames\) first"):
        fresh.transform(MOLECULES)
    fitted = nice()
    fitted.n_invariants = 5
    with pytest.raises(rb.RhobasisError, match="the products were chosen with 12"):
        fitted.transform(MOLECULES)
    assert fitted.fit(MOLECULES).transform(MOLECULES).shape[1] == 4 + 3 * 5
    unfitted = clone(fitted)
    with pytest.raises(rb.NotFittedError):
        unfitted.transform(MOLECULES)


def test_more_than_there_is_and_words_that_are_none_are_refused():
    for options, said in (
        ({"nu_max": 1}, "nu_max = 1: must lie between 2 and 8"),
        ({"lambda_max": 13}, "lambda_max = 13: must lie between 0 and 12"),
        ({"choice": "variances"}, 'the nearest known one is "variance"'),
        ({"q_max": 9}, "q_max = 9: this basis has 4 channels"),
    ):
        with pytest.raises(rb.RhobasisError, match=said):
            nice(**options)
    with pytest.raises(rb.RhobasisError, match="use the basis it was fitted with"):
        rb.Nice._of_native(nice()._fitted_native(), optimal().fit(FRAMES), {}).transform(FRAMES)


def test_a_potential_of_two_kinds_learns_predicts_and_is_loaded(tmp_path):
    own = optimal()
    features = [rb.PowerSpectrum(own), rb.Nice(own, q_max=2, **FEW)]
    potential = rb.Potential(features, rb.Ridge(alpha=1e-9)).fit(FRAMES)
    potential.save(tmp_path / "a.rho")
    loaded = rb.load(tmp_path / "a.rho")
    same(loaded, potential)
    kinds = [type(kind) for kind in loaded.features_]
    assert kinds == [rb.PowerSpectrum, rb.Nice]
    assert loaded.features_[1].nu_max == 4
    # Forces are those of the energies.
    atoms = FRAMES[9].copy()
    forces = potential.predict([atoms]).forces[0]
    h = 1e-4
    for sign in (1, -1):
        atoms.positions[1, 2] += sign * h
        energy = potential.predict([atoms]).energies[0]
        atoms.positions[1, 2] -= sign * h
        forces[1, 2] += sign * energy / (2 * h)
    assert abs(forces[1, 2]) < 1e-6


def test_frames_may_come_one_by_one():
    x = rb.Nice(basis(), **FEW).fit(iter(MOLECULES)).transform(MOLECULES)
    np.testing.assert_array_equal(x, nice().transform(MOLECULES[::-1][::-1]))
    shuffled = rb.Nice(basis().fit(MOLECULES), **FEW).fit(MOLECULES[::-1])
    np.testing.assert_allclose(shuffled.transform(MOLECULES), x, atol=1e-12)


def test_one_that_was_fitted_is_kept():
    own = optimal().fit(FRAMES)
    fitted = rb.Nice(own, **FEW).fit(FRAMES[:6])
    potential = rb.Potential(fitted, rb.Ridge(alpha=1e-9)).fit(FRAMES)
    kept = potential.features_ if isinstance(potential.features_, rb.Nice) else potential.features_[0]
    np.testing.assert_array_equal(kept.transform(FRAMES[:3]), fitted.transform(FRAMES[:3]))


def test_a_fit_goes_on_from_its_checkpoint_with_the_same_bits(tmp_path):
    own = basis().fit(MOLECULES)
    frames = MOLECULES * 150  # more than one chunk
    whole = rb.Nice(own, **FEW).fit(frames)
    path = tmp_path / "run.ckpt"

    class Stopped(Exception):
        pass

    begun, add = rb.Nice(own, **FEW), rb._native.NiceSample.add
    calls = []

    class Sample:
        """A sample that is interrupted in its second chunk."""

        def __init__(self, inner):
            self._inner = inner

        def add(self, chunk):
            calls.append(len(chunk))
            if len(calls) == 2:
                raise Stopped
            add(self._inner, chunk)

        def __getattr__(self, name):
            return getattr(self._inner, name)

    inner = begun._empty_sample()
    begun._empty_sample = lambda: Sample(inner)
    with pytest.raises(Stopped):
        begun.fit(frames, checkpoint=path, checkpoint_every=0.0)
    assert path.exists()
    assert calls[0] < len(frames)
    again = rb.Nice(own, **FEW).fit(frames, checkpoint=path)
    assert not path.exists()
    assert again._fitted_native().to_bytes() == whole._fitted_native().to_bytes()

    begun = rb.Nice(own, **FEW)
    begun._add_to(begun._empty_sample(), frames, None, False, path, 60.0)
    with pytest.raises(rb.RhobasisError, match="or remove the checkpoint to start anew"):
        rb.Nice(own, **FEW).fit(frames[1:], checkpoint=path)


def test_parts_of_the_frames_make_the_fit_to_all(tmp_path):
    own = basis().fit(MOLECULES)
    whole = rb.Nice(own, **FEW).fit(MOLECULES)
    paths = [tmp_path / f"{i}.sample" for i in (1, 2)]
    for i, path in enumerate(paths, 1):
        rb.Nice(own).accumulate(MOLECULES, path, shard=(i, 2))
    merged = rb.Nice.merge(paths[::-1], own, **FEW)
    assert merged._fitted_native().to_bytes() == whole._fitted_native().to_bytes()
    with pytest.raises(rb.RhobasisError, match="make shard 2/2"):
        rb.Nice.merge(paths[:1], own, **FEW)
    other = rb.OptimalBasis(rb.Density(r_cut=4.5), rb.Gto(n_max=4), l_max=3, q_max=4, mixing="combined").fit(MOLECULES)
    with pytest.raises(rb.RhobasisError, match="other radial functions"):
        rb.Nice.merge(paths, other, **FEW)
    by_parts = rb.Nice(own, **FEW)
    for k in range(0, len(MOLECULES), 3):
        by_parts.partial_fit(MOLECULES[k : k + 3])
    assert by_parts._fitted_native().to_bytes() == whole._fitted_native().to_bytes()
    with pytest.raises(rb.RhobasisError, match="the atoms that chose them are not kept"):
        whole.partial_fit(MOLECULES)
    with pytest.raises(rb.NotFittedError):
        rb.Nice(basis(), **FEW).partial_fit(MOLECULES)
    by_parts.n_centers = 7
    with pytest.raises(rb.RhobasisError, match="n_centers = 7: it was 10000"):
        by_parts.partial_fit(MOLECULES)


def test_files_are_streamed_to_the_same_fit(tmp_path):
    own = basis().fit(MOLECULES)
    rb.write(tmp_path / "a.xyz", MOLECULES)
    whole = rb.Nice(own, **FEW).fit(rb.read(tmp_path / "a.xyz"))
    streamed = rb.Nice(own, **FEW).fit(tmp_path / "a.xyz")
    assert streamed._fitted_native().to_bytes() == whole._fitted_native().to_bytes()


@pytest.mark.parametrize("purify", [False, True])
def test_each_species_of_centre_may_have_products_of_its_own(tmp_path, purify):
    fitted = nice(sequence="per-species", purify=purify)
    x = fitted.transform(MOLECULES)
    species = fitted.centers(MOLECULES)["species"]
    assert sorted(fitted.audit_) == sorted(set(species.tolist())) == sorted(fitted.variances_)
    for z, account in fitted.audit_.items():
        parts = sum(account["invariants_" + name] for name in ("choice", "purified", "contraction", "kept"))
        np.testing.assert_allclose(parts, account["invariants"], rtol=1e-10)
        own = x[species == z][:, fitted.columns_[:, 0] == 2]
        assert np.isclose((own**2).sum() / len(own), account["invariants_kept"][0], rtol=1e-5)
    fitted.save(tmp_path / "a.nice")
    loaded = rb.Nice.load(tmp_path / "a.nice", fitted.basis_)
    assert (loaded.sequence, loaded.purify) == ("per-species", purify)
    np.testing.assert_array_equal(loaded.transform(MOLECULES), x)
    assert fitted.equivariants(MOLECULES, nu=2)[1, 1].shape[0] == len(x)


@pytest.mark.parametrize("model", [rb.Ridge(alpha=1e-9), rb.Gap(n_sparse=12, zeta=2)])
def test_forces_of_a_potential_with_products_per_species_are_those_of_its_energies(tmp_path, model):
    features = rb.Nice(optimal(), q_max=2, sequence="per-species", purify=True, **FEW)
    potential = rb.Potential(features, model).fit(FRAMES)
    potential.save(tmp_path / "a.rho")
    same(rb.load(tmp_path / "a.rho"), potential)
    atoms = FRAMES[9].copy()
    forces = potential.predict([atoms]).forces[0]
    h = 1e-4
    for sign in (1, -1):
        atoms.positions[1, 2] += sign * h
        energy = potential.predict([atoms]).energies[0]
        atoms.positions[1, 2] -= sign * h
        forces[1, 2] += sign * energy / (2 * h)
    assert abs(forces[1, 2]) < 1e-6


def test_dask_samples_the_same_atoms():
    distributed = pytest.importorskip("distributed")
    own = basis().fit(MOLECULES)
    whole = rb.Nice(own, **FEW).fit(MOLECULES)
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        spread = rb.distributed.fit(rb.Nice(own, **FEW), MOLECULES, client, part=3)
    assert spread._fitted_native().to_bytes() == whole._fitted_native().to_bytes()
