"""Functions found for a weighted density, and used on the density as it is."""

import pickle

import numpy as np
import pytest
import rhobasis as rb
from ase.build import bulk, molecule
from rhobasis import _native
from sklearn.base import clone

U = rb.RadialScaling(1.0, 2.0, 7.0)


def rattled(n):
    frames = []
    for seed in range(n):
        atoms = bulk("Si", "diamond", a=5.43, cubic=True)
        atoms.rattle(0.1, seed=seed)
        frames.append(atoms)
    return frames


FRAMES = rattled(6)


def basis(scaling=None, **options):
    density = rb.Density(r_cut=4.0, sigma=0.4, scaling=scaling)
    return rb.OptimalBasis(density, rb.Gto(n_max=6), l_max=2, **{"q_max": 2, "spline_accuracy": None, **options})


def test_functions_are_those_of_the_scaled_density_and_coefficients_those_of_the_density_as_it_is():
    weighted, scaled = basis(weighting=U).fit(FRAMES), basis(scaling=U).fit(FRAMES)
    for key, u in weighted.contraction_.items():
        np.testing.assert_allclose(u, scaled.contraction_[key], atol=1e-12)
        np.testing.assert_allclose(weighted.eigenvalues_[key], scaled.eigenvalues_[key], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(weighted.residual_variance(), scaled.residual_variance(), atol=1e-12)
    primitive = rb.SphericalExpansion(weighted.density, rb.Gto(n_max=6), l_max=2, spline_accuracy=None)
    primitive = primitive.fit(FRAMES).transform(FRAMES)
    for l, block in enumerate(weighted.transform(FRAMES).blocks):
        np.testing.assert_allclose(block, primitive.blocks[l] @ weighted.contraction_[14, l].T, atol=1e-10)


def test_nearest_becomes_numbers_that_stay_in_copies_and_files(tmp_path):
    found = [np.sort(atoms.get_all_distances(mic=True) + 99 * np.eye(len(atoms)), axis=1)[:, 0] for atoms in FRAMES]
    nearest = basis(weighting="nearest").fit(FRAMES)
    assert nearest.weighting == "nearest"
    assert nearest.weighting_.get_params() == {"rate": 1.0, "scale": nearest.weighting_.scale, "exponent": 7.0}
    assert abs(nearest.weighting_.scale - 0.85 * np.median(np.concatenate(found))) < 0.005
    given = basis(weighting=nearest.weighting_).fit(FRAMES)
    np.testing.assert_array_equal(given.contraction_[14, 0], nearest.contraction_[14, 0])
    nearest.save(tmp_path / "nearest.rho")
    assert rb.load(tmp_path / "nearest.rho").weighting == nearest.weighting_
    assert pickle.loads(pickle.dumps(nearest)).weighting_ == nearest.weighting_
    assert clone(nearest).fit(FRAMES).weighting_ == nearest.weighting_
    assert basis().fit(FRAMES).weighting_ is None
    rb.write(tmp_path / "frames.xyz", FRAMES)
    from_file = basis(weighting="nearest").fit(tmp_path / "frames.xyz", checkpoint=tmp_path / "c")
    assert from_file.weighting_ == nearest.weighting_
    from_iterator = basis(weighting="nearest").fit(atoms for atoms in FRAMES)
    np.testing.assert_array_equal(from_iterator.contraction_[14, 0], nearest.contraction_[14, 0])


def test_shards_take_the_distances_of_all_frames_and_others_are_not_merged(tmp_path):
    rb.write(tmp_path / "frames.xyz", [*FRAMES, molecule("Si2H6")])
    parts = [tmp_path / f"{i}.cov" for i in (1, 2)]
    for i, part in enumerate(parts):
        basis(weighting="nearest").accumulate(tmp_path / "frames.xyz", part, shard=(i + 1, 2))
    merged, whole = rb.OptimalBasis.merge(parts, q_max=2), basis(weighting="nearest").fit(tmp_path / "frames.xyz")
    assert merged.weighting == merged.weighting_ == whole.weighting_
    np.testing.assert_allclose(merged.eigenvalues_[14, 0], whole.eigenvalues_[14, 0], rtol=1e-12, atol=1e-15)
    basis(weighting=U).accumulate(tmp_path / "frames.xyz", parts[1], shard=(2, 2))
    with pytest.raises(rb.RhobasisError, match=r"2\.cov: made with weighting = \[1, 2, 7\], but .*1\.cov with"):
        rb.OptimalBasis.merge(parts)


def test_sweeps_and_energies_go_with_a_weighting():
    adapted = basis(weighting="nearest", nu=2).fit(FRAMES)
    assert adapted.nu == 2
    assert adapted.weighting_ is not None
    assert (np.diff(adapted.retained_) >= -1e-12).all()
    energies = np.array([atoms.get_all_distances(mic=True).std() for atoms in FRAMES])
    supervised = basis(weighting="nearest", method="pcovr", gamma=0.1).fit(FRAMES, energies)
    assert supervised.weighting_ == adapted.weighting_


def test_what_cannot_be_is_refused():
    with pytest.raises(rb.RhobasisError, match=r"weighting scale = -2: must be a positive number"):
        basis(weighting=rb.RadialScaling(1.0, -2.0, 7.0)).fit(FRAMES)
    with pytest.raises(TypeError, match=r'weighting must be a rhobasis\.RadialScaling, "nearest" or None, not 3'):
        basis(weighting=3).fit(FRAMES)
    with pytest.raises((rb.RhobasisError, TypeError), match='weighting = "near": must be 3 numbers, or "nearest"'):
        basis(weighting="near").fit(FRAMES)
    with pytest.raises(rb.RhobasisError, match="no atom has a neighbour within r_cut = 4 Å"):
        basis(weighting="nearest").fit([bulk("Si", "sc", a=9.0)])
    with pytest.raises(rb.RhobasisError, match="weighting = nearest: distances are those of all frames, and more may"):
        basis(weighting="nearest").partial_fit(FRAMES[:3])
    weighted = basis(weighting=U).partial_fit(FRAMES[:3]).partial_fit(FRAMES[3:])
    assert weighted.weighting_ == U
    weighted.set_params(weighting=None)
    with pytest.raises(rb.RhobasisError, match="weighting"):
        weighted.transform(FRAMES)


def test_a_file_that_changes_between_distances_and_covariance_is_named(tmp_path, monkeypatch):
    file = tmp_path / "frames.xyz"
    rb.write(file, FRAMES)
    distances = _native.NearestDistances

    class Changing:
        """Something else writes to the file after the first pass."""

        def __init__(self, *args):
            self.inner = distances(*args)

        def add(self, frames):
            self.inner.add(frames)

        def weighting(self):
            rb.write(file, FRAMES[:-1])
            return self.inner.weighting()

    monkeypatch.setattr(_native, "NearestDistances", Changing)
    with pytest.raises(rb.RhobasisError, match=r"frames\.xyz: the file changed between two passes over the data"):
        basis(weighting="nearest").fit(file)
