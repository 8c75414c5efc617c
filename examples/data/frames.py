"""Extended XYZ packed with xz, written and read by the scripts beside this file."""

import lzma
import shlex

import numpy as np


def number(x, decimals=8):
    """A number with at most `decimals` decimals, without trailing zeros."""
    text = f"{x:.{decimals}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def numbers(array, decimals=8):
    return " ".join(number(x, decimals) for x in np.ravel(array))


def text_of(frame, decimals=8):
    """One frame as extended XYZ, with so many decimals for positions and forces (all else has eight).

    `frame` has `symbols`, `positions`, `forces` (absent: no such column), `pbc`, `cell` (absent: no Lattice) and
    `info`, whose entries are strings, numbers or arrays.
    """
    comment = [] if frame.get("cell") is None else [f'Lattice="{numbers(frame["cell"])}"']
    comment.append("Properties=species:S:1:pos:R:3" + (":forces:R:3" if "forces" in frame else ""))
    for key, value in frame["info"].items():
        if isinstance(value, str):
            comment.append(f'{key}="{value}"' if any(c in value for c in ' "=[]()#\\') else f"{key}={value}")
        else:
            comment.append(f"{key}={number(value)}" if np.ndim(value) == 0 else f'{key}="{numbers(value)}"')
    comment.append('pbc="{}"'.format(" ".join("T" if p else "F" for p in frame["pbc"])))
    columns = [frame["positions"]] + ([frame["forces"]] if "forces" in frame else [])
    rows = [f"{s} {numbers(row, decimals)}" for s, row in zip(frame["symbols"], np.hstack(columns), strict=True)]
    return "\n".join([str(len(rows)), " ".join(comment), *rows]) + "\n"


def write(path, frames, decimals=8):
    text = "".join(text_of(frame, decimals) for frame in frames)
    packed = lzma.compress(text.encode("ascii"), preset=9 | lzma.PRESET_EXTREME)
    with open(path, "wb") as file:
        file.write(packed)
    atoms = sum(len(frame["symbols"]) for frame in frames)
    print(f"{path.name}: {len(frames)} frames, {atoms} atoms, {len(packed)} bytes", flush=True)


def read(path):
    """The frames of a file that `write` made."""
    with lzma.open(path, "rt") as file:
        lines = file.read().splitlines()
    frames, at = [], 0
    while at < len(lines):
        n = int(lines[at])
        info = dict(item.split("=", 1) for item in shlex.split(lines[at + 1].replace("\\", "\\\\")))
        rows = [line.split() for line in lines[at + 2 : at + 2 + n]]
        values = np.array([row[1:] for row in rows], dtype=float)
        frame = {"symbols": [row[0] for row in rows], "positions": values[:, :3]}
        frame["pbc"] = np.array([flag == "T" for flag in info.pop("pbc").split()])
        if "forces" in info.pop("Properties"):
            frame["forces"] = values[:, 3:]
        if "Lattice" in info:
            frame["cell"] = np.array(info.pop("Lattice").split(), dtype=float).reshape(3, 3)
        for key in ("energy", "temperature"):
            if key in info:
                info[key] = float(info[key])
        for key in ("stress", "virial", "polarizability"):
            if key in info:
                info[key] = np.array(info[key].split(), dtype=float).reshape(3, 3)
        if "dipole" in info:
            info["dipole"] = np.array(info["dipole"].split(), dtype=float)
        frame["info"] = info
        frames.append(frame)
        at += n + 2
    return frames
