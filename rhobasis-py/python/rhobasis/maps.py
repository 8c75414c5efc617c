"""Maps of structures and environments to look at, as pages that open from a file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._errors import RhobasisError
from .structure import Frames, as_native

if TYPE_CHECKING:
    from .structure import FramesLike, PathLike

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
html, body {{ height: 100%; margin: 0; overflow: hidden; font-family: sans-serif; }}
#page {{ display: grid; grid-template: minmax(0, 1fr) auto / 1fr 1fr; gap: 4px; height: 100%; }}
#page > div {{ position: relative; min-width: 0; min-height: 0; }}
#info {{ grid-column: 1 / 3; }}
#meta {{ position: absolute !important; display: none; }}
#error {{ color: #a00; padding: 1em; }}
</style>
</head>
<body>
<div id="page"><div id="map"></div><div id="structure"></div><div id="info"></div></div>
<div id="meta"></div><div id="error"></div>
<script>{script}</script>
<script type="application/json" id="data">{data}</script>
<script>
const names = {{ map: "map", structure: "structure", info: "info", meta: "meta" }};
const data = JSON.parse(document.getElementById("data").textContent);
Chemiscope.DefaultVisualizer.load(names, data, new Chemiscope.Warnings()).catch((error) => {{
    document.getElementById("error").textContent = error.toString();
}});
</script>
</body>
</html>
"""


def chemiscope(
    frames: FramesLike,
    features: ArrayLike,
    path: PathLike = "map.html",
    properties: Mapping[str, ArrayLike] | None = None,
    name: str = "map",
) -> None:
    """Writes a page with a map of atoms, or of structures, beside the structures: click on a point to see it.

    The map shows the leading principal components of `features`, at most three. The page holds data and the viewer
    chemiscope, needs no network, and takes 3 MB and what the structures take.

    Parameters
    ----------
    frames : Frames, Atoms, list of Atoms, or file names
        The structures.
    features : array_like [atom, feature] or [frame, feature]
        A row for each atom of all frames, in their order, for a map of environments; or one for each frame. With two or
        three columns they are the coordinates of the map as they are.
    path : path
        The page, by default ``map.html``. It appears complete or not at all.
    properties : dict of array_like, optional
        What points can be coloured by, besides: a number or a text for each row of `features`. Species of atoms,
        energies and ``config_type`` of frames are there without asking.
    name : str, default "map"
        Title of the page.

    Raises
    ------
    RhobasisError
        If rows are neither as many as atoms nor as frames, or are not finite numbers.
    ImportError
        Without the package chemiscope, ``rhobasis[maps]``.

    Examples
    --------
    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> frames = [molecule(name) for name in ("H2O", "CH4", "NH3", "CH3OH")]
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=1, q_max=1).fit(frames)
    >>> rb.chemiscope(frames, rb.PowerSpectrum(basis).transform(frames), "molecules.html")
    """
    try:
        import chemiscope as package
    except ImportError as error:
        raise ImportError("chemiscope is needed to write a map; pip install 'rhobasis[maps]'") from error
    given = Frames(as_native(frames, everything=True, lenient=True))
    structures = list(given)
    rows = _rows(features)
    n_atoms = sum(given.n_atoms)
    if len(rows) not in (n_atoms, len(given)):
        raise RhobasisError(
            f"features = {len(rows)} rows: {n_atoms} atoms or {len(given)} frames are to be mapped; give a row for each"
        )
    target = "structure" if len(rows) == len(given) else "atom"
    found: dict[str, Any] = {
        f"map {k + 1}": {"target": target, "values": column} for k, column in enumerate(_coordinates(rows).T)
    }
    for key in ("energy", "config_type"):
        values = [atoms.info.get(key) for atoms in structures]
        if target == "structure" and all(isinstance(value, (str, int, float)) for value in values):
            found[key] = {"target": target, "values": values}
    if target == "atom":
        symbols = [symbol for atoms in structures for symbol in atoms.get_chemical_symbols()]
        found["species"] = {"target": target, "values": symbols}
    for key, values in (properties or {}).items():
        listed = np.asarray(values)
        if listed.shape != (len(rows),):
            raise RhobasisError(
                f"properties[{key!r}] has shape {listed.shape}: one value is needed for each of {len(rows)} rows"
            )
        found[key] = {"target": target, "values": listed.tolist() if listed.dtype.kind in "US" else listed}
    data = package.create_input(
        structures=structures,
        properties=found,
        environments=package.all_atomic_environments(structures) if target == "atom" else None,
        metadata={"name": name},
        settings={
            "structure": [{"unitCell": any(atoms.pbc.any() for atoms in structures)}],
            "map": {"symbol": "species"} if target == "atom" else {},
        },
    )
    script = resources.files(package) / "sphinx" / "static" / "chemiscope.min.js"
    if not script.is_file():
        raise ImportError(
            f"chemiscope {package.__version__} comes without its viewer, {script}; install chemiscope 1.1"
        )
    inside = {"script": _in_script(script.read_text("utf-8")), "data": json.dumps(data).replace("<", "\\u003c")}
    _write(path, _PAGE.format(title=escape(name), **inside))


def _rows(features: ArrayLike) -> np.ndarray:
    rows: np.ndarray = np.empty(0)
    with suppress(TypeError, ValueError):  # refused below, in words
        rows = np.asarray(features, dtype=float)
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise RhobasisError(
            f"features of shape {np.shape(features)}: a matrix of numbers with two columns or more is needed; give a "
            "row for each atom, or for each frame"
        )
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise RhobasisError(f"features: row {row} holds a number that is not finite; leave its structure out")
    return rows


def _coordinates(rows: np.ndarray) -> np.ndarray:
    """Two or three columns as they are; of more, the leading principal components."""
    if rows.shape[1] <= 3:
        return rows
    centred = rows - rows.mean(axis=0)
    if len(rows) > rows.shape[1]:
        _, vectors = np.linalg.eigh(centred.T @ centred)
        found = centred @ vectors[:, ::-1][:, :3]
    else:
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        found = (u * s)[:, :3]
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])  # else they differ by platform
    return found * np.where(signs == 0, 1.0, signs)


def _in_script(text: str) -> str:
    """JavaScript that no HTML parser takes for the end of its element, or for a comment."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _write(path: PathLike, text: str) -> None:
    """Under another name first, so that there is never half a page."""
    target = os.path.abspath(os.fspath(path))
    number, partial = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".map-", suffix=".html")
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(partial, 0o644)
        os.replace(partial, target)
    except BaseException:
        os.unlink(partial)
        raise
