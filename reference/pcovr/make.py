"""Principal covariates regression by scikit-matter on closed-form matrices: writes values.safetensors.

    python reference/pcovr/make.py

Packages: skmatter 0.4.1, scikit-learn 1.8.0, numpy 2.4.6, safetensors.

Z[i, j] = sin(1 + 0.7 i j² + 0.3 i²) / (1 + 0.2 j), i = 0…99, j = 0…19;
Y[i] = [tanh(Z[i, 3] − Z[i, 11]), 2 Z[i, 17] Z[i, 2]]; both centred, and divided by the root of their sum of squares.
"""

import pathlib
from importlib.metadata import version

import numpy as np
from safetensors.numpy import save_file
from skmatter.decomposition import PCovR

HERE = pathlib.Path(__file__).resolve().parent
i, j = np.arange(100.0)[:, None], np.arange(20.0)
Z = np.sin(1 + 0.7 * i * j**2 + 0.3 * i**2) / (1 + 0.2 * j)
Y = np.stack([np.tanh(Z[:, 3] - Z[:, 11]), 2 * Z[:, 17] * Z[:, 2]], axis=1)
X, Y = (a - a.mean(axis=0) for a in (Z, Y))
X, Y = X / np.linalg.norm(X), Y / np.linalg.norm(Y)

values = {"X": X, "Y": Y}
for gamma in (1.0, 0.5, 0.1, 1e-3, 1e-8):
    model = PCovR(mixing=gamma, n_components=4, space="feature", svd_solver="full", tol=1e-14).fit(X, Y)
    case = {"pxt": model.pxt_, "ptx": model.ptx_, "pty": model.pty_, "eigenvalues": model.singular_values_**2}
    values.update({f"{gamma:g}/{name}": value for name, value in case.items()})

# Values of the same packages on matrices of random numbers (golden.npz, which this script only copies).
golden = np.load(HERE / "golden.npz")
values.update({f"random/{name}": golden[name] for name in golden})
versions = {name: version(name) for name in ("scikit-learn", "skmatter", "numpy")}
save_file({name: np.ascontiguousarray(value) for name, value in values.items()}, HERE / "values.safetensors", versions)
print({name: value for name, value in values.items() if name.endswith("eigenvalues")})
