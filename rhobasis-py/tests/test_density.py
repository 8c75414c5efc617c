"""Expansion coefficients through Python."""

import json
import pathlib
import pickle

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import molecule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

REFERENCE = pathlib.Path(__file__).parents[2] / "reference"


def safetensors(path):
    """Arrays and metadata of a safetensors file of float64."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    metadata = header.pop("__metadata__")
    view = {k: np.frombuffer(data[end:][slice(*v["data_offsets"])]).reshape(v["shape"]) for k, v in header.items()}
    return view, json.loads(metadata["settings"])


def small():
    return rb.SphericalExpansion(rb.Density(r_cut=3.5, sigma=0.4), rb.Gto(n_max=4), l_max=3)


@pytest.mark.parametrize("case", ["molecule", "periodic", "scaled"])
@pytest.mark.parametrize(("accuracy", "tolerance"), [(None, 1e-9), (1e-8, 1e-7)])
def test_coefficients_equal_those_of_extended_precision(case, accuracy, tolerance):
    golden, s = safetensors(REFERENCE / f"gto_expansion_{case}" / "values.safetensors")
    atoms = Atoms(
        golden["numbers"].astype(int), golden["positions"], cell=golden["cell"], pbc=golden["pbc"].astype(bool)
    )
    scaling = s["radial_scaling"] and rb.RadialScaling(**s["radial_scaling"])
    density = rb.Density(s["r_cut"], s["sigma"], s["cutoff_width"], scaling, s["center_weight"])
    c = rb.SphericalExpansion(density, rb.Gto(s["n_max"]), s["l_max"], spline_accuracy=accuracy).transform(atoms)
    expected = golden["coefficients"]
    for l, block in enumerate(c.blocks):
        ours = block.reshape(len(atoms), 2 * l + 1, -1, s["n_max"])
        theirs = expected[:, :, :, l * l : (l + 1) ** 2].transpose(0, 3, 1, 2)
        assert np.abs(ours - theirs).max() < tolerance * np.abs(expected).max()
        assert c.channels[l][:: s["n_max"], 0].tolist() == golden["species"].astype(int).tolist()


def test_all_kinds_of_input_give_the_same_bits(molecules):
    rb.write("m.xyz", molecules)
    expected = small().transform(molecules)
    for frames in (rb.read("m.xyz"), rb.Frames(molecules), tuple(molecules), "m.xyz", ["m.xyz@:3", "m.xyz@3:"]):
        c = small().transform(frames)
        for a, b in zip(c.blocks, expected.blocks, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(c.centers, expected.centers)
    c = small().transform(molecules, progress=True)
    np.testing.assert_array_equal(c.to_matrix(), expected.to_matrix())
    np.testing.assert_array_equal(c.centers, expected.centers)


def test_rows_and_columns_say_what_they_are(molecules):
    c = small().transform(molecules)
    assert c.centers["species"].tolist() == np.concatenate([a.numbers for a in molecules]).tolist()
    assert c.centers["structure"][-1] == len(molecules) - 1
    assert c.channels[2].tolist() == [[z, n] for z in (1, 6, 7, 8) for n in range(4)]
    assert c.to_matrix().shape == (len(c), 16 * 16)
    assert repr(c) == f"Equivariants({len(c)} centers, l_max=3, channels per l: 16)"


def test_after_fit_channels_do_not_depend_on_the_frames(molecules):
    expansion = small().fit(molecules)
    assert expansion.species_ == [1, 6, 7, 8]
    c = expansion.transform(molecule("H2O"))
    assert c.blocks[0].shape[2] == 16
    assert not c.blocks[1][:, :, 4:12].any()
    alone = small().transform(molecule("H2O"))
    np.testing.assert_array_equal(alone.blocks[2][:, :, 4:], c.blocks[2][:, :, 12:])
    by_name = small().set_params(species=["H", 8]).transform(molecule("H2O"))
    np.testing.assert_array_equal(by_name.to_matrix(), alone.to_matrix())


def test_parameters_can_be_read_set_compared_cloned_and_pickled():
    expansion = small()
    assert expansion.get_params()["density__r_cut"] == 3.5
    copy = clone(expansion)
    assert copy is not expansion
    assert copy.density == expansion.density
    assert copy.density is not expansion.density
    copy.set_params(density__r_cut=4.0, primitive__n_max=5)
    assert (copy.density.r_cut, copy.primitive.n_max, expansion.density.r_cut) == (4.0, 5, 3.5)
    assert copy.density != expansion.density
    with pytest.raises(ValueError, match="no parameter 'cutoff'"):
        copy.set_params(cutoff=3)
    thawed = pickle.loads(pickle.dumps(expansion.fit(molecule("H2O"))))
    np.testing.assert_array_equal(
        thawed.transform(molecule("H2O")).to_matrix(), expansion.transform(molecule("H2O")).to_matrix()
    )
    assert eval(repr(expansion), vars(rb)).get_params(deep=False) == expansion.get_params(deep=False)


@pytest.mark.parametrize("function", ["cosine", "polynomial", "tanh", "step"])
def test_the_cutoff_function_is_a_parameter_that_files_hold(function):
    def weight(r):
        s = (4.0 - r) / 1.5
        t = max(1 - s, 0.0)
        formulas = {
            "cosine": (1 + np.cos(np.pi * t)) / 2,
            "polynomial": 1 - 10 * t**3 + 15 * t**4 - 6 * t**5,
            "tanh": np.tanh(s) ** 3,
            "step": 1.0,
        }
        return formulas[function]

    width = None if function == "step" else 1.5
    density = rb.Density(r_cut=4.0, cutoff_width=width, center_weight=0.0, cutoff_function=function)
    whole = rb.Density(r_cut=4.0, cutoff_width=0.0, center_weight=0.0)
    options = {"l_max": 2, "spline_accuracy": None}
    basis = rb.SphericalExpansion(density, rb.LaplacianEigenstates(n_max=4), **options)
    for r in (1.1, 2.7, 3.0, 3.9):
        pair = Atoms("H2", [[0, 0, 0], [0, 0, r]])
        c = basis.transform(pair).blocks
        bare = rb.SphericalExpansion(whole, rb.LaplacianEigenstates(n_max=4), **options).transform(pair).blocks
        for one, other in zip(c, bare, strict=True):
            np.testing.assert_allclose(one, weight(r) * other, rtol=1e-13, atol=1e-15)
    optimal = rb.OptimalBasis(density, rb.Gto(n_max=4), l_max=1, q_max=2).fit(molecule("CH3OH"))
    optimal.save("b.rho")
    assert rb.load("b.rho").density == density
    assert eval(repr(density), vars(rb)) == density
    assert clone(optimal).density == density


def test_a_step_with_a_width_is_refused():
    step = rb.Density(cutoff_width=0.5, cutoff_function="step")
    with pytest.raises(rb.RhobasisError, match=r'cutoff_width = 0\.5: the cutoff function "step" has no shell'):
        rb.SphericalExpansion(step, rb.Gto(4)).transform(molecule("H2O"))
    basis = rb.OptimalBasis(rb.Density(cutoff_function="tanh"), rb.Gto(4), l_max=1, q_max=2).fit(molecule("CH3OH"))
    with pytest.raises(rb.RhobasisError, match=r"featomic has no such cutoff function"):
        basis.to_featomic()


def test_a_changed_parameter_is_used():
    expansion = small()
    before = expansion.transform(molecule("H2O")).blocks[0]
    expansion.density.sigma = 0.5
    assert np.abs(before - expansion.transform(molecule("H2O")).blocks[0]).max() > 1e-3


def energy_and_gradient(transformer, atoms, weights):
    blocks = transformer.transform(atoms).blocks
    energy = sum(float(np.sum(w * b**2)) for w, b in zip(weights, blocks, strict=True))
    return energy, [2 * w * b for w, b in zip(weights, blocks, strict=True)]


def test_forces_and_virial_are_derivatives_of_the_energy(crystals):
    expansion = small().fit(crystals)
    rng = np.random.default_rng(5)
    for atoms in crystals[:2]:
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
        weights = [rng.normal(size=b.shape) for b in expansion.transform(atoms).blocks]
        _, gradient = energy_and_gradient(expansion, atoms, weights)
        (forces,), (virial,) = expansion.backward(atoms, gradient)

        def difference(move, atoms=atoms, weights=weights):
            def slope(h):
                return (at(h) - at(-h)) / (2 * h)

            def at(h):
                moved = atoms.copy()
                move(moved, h)
                return energy_and_gradient(expansion, moved, weights)[0]

            return (4 * slope(5e-4) - slope(1e-3)) / 3  # Richardson

        for i, d in np.ndindex(len(atoms), 3):

            def shift(moved, h, i=i, d=d):
                moved.positions[i, d] += h

            assert abs(difference(shift) + forces[i, d]) < 1e-7 * np.abs(virial).max()
        for a, b in np.ndindex(3, 3):

            def strain(moved, h, a=a, b=b):
                deformation = np.eye(3)
                deformation[a, b] += h
                moved.set_cell(moved.cell.array @ deformation)  # r' = r (1 + ε), r a row
                moved.positions = moved.positions @ deformation

            assert abs(difference(strain) + virial[a, b]) < 1e-7 * np.abs(virial).max()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_gradients_of_any_layout_are_read_by_their_meaning(seed):
    atoms, expansion = molecule("CH3OH"), small()
    rng = np.random.default_rng(seed)
    shapes = [b.shape for b in expansion.transform(atoms).blocks]
    gradient = [rng.normal(size=s).astype(np.float32).astype(float) for s in shapes]
    expected = expansion.backward(atoms, gradient)[0][0]
    read_only = [g.copy() for g in gradient]
    for g in read_only:
        g.flags.writeable = False
    strided = [np.repeat(g, 2, axis=2)[:, :, ::2] for g in gradient]
    layouts = (
        [np.asfortranarray(g) for g in gradient],
        [g.transpose(2, 0, 1).copy().transpose(1, 2, 0) for g in gradient],
        strided,
        read_only,
        [g.astype(np.float32) for g in gradient],
        [g.tolist() for g in gradient],
    )
    for layout in layouts:
        np.testing.assert_array_equal(expansion.backward(atoms, layout)[0][0], expected)


def test_primitive_functions_are_orthonormal_and_integrals_have_the_right_slope():
    expansion = rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(n_max=10), l_max=2, species=["Si"])
    t, w = np.polynomial.legendre.leggauss(400)
    x, w = 10 * (t + 1), 10 * w
    f = expansion.radial_functions(x, l=1)
    np.testing.assert_allclose(np.einsum("x,xn,xm->nm", w * x**2, f, f), np.eye(10), atol=1e-11)
    h = 1e-4
    values = expansion.radial_integrals([1.5 - h, 1.5 + h], species=14)
    slopes = expansion.radial_integrals([1.5], species="Si", derivative=True)
    for value, slope in zip(values, slopes, strict=True):
        np.testing.assert_allclose((value[1] - value[0]) / (2 * h), slope[0], atol=1e-6)


def test_environments_that_are_empty_or_single_are_fine():
    c = small().transform([Atoms("H"), Atoms("He", positions=[[1, 2, 3]])])
    assert np.isfinite(c.to_matrix()).all()
    assert not c.blocks[1].any()
    assert len(small().transform([])) == 0
