"""What is refused, in the words of the library: place, value, remedy."""

import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import molecule
from rhobasis import _accumulation

H2 = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])


def expansion(**options):
    return rb.SphericalExpansion(rb.Density(r_cut=3.0), rb.Gto(n_max=4), l_max=2, **options)


def changed(**arrays):
    atoms = H2.copy()
    for name, value in arrays.items():
        setattr(atoms, name, value)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (
            changed(positions=[[0, 0, 0], [np.nan, 0, 0]]),
            r"frame 1, atom 1: position \(NaN, 0, 0\) is not finite; remove",
        ),
        (changed(positions=[[np.inf, 0, 0], [0, 0, 0]]), r"frame 1, atom 0: position \(inf, 0, 0\) is not finite"),
        (changed(pbc=True), r"frame 1: the cell .* has no volume along its periodic directions .*; give three"),
        (changed(positions=[[0, 0, 0], [0, 0, 1e-4]]), r"frame 1, atom \d: .*1(\.0+)?e-4.*;"),
        (Atoms("XH", positions=[[0, 0, 0], [0, 0, 1]]), "frame 1, atom 0: atomic number 0 is no element; use"),
    ],
)
def test_broken_structures_are_named(atoms, message):
    with pytest.raises(rb.RhobasisError, match=message):
        expansion(species=["H"]).transform([H2, atoms])
    basis = rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(n_max=4), l_max=2, q_max=1)
    with pytest.raises(rb.RhobasisError, match=message):
        basis.fit([H2, atoms])


def test_a_broken_frame_of_a_file_is_named_with_its_file():
    rb.write("a.xyz", [H2] * 3)
    rb.write("b.xyz", [H2, H2, changed(positions=[[0, 0, 0], [0, 0, 1e-4]])])
    basis = rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(n_max=4), l_max=2, q_max=1)
    with pytest.raises(rb.RhobasisError, match=r"^b\.xyz, frame 2, atom"):
        basis.fit(["a.xyz", "b.xyz@1:"])
    with pytest.raises(rb.RhobasisError, match=r"^b\.xyz, frame 2, atom"):
        expansion().transform(rb.read(["a.xyz", "b.xyz"])[2:])


def test_an_unknown_species_is_named():
    with pytest.raises(rb.RhobasisError, match=r"O is not among the species of this basis \(H\); fit the basis on"):
        expansion(species=[1]).transform(molecule("H2O"))


def test_files_that_end_mid_frame_are_refused():
    pathlib.Path("cut.xyz").write_text("2\n\nH 0 0 0\n")
    with pytest.raises(rb.RhobasisError, match=r"cut\.xyz, frame 0"):
        rb.read("cut.xyz")
    with pytest.raises(rb.RhobasisError, match="no such file"):
        rb.read("absent.xyz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"q_max": 5},
            r"q_max = 5: a basis contracted from 4 primitive functions per species has 1 to 4 channels; use",
        ),
        ({"q_max": 5, "mixing": "combined"}, r"q_max = 5: .* 4 primitive functions of all species together"),
        ({"q_max": 0}, "q_max = 0"),
        ({"q_max": -1}, "q_max = -1: must be at least 1"),
        ({"retain": 1.5}, r"retain = 1\.5: must lie above 0 and at most at 1"),
        ({"retain": 0.9, "q_max": 2}, "retain = 0.9: q_max and retain both"),
        ({"mixing": "both", "q_max": 1}, 'mixing = "both": is unknown, .*; use one of "per-species", "combined"'),
        ({"l_max": 21, "q_max": 1}, "l_max = 21: must lie between 0 and 20; use at most 20"),
    ],
)
def test_counts_that_make_no_sense(options, message):
    options = {"l_max": 2, **options}
    with pytest.raises(rb.RhobasisError, match=message):
        rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(n_max=4), **options).fit(H2)


@pytest.mark.parametrize(
    ("density", "message"),
    [
        ({"r_cut": -1.0}, "r_cut = -1: must be a positive number"),
        ({"sigma": -0.1}, r"sigma = -0\.1"),
        ({"sigma": {"H": 0.3}}, "sigma = H=0.3: no width for O; add this species to sigma"),
        ({"sigma": {"H": 0.2, 1: 0.4}}, "sigma = H: this species is given twice"),
        ({"sigma": {"Xx": 0.3}}, 'sigma = "Xx": is no element'),
        ({"cutoff_width": 9.0}, "cutoff_width = 9: must lie between 0 and r_cut"),
        ({"scaling": rb.RadialScaling(1.0, 2.0, 0.5)}, r"scaling exponent = 0\.5"),
    ],
)
def test_densities_that_make_no_sense(density, message):
    with pytest.raises(rb.RhobasisError, match=message):
        rb.SphericalExpansion(rb.Density(**density), rb.Gto(n_max=4), l_max=1).transform(molecule("H2O"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 3}, r"density must be a rhobasis.Density, not 3 \(int\)"),
        (
            {"primitive": "gto"},
            r"primitive must be a rhobasis.Gto, Dvr, LaplacianEigenstates or Tabulated, not 'gto' \(str\)",
        ),
        ({"primitive": rb.Gto(n_max=4.5)}, r"n_max = 4\.5: must be a whole number"),
        ({"density": rb.Density(r_cut="big")}, 'r_cut = "big": must be a number'),
        ({"density": rb.Density(sigma=[1])}, r"sigma = \[1\]: must be a number, or numbers by species"),
        ({"l_max": None}, "l_max = none: must be a whole number"),
    ],
)
def test_wrong_types_are_named(options, message):
    with pytest.raises(TypeError, match=message):
        expansion().set_params(**options).transform(H2)


def test_an_unfitted_basis_says_what_to_do():
    basis = rb.OptimalBasis(rb.Density(), rb.Gto(4), q_max=2)
    for use in (lambda: basis.transform(H2), lambda: basis.eigenvalues_, lambda: basis.save("b.rho")):
        with pytest.raises(rb.NotFittedError, match=r"has not been fitted; call fit\(frames\) first"):
            use()
    assert not hasattr(basis, "species_")
    assert not pathlib.Path("b.rho").exists()


def test_names_that_are_missing_or_unknown():
    basis = rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(4), l_max=1, q_max=1).fit(molecule("H2O"))
    with pytest.raises(rb.RhobasisError, match="species = none: the neighbours here are of species H O; name one"):
        basis.radial_functions([1.0])
    with pytest.raises(rb.RhobasisError, match="species = C: not among the species of this basis"):
        basis.radial_functions([1.0], species="C")
    with pytest.raises(
        rb.RhobasisError, match="center = C: there is no basis for such centres; this basis is the same"
    ):
        basis.residual_variance(center="C")
    with pytest.raises(rb.RhobasisError, match="l = 2: l_max is 1"):
        basis.radial_functions([1.0], species="H", l=2)
    with pytest.raises(rb.RhobasisError, match=r"gradient = .*: block l = 0 must have the shape"):
        basis.backward(H2, [np.zeros((1, 1, 1))] * 2)
    with pytest.raises(rb.RhobasisError, match="weights = 2: one weight per centre"):
        basis.fit(molecule("H2O"), weights=[1, 1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"q_max": 20}, rb.RhobasisError, r"q_max = 20: .* 4 primitive functions per species"),
        ({"q_max": 500, "mixing": "combined"}, rb.RhobasisError, r"q_max = 500: .* of all elements together"),
        ({"q_max": 20.0}, TypeError, r"q_max = 20\.0: must be a whole number"),
        ({"retain": 0.0}, rb.RhobasisError, "retain = 0: must lie above 0"),
        ({"retain": "most"}, TypeError, 'retain = "most": must be a number'),
        ({"q_max": 2, "retain": 0.9}, rb.RhobasisError, r"retain = 0\.9: q_max and retain both"),
    ],
)
def test_truncations_are_refused_before_any_work(options, error, message, monkeypatch):
    basis = rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(n_max=4), l_max=1, **options)
    monkeypatch.setattr(_accumulation, "dataset", lambda *_, **__: pytest.fail("frames were read"))
    with pytest.raises(error, match=message):
        basis.fit(H2)


def test_files_that_are_missing_are_refused_before_any_work():
    rb.write("a.xyz", [H2])
    with pytest.raises(rb.RhobasisError, match=r"absent\.xyz.*no such file"):
        _accumulation.dataset(["a.xyz", "absent.xyz"])


@pytest.mark.parametrize("weights", [2.0, "abc", [[1.0], [1.0]]])
def test_weights_that_are_no_list_of_numbers(weights):
    basis = rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(n_max=4), l_max=1, q_max=1)
    with pytest.raises(rb.RhobasisError, match=r"^weights = .*: one number for each centre is needed; give"):
        basis.fit(H2, weights=weights)


def test_distances_and_l_of_radial_functions():
    basis = rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(n_max=4), l_max=1, q_max=1).fit(H2)
    for of in (basis, expansion(species=["H"])):
        for functions in (of.radial_functions, of.radial_integrals):
            for l in ("1", 1.0):
                with pytest.raises(TypeError, match=r"^l must be a whole number or None, not"):
                    functions([1.0], l=l)
            for r in (-1.0, np.nan):
                with pytest.raises(rb.RhobasisError, match=r"^r = .*: element 1 is no distance; give"):
                    functions([1.0, r])
            assert functions([1.0], l=np.int64(1)).shape[0] == 1


def test_files_that_are_no_basis():
    pathlib.Path("x.rho").write_bytes(b"hello")
    with pytest.raises(rb.RhobasisError, match=r"x\.rho: not a safetensors file .*; give a rhobasis basis file"):
        rb.load("x.rho")
    rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(4), l_max=1, q_max=1).fit(H2).save("b.rho")
    data = pathlib.Path("b.rho").read_bytes()
    for old, new, message in (
        (
            b'"format_version":"2"',
            b'"format_version":"9"',
            "format version 9, but this rhobasis reads up to 2; install",
        ),
        (b'"kind":"basis"', b'"kind":"model"', "the file is of kind 'model', not 'basis'"),
    ):
        assert old in data
        pathlib.Path("c.rho").write_bytes(data.replace(old, new))
        with pytest.raises(rb.RhobasisError, match=message):
            rb.load("c.rho")
    flipped = bytearray(data)
    flipped[-5] ^= 1
    pathlib.Path("f.rho").write_bytes(flipped)
    with pytest.raises(rb.RhobasisError, match=r"f\.rho: its content is not what was written .*; the file is damaged"):
        rb.load("f.rho")
    pathlib.Path("d.rho").write_bytes(data[: len(data) // 2])
    with pytest.raises(rb.RhobasisError, match=r"d\.rho"):
        rb.load("d.rho")
    loaded = rb.load("b.rho")
    with pytest.raises(rb.RhobasisError, match="a basis file does not hold the covariance"):
        loaded.partial_fit(H2)


def test_a_file_of_the_older_format_is_loaded_with_a_warning():
    old = pathlib.Path(__file__).parents[2] / "reference" / "featomic_export" / "combined.rho"
    with pytest.warns(UserWarning, match=r"combined\.rho: written by an older rhobasis, without a digest"):
        basis = rb.load(old)
    basis.save("new.rho")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(rb.load("new.rho").contraction_[0], basis.contraction_[0])


def test_a_failed_fit_leaves_no_basis_behind():
    basis = rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(4), l_max=1, q_max=1).fit(H2)
    with pytest.raises(rb.RhobasisError):
        basis.fit(changed(positions=np.full((2, 3), np.nan)))
    with pytest.raises(rb.NotFittedError):
        basis.transform(H2)


def test_the_command_of_the_wheel_runs():
    run = [sys.executable, "-c", "from rhobasis._cli import main; main()", "--help"]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0
    assert "rhobasis fit" in done.stdout


@pytest.mark.parametrize(
    ("name", "flag", "toml", "value"),
    [
        ("r_cut", "far", '"far"', "far"),
        ("r_cut", "-1", "-1", -1.0),
        ("sigma", "Hx=0.3", "{ Hx = 0.3 }", {"Hx": 0.3}),
        ("cutoff_width", "9", "9", 9),
        ("scaling", "1,2,0.5", "[1, 2, 0.5]", rb.RadialScaling(1, 2, 0.5)),
        ("n_max", "4.5", "4.5", 4.5),
        ("l_max", "21", "21", 21),
        ("spline_accuracy", "fine", '"fine"', "fine"),
        ("mixing", "combind", '"combind"', "combind"),
        ("q_max", "0", "0", 0),
        ("retain", "1.5", "1.5", 1.5),
        ("method", "pcr", None, "pcr"),
    ],
)
def test_python_flags_and_model_files_refuse_with_the_same_words(name, flag, toml, value):
    of_density = {name: value} if name in ("r_cut", "sigma", "cutoff_width", "scaling") else {}
    n_max = value if name == "n_max" else 4
    others = {} if of_density or name == "n_max" else {name: value}
    basis = rb.OptimalBasis(rb.Density(**of_density), rb.Gto(n_max=n_max), **others)
    with pytest.raises((TypeError, rb.RhobasisError)) as refused:
        basis.fit(H2)
    rb.write("a.xyz", [H2])
    pathlib.Path("model.toml").write_text(f'[data]\ntrain = "a.xyz"\n[basis]\n{name} = {toml}\n')
    option = f"--{name.replace('_', '-')}={flag}"
    for arguments in (["fit", "a.xyz", "-o", "b.rho", option], ["train", "model.toml", "-o", "m.rho"]):
        if toml is None and arguments[0] == "train":
            continue  # a model file knows more methods
        run = [sys.executable, "-c", "from rhobasis._cli import main; main()", *arguments]
        done = subprocess.run(run, capture_output=True, text=True)
        assert done.returncode != 0
        assert str(refused.value) in done.stderr
