"""``python -m rhobasis._map``: what ``rhobasis map`` calls."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import RhobasisError
from .correlations import Bispectrum, PowerSpectrum, RadialSpectrum
from .extxyz import read
from .files import load
from .maps import chemiscope
from .optimal import OptimalBasis
from .potential import Potential

if TYPE_CHECKING:
    from ase import Atoms

    from .correlations import Invariants
    from .structure import Frames

    Properties = dict[str, np.ndarray | list[str]]

_KINDS = {"radial-spectrum": RadialSpectrum, "power-spectrum": PowerSpectrum, "bispectrum": Bispectrum}


def main(argv: list[str] | None = None) -> int:
    """Writes the page and returns the exit code."""
    args = _parser().parse_args(argv)
    warnings.showwarning = _show
    try:
        n_points = _draw(args)
    except (RhobasisError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{n_points:,} {args.of}\nwrote {args.output}")
    return 0


def _draw(args: argparse.Namespace) -> int:
    """The page; returns the number of points."""
    potential = _loaded(args.potential, Potential, "potential") if args.potential else None
    kinds = _kinds(args, potential)
    shown = not args.quiet and sys.stderr.isatty()
    frames = read(args.data, energy_key=args.energy_key, force_key=args.force_key, progress=shown)
    of_atoms = args.of == "atoms"
    how: dict[str, Any] = {"progress": shown, "reduce": None if of_atoms else "mean", "by_species": False}
    rows = np.concatenate([np.asarray(kind.transform(frames, **how)) for kind in kinds], axis=1)
    structures = list(frames)
    properties = _labels_of_atoms(structures) if of_atoms else _labels_of_frames(structures)
    if potential is not None:
        properties |= _predicted(potential, frames, structures, of_atoms)
    title = os.path.basename(args.data[0]) if args.title is None else args.title
    chemiscope(frames, rows, args.output, properties, title)
    return len(rows)


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning as the command has them."""
    print(f"warning: {message}", file=sys.stderr)


def _loaded(path: str, kind: type, name: str) -> Any:
    loaded = load(path)
    if not isinstance(loaded, kind):
        raise RhobasisError(f"{path}: holds {type(loaded).__name__}, which is no {name}; give a file of a {name}")
    return loaded


def _kinds(args: argparse.Namespace, potential: Potential | None) -> list[Invariants]:
    """The features whose principal components are the map."""
    if args.basis:
        basis = _loaded(args.basis, OptimalBasis, "basis")
        return [_KINDS[args.kind](basis, normalize=args.normalize)]
    assert potential is not None  # one of the two is required
    of_potential = potential.features_
    return of_potential if isinstance(of_potential, list) else [of_potential]


def _labels_of_atoms(structures: list[Atoms]) -> Properties:
    """What the data say of each atom, and of its frame."""
    sizes = [len(atoms) for atoms in structures]
    found: Properties = {"frame": np.repeat(np.arange(len(sizes)), sizes)}
    if structures and all("forces" in atoms.arrays for atoms in structures):
        found["labelled force, eV/Å"] = np.concatenate([_norms(atoms.arrays["forces"]) for atoms in structures])
    types = _types(structures)
    if types:
        found["config_type"] = list(np.repeat(types, sizes))
    return found


def _labels_of_frames(structures: list[Atoms]) -> Properties:
    """What the data say of each frame; its energy and config_type are on each map of frames anyway."""
    found: Properties = {"atoms": np.array([len(atoms) for atoms in structures])}
    energies = [atoms.info.get("energy") for atoms in structures]
    if all(isinstance(energy, (int, float)) for energy in energies) and all(found["atoms"]):
        found["labelled energy per atom, eV"] = np.array(energies, dtype=float) / found["atoms"]
    if structures and all("forces" in atoms.arrays for atoms in structures):
        found["labelled force (RMS), eV/Å"] = np.array([_rms(atoms.arrays["forces"]) for atoms in structures])
    return found


def _predicted(potential: Potential, frames: Frames, structures: list[Atoms], of_atoms: bool) -> Properties:
    """Energies, less those of the free atoms, and forces."""
    told, free = potential.predict(frames), potential.baseline_
    bound = [
        energies - np.array([free.get(int(z), 0.0) for z in atoms.numbers])
        for energies, atoms in zip(told.atom_energies, structures, strict=True)
    ]
    forces = told.forces or []
    if of_atoms:
        return {
            "energy less that of the free atom, eV": np.concatenate([np.empty(0), *bound]),
            "force, eV/Å": np.concatenate([np.empty(0), *map(_norms, forces)]),
        }
    return {
        "energy per atom less that of free atoms, eV": np.array([energies.mean() for energies in bound]),
        "force (RMS), eV/Å": np.array([_rms(of_frame) for of_frame in forces]),
    }


def _norms(forces: np.ndarray) -> np.ndarray:
    return np.linalg.norm(forces, axis=1)


def _rms(forces: np.ndarray) -> float:
    """Root mean square of the components."""
    return float(np.sqrt(np.mean(forces**2))) if len(forces) else 0.0


def _types(structures: list[Atoms]) -> list[str]:
    types = [atoms.info.get("config_type") for atoms in structures]
    return [str(of) for of in types] if all(isinstance(of, (str, int, float)) for of in types) else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rhobasis._map", description="a page with a map, see rhobasis map")
    parser.add_argument("data", nargs="+", help="files of structures")
    parser.add_argument("--basis", help="file of the basis whose features make the map")
    parser.add_argument("--potential", help="file of a potential")
    parser.add_argument("--output", required=True, help="the page")
    parser.add_argument("--of", choices=("atoms", "frames"), default="atoms", help="what the points are")
    parser.add_argument("--kind", choices=tuple(_KINDS), default="power-spectrum", help="features of the basis")
    parser.add_argument("--normalize", action="store_true", help="divide features by their norm")
    parser.add_argument("--title", help="of the page")
    parser.add_argument("--energy-key", help="of the data")
    parser.add_argument("--force-key", help="of the data")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


if __name__ == "__main__":
    sys.exit(main())
