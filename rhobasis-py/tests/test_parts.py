"""Shards, merging and checkpoints from Python."""

import numpy as np
import pytest
import rhobasis as rb


def basis_of(**more):
    return rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=5), l_max=2, **more)


@pytest.fixture
def frames(molecules):
    rng = np.random.default_rng(3)
    frames = [atoms.copy() for atoms in molecules * 20]  # 160: two blocks of 64 and one that is open
    for atoms in frames:
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
    return frames


def test_shards_merge_to_the_whole(frames, tmp_path):
    path = tmp_path / "data.xyz"
    rb.write(path, frames)
    whole = basis_of(q_max=3, mixing="combined").fit(path)
    for data in (str(path), frames):
        parts = [tmp_path / f"part-{i}.cov" for i in (1, 2, 3)]
        for i, part in enumerate(parts):
            basis_of(mixing="combined").accumulate(data, part, shard=(i + 1, 3))
        merged = rb.OptimalBasis.merge(parts[::-1], q_max=3)
        assert repr(merged) == repr(whole)
        for l, eigenvalues in whole.eigenvalues_.items():
            np.testing.assert_allclose(merged.eigenvalues_[l], eigenvalues, rtol=0, atol=1e-13 * eigenvalues[0])
        assert merged.n_centers_ == whole.n_centers_
        if data is not frames:
            assert merged._basis.provenance() == whole._basis.provenance()
        with pytest.raises(rb.RhobasisError, match="2 of 3 shards"):
            rb.OptimalBasis.merge(parts[:2])
    merged.partial_fit(frames[:3])
    assert merged.n_centers_ == whole.n_centers_ + sum(len(atoms) for atoms in frames[:3])


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("source", ["memory", "file"])
def test_an_interrupted_fit_goes_on_with_the_same_bits(frames, tmp_path, monkeypatch, source):
    from rhobasis import _accumulation as accumulation

    path, checkpoint = tmp_path / "data.xyz", tmp_path / "run.ckpt"
    rb.write(path, frames)
    data = frames if source == "memory" else path
    expected = basis_of(center_specific=True).fit(data)
    monkeypatch.setattr(accumulation, "_CHUNK", 37)
    real, calls = accumulation._native.Covariance, []

    class Fragile:
        def __new__(cls, settings):
            return FragileProxy(real(settings))

    class FragileProxy:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def add(self, chunk, weights):
            calls.append(len(chunk))
            if len(calls) == 3:
                raise Interrupted
            self.inner.add(chunk, weights)

    monkeypatch.setattr(accumulation._native, "Covariance", Fragile)
    with pytest.raises(Interrupted):
        basis_of(center_specific=True).fit(data, checkpoint=checkpoint, checkpoint_every=0)
    assert checkpoint.exists()
    with pytest.raises(rb.RhobasisError, match=r"run\.ckpt.*n_max = 5.*n_max = 6.*remove the checkpoint"):
        basis_of(center_specific=True).set_params(primitive=rb.Gto(n_max=6)).fit(data, checkpoint=checkpoint)
    with pytest.raises(rb.RhobasisError, match="remove the checkpoint"):
        basis_of(center_specific=True).fit(frames[1:], checkpoint=checkpoint)
    found = basis_of(center_specific=True).fit(data, checkpoint=checkpoint)
    assert calls == [37, 37, 37, 37, 37, 12]  # two parts were done, and were not done again
    assert found._basis.to_bytes() == expected._basis.to_bytes()
    assert not checkpoint.exists()


def test_shards_that_make_no_sense_are_refused(frames, tmp_path):
    for shard, error in (((0, 2), rb.RhobasisError), ((3, 2), rb.RhobasisError), ("1/2", TypeError)):
        with pytest.raises(error, match="1 ≤ i ≤ n"):
            basis_of().accumulate(frames, tmp_path / "part.cov", shard=shard)
    with pytest.raises(rb.RhobasisError, match="without shard"):
        basis_of().accumulate(frames, tmp_path / "part.cov", shard=(1, 2), weights=[1.0])
    assert not list(tmp_path.iterdir())
