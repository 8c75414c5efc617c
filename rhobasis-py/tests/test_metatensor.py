"""Features and coefficients in a TensorMap: the numbers of `transform`, under the labels that say what they are."""

import sys

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import bulk, molecule

metatensor = pytest.importorskip("metatensor")

FRAMES = [molecule("CH3OH"), bulk("C"), molecule("CO2"), Atoms("H")]
DENSITY = rb.Density(r_cut=4.0, sigma=0.3)


def basis(mixing="combined"):
    return rb.OptimalBasis(DENSITY, rb.Gto(n_max=5), l_max=2, q_max=2, mixing=mixing).fit(FRAMES)


KINDS = [
    (rb.RadialSpectrum(basis()), ["l", "alpha"]),
    (rb.PowerSpectrum(basis("per-species")), ["l", "alpha", "beta"]),
    (rb.Bispectrum(basis()), ["l1", "l2", "l3", "alpha1", "alpha2", "alpha3"]),
    (rb.Nice(basis(), nu_max=3, n_equivariants=4, n_invariants=5), ["nu", "k"]),
]


@pytest.mark.parametrize(("features", "names"), KINDS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("centers", [None, ["C", "O"]])
def test_blocks_of_features_hold_the_rows_of_their_species(features, names, centers):
    features = features.fit(FRAMES)
    X, table = features.transform(FRAMES, centers=centers), features.centers(FRAMES, centers)
    tensor = rb.to_metatensor(features, FRAMES, centers=centers)
    assert tensor.keys.names == ["center_type"]
    assert tensor.keys.values[:, 0].tolist() == ([1, 6, 8] if centers is None else [6, 8])
    for key, block in tensor.items():
        rows = table["species"] == key["center_type"]
        np.testing.assert_array_equal(block.values, X[rows])
        assert block.samples.names == ["system", "atom"]
        np.testing.assert_array_equal(block.samples.values[:, 0], table["structure"][rows])
        np.testing.assert_array_equal(block.samples.values[:, 1], table["atom"][rows])
        assert block.properties.names == names
        np.testing.assert_array_equal(block.properties.values, features.columns_)


@pytest.mark.parametrize("evaluator", [basis(), basis("per-species"), rb.SphericalExpansion(DENSITY, rb.Gto(3), 2)])
def test_blocks_of_coefficients_are_those_of_each_l_and_species(evaluator):
    c = evaluator.transform(FRAMES)
    for tensor in (rb.to_metatensor(evaluator, FRAMES), rb.to_metatensor(c)):
        assert tensor.keys.names == ["o3_lambda", "o3_sigma", "center_type"]
        assert len(tensor) == 9
        for key, block in tensor.items():
            l, rows = key["o3_lambda"], c.centers["species"] == key["center_type"]
            assert key["o3_sigma"] == 1
            np.testing.assert_array_equal(block.values, c.blocks[l][rows])
            assert block.components[0].names == ["o3_mu"]
            assert block.components[0].values[:, 0].tolist() == list(range(-l, l + 1))
            assert block.properties.names == ["species", "n"]
            np.testing.assert_array_equal(block.properties.values, c.channels[l])


def test_equivariants_of_nice_have_both_parities():
    nice = rb.Nice(basis(), nu_max=3, n_equivariants=4, n_invariants=5).fit(FRAMES)
    c = nice.equivariants(FRAMES, 2)
    tensor = rb.to_metatensor(c)
    assert {(key["o3_sigma"], key["o3_lambda"]) for key in tensor.keys} == c.blocks.keys()
    assert -1 in tensor.keys.column("o3_sigma")
    for key, block in tensor.items():
        rows = c.centers["species"] == key["center_type"]
        np.testing.assert_array_equal(block.values, c[key["o3_sigma"], key["o3_lambda"]][rows])


def test_single_precision_and_a_file(tmp_path):
    soap = rb.PowerSpectrum(basis())
    tensor = rb.to_metatensor(soap, FRAMES, dtype="float32")
    assert tensor.block(center_type=6).values.dtype == np.float32
    metatensor.save(str(tmp_path / "soap.mts"), rb.to_metatensor(soap, FRAMES))
    back = metatensor.load(str(tmp_path / "soap.mts"))
    np.testing.assert_array_equal(back.block(center_type=8).values, soap.transform(FRAMES, centers="O"))


def test_what_makes_no_sense_is_refused(monkeypatch):
    soap = rb.PowerSpectrum(basis())
    with pytest.raises(rb.RhobasisError, match="frames = None"):
        rb.to_metatensor(soap)
    with pytest.raises(rb.RhobasisError, match="are there already"):
        rb.to_metatensor(basis().transform(FRAMES), FRAMES)
    with pytest.raises(rb.RhobasisError, match="reduce = 'sum'"):
        rb.to_metatensor(rb.PowerSpectrum(basis(), reduce="sum"), FRAMES)
    with pytest.raises(TypeError, match="what must be features"):
        rb.to_metatensor(np.zeros((3, 3)), FRAMES)
    monkeypatch.setitem(sys.modules, "metatensor", None)
    with pytest.raises(ImportError, match=r"rhobasis\[metatensor\]"):
        rb.to_metatensor(soap, FRAMES)
