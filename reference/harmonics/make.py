"""Real solid harmonics r^l Y_lm to l = 20 by sphericart: writes values.safetensors.

    python reference/harmonics/make.py        # sphericart 2.0.4, numpy 2.4.6, safetensors; seed 11

`points` [point, xyz] in Å, with both poles, points close to them and points on the axes; `values` [point, lm],
lm = l² + l + m: orthonormal, no Condon–Shortley phase.
"""

import json
import pathlib
from importlib.metadata import version

import numpy as np
from safetensors.numpy import save_file
from sphericart import SolidHarmonics

HERE = pathlib.Path(__file__).resolve().parent

special = [[0, 0, 1], [0, 0, -1], [0, 0, 2.5], [0, 0, -0.3], [1e-9, 0, 1], [1e-5, -1e-6, -1.2], [1, 0, 0], [0, -1.5, 0]]
points = np.concatenate([special, np.random.default_rng(11).normal(0, 1.2, (10, 3))])
values = np.array(SolidHarmonics(20).compute(points))
note = {"l_max": 20, "versions": {p: version(p) for p in ["sphericart", "numpy"]}}
save_file({"points": points, "values": values}, HERE / "values.safetensors", {"settings": json.dumps(note)})
print(HERE / "values.safetensors", (HERE / "values.safetensors").stat().st_size // 1000, "kB")
