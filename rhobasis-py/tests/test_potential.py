"""Potentials: forces and stress against differences of energies, symmetries, files, uncertainty."""

import copy
import pickle

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.neighborlist import neighbor_list
from potential_samples import DENSITY, FRAMES, optimal, primitive, same, two_kinds

KINDS = {
    "ridge, power spectrum": lambda: rb.Potential(rb.PowerSpectrum(optimal()), rb.Ridge(alpha=1e-9)),
    "ridge, normalized, some columns": lambda: rb.Potential(
        rb.PowerSpectrum(optimal(), columns=[[0, 0, 0], [0, 1, 2], [1, 0, 1], [3, 2, 2]], normalize=True),
        rb.Ridge(alpha=1e-9),
    ),
    "ridge, radial spectrum": lambda: rb.Potential(rb.RadialSpectrum(optimal()), rb.Ridge(alpha=1e-9)),
    "ridge, bispectrum, primitive": lambda: rb.Potential(rb.Bispectrum(primitive()), rb.Ridge(alpha=1e-9)),
    "ridge, two kinds": lambda: rb.Potential(two_kinds(), rb.Ridge(alpha=1e-9)),
    "gap, two kinds": lambda: rb.Potential(two_kinds(primitive()), rb.Gap(n_sparse=20, zeta=2)),
    "kernel ridge, two kinds": lambda: rb.Potential(two_kinds(), rb.KernelRidge(zeta=2)),
    "gap, power spectrum": lambda: rb.Potential(rb.PowerSpectrum(optimal()), rb.Gap(n_sparse=20)),
    "gap, not normalized, cur": lambda: rb.Potential(
        rb.PowerSpectrum(primitive(), normalize=False), rb.Gap(n_sparse=20, zeta=2, sparse_method="cur")
    ),
    "gap, radial spectrum": lambda: rb.Potential(
        rb.RadialSpectrum(optimal()), rb.Gap(n_sparse=20, zeta=3, jitter=1e-8)
    ),
    "kernel ridge": lambda: rb.Potential(rb.PowerSpectrum(optimal()), rb.KernelRidge(zeta=2)),
    "kernel ridge, zeta 3": lambda: rb.Potential(
        rb.PowerSpectrum(optimal()), rb.KernelRidge(alpha=0.5, zeta=3), baseline=None
    ),
}


@pytest.fixture(scope="module")
def potentials():
    return {name: make().fit(FRAMES) for name, make in KINDS.items()}


@pytest.fixture(params=KINDS)
def potential(request, potentials):
    return potentials[request.param]


def without_baseline(potential, atoms):
    return potential.predict(atoms, forces=False).energies[0] - sum(potential.baseline_[z] for z in atoms.numbers)


def difference(energy, h):
    """dE/dx of E(x) at 0, by Richardson's rule."""
    slope = [(energy(k * h) - energy(-k * h)) / (2 * k * h) for k in (1, 2, 4)]
    fourth = [(4 * slope[k] - slope[k + 1]) / 3 for k in (0, 1)]
    return (16 * fourth[0] - fourth[1]) / 15


def displaced(atoms, i, d, x):
    moved = atoms.copy()
    moved.positions[i, d] += x
    return moved


def strained(atoms, a, b, x):
    strain = np.eye(3)
    strain[a, b] += x
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return moved


def smooth(atoms):
    """Rattled so that no pair is where the cutoff function has a second derivative that jumps."""
    for seed in range(1000):
        other = atoms.copy()
        other.rattle(0.05, seed=seed)
        r = neighbor_list("d", other, 4.1)
        if min(abs(r - 3.0).min(), abs(r - 4.0).min()) > 0.01:
            return other
    raise AssertionError("no such structure")


@pytest.mark.parametrize("frame", [4, 9])
def test_forces_are_minus_the_derivative_of_the_energy(potential, frame):
    atoms = smooth(FRAMES[frame])
    forces = potential.predict(atoms).forces[0]
    numeric = [
        [-difference(lambda x: without_baseline(potential, displaced(atoms, i, d, x)), 2e-3) for d in range(3)]  # noqa: B023
        for i in range(len(atoms))
    ]
    assert abs(forces - numeric).max() < 1e-8 * abs(forces).max()
    assert abs(forces).max() > 0.01  # eV/Å: there is something to compare


def test_stress_is_the_derivative_by_strain_per_volume(potential):
    atoms = smooth(FRAMES[5])
    prediction = potential.predict(atoms)
    numeric = np.array(
        [
            [difference(lambda x: without_baseline(potential, strained(atoms, a, b, x)), 5e-4) for b in range(3)]  # noqa: B023
            for a in range(3)
        ]
    )
    assert abs(prediction.virials[0] + numeric).max() < 1e-8 * abs(numeric).max()
    np.testing.assert_allclose(prediction.stresses[0], numeric / atoms.get_volume(), rtol=0, atol=1e-8)
    np.testing.assert_allclose(prediction.stresses[0], prediction.stresses[0].T, rtol=0, atol=1e-14)


def test_there_is_no_stress_without_full_periodicity(potential):
    slab, cluster = FRAMES[8], FRAMES[9]
    assert slab.pbc.tolist() == [True, True, False]
    prediction = potential.predict([slab, FRAMES[0], cluster])
    assert np.isnan(prediction.stresses[[0, 2]]).all()
    assert np.isfinite(prediction.stresses[1]).all()
    assert np.isfinite(prediction.virials).all()


def test_energy_is_invariant_and_forces_turn_with_the_structure(potential):
    rotation, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))  # of either handedness
    for k in (4, 8, 9):
        turned = FRAMES[k].copy()
        turned.set_cell(turned.cell.array @ rotation)
        turned.positions = FRAMES[k].positions @ rotation + [1.0, -20.0, 0.3]
        before, after = potential.predict(FRAMES[k]), potential.predict(turned)
        assert after.energies[0] == pytest.approx(before.energies[0], rel=1e-10, abs=1e-10)
        scale = abs(before.forces[0]).max()
        np.testing.assert_allclose(after.forces[0], before.forces[0] @ rotation, rtol=0, atol=1e-8 * scale)
        expected = rotation.T @ before.virials[0] @ rotation
        np.testing.assert_allclose(after.virials[0], expected, rtol=0, atol=1e-8 * abs(expected).max())


def test_forces_sum_to_zero_and_energies_of_atoms_to_the_energy(potential):
    prediction = potential.predict(FRAMES)
    for energy, atoms, forces in zip(prediction.energies, prediction.atom_energies, prediction.forces, strict=True):
        assert np.sum(atoms) == pytest.approx(energy, rel=1e-12, abs=1e-12)
        assert abs(forces.sum(axis=0)).max() < 1e-10


def test_doubling_the_cell_doubles_the_energy(potential):
    for k in (4, 8):
        one, two = potential.predict(FRAMES[k]), potential.predict(FRAMES[k].repeat((2, 1, 1)))
        assert two.energies[0] == pytest.approx(2 * one.energies[0], rel=1e-10)
        n = len(FRAMES[k])
        np.testing.assert_allclose(two.forces[0][:n], one.forces[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", [rb.Ridge(), rb.Ridge(alpha=1e-14), rb.Gap(n_sparse=150)])
def test_energies_forces_and_stresses_are_learned(model):
    frames = [atoms for atoms in FRAMES if len(atoms) > 1]
    soap = rb.PowerSpectrum(rb.OptimalBasis(DENSITY, rb.Gto(n_max=8), l_max=4, q_max=5, mixing="combined"))
    potential = rb.Potential(soap, model).fit(frames)
    assert potential.score(frames) > 0.999
    prediction = potential.predict(frames)
    forces = np.concatenate([atoms.get_forces() for atoms in frames])
    assert np.std(np.concatenate(prediction.forces) - forces) < 0.15 * np.std(forces)
    crystals = np.array([atoms.pbc.all() for atoms in frames])
    stresses = np.array([atoms.get_stress(voigt=False) for atoms in frames if atoms.pbc.all()])
    assert np.std(prediction.stresses[crystals] - stresses) < 0.2 * np.std(stresses)


def test_kernel_ridge_learns_energies(potentials):
    assert potentials["kernel ridge"].score(FRAMES) > 0.99
    with pytest.raises(rb.NotFittedError):
        KINDS["kernel ridge"]().score(FRAMES)


def test_predictions_do_not_depend_on_company_or_on_what_is_asked(potential):
    together = potential.predict(FRAMES)
    alone = potential.predict(FRAMES[4], forces=False)
    assert alone.energies[0] == pytest.approx(together.energies[4], rel=1e-12)
    assert alone.forces is alone.virials is alone.stresses is alone.energy_uncertainties is None
    assert len(potential.predict([])) == 0
    empty = potential.predict([Atoms()])
    assert empty.energies[0] == 0
    assert empty.forces[0].shape == (0, 3)


def test_saved_pickled_and_copied_it_is_the_same(potential, tmp_path):
    potential.save(tmp_path / "model.rho")
    loaded = rb.load(tmp_path / "model.rho")
    for other in (loaded, pickle.loads(pickle.dumps(potential)), copy.deepcopy(potential), copy.copy(potential)):
        assert isinstance(other, rb.Potential)
        same(potential, other)
        assert other.baseline_ == potential.baseline_
        assert other.species_ == potential.species_ == [13, 29]
        assert (other.n_parameters_, other.n_features_) == (potential.n_parameters_, potential.n_features_)
        np.testing.assert_equal(other.condition_number_, potential.condition_number_)
        assert other.alpha_ == potential.alpha_
    loaded.save(tmp_path / "again.rho")
    assert (tmp_path / "again.rho").read_bytes() == (tmp_path / "model.rho").read_bytes()


def test_a_loaded_potential_can_be_fitted_again(potential, tmp_path):
    potential.save(tmp_path / "model.rho")
    loaded = rb.load(tmp_path / "model.rho")
    assert type(loaded.features) is type(potential.features)
    assert type(loaded.model) is type(potential.model)
    assert loaded.model.get_params() == potential.model.get_params()
    assert loaded.baseline == potential.baseline
    options = [
        {name: value for name, value in each.get_params().items() if name.endswith(("normalize", "q_max"))}
        for each in (loaded, potential)
    ]
    assert options[0] == options[1]
    same(potential, loaded.fit(FRAMES))


def test_parameters_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.base")
    potential = KINDS["gap, power spectrum"]().fit(FRAMES)
    other = sklearn.clone(potential)
    with pytest.raises(rb.NotFittedError, match="Potential instance is not fitted"):
        other.predict(FRAMES)
    assert other.get_params()["features__basis__q_max"] == 3
    other.set_params(model__zeta=2, baseline={"Al": 3.0, 29: 3.5}).fit(FRAMES)
    assert other.baseline_ == {13: 3.0, 29: 3.5}
    assert repr(other.model) == "Gap(n_sparse=20, zeta=2)"
    assert repr(other).startswith("Potential(features=PowerSpectrum(basis=OptimalBasis(")


def test_uncertainty_is_small_where_it_was_trained(potentials):
    for name in ("ridge, power spectrum", "gap, power spectrum"):
        far = FRAMES[4].copy()
        far.set_cell(far.cell.array * 0.8, scale_atoms=True)
        std = potentials[name].predict([FRAMES[4], far], uncertainty=True).energy_uncertainties
        assert 0 < std[0] < std[1], name
    with pytest.raises(rb.RhobasisError, match="uncertainty = true: a kernel ridge model"):
        potentials["kernel ridge"].predict(FRAMES[4], uncertainty=True)


@pytest.mark.parametrize("name", ["ridge, power spectrum", "gap, power spectrum"])
def test_uncertainties_of_forces_and_extrapolation_have_the_shapes_of_frames(potentials, name):
    potential = potentials[name]
    assert set(potential.calibration_) == {"energy", "force"}
    found = potential.predict(FRAMES, uncertainty=True)
    for atoms, deviations, extrapolation in zip(FRAMES, found.forces_uncertainties, found.extrapolation, strict=True):
        assert deviations.shape == (len(atoms), 3)
        assert (deviations >= 0).all()
        assert extrapolation.shape == (len(atoms),)
    for z in (13, 29):
        of_species = [x[atoms.numbers == z] for atoms, x in zip(FRAMES, found.extrapolation, strict=True)]
        assert np.concatenate(of_species).max() == pytest.approx(1, abs=1e-9)
    assert found.energy_intervals is None
    assert found.forces_intervals is None
    wide, narrow = (potential.predict(FRAMES, interval=part) for part in (0.8, 0.4))
    assert (wide.energy_intervals > narrow.energy_intervals).all()
    ratios = wide.energy_intervals / wide.energy_uncertainties
    np.testing.assert_allclose(ratios, ratios[0])
    assert [x.shape for x in wide.forces_intervals] == [(len(atoms), 3) for atoms in FRAMES]
    with pytest.raises(rb.RhobasisError, match=r"interval = 1\.5: is no part of the errors"):
        potential.predict(FRAMES, interval=1.5)
    with pytest.warns(UserWarning, match=r"interval = 0\.99: too few energies were left out of the fit"):
        most = potential.predict(FRAMES, interval=0.99)  # there are far more components of forces
    assert most.energy_intervals is None
    assert (most.forces_intervals[0] >= wide.forces_intervals[0]).all()
    without = potential.predict(FRAMES, forces=False, uncertainty=True)
    assert without.forces_uncertainties is None
    np.testing.assert_array_equal(without.energy_uncertainties, found.energy_uncertainties)
    again = pickle.loads(pickle.dumps(potential)).predict(FRAMES, uncertainty=True)
    np.testing.assert_array_equal(np.concatenate(again.extrapolation), np.concatenate(found.extrapolation))


def test_errors_of_frames_left_out_are_those_of_fits_without_them():
    frames = [atoms for atoms in FRAMES if len(atoms) > 1]
    # The basis has seen all frames either way; per-atom energies and the regulariser hardly depend on one of them.
    made = rb.PowerSpectrum(optimal().fit(frames))
    whole = rb.Potential(made, rb.Ridge(alpha=1e-6), baseline={13: 0.0, 29: 0.0}).fit(frames)
    energies, forces = [], []
    for k, left_out in enumerate(frames):
        others = frames[:k] + frames[k + 1 :]
        told = rb.Potential(made, rb.Ridge(alpha=1e-6), baseline={13: 0.0, 29: 0.0}).fit(others).predict(left_out)
        energies.append((told.energies[0] - left_out.get_potential_energy()) / len(left_out))
        forces.append(told.forces[0] - left_out.get_forces())
    found = whole.left_out_errors_
    assert found["energy"] == pytest.approx(np.sqrt(np.mean(np.square(energies))), rel=0.1)
    assert found["force"] == pytest.approx(np.sqrt(np.mean(np.concatenate(forces) ** 2)), rel=0.1)
    assert rb.Potential(made, rb.KernelRidge()).fit(frames).left_out_errors_ == {}


def test_uncertainties_that_are_not_calibrated_are_said_to_be_too_small():
    potential = KINDS["ridge, power spectrum"]().fit(FRAMES[:6])
    assert potential.calibration_ == {}
    with pytest.warns(UserWarning, match="not calibrated, and far too small"):
        potential.predict(FRAMES[:1], uncertainty=True)
