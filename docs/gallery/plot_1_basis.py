"""
A basis for silicon, and how many functions it needs
====================================================

The atoms around an atom are described by their density, expanded in radial functions times spherical harmonics. Which
radial functions? Those that keep the most of the variance of the coefficients in a data set: the eigenvectors of
their covariance.
"""

# %%
# A hundred frames of silicon, from diamond to the liquid. An optimal basis is found from a primitive one, here 20
# Gaussian-type orbitals for each *l*; with neither ``q_max`` nor ``retain``, all combinations are kept.

import matplotlib.pyplot as plt
import numpy as np

import rhobasis as rb

frames = rb.read("../../examples/data/silicon.xyz.xz@::3")
density = rb.Density(r_cut=5.0, sigma=0.4, cutoff_width=1.0)
full = rb.OptimalBasis(density, rb.Gto(n_max=20), l_max=6).fit(frames)
full

# %%
# Its leading functions, and what the first *q* of each *l* leave out: eight keep all but a few hundred-thousandths.

full.plot(l=2)

# %%
# As many Gaussian-type orbitals, which are made for no data, for comparison: what their coefficients miss of the norm
# of those of 20.


def norm(n_max):
    c = rb.SphericalExpansion(density, rb.Gto(n_max), l_max=6).transform(frames)
    return sum((block**2).sum() for block in c.blocks)


q = np.arange(2, 13, 2)
ax = plt.figure(figsize=(5, 3.6), layout="constrained").gca()
ax.semilogy(q, 1 - np.array([norm(n) for n in q]) / norm(20), "s--", label="GTO, n_max = q")
ax.semilogy(q, full.residual_variance()[q], "o-", label="optimal")
ax.set(xlabel="functions of each l, q", ylabel="residual variance")
ax.legend()

# %%
# Not every *l* needs as many. ``retain`` keeps the fewest functions that hold a fraction of the variance, over all
# *l*.

basis = rb.OptimalBasis(density, rb.Gto(n_max=20), l_max=6, retain=0.9999).fit(frames)
basis

# %%
# Features of several neighbours at a time multiply coefficients, and lose more. How many functions do they need? The
# plan says it exactly, without building a feature.

plan = rb.plan_truncation(full, frames[::5], nu=3, retain=0.999)
plan.plot()

# %%
plan
