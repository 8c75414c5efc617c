"""Bases for correlations of higher order."""

import pickle

import numpy as np
import pytest
import rhobasis as rb
from ase.build import molecule
from rhobasis import _native

FRAMES = [molecule(name) for name in ("H2O", "CH4", "C6H6", "CH3CH2OH", "NH3", "C2H4", "HCOOH")]


def basis(**options):
    options = {"q_max": 2, "mixing": "combined"} | options
    return rb.OptimalBasis(rb.Density(r_cut=4.0, sigma=0.4), rb.Gto(n_max=6), l_max=2, **options)


def test_a_basis_for_nu_4_keeps_more_of_the_trispectrum(tmp_path):
    plain, adapted = basis().fit(FRAMES), basis(nu=4).fit(FRAMES)
    assert len(plain.retained_) == 0
    assert (np.diff(adapted.retained_) >= -1e-12).all()
    whole = basis(q_max=None).fit(FRAMES)
    norms = [rb.spectrum_norms(b, FRAMES, nu=[4])[0] for b in (plain, adapted, whole)]
    assert norms[1] > norms[0]
    np.testing.assert_allclose(adapted.retained_[[0, -1]], np.array(norms[:2]) / norms[2], rtol=1e-6)
    adapted.save(tmp_path / "nu.rho")
    for other in (rb.load(tmp_path / "nu.rho"), pickle.loads(pickle.dumps(adapted))):
        assert other.nu == 4
        np.testing.assert_array_equal(other.retained_, adapted.retained_)
    rb.write(tmp_path / "frames.xyz", FRAMES)
    from_file = basis(nu=4).fit(tmp_path / "frames.xyz", progress=True)
    np.testing.assert_allclose(from_file.retained_, adapted.retained_, rtol=1e-9)


def test_a_file_that_changes_between_two_sweeps_is_named(tmp_path, monkeypatch):
    file = tmp_path / "frames.xyz"
    rb.write(file, FRAMES)
    adapted = basis(nu=4)
    adaptation = _native.Adaptation

    class Changing:
        """Something else writes to the file after the first sweep."""

        def __init__(self, *args):
            self.inner = adaptation(*args)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def finish_sweep(self):
            rb.write(file, [*FRAMES[:-1], molecule("HCN")])
            return self.inner.finish_sweep()

    with monkeypatch.context() as patch:
        patch.setattr(_native, "Adaptation", Changing)
        with pytest.raises(rb.RhobasisError, match=r"frames\.xyz: the file changed between two passes over the data"):
            adapted.fit(file)
    assert not adapted.__sklearn_is_fitted__()
    assert len(adapted.fit(file).retained_) > 1


def test_what_does_not_go_with_sweeps_is_refused_by_name(tmp_path):
    with pytest.raises(rb.RhobasisError, match=r"nu = 2.*weights"):
        basis(nu=2).fit(FRAMES, weights=np.ones(sum(map(len, FRAMES))))
    for act in (lambda b: b.partial_fit(FRAMES), lambda b: b.accumulate(FRAMES, tmp_path / "x.cov")):
        with pytest.raises(rb.RhobasisError, match=r"nu = 2.*call fit"):
            act(basis(nu=2))
    with pytest.raises(rb.RhobasisError, match="nu = 0"):
        basis(nu=0).fit(FRAMES)
    with pytest.raises(TypeError, match=r"nu = 2\.5: must be a whole number"):
        basis(nu=2.5).fit(FRAMES)
