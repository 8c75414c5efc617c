"""The calculator for ASE: what drivers ask of it, and that reusing its list changes nothing."""

import copy
import pickle
import subprocess
import sys
import time

import ase.db
import ase.io
import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError, get_calculator_class
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cli.main import main
from ase.constraints import FixAtoms
from ase.filters import FrechetCellFilter
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import BFGS

DENSITY = rb.Density(r_cut=4.5, sigma=0.5, cutoff_width=1.0)


def labelled(n, scale):
    rng = np.random.default_rng(5)
    frames = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(
            atoms.cell.array @ (np.eye(3) * (1 + 0.02 * (k % 5 - 2)) + rng.normal(scale=0.02, size=(3, 3))), True
        )
        atoms.positions += rng.normal(scale=scale, size=(4, 3))
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames


FRAMES = labelled(30, 0.1)


def basis(**options):
    return rb.OptimalBasis(DENSITY, rb.Gto(n_max=6), l_max=3, q_max=4, **options).fit(FRAMES)


@pytest.fixture(scope="module", params=["ridge", "gap"])
def potential(request):
    model = {"ridge": rb.Ridge(alpha=1e-10), "gap": rb.Gap(n_sparse=50, jitter=1e-8)}[request.param]
    return rb.Potential(rb.PowerSpectrum(basis()), model).fit(FRAMES)


def with_calculator(atoms, potential, **options):
    atoms = atoms.copy()
    atoms.calc = rb.ase.Calculator(potential, **options)
    return atoms


def test_results_are_those_of_predict(potential):
    prediction = potential.predict(FRAMES)
    for k, frame in enumerate(FRAMES[:4]):
        atoms = with_calculator(frame, potential)
        assert atoms.get_potential_energy() == pytest.approx(prediction.energies[k], abs=1e-9)
        assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
        np.testing.assert_allclose(atoms.get_potential_energies(), prediction.atom_energies[k], rtol=0, atol=1e-9)
        scale = abs(prediction.forces[k]).max()
        np.testing.assert_allclose(atoms.get_forces(), prediction.forces[k], rtol=0, atol=1e-9 * scale)
        np.testing.assert_allclose(atoms.get_stress(voigt=False), prediction.stresses[k], rtol=0, atol=1e-10)


def test_forces_and_stress_are_what_ase_gets_from_energies(potential):
    """Sign and order included: the cell is skewed, and all six components differ."""
    atoms = with_calculator(FRAMES[7], potential)
    forces, stress = atoms.get_forces(), atoms.get_stress()
    np.testing.assert_allclose(calculate_numerical_forces(atoms, eps=1e-4), forces, rtol=0, atol=1e-4)
    np.testing.assert_allclose(calculate_numerical_stress(atoms, eps=1e-5, voigt=True), stress, rtol=0, atol=1e-6)
    assert len(set(np.round(stress, 4))) == 6
    np.testing.assert_allclose(atoms.get_stress(voigt=False), atoms.get_stress()[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]])


def test_stress_has_the_sign_of_the_reference(potential):
    for strain in (0.97, 1.03):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell.array * strain, scale_atoms=True)
        atoms.calc = EMT()
        expected = atoms.get_stress()
        ours = with_calculator(atoms, potential).get_stress()
        np.testing.assert_allclose(ours, expected, rtol=0, atol=0.3 * abs(expected).max())


@pytest.mark.parametrize("pbc", [False, [True, True, False]])
def test_stress_needs_three_periodic_directions_and_the_rest_does_not(potential, pbc):
    atoms = with_calculator(Atoms("Cu2", positions=[[0, 0, 0], [0, 1, 2.3]], cell=[9.0, 9.0, 9.0], pbc=pbc), potential)
    with pytest.raises(PropertyNotImplementedError, match="stress needs a cell that is periodic in all three"):
        atoms.get_stress()
    assert np.isfinite(atoms.get_potential_energy())
    assert atoms.get_forces().shape == (2, 3)
    with pytest.raises(PropertyNotImplementedError):  # nor is it left over from another structure
        atoms.get_stress()


def test_no_atoms_and_one_atom_are_fine(potential):
    none = with_calculator(Atoms(), potential)
    assert none.get_potential_energy() == 0.0
    assert none.get_forces().shape == (0, 3)
    one = with_calculator(Atoms("Cu", positions=[[1, 2, 3]]), potential)
    assert np.isfinite(one.get_potential_energy())
    np.testing.assert_allclose(one.get_forces(), 0.0, atol=1e-12)
    cell = with_calculator(bulk("Cu"), potential)  # one atom, and neighbours that are its images
    np.testing.assert_allclose(cell.get_forces(), 0.0, atol=1e-9)
    assert cell.get_stress().shape == (6,)


def test_a_reused_list_gives_the_same_as_a_new_one(potential):
    """Small steps, a jump, a new cell, another number of atoms, other periodicity."""
    rng = np.random.default_rng(6)
    atoms = FRAMES[0].copy()
    reused = rb.ase.Calculator(potential, skin=0.8)
    for step in range(40):
        atoms.positions += rng.normal(scale=0.02, size=(len(atoms), 3))
        if step == 12:
            atoms.positions[0] += atoms.cell.array[1]
        if step == 17:
            atoms.set_cell(atoms.cell.array * 1.01, scale_atoms=True)
        if step == 22:
            atoms = atoms.repeat((1, 2, 1))
        if step == 30:
            atoms.pbc = [True, True, False]
        atoms.calc = reused
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = rb.ase.Calculator(potential, skin=0.0)
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)  # sums in another order
        np.testing.assert_allclose(forces, atoms.get_forces(), rtol=0, atol=1e-9)


def test_bfgs_finds_the_lattice_constant_of_the_reference(potential):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.set_cell(atoms.cell.array * 1.03, scale_atoms=True)
    found = []
    for calculator in (EMT(), rb.ase.Calculator(potential)):
        other = atoms.copy()
        other.calc = calculator
        with BFGS(FrechetCellFilter(other), logfile=None) as relaxation:
            assert relaxation.run(fmax=0.02, steps=200)
        found.append(other.get_volume() ** (1 / 3))
    assert found[1] == pytest.approx(found[0], abs=0.05)


def test_molecular_dynamics_conserves_the_energy(potential):
    atoms = with_calculator(bulk("Cu", cubic=True).repeat((2, 2, 2)), potential)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=np.random.default_rng(7))
    energies = []
    with VelocityVerlet(atoms, timestep=2.0 * units.fs) as dynamics:
        dynamics.attach(lambda: energies.append(atoms.get_total_energy()))
        dynamics.run(60)
    spread = np.ptp(energies) / len(atoms)
    kinetic = atoms.get_kinetic_energy() / len(atoms)
    assert spread < 0.01 * kinetic
    assert kinetic > 0.01  # eV: atoms do move


def test_from_a_file_copied_and_pickled_it_is_the_same(potential, tmp_path):
    potential.save(tmp_path / "model.rho")
    atoms = with_calculator(FRAMES[3], potential)
    energy = atoms.get_potential_energy()
    calculator = rb.ase.Calculator(tmp_path / "model.rho", skin=0.5)
    others = [rb.ase.Calculator(str(tmp_path / "model.rho")), calculator, copy.deepcopy(calculator)]
    for other in [*others, pickle.loads(pickle.dumps(calculator))]:
        fresh = FRAMES[3].copy()
        fresh.calc = other
        assert fresh.get_potential_energy() == pytest.approx(energy, abs=1e-10)
    basis().save(tmp_path / "basis.rho")
    with pytest.raises(TypeError, match=r"basis\.rho holds a basis, and a Potential is needed; fit one on it"):
        rb.ase.Calculator(tmp_path / "basis.rho")


def test_what_cannot_be_evaluated_is_refused(potential):
    with pytest.raises(rb.RhobasisError, match="Si is not among the species"):
        with_calculator(bulk("Si"), potential).get_potential_energy()
    with pytest.raises(rb.RhobasisError, match="skin = -1: must be zero or a positive number"):
        rb.ase.Calculator(potential, skin=-1.0)
    with pytest.raises(rb.NotFittedError):
        rb.ase.Calculator(rb.Potential(rb.PowerSpectrum(basis()), rb.Gap()))
    atoms = with_calculator(FRAMES[0], potential)
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(rb.RhobasisError, match=r"atom \d"):
        atoms.get_forces()
    atoms.positions[1] += 1.0  # and goes on
    assert np.isfinite(atoms.get_forces()).all()


def test_a_call_costs_little_more_than_the_evaluation(potential):
    """Conversions are of arrays: no more than a millisecond beside what the library takes."""
    atoms = with_calculator(FRAMES[0].repeat((2, 2, 2)), potential)
    atoms.get_forces()
    frames = [atoms.copy() for _ in range(20)]
    for k, other in enumerate(frames):
        other.positions += 1e-4 * k
    start = time.perf_counter()
    for other in frames:
        potential.predict(other)
    alone = time.perf_counter() - start
    start = time.perf_counter()
    for other in frames:
        atoms.positions = other.positions
        atoms.get_forces()
    assert time.perf_counter() - start < 1.5 * alone + 20 * 2e-3


def test_only_the_calculator_needs_ase():
    code = "import sys, rhobasis; assert 'ase' not in sys.modules; rhobasis.ase.Calculator; assert 'ase' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    blocked = (
        "import sys; sys.modules['ase'] = None; import rhobasis\ntry: rhobasis.ase\nexcept ImportError as e: print(e)"
    )
    words = subprocess.run([sys.executable, "-c", blocked], check=True, capture_output=True, text=True).stdout
    assert "pip install 'rhobasis[ase]'" in words


def test_results_are_of_the_last_calculation_alone(potential):
    """ASE resets a calculator that it asks itself; who calls `calculate` gets the same."""
    calculator = rb.ase.Calculator(potential)
    calculator.calculate(FRAMES[0])
    assert set(calculator.results) == {"energy", "free_energy", "energies", "forces", "stress"}
    calculator.calculate(Atoms("Cu2", positions=[[0, 0, 0], [0, 1, 2.3]]))
    assert set(calculator.results) == {"energy", "free_energy", "energies", "forces"}
    assert calculator.results["forces"].shape == (2, 3)
    calculator.calculate(FRAMES[0])
    with pytest.raises(rb.RhobasisError):
        calculator.calculate(bulk("Si"))
    assert calculator.results == {}
    with pytest.raises(TypeError, match="not None: nothing was calculated before"):
        rb.ase.Calculator(potential).calculate()


def test_the_skin_can_be_set_and_shows(potential):
    calculator = rb.ase.Calculator(potential)
    assert (calculator.skin, calculator.name, calculator.todict()) == (0.3, "rhobasis", {})
    atoms = FRAMES[0].copy()
    atoms.calc = calculator
    energy = atoms.get_potential_energy()
    driver = calculator._driver
    assert calculator.set(skin=1.0) == {"skin": 1.0}
    assert calculator._driver is not driver  # whose list had the old one
    assert calculator.set(skin=1.0) == {}
    assert (calculator.skin, calculator.todict()) == (1.0, {"skin": 1.0})
    assert calculator.results["energy"] == energy  # does not depend on it
    other = copy.copy(calculator)
    other.skin = 0.5
    assert (calculator.skin, other.skin, pickle.loads(pickle.dumps(other)).skin) == (1.0, 0.5, 0.5)
    with pytest.raises(rb.RhobasisError, match="skin = -1: must be zero or a positive number"):
        calculator.set(skin=-1.0)
    with pytest.raises(TypeError, match=r"^sikn: only skin can be set; for another potential, make another Calculator"):
        calculator.set(sikn=1.0)
    assert calculator.skin == 1.0


def test_what_is_not_implemented_is_refused_as_in_ase(potential):
    atoms = with_calculator(FRAMES[0], potential)
    for name in ("dipole", "magmom", "charges", "magmoms"):
        with pytest.raises(PropertyNotImplementedError):
            atoms.calc.get_property(name, atoms)
    assert atoms.calc.get_property("energy", atoms, allow_calculation=False) is None
    assert atoms.calc.calculation_required(atoms, ["energy"])
    atoms.get_potential_energy()
    assert not atoms.calc.calculation_required(atoms, ["energy", "forces", "stress"])
    atoms.set_initial_magnetic_moments([1.0] * len(atoms))  # no part of the model
    assert atoms.calc.check_state(atoms) == []
    atoms.positions[0] += 0.1
    assert atoms.calc.check_state(atoms) == ["positions"]


def test_results_can_be_changed_without_harm(potential):
    atoms = with_calculator(FRAMES[0], potential)
    forces = atoms.get_forces()
    kept = forces.copy()
    forces += 1.0
    np.testing.assert_array_equal(atoms.get_forces(), kept)


@pytest.mark.parametrize("name", ["a.traj", "a.db", "a.xyz", "a.json"])
def test_ase_writes_results(potential, name):
    atoms = with_calculator(FRAMES[0], potential, skin=0.5)
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    ase.io.write(name, atoms)
    back = ase.io.read(name)
    assert back.get_potential_energy() == pytest.approx(energy, abs=1e-7)
    np.testing.assert_allclose(back.get_forces(), forces, atol=1e-7)
    np.testing.assert_allclose(back.get_stress(), stress, atol=1e-7)
    (ours,) = rb.read(name)
    assert ours.info["energy"] == back.get_potential_energy()
    if name == "a.db":
        row = next(ase.db.connect(name).select())
        assert (row.calculator, row.calculator_parameters) == ("rhobasis", {"skin": 0.5})


def test_one_calculator_serves_all_images_of_a_band(potential):
    initial = bulk("Cu", cubic=True).repeat((2, 1, 1))
    del initial[0]
    final = initial.copy()
    final.positions[0] = [0.0, 0.0, 0.0]
    calculator = rb.ase.Calculator(potential)
    images = [initial, initial.copy(), final]
    for image in images:
        image.calc = calculator
    band = NEB(images, allow_shared_calculator=True)
    band.interpolate(mic=True)
    forces = band.get_forces()
    band.images[1].calc = rb.ase.Calculator(potential)
    np.testing.assert_allclose(forces, band.get_forces(), rtol=0, atol=1e-9)
    with BFGS(band, logfile=None) as relaxation:
        relaxation.run(fmax=0.5, steps=3)


def test_images_that_share_a_calculator_have_a_list_each(potential):
    """Neither is one made anew at each turn, nor does another image's change the numbers."""
    rng = np.random.default_rng(8)
    images = [bulk("Cu", cubic=True) for _ in range(6)]
    for k, image in enumerate(images):
        image.positions[0] += 0.3 * k
    shared = rb.ase.Calculator(potential)
    alone = [rb.ase.Calculator(potential) for _ in images]
    for _ in range(10):
        for image, own in zip(images, alone, strict=True):
            image.positions += rng.normal(scale=0.003, size=(4, 3))
            image.calc = shared
            energy, forces = image.get_potential_energy(), image.get_forces()
            image.calc = own
            assert energy == pytest.approx(image.get_potential_energy(), abs=1e-9)
            np.testing.assert_allclose(forces, image.get_forces(), rtol=0, atol=1e-9)
    assert shared._driver.lists_made() == len(images)


def test_constraints_hold_in_a_relaxation(potential):
    atoms = with_calculator(bulk("Cu", cubic=True), potential)
    atoms.rattle(0.05, seed=1)
    atoms.set_constraint(FixAtoms([0]))
    rb.write("start.xyz", atoms)
    read = with_calculator(rb.read("start.xyz", 0), potential)
    before = read.positions.copy()
    with BFGS(read, logfile=None) as relaxation:
        relaxation.run(fmax=0.05, steps=20)
    np.testing.assert_array_equal(read.positions[0], before[0])
    assert abs(read.positions[1:] - before[1:]).max() > 1e-3


def test_uncertainties_are_among_the_results_if_asked_for(potential):
    atoms = with_calculator(FRAMES[3], potential, uncertainty=True)
    without = with_calculator(FRAMES[3], potential)
    assert atoms.get_potential_energy() == without.get_potential_energy()
    np.testing.assert_array_equal(atoms.get_forces(), without.get_forces())
    expected = potential.predict([FRAMES[3]], uncertainty=True)
    for calculator in (atoms.calc, copy.deepcopy(atoms.calc), pickle.loads(pickle.dumps(atoms.calc))):
        calculator.calculate(atoms)
        assert calculator.results["energy_std"] == pytest.approx(expected.energy_uncertainties[0])
        np.testing.assert_allclose(calculator.results["extrapolation"], expected.extrapolation[0], rtol=1e-9)
        np.testing.assert_allclose(calculator.get_forces_std(atoms), expected.forces_uncertainties[0])
    assert "energy_std" not in without.calc.results


def test_a_calculator_with_uncertainties_wants_a_potential_that_knows_them():
    soap = rb.PowerSpectrum(basis())
    with pytest.raises(rb.RhobasisError, match="knows none that is calibrated"):
        rb.ase.Calculator(rb.Potential(soap, rb.KernelRidge(alpha=1.0)).fit(FRAMES), uncertainty=True)
    few = rb.Potential(soap, rb.Ridge(alpha=1e-10)).fit(FRAMES[:5])
    with pytest.raises(rb.RhobasisError, match="knows none that is calibrated"):
        rb.ase.Calculator(few, uncertainty=True)


def test_stresses_of_atoms_add_up_to_the_stress_and_are_those_of_their_virials(potential):
    atoms = with_calculator(FRAMES[3], potential)
    stresses = atoms.get_stresses()
    assert stresses.shape == (4, 6)
    np.testing.assert_allclose(stresses.sum(axis=0), atoms.get_stress(), rtol=0, atol=1e-14)
    assert len({np.round(s[0], 6) for s in stresses}) == 4
    # Of two atoms that see nothing else each contributes half.
    alone = Atoms("Cu2", [[5, 5, 5], [5.3, 6.1, 7.2]], cell=[11, 12, 13], pbc=True)
    dimer = with_calculator(alone, potential)
    halves = dimer.get_stresses()
    np.testing.assert_allclose(halves[0], halves[1], rtol=0, atol=1e-13)
    np.testing.assert_allclose(halves[0], dimer.get_stress() / 2, rtol=0, atol=1e-13)
    assert abs(halves).max() > 1e-6
    force, apart = dimer.get_forces()[1], dimer.positions[1] - dimer.positions[0]
    by_hand = -np.outer(apart, force)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / dimer.get_volume()
    np.testing.assert_allclose(dimer.get_stress(), by_hand, rtol=0, atol=1e-12)


def test_stresses_of_atoms_are_there_if_asked_for(potential):
    atoms = with_calculator(FRAMES[3], potential)
    atoms.get_forces()
    assert "stresses" not in atoms.calc.results
    first = atoms.get_stresses()
    assert {"stresses", "stress", "forces", "energy"} <= set(atoms.calc.results)
    np.testing.assert_array_equal(atoms.get_stresses(), first)
    atoms.pbc = [True, True, False]
    with pytest.raises(PropertyNotImplementedError, match="stresses needs a cell that is periodic in all three"):
        atoms.get_stresses()


def test_ase_knows_the_calculator_by_its_name(potential, tmp_path, capsys):
    ours = rb.ase.Calculator
    assert get_calculator_class("rhobasis") is ours
    potential.save(tmp_path / "copper.rho")
    FRAMES[3].copy().write(tmp_path / "copper.xyz")
    run = ["run", "rhobasis", str(tmp_path / "copper.xyz"), "-p", f"potential={tmp_path / 'copper.rho'}"]
    main(args=[*run, "--after", "print(atoms.calc.name, atoms.get_potential_energy())"])
    name, energy = capsys.readouterr().out.split()[-2:]
    assert name == "rhobasis"
    assert float(energy) == pytest.approx(with_calculator(FRAMES[3], potential).get_potential_energy(), abs=1e-6)
