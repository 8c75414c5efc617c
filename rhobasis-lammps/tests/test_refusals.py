"""What cannot be right ends at once, on all processes, with words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import HEAD, PACKAGE, Engine, silicon
from rhobasis_lammps import _build, _engine, folder

BODY = "pair_style rhobasis\npair_coeff * * MODEL Si\nmass 1 28\nrun 0\n"
SCRIPT = HEAD + BODY

REFUSED = {
    "units": (("units metal", "units real"), "it needs 'units metal', not 'real'"),
    "newton": (("newton on", "newton off"), "it needs 'newton on'"),
    "arguments": (("pair_style rhobasis", "pair_style rhobasis si.rho"), "takes no arguments"),
    "no element": (("MODEL Si", "MODEL"), "pair_coeff * * model.rho Si C"),
    "too many elements": (("MODEL Si", "MODEL Si Si"), "Number of element to type mappings"),
    "unknown element": (("MODEL Si", "MODEL Ge"), "element = Ge: the potential was trained on Si only"),
    "no element of this name": (("MODEL Si", "MODEL Sii"), "element = Sii: "),
    "missing file": (("MODEL Si", "none.rho Si"), "none.rho: no such file"),
    "other file": (("MODEL Si", "atoms.data Si"), "atoms.data: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str, models: dict[str, Path], engine: Callable[..., Engine]) -> None:
    (old, new), expected = REFUSED[case]
    assert old in SCRIPT
    ran = engine(silicon(), ["Si"]).start(SCRIPT.replace(old, new).replace("MODEL", str(models["linear"])))
    said = " ".join((ran.stdout + ran.stderr).split())  # LAMMPS breaks lines
    assert ran.returncode != 0
    assert expected in said, said[-1500:]


def test_a_damaged_file_is_refused_by_all_processes_at_once(
    models: dict[str, Path], engine: Callable[..., Engine]
) -> None:
    atoms = engine(silicon(), ["Si"])
    damaged = bytearray(models["linear"].read_bytes())
    damaged[-100] ^= 1
    (atoms.home / "damaged.rho").write_bytes(damaged)
    ran = atoms.start(SCRIPT.replace("MODEL", "damaged.rho"), ranks=3)
    said = " ".join((ran.stdout + ran.stderr).split())
    assert ran.returncode != 0
    assert said.count("ERROR: Pair style rhobasis: damaged.rho: its content is not what was written") == 1, said[-500:]


def test_atoms_in_one_place_end_the_run_and_are_named(models: dict[str, Path], engine: Callable[..., Engine]) -> None:
    atoms = silicon()
    atoms.positions[6] = atoms.positions[2] + np.array([0, 0, 1e-5])
    here = engine(atoms, ["Si"])
    for _ in range(5):  # one process ends all, and MPI may do so before what it has said is passed on
        ran = here.start(SCRIPT.replace("MODEL", str(models["linear"])), ranks=3)
        said = " ".join((ran.stdout + ran.stderr).split())
        assert ran.returncode != 0
        if "ERROR" in said:
            break
    assert "Å apart" in said, said[-1500:]
    assert "has the ID 3 in LAMMPS" in said or "has the ID 7 in LAMMPS" in said


def test_a_plugin_for_another_lammps_does_not_offer_its_style(
    tmp_path: Path,
    models: dict[str, Path],
    engine: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    release = _engine.Release("29 Aug 2024", "", "LAMMPS_SMALLBIG")
    assert release.number == 20240829
    monkeypatch.setattr(_engine, "release", lambda _: release)
    plugin = _build.build(output=tmp_path / "other")
    assert f"wrote {plugin}, for LAMMPS 29 Aug 2024" in capfd.readouterr().out
    script = f"plugin clear\nplugin load {plugin}\n" + SCRIPT.replace("MODEL", str(models["linear"]))
    ran = engine(silicon(), ["Si"]).start(script, ranks=2)
    said = " ".join((ran.stdout + ran.stderr).split())
    assert ran.returncode != 0
    warning = "its plugin was built for LAMMPS 29 Aug 2024 and this is 20250722; build it for this one"
    assert said.count(warning) == 1, said[-1500:]
    assert "Unrecognized pair style 'rhobasis'" in said


def test_lammps_finds_the_plugin_by_itself() -> None:
    listed = (PACKAGE / "pyproject.toml").read_text()
    assert '[project.entry-points."lammps.plugins"]\nrhobasis = "rhobasis_lammps:folder"' in listed
    assert (Path(folder()) / _build.NAME).exists()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        command = [sys.executable, "-m", "rhobasis_lammps", *arguments]
        paths = f"{PACKAGE}:{os.environ.get('PYTHONPATH', '')}"
        environment = {**os.environ, "PYTHONPATH": paths, "CXX": "no-such-compiler"}
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert ran.returncode == 1
        return ran.stderr

    assert "in.none: there is no such file" in said("run", "in.none")
    assert "has no pair.h" in said("build", "--lammps-headers", str(tmp_path))
    assert "there is no compiler no-such-compiler" in said("build", "-o", str(tmp_path))
    (tmp_path / "pair.h").touch()
    headers = ("build", "--lammps-headers", str(tmp_path))
    assert "has no version.h, which says the release" in said(*headers)
    assert "name another by --lmp" in said(*headers, "--lmp", str(tmp_path / "lmp"))
    assert "does not say which LAMMPS it is" in said(*headers, "--lmp", "/bin/true")
    assert "name the folder of its headers too" in said("build", "--lmp", "/bin/true")
    (tmp_path / "version.h").write_text('#define LAMMPS_VERSION "2 Aug 2023"\n')
    lmp = str(_engine.executable())
    assert "is of 2 Aug 2023, and" in said(*headers, "--lmp", lmp)
