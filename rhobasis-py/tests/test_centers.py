"""Features of chosen atoms, and in single precision."""

import time

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import bulk, molecule
from rhobasis import _native
from sklearn.base import clone

NAMES = ["H2O", "CH4", "CH3OH", "CO2", "CH3CN", "CH3CH2OH"]
FRAMES = [*(molecule(name) for name in NAMES), Atoms("C"), bulk("C").repeat((5, 4, 4))]
DENSITY = rb.Density(r_cut=4.0, sigma=0.3)


def basis():
    return rb.OptimalBasis(DENSITY, rb.Gto(n_max=5), l_max=2, q_max=2, mixing="combined")


KINDS = [
    rb.RadialSpectrum(basis()),
    rb.PowerSpectrum(basis(), normalize=True),
    rb.Bispectrum(basis(), l_max=1),
    rb.Nice(basis(), nu_max=3, n_equivariants=4, n_invariants=5, sequence="per-species"),
]
SYMBOLS = np.concatenate([atoms.get_chemical_symbols() for atoms in FRAMES])
N_ATOMS = [len(atoms) for atoms in FRAMES]
MASK = np.arange(sum(N_ATOMS)) % 3 == 1
PARTS = np.split(MASK, np.cumsum(N_ATOMS)[:-1])

CHOICES = {
    "species": ("O", SYMBOLS == "O"),
    "number": (np.int64(6), SYMBOLS == "C"),
    "several": (["O", 6], (SYMBOLS == "O") | (SYMBOLS == "C")),
    "indices": ([np.flatnonzero(part)[::-1] for part in PARTS], MASK),
    "masks": (PARTS, MASK),
    "mask": (MASK, MASK),
    "list": (MASK.tolist(), MASK),
    "none": ([[] for _ in FRAMES], np.zeros_like(MASK)),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("choice", CHOICES)
def test_rows_of_chosen_atoms_are_those_among_all(kind, choice):
    centers, chosen = CHOICES[choice]
    features = clone(kind).fit(FRAMES)
    X, table = features.transform(FRAMES), features.centers(FRAMES)
    found = features.transform(FRAMES, centers=centers)
    np.testing.assert_allclose(found, X[chosen], rtol=1e-12, atol=1e-12 * abs(X).max())
    np.testing.assert_array_equal(features.centers(FRAMES, centers), table[chosen])
    np.testing.assert_allclose(features.transform(FRAMES, True, centers=centers), found, rtol=0, atol=1e-13)
    sums = features.transform(FRAMES, reduce="mean", centers=centers)
    for k in range(len(FRAMES)):
        mine = X[chosen & (table["structure"] == k)]
        np.testing.assert_allclose(sums[k], mine.mean(axis=0) if len(mine) else 0, rtol=1e-11, atol=1e-12)
    blocks = features.transform(FRAMES, reduce="mean", by_species=True, centers=centers)
    np.testing.assert_allclose(blocks.reshape(len(FRAMES), -1, X.shape[1]).sum(axis=1), sums, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("choice", CHOICES)
def test_coefficients_of_chosen_atoms_are_those_among_all(choice):
    centers, chosen = CHOICES[choice]
    fitted = basis().fit(FRAMES)
    for evaluator in (fitted, rb.SphericalExpansion(DENSITY, rb.Gto(n_max=3), l_max=2)):
        c, found = evaluator.transform(FRAMES), evaluator.transform(FRAMES, centers=centers)
        np.testing.assert_array_equal(found.centers, c.centers[chosen])
        in_parts = evaluator.transform(FRAMES, progress=True, centers=centers)
        np.testing.assert_array_equal(in_parts.centers, found.centers)
        for all_of_l, of_l, part_of_l in zip(c.blocks, found.blocks, in_parts.blocks, strict=True):
            np.testing.assert_allclose(of_l, all_of_l[chosen], rtol=1e-12, atol=1e-13)
            np.testing.assert_array_equal(part_of_l, of_l)


def test_features_of_other_atoms_are_not_computed():
    atoms = bulk("C", cubic=True).repeat(5)
    wide = rb.Bispectrum(rb.SphericalExpansion(DENSITY, rb.Gto(n_max=6), l_max=3)).fit(atoms)

    def seconds(centers):
        times = []
        for _ in range(3):
            start = time.process_time()
            wide.transform(atoms, centers=centers)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds([[7]]) < 0.3 * seconds("C")  # of a thousand atoms


def test_a_frame_alone_takes_indices_and_masks():
    soap = rb.PowerSpectrum(rb.SphericalExpansion(DENSITY, rb.Gto(n_max=2), l_max=1))
    water = molecule("H2O")
    X = soap.fit(water).transform(water)
    np.testing.assert_allclose(soap.transform(water, centers=[[2]]), X[2:], rtol=1e-13)
    np.testing.assert_allclose(soap.transform(water, centers=water.symbols == "H"), X[1:], rtol=1e-13)
    np.testing.assert_allclose(soap.transform(water, centers=[[False, False, True]]), X[2:], rtol=1e-13)


def test_data_frames_name_the_chosen_atoms():
    pandas = pytest.importorskip("pandas")
    soap = rb.RadialSpectrum(rb.SphericalExpansion(DENSITY, rb.Gto(n_max=2), l_max=0)).fit(FRAMES)
    table = soap.set_output(transform="pandas").transform(FRAMES[:3], centers="O")
    assert isinstance(table, pandas.DataFrame)
    assert table.index.tolist() == [(0, 0), (2, 1)]


@pytest.mark.parametrize(
    ("centers", "words"),
    [
        ("N", "centers = N: no atom is of this species; there are H C O"),
        (["O", "Xy"], "centers = Xy: is no element"),
        ([0, 2], "centers = 0: is no element"),
        ([[0], [0]], "frames are 3"),
        ([[0], [1, 5], []], "centers = 5: frame 1 has 5 atoms, counted from 0"),
        ([[0], [-1], []], "centers = -1: frame 1"),
        ([[0], [1, 1], []], "centers = 1: frame 1 has this atom in its list twice"),
        ([[0], [0.5], []], r"centers\[1\] = \[0.5\]: indices of atoms are whole numbers"),
        ([[0], [[1]], []], r"centers\[1\]"),
        ([[True], [], []], r"centers\[0\] = a mask of 1: frame 0 has 3 atoms"),
        (np.ones(5, bool), "centers = a mask of 5: the frames .3. have 14 atoms"),
        ([], "frames are 3"),
    ],
)
def test_centers_that_are_not_there_are_refused(centers, words):
    frames = FRAMES[:3]
    soap = rb.PowerSpectrum(rb.SphericalExpansion(DENSITY, rb.Gto(n_max=2), l_max=1)).fit(FRAMES)
    with pytest.raises(rb.RhobasisError, match=words):
        soap.transform(frames, centers=centers)
    with pytest.raises(rb.RhobasisError, match=words):
        soap.basis_.transform(frames, centers=centers)


def test_what_names_no_atoms_is_refused():
    soap = rb.PowerSpectrum(rb.SphericalExpansion(DENSITY, rb.Gto(n_max=2), l_max=1)).fit(FRAMES)
    for centers in (0.5, True, object()):
        with pytest.raises(TypeError, match="centers must be species, indices"):
            soap.transform(FRAMES, centers=centers)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
@pytest.mark.parametrize("centers", [None, ["C", "O"]])
def test_single_precision_is_double_precision_rounded_at_the_end(kind, reduce, centers):
    features = clone(kind).fit(FRAMES)
    double = features.transform(FRAMES, reduce=reduce, centers=centers)
    for dtype in ("float32", np.float32, np.dtype("f4")):
        single = features.transform(FRAMES, reduce=reduce, centers=centers, dtype=dtype)
        assert single.dtype == np.float32
        assert single.nbytes * 2 == double.nbytes
        np.testing.assert_array_equal(single, double.astype(np.float32))
    assert features.transform(FRAMES, reduce=reduce, dtype=np.float64).dtype == np.float64


def test_coefficients_in_single_precision():
    fitted = basis().fit(FRAMES)
    double, single = fitted.transform(FRAMES), fitted.transform(FRAMES, dtype="float32")
    for a, b in zip(double.blocks, single.blocks, strict=True):
        assert b.dtype == np.float32
        np.testing.assert_array_equal(b, a.astype(np.float32))
    assert single.to_matrix().dtype == np.float32
    in_parts = fitted.transform(FRAMES, progress=True, dtype="float32")
    np.testing.assert_array_equal(in_parts.to_matrix(), single.to_matrix())


@pytest.mark.parametrize("dtype", ["float16", "int64", "large", np.complex128])
def test_other_precisions_are_refused(dtype):
    soap = rb.PowerSpectrum(rb.SphericalExpansion(DENSITY, rb.Gto(n_max=2), l_max=1)).fit(FRAMES)
    with pytest.raises(rb.RhobasisError, match='use "float64" or "float32"'):
        soap.transform(FRAMES, dtype=dtype)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_unknown_neighbours_that_are_ignored_are_as_if_they_were_not_there(kind):
    features = clone(kind).fit(FRAMES)
    chlorides = [molecule("CH3Cl"), molecule("CH3OH"), molecule("CCl4")]
    bare = [atoms[atoms.numbers != 17] for atoms in chlorides]
    chosen = {"centers": ["H", "C", "O"], "unknown_species": "ignore"}
    scale = abs(features.transform(bare)).max()
    for more in ({}, {"progress": True}, {"reduce": "sum"}, {"reduce": "mean", "by_species": True}):
        np.testing.assert_allclose(
            features.transform(chlorides, **chosen, **more),
            features.transform(bare, **more),
            rtol=0,
            atol=1e-12 * scale,
        )
    c, of_bare = features.basis_.transform(chlorides, **chosen), features.basis_.transform(bare)
    np.testing.assert_allclose(c.to_matrix(), of_bare.to_matrix(), rtol=0, atol=1e-13 * abs(of_bare.to_matrix()).max())
    np.testing.assert_array_equal(features.transform(FRAMES, unknown_species="ignore"), features.transform(FRAMES))


def test_unknown_species_are_refused_unless_they_are_ignored_neighbours():
    soap = rb.PowerSpectrum(rb.SphericalExpansion(DENSITY, rb.Gto(n_max=2), l_max=1)).fit(FRAMES)
    chloride = molecule("CH3Cl")
    for transform in (soap.transform, soap.basis_.transform):
        with pytest.raises(rb.RhobasisError, match=r"Cl is not among the species of this basis .H, C, N, O."):
            transform(chloride, centers="C")
        with pytest.raises(rb.RhobasisError, match=r"Cl is not among the species .* choose centers of these"):
            transform(chloride, unknown_species="ignore")
        with pytest.raises(rb.RhobasisError, match=r"unknown_species = 'skip': .* use \"error\" or \"ignore\""):
            transform(chloride, unknown_species="skip")


def test_names_are_those_of_the_tables_that_the_command_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rb.write("molecules.xyz", FRAMES)
    fitted = basis().fit(FRAMES)
    fitted.save("basis.rho")
    for kind, features in {"radial-spectrum": rb.RadialSpectrum, "bispectrum": rb.Bispectrum}.items():
        given = ["molecules.xyz", "--basis", "basis.rho", "--kind", kind, "--centers", "O", "--float32"]
        assert _native.main(["rhobasis", "features", *given, "-o", f"{kind}.npz"]) == 0
        stored, names = np.load(f"{kind}.npz"), features(fitted).get_feature_names_out()
        np.testing.assert_array_equal(stored["X"], features(fitted).transform(FRAMES, centers="O", dtype="float32"))
        n_l = stored["columns"].shape[1] // 2
        for column, name in zip(stored["columns"], names, strict=True):
            channels = [stored[f"channels_l{l}"][k] for l, k in zip(column[:n_l], column[n_l:], strict=True)]
            assert name == "_".join([*(f"l{l}" for l in column[:n_l]), *(f"q{n}" for _, n in channels)])
