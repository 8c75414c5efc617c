"""Converts golden reference values (.npz) to the .safetensors files that the Rust tests read.

    python reference/radial_integrals/make.py /path/to/golden

Writes `reference/<name>/values.safetensors` for each name in COPIED, of which `radial_integrals` is one. Arrays keep
their names and shapes, become float64, and `settings` (JSON text) becomes the file's metadata.
Needs numpy and safetensors; nothing is computed here. The README of the golden folder tells how the values were:
`radial_integrals` by mpmath at 50 to 80 digits (its version is not recorded), the expansions by a brute-force sum over
images in extended precision, `degenerate_pairs` by construction. Files with structures of other licences are not
copied; the tests read them where they lie.
"""

import argparse
import pathlib

import numpy as np
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPIED = [
    "radial_integrals",
    "gto_expansion_molecule",
    "gto_expansion_periodic",
    "gto_expansion_scaled",
    "degenerate_pairs",
]


def convert(source: pathlib.Path, target: pathlib.Path) -> None:
    arrays = dict(np.load(source))
    metadata = {"settings": str(arrays.pop("settings"))}
    tensors = {name: np.ascontiguousarray(a, dtype=np.float64) for name, a in arrays.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target, metadata)
    print(f"{target}: {target.stat().st_size // 1000} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("golden", type=pathlib.Path, help="folder of the .npz files")
    arguments = parser.parse_args()
    for name in COPIED:
        convert(arguments.golden / f"{name}.npz", ROOT / "reference" / name / "values.safetensors")


if __name__ == "__main__":
    main()
