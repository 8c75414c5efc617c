"""Potentials in i-PI, by its own program: over sockets, inside of it, and through its own driver."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from rhobasis.ipi import ANGSTROM, ELECTRON_VOLT

BIN = Path(sys.executable).parent
SECONDS = 60

#: Steps of a simulation, with all digits of what i-PI has of each: the program prints a few of them only.
STEPS = """
import sys
import numpy as np
from ipi.utils.depend import dstrip
from ipi.utils.scripting import InteractiveSimulation
from ipi.utils.softexit import softexit
simulation = InteractiveSimulation(open("input.xml").read())
steps = []
for _ in range(int(sys.argv[1])):
    simulation.run(1)
    system = simulation.syslist[0]
    forces = system.forces
    step = {"q": system.beads.q, "h": system.cell.h, "pots": forces.pots, "f": forces.f, "virs": forces.virs}
    steps.append({key: dstrip(value).copy() for key, value in step.items()})
np.savez("steps.npz", **{key: np.array([step[key] for step in steps]) for key in steps[0]})
np.save("extras.npy", forces.extras.get("energies", []))
softexit.trigger(status="success", message="done")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A potential of copper, and a rattled cell."""
    folder = tmp_path_factory.mktemp("ipi")
    rng = np.random.default_rng(5)
    frames = []
    for k in range(12):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell.array * (1 + 0.02 * (k % 5 - 2)), True)
        atoms.positions += rng.normal(scale=0.1, size=(4, 3))
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    basis = rb.OptimalBasis(rb.Density(r_cut=4.0, sigma=0.5), rb.Gto(n_max=5), l_max=2, q_max=3).fit(frames)
    rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(alpha=1e-8)).fit(frames).save(folder / "cu.rho")
    start = bulk("Cu", cubic=True).repeat((2, 1, 1))
    start.set_cell(start.cell.array + np.array([[0, 0, 0], [0.2, 0, 0], [0.1, 0.3, 0]]), True)
    start.rattle(0.05, seed=1)
    rb.write(folder / "start.xyz", start)
    (folder / "steps.py").write_text(STEPS)
    return folder


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def name():
    return f"rhobasis_{uuid.uuid4().hex[:12]}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def write_input(forcefield, n_beads=1, motion="nve", steps=3):
    thermostat = "<thermostat mode='pile_g'><tau units='femtosecond'> 50 </tau></thermostat>"
    barostat = f"<barostat mode='isotropic'><tau units='femtosecond'> 50 </tau>{thermostat}</barostat>"
    barostat = barostat.replace("pile_g", "langevin")
    extra = {"nve": "", "nvt": thermostat, "npt": thermostat + barostat}[motion]
    Path("input.xml").write_text(f"""
<simulation verbosity='low'>
  <output prefix='run'>
    <properties stride='1' filename='out'> [step, conserved{{electronvolt}}, potential{{electronvolt}}] </properties>
  </output>
  <total_steps> {steps} </total_steps>
  <prng><seed> 7 </seed></prng>
  {forcefield}
  <system>
    <initialize nbeads='{n_beads}'>
      <file mode='ase'> start.xyz </file>
      <velocities mode='thermal' units='kelvin'> 600 </velocities>
    </initialize>
    <forces><force forcefield='rho'/></forces>
    <motion mode='dynamics'>
      <dynamics mode='{motion}'><timestep units='femtosecond'> 2 </timestep>{extra}</dynamics>
    </motion>
    <ensemble>
      <temperature units='kelvin'> 600 </temperature><pressure units='gigapascal'> 5 </pressure>
    </ensemble>
  </system>
</simulation>""")


def start(*arguments):
    return subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def client(*arguments, potential="cu.rho", template="start.xyz"):
    code = "from rhobasis._cli import main; main()"
    return start(sys.executable, "-c", code, "ipi", potential, "--template", template, *arguments)


def ended(process, code=0):
    """What it printed, and what on standard error."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it goes on: {process.communicate()}")
    assert process.returncode == code, (out, err)
    return out, err


def simulate(steps=3):
    return start(sys.executable, "steps.py", steps)


def check_steps():
    """Energies, forces and virials of each bead and step are those of the calculator for ASE."""
    template = rb.read("start.xyz", 0)
    template.calc = rb.ase.Calculator("cu.rho")
    steps = np.load("steps.npz")
    n_steps, n_beads = steps["pots"].shape
    for k in range(n_steps):
        template.set_cell(steps["h"][k].T / ANGSTROM)
        for bead in range(n_beads):
            template.positions = steps["q"][k, bead].reshape(-1, 3) / ANGSTROM
            energy = template.get_potential_energy() * ELECTRON_VOLT
            assert steps["pots"][k, bead] == pytest.approx(energy, rel=1e-10)
            forces = template.get_forces() * ELECTRON_VOLT / ANGSTROM
            np.testing.assert_allclose(steps["f"][k, bead].reshape(-1, 3), forces, rtol=0, atol=1e-10)
            virial = -template.get_stress(voigt=False) * template.get_volume() * ELECTRON_VOLT
            np.testing.assert_allclose(np.triu(steps["virs"][k, bead]), np.triu(virial), rtol=0, atol=1e-10)
    return steps


needs_ipi = pytest.mark.skipif(not (BIN / "i-pi").exists(), reason="i-PI is not installed")


def unix_socket(address, more=""):
    return f"<ffsocket name='rho' mode='unix'{more}><address> {address} </address>"


@needs_ipi
@pytest.mark.parametrize("kind", ["unix", "inet"])
@pytest.mark.parametrize(("n_beads", "motion"), [(1, "nve"), (16, "nvt")])
def test_the_client_says_what_the_calculator_for_ase_says(here, kind, n_beads, motion):
    if kind == "unix":
        address = name()
        forcefield, where = unix_socket(address), ["--unix", address]
    else:
        port = free_port()
        forcefield = f"<ffsocket name='rho' mode='inet'><address> localhost </address><port> {port} </port>"
        where = ["--port", port]
    write_input(forcefield + "</ffsocket>", n_beads, motion)
    server, client_ = simulate(), client(*where)
    ended(server)
    out, _ = ended(client_)
    assert "said EXIT" in out
    steps = check_steps()
    assert np.ptp(steps["q"], axis=0).max() > 1e-3  # atoms do move
    if n_beads > 1:
        assert np.ptp(steps["q"], axis=1).max() > 1e-2  # and beads differ


@needs_ipi
def test_a_cell_that_changes_and_the_virial_that_moves_it(here):
    address = name()
    write_input(unix_socket(address) + "</ffsocket>", motion="npt")
    server, client_ = simulate(), client("--unix", address, "--extras", "energies")
    ended(server)
    ended(client_)
    steps = check_steps()
    assert np.ptp(steps["h"], axis=0).max() > 1e-4
    assert np.load("extras.npy").sum() * ELECTRON_VOLT == pytest.approx(steps["pots"][-1, 0])


@needs_ipi
def test_beads_in_batches_and_separate_messages_give_the_same(here):
    found = []
    for more in ("<batch_size> 4 </batch_size>", "<consolidate_messages> False </consolidate_messages>"):
        address = name()
        write_input(unix_socket(address) + more + "</ffsocket>", n_beads=6, motion="nvt")
        server, client_ = simulate(2), client("--unix", address)
        ended(server)
        ended(client_)
        found.append(check_steps())
    np.testing.assert_allclose(found[0]["f"], found[1]["f"], rtol=0, atol=1e-10)


def parameters():
    return "{potential: cu.rho, template: start.xyz, extras: energies}"


@needs_ipi
def test_inside_of_ipi_it_is_the_same(here):
    pes = f"<pes> custom </pes><pes_path> {rb.ipi.pes_path()} </pes_path><parameters> {parameters()} </parameters>"
    write_input(f"<ffdirect name='rho'>{pes}</ffdirect>", n_beads=4, motion="nvt")
    ended(simulate())
    check_steps()
    assert np.load("extras.npy").shape == (4, 8)


@needs_ipi
def test_the_driver_of_ipi_takes_the_same_file(here):
    address = name()
    write_input(unix_socket(address) + "</ffsocket>")
    server = simulate()
    wait_for(Path(f"/tmp/ipi_{address}"))
    options = ["-m", "custom", "-P", rb.ipi.pes_path(), "-o", "potential=cu.rho,template=start.xyz"]
    driver = start(sys.executable, BIN / "i-pi-py_driver", "-u", "-a", address, *options)
    ended(server)
    ended(driver)
    check_steps()


def wait_for(path):
    end = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)


@needs_ipi
def test_a_server_that_is_killed_ends_the_client_soon_and_in_words(here):
    address = name()
    write_input(unix_socket(address) + "</ffsocket>", steps=10**6)
    server = start(sys.executable, BIN / "i-pi", "input.xml")
    client_ = client("--unix", address)
    end = time.monotonic() + SECONDS
    while not (Path("run.out").exists() and len(Path("run.out").read_text().splitlines()) > 8):
        assert time.monotonic() < end
        assert (server.poll(), client_.poll()) == (None, None)
        time.sleep(0.05)
    server.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    _, err = ended(client_, code=1)
    assert time.monotonic() - killed < 5
    assert f"/tmp/ipi_{address}: the server closed the connection without EXIT, after" in err
    server.communicate()
    Path(f"/tmp/ipi_{address}").unlink()


@needs_ipi
def test_parameters_that_cannot_be_meant_are_refused_in_words(here):
    rb.write("oxygen.xyz", Atoms("O"))
    files = {"potential": "cu.rho", "template": "start.xyz"}
    cases = [
        ({"potential": "cu.rho"}, "template missing; give parameters"),
        (files | {"extra": "energies"}, "extra: no such parameter; there are extras, potential, skin, template"),
        (files | {"extras": "dipole"}, "there is no such extra; give energies or uncertainty or extrapolation"),
        (files | {"potential": "none.rho"}, "none.rho"),
        (files | {"template": "oxygen.xyz"}, "O is not among the species"),
    ]
    code = f"""
from ipi.pes import load_pes
for parameters in {[parameters for parameters, _ in cases]!r}:
    try:
        load_pes("custom", {rb.ipi.pes_path()!r})(**parameters)
    except Exception as error:
        print(type(error), error)
"""
    told = ended(start(sys.executable, "-c", code))[0].splitlines()
    for (_, words), line in zip(cases, told, strict=True):
        assert words in line


def test_the_evaluator_needs_no_ipi_and_knows_its_template(here):
    atoms = rb.read("start.xyz", 0)
    evaluator = rb.ipi.Evaluator("cu.rho", "start.xyz", extras=["energies", "uncertainty", "extrapolation"])
    energy, forces, virial, extras = evaluator.evaluate(atoms.cell.array.T * ANGSTROM, atoms.positions * ANGSTROM)
    told = rb.load("cu.rho").predict(atoms, uncertainty=True)
    assert energy == pytest.approx(told.energies[0] * ELECTRON_VOLT, rel=1e-10)
    np.testing.assert_allclose(forces, told.forces[0] * ELECTRON_VOLT / ANGSTROM, rtol=0, atol=1e-10)
    np.testing.assert_allclose(virial, told.virials[0] * ELECTRON_VOLT, rtol=0, atol=1e-10)
    extras = json.loads(extras)
    np.testing.assert_allclose(extras["energies"], told.atom_energies[0], rtol=0, atol=1e-8)
    assert extras["energy_uncertainty"] == pytest.approx(told.energy_uncertainties[0], rel=1e-6)
    np.testing.assert_allclose(extras["extrapolation"], told.extrapolation[0], rtol=1e-6)
    with pytest.raises(rb.RhobasisError, match="positions of 2 atoms, and the template has 8"):
        evaluator.evaluate(np.eye(3), np.zeros((2, 3)))
    with pytest.raises(rb.RhobasisError, match="atom 3"):
        evaluator.evaluate(atoms.cell.array.T * ANGSTROM, np.where(np.arange(24) == 10, np.nan, 1.9 * np.arange(24)))
    Path("ipi.xyz").write_text("1\n# CELL(abcABC): 10 10 10 90 90 90 cell{angstrom}\nCu 0 0 0\n")
    with pytest.raises(rb.RhobasisError, match="the cell is in a comment of i-PI, and would not be seen"):
        rb.ipi.Evaluator("cu.rho", "ipi.xyz")


def test_beads_of_one_evaluator_have_a_list_each(here):
    rng = np.random.default_rng(3)
    evaluator = rb.ipi.Evaluator("cu.rho", "start.xyz")
    atoms = rb.read("start.xyz", 0)
    beads = [atoms.positions + rng.normal(scale=0.3, size=(8, 3)) for _ in range(16)]
    for _ in range(5):
        for bead in beads:
            evaluator.evaluate(atoms.cell.array.T * ANGSTROM, bead * ANGSTROM)
    assert evaluator._driver.lists_made() == 1 + 16  # one of the template


def test_without_ipi_the_file_says_what_is_missing(here):
    code = f"""
import runpy, sys
sys.modules["ipi"] = None
try:
    runpy.run_path({rb.ipi.pes_path()!r})
except ImportError as error:
    print(error)
"""
    assert "pip install ipi" in ended(start(sys.executable, "-c", code))[0]
