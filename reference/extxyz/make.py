"""Awkward extended XYZ frames and what ASE reads from them: writes `awkward.xyz` and `awkward.json` beside this file.

    python reference/extxyz/make.py        # ASE 3.29.0, numpy 2.4.6; no random numbers

`awkward.json` has species, positions, cell, periodicity, keys and columns of each frame; floats stand as `float.hex()`.
ASE cannot read back a quote that it writes inside a list of texts, so there is none.
The first part of the file is written by ASE, the second by hand (quoting that ASE reads but does not write).
"""

import json
from io import StringIO
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read, write
from ase.io.extxyz import key_val_str_to_dict

HERE = Path(__file__).parent


def awkward():
    """Frames that ASE can write."""
    water = Atoms("OH2", positions=[[0, 0, 0.119262], [0, 0.763239, -0.477047], [0, -0.763239, -0.477047]])
    yield water.copy()
    a = water.copy()
    a.info = {"energy": -14.25, "name": 'say "hi"', "apostrophe": "it's", "brackets": "[1 2] {3}", "words": "two words"}
    yield a
    a = water.copy()
    a.info = {"i": 7, "x": 0.1, "tiny": 1e-300, "big": 1.7976931348623157e308, "neg": -3, "yes": True, "no": False}
    yield a
    a = water.copy()
    a.info = {
        "ints": np.array([1, -2, 3]),
        "reals": np.array([1.0, 0.5, 1e-9]),
        "bools": np.array([True, False]),
        "nine": np.arange(9.0) + 0.5,
        "matrix": np.array([[1, 2, 3], [4, 5, 6]]),
        "cube": np.arange(8.0).reshape(2, 2, 2) / 7,
        "flags": np.array([[True, False], [False, True]]),
        "texts": ["a b", "c,d", "e"],
        "virial": np.arange(9.0).reshape(3, 3) / 3,
    }
    yield a
    a = water.copy()
    a.info = {
        "unicode": "größe Å 原子 🙂",
        "straße": "ja",
        "nan": float("nan"),
        "inf": float("-inf"),
        "dict": {"k": [1, None]},
    }
    yield a
    a = Atoms("Si", positions=[[1 / 3, 2 / 3, -1e-12]], cell=[5, 6, 7], pbc=[True, False, True])
    a.info = {"big_int": 2**62, "config_type": "single-atom"}
    yield a
    a = Atoms(
        "NaCl",
        positions=[[0, 0, 0], [20.0, -30.0, 1e3]],
        cell=[[4, 0.1, 0.2], [-2, 3.5, 0.3], [1.5, -1.1, -6]],
        pbc=True,
    )
    a.arrays["forces_dft"] = np.array([[0.1, -0.2, 0.3], [1e-5, 2e5, -3.25]])
    a.arrays["tag_text"] = np.array(["alpha", "β-tin"])
    a.arrays["chosen"] = np.array([True, False])
    a.arrays["pair"] = np.array([[1, -2], [3, 4]])
    a.arrays["charge_x"] = np.array([0.5, -0.5])
    yield a
    yield Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.5]], cell=[[2.5, 0, 0], [0, 2.5, 0], [0, 0, 0]], pbc=[1, 1, 0])
    yield Atoms("U", positions=[[0, 0, 0]], pbc=True, cell=-np.eye(3) * 3)


BY_HAND = r"""1
Lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3 bare_key other_bare escaped="a \"b\" c\\d" single='q "x"'
He 0.25 +0.5 -.75
2
  key = spaced   Properties=Z:I:1:pos:R:3	tab=1 braces={1 2 3} commas=[1,2.5,3] mixed="1 two" bools="T F true False" a=b=c
6 0 0 0
8 1. 1e0 1E+0
1
pbc="T F F" Lattice={4 0 0 1 4 0 0 2 4} stress="1 2 3 4 5 6 7 8 9" twice=1 twice=2 "quoted key"=3 yes=TRUE Properties=species:S:1:pos:R:3
FE 0 0 0
3

c 0 0 0
CL 1 1 1
h 2 2 2
1
a free comment
Ar 1e-3 1E3 -0.0
1
Properties=pos:R:3:species:S:1:ok:L:2:s:S:2 uid=0012
1 2 3 Xe T False x y
"""  # noqa: E501  a frame's comment is one line of the file


def plain(value):
    """JSON with exact floats."""
    if isinstance(value, np.ndarray):
        kind = {"f": "Reals", "i": "Ints", "b": "Bools", "U": "Texts", "O": "Texts"}[value.dtype.kind]
        return {"kind": kind, "shape": value.shape, "data": [scalar(v) for v in value.ravel().tolist()]}
    if isinstance(value, list):
        return plain(np.array(value))
    kinds = {
        bool: "Bool",
        np.bool_: "Bool",
        int: "Int",
        np.int64: "Int",
        float: "Real",
        np.float64: "Real",
        str: "Text",
    }
    if type(value) is dict:
        return {"kind": "Dict", "data": value}
    return {"kind": kinds[type(value)], "data": scalar(np.asarray(value).item())}


def scalar(value):
    return value.hex() if isinstance(value, float) else value


def main():
    text = StringIO()
    for atoms in awkward():
        write(text, atoms, format="extxyz")
    text = text.getvalue() + BY_HAND
    (HERE / "awkward.xyz").write_text(text, encoding="utf-8")

    # Keys by ASE's own parser: `read` would move energy and stress into a calculator.
    lines, comments, n = text.split("\n"), [], 0
    while n < len(lines) and lines[n].strip():
        comments.append(lines[n + 1].strip())
        n += int(lines[n]) + 2
    frames = []
    for atoms, comment in zip(read(StringIO(text), ":", format="extxyz"), comments, strict=True):
        info = key_val_str_to_dict(comment) if comment else {}
        info = {k: v for k, v in info.items() if k not in ("Lattice", "Properties", "pbc")}
        arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
        frames.append(
            {
                "species": atoms.numbers.tolist(),
                "positions": plain(atoms.positions)["data"],
                "cell": plain(atoms.cell.array)["data"],
                "pbc": atoms.pbc.tolist(),
                "info": {k: plain(v) for k, v in info.items()},
                "columns": {k: plain(v) for k, v in arrays.items()},
            }
        )
    (HERE / "awkward.json").write_text(json.dumps(frames, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
