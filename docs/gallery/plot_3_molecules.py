"""
Features of molecules in scikit-learn
=====================================

Features are matrices with a row for each atom. An energy belongs to a molecule: features of its atoms are added up,
and scikit-learn does the rest.
"""

# %%
# Eight hundred relaxed molecules of H, C, N, O and F. In a combined basis, neighbours of all species share a few
# functions of each *l*, so that the power spectrum stays short.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import cross_val_predict, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rhobasis as rb

frames = rb.read("../../examples/data/molecules.xyz.xz")
rng = np.random.default_rng(0)
frames = rb.Frames([frames[i] for i in rng.permutation(len(frames))[:800]])
energies = np.array([atoms.info["energy"] for atoms in frames])

density = rb.Density(r_cut=4.0, sigma=0.3, cutoff_width=0.5)
basis = rb.OptimalBasis(density, rb.Gto(n_max=10), l_max=4, q_max=8, mixing="combined").fit(frames)
print(rb.PowerSpectrum(basis).transform(frames).shape)

# %%
# With ``reduce`` rows are molecules; weights differ by species of the atom, so that the sums are kept apart.

X = rb.PowerSpectrum(basis, reduce="sum", by_species=True).transform(frames)
print(X.shape)

# %%
# Most of an energy is that of the free atoms. A regression on the composition takes it off, and what is left has to
# do with how atoms are arranged.

composition = np.stack([np.bincount(atoms.numbers, minlength=10)[frames.species] for atoms in frames])
y = energies - LinearRegression().fit(composition, energies).predict(composition)
print(f"standard deviation of the energies {energies.std():.1f} eV, without the composition {y.std():.3f} eV")

# %%
# A pipeline, its predictions by cross-validation, and how the error falls as molecules are added.

model = make_pipeline(StandardScaler(), SklearnRidge(alpha=1.0))
predicted = cross_val_predict(model, X, y, cv=5)
sizes, _, scores = learning_curve(
    model, X, y, train_sizes=[40, 80, 160, 320, 640], cv=5, scoring="neg_mean_absolute_error"
)

fig, (parity, curve) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
parity.plot(y, predicted, ".", ms=3)
parity.axline((0, 0), slope=1, color="0.4", lw=0.8)
parity.set(xlabel="energy without composition / eV", ylabel="predicted / eV")
parity.set_title(f"mean absolute error {1000 * np.abs(predicted - y).mean():.0f} meV", fontsize="medium")
errors = -1000 * scores
curve.errorbar(sizes, errors.mean(axis=1), errors.std(axis=1), fmt="o-", capsize=3)
curve.set(xscale="log", yscale="log", xlabel="molecules trained on", ylabel="mean absolute error / meV")
curve.minorticks_off()
curve.set_xticks(sizes, [str(n) for n in sizes])
curve.set_yticks([150, 200, 300, 400], ["150", "200", "300", "400"])

# %%
# For energies of structures, and forces, :class:`rhobasis.Potential` does all this in one object, which is an
# estimator of scikit-learn too: see :doc:`../../how-to/scikit-learn`.
