"""Ridge and kernel ridge regression by scikit-learn on closed-form matrices: writes values.safetensors.

    python reference/models/make.py

Packages: scikit-learn 1.9.1, numpy 2.4.6, safetensors.

X[i, j] = sin(1 + 0.7 i j² + 0.3 i²) / (1 + 0.2 j) + 0.5,  i = 0…119, j = 0…11;
y[i, t] = cos(0.2 i (t + 1)) + (t + 1) X[i, 0] + 3 X[i, 3]² + 2,  t = 0, 1.  Fold of row i: (i // 7) mod 4.
"""

import pathlib
from importlib.metadata import version

import numpy as np
from safetensors.numpy import save_file
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit

HERE = pathlib.Path(__file__).resolve().parent
i, j, t = np.arange(120.0)[:, None], np.arange(12.0), np.arange(2.0)
X = np.sin(1 + 0.7 * i * j**2 + 0.3 * i**2) / (1 + 0.2 * j) + 0.5
y = np.cos(0.2 * i * (t + 1)) + (t + 1) * X[:, :1] + 3 * X[:, 3:4] ** 2 + 2
folds = np.arange(120) // 7 % 4
alphas = np.array([1e-3, 0.1, 1.0, 10.0, 1000.0])

values = {"X": X, "y": y, "folds": folds.astype(float), "alphas": alphas}
for intercept in (False, True):
    models = [Ridge(alpha, fit_intercept=intercept, solver="svd").fit(X, y) for alpha in alphas]
    values[f"ridge_{intercept}"] = np.array([model.coef_.T for model in models])
    values[f"ridge_intercept_{intercept}"] = np.array([np.broadcast_to(model.intercept_, 2) for model in models])
    search = GridSearchCV(
        Ridge(fit_intercept=intercept, solver="svd"),
        {"alpha": alphas},
        scoring="neg_mean_squared_error",
        cv=PredefinedSplit(folds),
    ).fit(X, y)
    values[f"ridge_errors_{intercept}"] = -np.stack(
        [search.cv_results_[f"split{k}_test_score"] for k in range(4)], axis=1
    )
unit = X / np.linalg.norm(X, axis=1, keepdims=True)
for name, rows in (("raw", X), ("normalized", unit)):
    for zeta in (1, 2, 4):
        model = KernelRidge(alpha=0.1, kernel="poly", gamma=1, coef0=0, degree=zeta).fit(rows[:80], y[:80])
        values[f"kernel_{name}_{zeta}"] = model.dual_coef_
        values[f"kernel_{name}_{zeta}_predicted"] = model.predict(rows[80:])

metadata = {package: version(package) for package in ("scikit-learn", "numpy")}
save_file({name: np.ascontiguousarray(value) for name, value in values.items()}, HERE / "values.safetensors", metadata)
