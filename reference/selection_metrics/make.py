"""Selection and reconstruction measures by scikit-matter on closed-form matrices: writes values.safetensors.

    python reference/selection_metrics/make.py

Packages: skmatter 0.4.1, scikit-learn 1.8.0, numpy 2.4.6, safetensors.

x = 0…59, k = 1…8:  F = cos(0.37 x k + 0.1 k²) + 0.01 x/60,  Y = [F, sin(0.21 x k)];
Z[i, j] = sin(1 + 0.7 i j² + 0.3 i²) / (1 + 0.2 j), i = 0…99, j = 0…19.
"""

import pathlib
from importlib.metadata import version

import numpy as np
import skmatter.feature_selection as features
import skmatter.sample_selection as samples
from safetensors.numpy import save_file
from sklearn.model_selection import KFold, train_test_split
from skmatter.metrics import (
    global_reconstruction_distortion,
    global_reconstruction_error,
    local_reconstruction_error,
)

SEED = 0x5F3759DF  # of skmatter's measures
HERE = pathlib.Path(__file__).resolve().parent
x, k = np.arange(60.0)[:, None], np.arange(1, 9.0)
F = np.cos(0.37 * x * k + 0.1 * k**2) + 0.01 * x / 60
Y = np.hstack([F, np.sin(0.21 * x * k)])
i, j = np.arange(100.0)[:, None], np.arange(20.0)
Z = np.sin(1 + 0.7 * i * j**2 + 0.3 * i**2) / (1 + 0.2 * j)

values = {"F": F, "Y": Y, "Z": Z}
pairs = {"F_to_Y": (F, Y), "F4_to_F": (F[:, :4], F), "F3_to_Y": (F[:, :3], Y)}
for name, (a, b) in pairs.items():
    values[f"gfre_{name}"] = global_reconstruction_error(a, b)
    values[f"gfrd_{name}"] = global_reconstruction_distortion(a, b)
    for n in (5, 12):
        values[f"lfre{n}_{name}"] = local_reconstruction_error(a, b, n)
even = {"train_idx": np.arange(0, 60, 2), "test_idx": np.arange(1, 60, 2)}
values["gfre_F4_to_F_even_odd"] = global_reconstruction_error(F[:, :4], F, **even)
values["gfrd_F4_to_F_even_odd"] = global_reconstruction_distortion(F[:, :4], F, **even)
values["lfre5_F4_to_F_even_odd"] = local_reconstruction_error(F[:, :4], F, 5, **even)
values["gfre_59_rows"] = global_reconstruction_error(F[:59, :4], F[:59])
for kind, module in (("features", features), ("samples", samples)):
    values[f"fps_{kind}"] = module.FPS(n_to_select=10).fit(Z).selected_idx_
    values[f"fps_{kind}_from_3"] = module.FPS(n_to_select=10, initialize=3).fit(Z).selected_idx_
    for name, settings in {"k1": {}, "k3": {"k": 3}, "k2_by_4": {"k": 2, "recompute_every": 4}}.items():
        values[f"cur_{kind}_{name}"] = module.CUR(n_to_select=10, **settings).fit(Z).selected_idx_
    values[f"cur_{kind}_one_shot"] = module.CUR(n_to_select=10, recompute_every=0).fit(Z).selected_idx_
for n in (5, 12, 30, 59, 60):  # the folds of 30 and the halves of 59 and 60 rows
    folds = next(KFold(2, shuffle=True, random_state=SEED).split(np.arange(n)))
    values[f"folds{n}_a"], values[f"folds{n}_b"] = folds
    values[f"train{n}"], values[f"test{n}"] = train_test_split(
        np.arange(n), test_size=0.5, train_size=0.5, random_state=SEED
    )

# The choice of the same packages on a matrix of random numbers (golden.npz, which this script only copies).
golden = np.load(HERE / "golden.npz")
names = ["X", "cur_features", "cur_features_one_shot", "cur_samples", "fps_features", "fps_samples"]
values.update({f"random/{name}": golden[name] for name in names})
versions = {name: version(name) for name in ("skmatter", "scikit-learn", "numpy")}
save_file({name: np.ascontiguousarray(value) for name, value in values.items()}, HERE / "values.safetensors", versions)
print({name: np.asarray(value).tolist() for name, value in values.items() if np.size(value) < 20})
