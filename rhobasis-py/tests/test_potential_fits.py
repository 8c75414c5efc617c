"""Fits of potentials: labels from anywhere, weights, formulas, baselines, checkpoints, refusals."""

import pickle
import warnings

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols
from potential_samples import ENERGIES, FRAMES, optimal, same
from rhobasis import _native


@pytest.fixture
def ridge():
    return rb.Potential(rb.PowerSpectrum(optimal(spline_accuracy=1e-6)), rb.Ridge(alpha=1e-9))


def test_labels_from_files_atoms_and_arrays_are_the_same(ridge, tmp_path):
    path = tmp_path / "data.xyz"
    rb.write(path, FRAMES)
    frames = rb.read(path)  # first of all, since files have fewer digits than memory
    reference = ridge.fit(frames).predict(FRAMES)

    def check(*args, **kwargs):
        prediction = ridge.fit(*args, **kwargs).predict(FRAMES)
        np.testing.assert_array_equal(prediction.energies, reference.energies)
        np.testing.assert_array_equal(prediction.stresses, reference.stresses)

    check(path)
    check(pickle.loads(pickle.dumps(frames)))
    atoms = list(frames)  # labels in info and arrays
    check(atoms)
    energies = [a.info["energy"] for a in atoms]
    forces = [a.arrays["forces"] for a in atoms]
    stresses = np.array([a.info.get("stress", np.full((3, 3), np.nan)) for a in atoms])
    bare = [Atoms(a.numbers, a.positions, cell=a.cell, pbc=a.pbc) for a in atoms]
    check(bare, energies, forces=forces, stresses=stresses)
    check(bare, energies, forces=np.concatenate(forces), stresses=stresses[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]])
    for a, b in zip(bare, atoms, strict=True):
        results = {"energy": b.info["energy"], "forces": b.arrays["forces"]}
        if "stress" in b.info:
            results["stress"] = b.info["stress"][[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        a.calc = SinglePointCalculator(a, **results)
    check(bare)
    check(rb.Frames(bare))
    for a in atoms:
        a.info["E"], a.arrays["F"] = a.info.pop("energy"), a.arrays.pop("forces")
        if "stress" in a.info:
            a.info["W"] = -a.get_volume() * a.info.pop("stress")
    prediction = ridge.fit(atoms, energy_key="E", force_key="F", virial_key="W").predict(FRAMES)
    np.testing.assert_allclose(prediction.energies, reference.energies, rtol=0, atol=1e-9)
    rb.write(path, atoms)
    check(rb.read(path), energies, forces=forces, stresses=stresses)


def test_a_stress_without_a_volume_and_labels_of_nan_are_left_out(ridge):
    def energies(*args, **kwargs):
        return ridge.fit(*args, **kwargs).predict(FRAMES).energies

    slab, crystals = FRAMES[8], FRAMES[:4]
    frames = [*crystals, slab]
    expected = energies(frames)
    with_stress = slab.copy()
    with_stress.info.update(energy=slab.get_potential_energy(), stress=np.eye(3))
    with_stress.arrays["forces"] = slab.get_forces()
    with pytest.warns(UserWarning, match=r"^the stress of 1 frame is left out for want of .*; first: frame 4$"):
        np.testing.assert_array_equal(energies([*crystals, with_stress]), expected)
    forces = [atoms.get_forces() for atoms in frames]
    stresses = [atoms.get_stress() if atoms.pbc.all() else np.ones(6) for atoms in frames]
    with pytest.warns(UserWarning, match="the stress of 1 frame is left out"):
        given = energies([a.copy() for a in frames], ENERGIES[[0, 1, 2, 3, 8]], forces=forces, stresses=stresses)
    np.testing.assert_array_equal(given, expected)

    nan = crystals[2].copy()
    expected = energies([*crystals, nan.copy()])  # the basis is of all frames, labelled or not
    nan.info.update(energy=np.nan, stress=np.full(6, np.nan))
    nan.arrays["forces"] = np.full((len(nan), 3), np.nan)
    with pytest.warns(UserWarning, match="NaN, hence absent") as told:
        np.testing.assert_array_equal(energies([*crystals, nan]), expected)
    text = "\n".join(str(warning.message) for warning in told)
    for what in ("the energy of 1 frame is", "the forces of 1 frame are", "the stress of 1 frame is"):
        assert f"{what} NaN, hence absent; first: frame 4" in text
    nan.arrays["forces"][1:] = 0.0
    with pytest.raises(rb.RhobasisError, match="frame 4, atom 0: component x of forces is NaN; give finite numbers"):
        ridge.fit([*crystals, nan])


def test_keys_that_look_like_labels_are_named_where_some_are_missing(ridge):
    frames = elsewhere()
    with pytest.warns(UserWarning, match='usual keys of forces; give what is meant of force_key = "F"$'):
        ridge.fit(frames, energy_key="REF_energy", force_sigma=None)


def test_a_supervised_basis_is_fitted_to_the_energies_that_the_potential_is_fitted_to():
    def fit(frames, *args, **options):
        potential = rb.Potential(rb.PowerSpectrum(optimal(method="pcovr", gamma=0.1)), rb.Ridge(alpha=1e-9))
        return potential.fit(frames, *args, force_sigma=None, stress_sigma=None, **options)

    bare = [atoms.copy() for atoms in FRAMES]
    for atoms, energy in zip(bare, ENERGIES, strict=True):
        atoms.info["E"] = energy
    same(fit(FRAMES), fit(bare, ENERGIES))
    same(fit(FRAMES), fit(bare, energy_key="E"))


def test_given_arrays_may_have_gaps(ridge):
    energies = ENERGIES.copy()
    energies[::2] = np.nan
    forces = [atoms.get_forces() if k % 3 == 0 else None for k, atoms in enumerate(FRAMES)]
    some = ridge.fit(FRAMES, energies, forces=forces).predict(FRAMES).energies
    frames = [atoms.copy() for atoms in FRAMES]
    for k, atoms in enumerate(frames):
        if k % 2:
            atoms.info["energy"] = energies[k]
        if k % 3 == 0:
            atoms.arrays["forces"] = forces[k]
    np.testing.assert_array_equal(ridge.fit(frames).predict(FRAMES).energies, some)


def test_arrays_that_are_given_are_all_that_is_learned_from(ridge):
    with pytest.warns(UserWarning, match="no frame has forces"):
        ridge.fit(FRAMES, ENERGIES)
    a = ridge.predict(FRAMES).energies
    b = ridge.fit(FRAMES, force_sigma=None, stress_sigma=None).predict(FRAMES).energies
    np.testing.assert_array_equal(a, b)
    c = ridge.fit(FRAMES, force_key="", stress_key="", virial_key="", force_sigma=None).predict(FRAMES).energies
    np.testing.assert_array_equal(a, c)


def test_weights_say_what_counts(ridge):
    ridge.set_params(model__alpha=1e-14)  # it is in units of the rows, which grow with their weight

    def errors(**options):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", ".* of the variance of the density")  # a small basis serves
            prediction = ridge.fit(FRAMES, **options).predict(FRAMES)
        types = np.array([atoms.info.get("config_type") for atoms in FRAMES])
        off = (prediction.energies - ENERGIES) / np.array([len(atoms) for atoms in FRAMES])
        forces = [f - atoms.get_forces() for f, atoms in zip(prediction.forces, FRAMES, strict=True)]
        rmse = [
            np.sqrt(np.mean(x**2)) for x in (off[types == "crystal"], off[types == "cluster"], np.concatenate(forces))
        ]
        return np.array(rmse)

    usual = errors()
    assert errors(energy_sigma=1e-5)[0] < usual[0]
    assert errors(force_sigma=1e-3)[2] < usual[2]
    assert errors(weights={"cluster": {"energy_sigma": 1e-5}})[1] < usual[1]
    np.testing.assert_array_equal(errors(weights={"cluster": {}}), usual)
    np.testing.assert_array_equal(errors(weights={"crystal": {"stress_sigma": None}}), errors(stress_sigma=None))


def test_features_are_normalized_for_kernels_unless_they_say_not_to():
    def energies(normalize, model):
        return (
            rb.Potential(rb.PowerSpectrum(optimal(), normalize=normalize), model).fit(FRAMES).predict(FRAMES).energies
        )

    gap, krr, ridge = rb.Gap(n_sparse=10), rb.KernelRidge(), rb.Ridge(alpha=1e-9)
    for model, default in ((gap, True), (krr, True), (ridge, False)):
        np.testing.assert_array_equal(energies(None, model), energies(default, model))
        assert abs(energies(None, model) - energies(not default, model)).max() > 1e-6
    x = rb.PowerSpectrum(optimal().fit(FRAMES)).transform(FRAMES)
    np.testing.assert_array_equal(x, rb.PowerSpectrum(optimal().fit(FRAMES), normalize=False).transform(FRAMES))


def test_kernel_ridge_is_the_formula():
    """E = Σ_i Σ_j (p_i·p_j)^ζ w_A over training structures: (K + α σ²) w = E − baseline, on normalized features."""
    zeta, alpha, sigma = 2, 0.5, 0.01
    frames = [atoms for atoms in FRAMES if len(atoms) > 1]
    soap = rb.PowerSpectrum(optimal().fit(frames), normalize=True)
    x, centers = soap.transform(frames), soap.centers(frames)
    k = (x @ x.T) ** zeta * (centers["species"][:, None] == centers["species"])
    sums = (centers["structure"][:, None] == np.arange(len(frames))).astype(float)
    k = sums.T @ k @ sums
    energies = np.array([atoms.get_potential_energy() for atoms in frames])
    n_atoms = np.array([len(atoms) for atoms in frames])
    w = np.linalg.solve(k + alpha * sigma**2 * np.diag(n_atoms), energies)
    potential = rb.Potential(soap, rb.KernelRidge(alpha=alpha, zeta=zeta), baseline=None)
    potential.fit(frames, energy_sigma=sigma)
    np.testing.assert_allclose(potential.predict(frames).energies, k @ w, rtol=0, atol=1e-8)


def test_ridge_is_the_formula():
    """Weights of scaled rows, with λ in units of the largest singular value squared."""
    alpha, sigma = 1e-6, 0.01
    soap = rb.PowerSpectrum(optimal().fit(FRAMES))
    x, centers = soap.transform(FRAMES), soap.centers(FRAMES)
    rows = np.zeros((len(FRAMES), 2, x.shape[1]))
    np.add.at(rows, (centers["structure"], (centers["species"] == 29).astype(int)), x)
    rows = rows.reshape(len(FRAMES), -1)
    scale = 1 / (sigma * np.sqrt([len(atoms) for atoms in FRAMES]))
    u, s, vt = np.linalg.svd(rows * scale[:, None], full_matrices=False)
    w = vt.T @ (s / (s**2 + alpha * s[0] ** 2) * (u.T @ (ENERGIES * scale)))
    potential = rb.Potential(soap, rb.Ridge(alpha=alpha), baseline=None)
    potential.fit(FRAMES, energy_sigma=sigma, force_sigma=None, stress_sigma=None)
    np.testing.assert_allclose(potential.predict(FRAMES).energies, rows @ w, rtol=0, atol=1e-7)
    assert potential.condition_number_ == pytest.approx(alpha**-0.5, rel=1e-3)


def test_the_best_alpha_is_one_of_those_given(ridge):
    ridge.set_params(model__alpha=[1e-14, 1e-7, 1e2]).fit(FRAMES)
    assert ridge.alpha_ in (1e-14, 1e-7)
    chosen = ridge.predict(FRAMES).energies
    np.testing.assert_allclose(ridge.set_params(model__alpha=ridge.alpha_).fit(FRAMES).predict(FRAMES).energies, chosen)


def test_an_alpha_at_an_end_of_its_list_is_told_of(ridge):
    with pytest.warns(UserWarning, match=r"alpha = 1e2 was chosen, the smallest of its list.* for instance to 1e0"):
        ridge.set_params(model__alpha=[1e3, 1e2]).fit(FRAMES)


def test_baselines():
    frames = [atoms for atoms in FRAMES if len(atoms) > 1 or atoms.pbc.any()]
    soap = rb.PowerSpectrum(optimal(spline_accuracy=1e-6).fit(FRAMES))
    alone = {
        atoms.numbers[0]: atoms.get_potential_energy() for atoms in FRAMES if len(atoms) == 1 and not atoms.pbc.any()
    }
    isolated = rb.Potential(soap, rb.Ridge(alpha=1e-9), baseline="isolated-atoms").fit(FRAMES)
    assert isolated.baseline_ == pytest.approx(alone)
    given = rb.Potential(soap, rb.Ridge(alpha=1e-9), baseline={chemical_symbols[z]: e for z, e in alone.items()})
    np.testing.assert_array_equal(given.fit(frames).predict(FRAMES).energies, isolated.predict(FRAMES).energies)
    assert set(rb.Potential(soap, rb.Ridge(alpha=1e-9), baseline=None).fit(frames).baseline_.values()) == {0.0}
    fitted = rb.Potential(soap, rb.Ridge(alpha=1e-9)).fit(frames).baseline_
    counts = np.array([[list(a.numbers).count(z) for z in (13, 29)] for a in frames]) / [[len(a)] for a in frames]
    per_atom = [a.get_potential_energy() / len(a) for a in frames]
    np.testing.assert_allclose(list(fitted.values()), np.linalg.lstsq(counts, per_atom)[0], atol=1e-9)


@pytest.mark.parametrize("model", [rb.Ridge(alpha=1e-9), rb.Gap(n_sparse=20), rb.KernelRidge(alpha=1.0)])
@pytest.mark.parametrize("baseline", ["isolated-atoms", {"Al": 1.25, "Cu": -0.5}, {"Al": 0.0, "Cu": 0.0}])
def test_an_atom_alone_has_the_energy_of_the_baseline_and_no_force(model, baseline, tmp_path):
    frames = FRAMES if baseline == "isolated-atoms" else FRAMES[:-2]
    potential = rb.Potential(rb.PowerSpectrum(optimal()), model, baseline).fit(frames)
    far = Atoms("AlCuAl", positions=[[0, 0, 0], [0, 9, 0], [20, 0, 0]])
    for p in (potential, pickle.loads(pickle.dumps(potential))):
        alone = p.predict([Atoms("Al"), Atoms("Cu", cell=[11] * 3, pbc=True), far])
        al, cu = p.baseline_[13], p.baseline_[29]
        np.testing.assert_allclose(alone.energies, [al, cu, 2 * al + cu], rtol=0, atol=1e-9)
        assert max(abs(f).max() for f in alone.forces) < 1e-10
        assert abs(alone.stresses[1]).max() < 1e-12
    potential.save(tmp_path / "p.rho")
    again = rb.load(tmp_path / "p.rho")
    assert again.baseline == (baseline if isinstance(baseline, str) else potential.baseline_)
    same(again.fit(frames), potential)


def test_a_potential_without_baseline_is_loaded_as_one(tmp_path):
    potential = rb.Potential(rb.PowerSpectrum(optimal()), rb.Ridge(alpha=1e-9), baseline=None).fit(FRAMES)
    potential.save(tmp_path / "p.rho")
    assert rb.load(tmp_path / "p.rho").baseline is None


def test_what_should_be_known_before_a_fit_is_warned_of():
    def told(frames, **options):
        basis = optimal(q_max=options.pop("q_max", 5))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(alpha=1e-9)).fit(frames, **options)
        assert all(w.filename == __file__ and w.category is UserWarning for w in caught)
        return [str(w.message) for w in caught]

    assert told(FRAMES) == []
    (text,) = told(FRAMES, q_max=1)
    assert text.startswith("q_max 1 keeps ")
    (text,) = told(FRAMES, stress_sigma=3.0)
    assert "stress_sigma is 3000 meV/Å³: they hardly count" in text
    alike = [atoms for atoms in FRAMES if len(set(atoms.numbers)) == 2 and atoms.pbc.any()]
    (text,) = told(alike)
    assert "the free atoms of Al and Cu apart" in text
    (text,) = told(FRAMES, energies=np.where(np.arange(len(FRAMES)) == 4, 1e5, ENERGIES), force_sigma=None)
    assert text.startswith("frame 4: its energy is ")


class Stopped(Exception):
    pass


def test_a_fit_that_is_stopped_goes_on_to_the_same_bits(ridge, tmp_path, monkeypatch):
    frames = FRAMES * 4
    ridge.features.basis.fit(frames)  # which has a bar of its own
    whole = ridge.fit(frames).predict(FRAMES)
    checkpoint = tmp_path / "fit.checkpoint"

    def stop(self, fraction):
        if fraction > 0.4:
            raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr("rhobasis._progress.Progress.update", stop)
        with pytest.raises(Stopped):
            ridge.fit(frames, checkpoint=checkpoint, checkpoint_every=0.0)
    assert checkpoint.exists()
    with pytest.raises(rb.RhobasisError, match="checkpoint"):
        ridge.fit(frames, checkpoint=checkpoint, force_sigma=0.01)
    with pytest.raises(rb.RhobasisError, match="checkpoint"):
        ridge.fit(frames[::-1], checkpoint=checkpoint)
    first = []
    with monkeypatch.context() as patched:
        patched.setattr("rhobasis._progress.Progress.update", lambda self, fraction: first.append(fraction))
        ridge.fit(frames, checkpoint=checkpoint)
    assert 0 < first[0] < 1  # it did go on
    np.testing.assert_array_equal(ridge.predict(FRAMES).energies, whole.energies)
    assert not checkpoint.exists()


def test_progress_says_the_memory(ridge, capsys):
    ridge.fit(FRAMES, progress=True)
    text = capsys.readouterr().err
    assert "takes at most" in text
    assert "100 %" in text


def elsewhere():
    """Labels under the keys of another program."""
    frames = [atoms.copy() for atoms in FRAMES[:3]]
    for atoms in frames:
        atoms.info["REF_energy"] = 1.0
        atoms.arrays["F"] = np.zeros((len(atoms), 3))
    return frames


def moved(atoms):
    atoms = atoms.copy()
    atoms.calc = EMT()
    atoms.get_forces()
    atoms.positions[0, 0] += 0.1
    return atoms


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda p: p.fit([]), r"frames = \[\]: there is nothing to learn from"),
        (lambda p: p.fit([a.copy() for a in FRAMES]), "none has an energy, forces or a stress .*; name the keys"),
        (
            lambda p: p.fit(FRAMES, energy_key="dft"),
            r"energy_key = dft: no frame has this key; there is .*energy.*; name",
        ),
        (
            lambda p: p.fit(FRAMES, force_key="dft_forces"),
            r"force_key = dft_forces: no frame has this column; there is forces.*; name",
        ),
        (
            lambda p: p.fit(elsewhere()),
            r'no frame has a label under energy, .*; give what is meant of energy_key = "REF_energy", force_key = "F"',
        ),
        (lambda p: p.fit(FRAMES, energy_sigma=0.0), "energy_sigma = 0: must be a positive number"),
        (
            lambda p: p.fit(FRAMES, weights={"liqiud": {}}),
            r"weights\['liqiud'\]: no frame .*; the frames have cluster, cr",
        ),
        (
            lambda p: p.fit(FRAMES, weights={"cluster": {"forces_sigma": 1.0}}),
            "unknown key 'forces_sigma', the nearest known one is 'force_sigma'",
        ),
        (lambda p: p.fit(FRAMES, ENERGIES[1:]), "energies = 29: there are 30 frames; give one for each frame"),
        (lambda p: p.fit(FRAMES, ENERGIES, energy_key="E"), "energy_key: energies, forces and stresses are given as"),
        (lambda p: p.fit(FRAMES[:2], [1.0, np.inf]), "frame 1: energy is inf; give finite numbers, or NaN"),
        (
            lambda p: p.fit(FRAMES[:2], forces=[np.zeros((1, 3)), np.zeros((2, 3))]),
            r"frame 1: forces .*\[1, 3\] is needed",
        ),
        (
            lambda p: p.fit(FRAMES[:1], forces=[[[0.0, np.nan, 0.0]] + [[0.0] * 3] * (len(FRAMES[0]) - 1)]),
            "frame 0, atom 0: component y of forces is NaN; give finite numbers, or NaN",
        ),
        (
            lambda p: p.fit([FRAMES[0], moved(FRAMES[4])]),
            "frame 1: its calculator holds results of other positions; give",
        ),
        (
            lambda p: p.set_params(baseline="isolated-atom").fit(FRAMES),
            'baseline = "isolated-atom": is unknown, the nearest known one is "isolated-atoms"',
        ),
        (lambda p: p.set_params(baseline={"Al": 1.0}).fit(FRAMES), "baseline = .*no energy for Cu; give one for each"),
        (lambda p: p.set_params(baseline={"Al": 1.0, 13: 1.0}).fit(FRAMES), "this species is given twice"),
        (lambda p: p.set_params(baseline="isolated-atoms").fit(FRAMES[:9]), "no frame holds a single Al atom, without"),
        (lambda p: p.set_params(model__alpha=-1.0).fit(FRAMES), "alpha = -1: must be a positive number"),
        (lambda p: p.fit(FRAMES, energy_sigma=1e-308), "energy_sigma = 1e-308: must be a positive number, from 1e-30"),
        (
            lambda p: p.set_params(model__alpha=[1e-9, 1e-308]).fit(FRAMES),
            "alpha = .*1e-308.*: must be a positive number",
        ),
        (
            lambda p: p.set_params(model=rb.KernelRidge(alpha=1e-308)).fit(FRAMES),
            "alpha = 1e-308: a positive number",
        ),
        (
            lambda p: p.set_params(baseline="isolated-atoms").fit([*FRAMES, FRAMES[-1]], [*ENERGIES, 77.0]),
            "frame 30, atom 0: a Cu atom alone has the energy 77 eV here, and .* eV in a frame before",
        ),
        (lambda p: p.set_params(model__alpha=[]).fit(FRAMES), r"alpha = \[\]: there is none to choose from"),
        (
            lambda p: p.set_params(model__solver="svd").fit(FRAMES),
            'solver = "svd": is unknown, .* use one of "qr", "cholesky"',
        ),
        (
            lambda p: p.set_params(model=rb.Gap(n_sparse=0)).fit(FRAMES),
            "n_sparse = 0: must be at least 1; a sparse model needs",
        ),
        (lambda p: p.set_params(model=rb.Gap(zeta=0)).fit(FRAMES), "zeta = 0: must lie between 1 and 16"),
        (
            lambda p: p.set_params(model=rb.Gap(sparse_method="random")).fit(FRAMES),
            'sparse_method = "random": is unknown',
        ),
        (lambda p: p.set_params(model=rb.KernelRidge(alpha=0.0)).fit(FRAMES), "alpha = 0.0: a positive number is"),
        (
            lambda p: p.set_params(model=rb.KernelRidge()).fit(FRAMES, force_sigma=0.2),
            "KernelRidge learns from energies",
        ),
        (
            lambda p: p.set_params(model=rb.KernelRidge(normalize=True), features__normalize=False).fit(FRAMES),
            "normalize = False of the features, True of the model: they contradict",
        ),
        (
            lambda p: p.fit(FRAMES, force_sigma=None, stress_sigma=None).predict(bulk("Si")),
            "frame 0, atom 0: Si is not",
        ),
        (lambda p: p.fit(FRAMES).score([Atoms("Al")]), "no frame has an energy: there is nothing to compare with"),
    ],
)
def test_what_cannot_be_fitted_is_refused(ridge, fit, message):
    with pytest.raises(rb.RhobasisError, match=message):
        fit(ridge)


def test_wrong_types_are_named(ridge):
    with pytest.raises(TypeError, match="features must be a PowerSpectrum, a RadialSpectrum, a Bispectrum or a Nice"):
        rb.Potential(optimal(), rb.Gap()).fit(FRAMES)
    with pytest.raises(TypeError, match="model must be a Ridge, a Gap or a KernelRidge"):
        rb.Potential(rb.PowerSpectrum(optimal()), "gap").fit(FRAMES)
    with pytest.raises(TypeError, match="weights must be a dict"):
        ridge.fit(FRAMES, weights={"cluster": 0.1})
    with pytest.raises(TypeError, match=r"baseline = 3\.0: must be a word"):
        ridge.set_params(baseline=3.0).fit(FRAMES)


def test_a_failed_fit_leaves_no_potential(ridge):
    ridge.fit(FRAMES)
    with pytest.raises(rb.RhobasisError):
        ridge.fit(FRAMES, energy_sigma=-1.0)
    with pytest.raises(rb.NotFittedError):
        ridge.predict(FRAMES)


def test_load_tells_bases_from_potentials(ridge, tmp_path):
    ridge.fit(FRAMES).features_.basis_.save(tmp_path / "basis.rho")
    assert isinstance(rb.load(tmp_path / "basis.rho"), rb.OptimalBasis)
    (tmp_path / "junk.rho").write_bytes(b"\x10" + b"\0" * 7 + b"{}")
    for path, message in ((tmp_path / "junk.rho", "not a safetensors file"), (tmp_path / "none.rho", "no such file")):
        with pytest.raises(rb.RhobasisError, match=message):
            rb.load(path)
    with pytest.raises(rb.RhobasisError, match="kind 'basis', not 'potential'"):
        _native.Potential.load(tmp_path / "basis.rho")
