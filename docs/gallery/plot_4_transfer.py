"""
Does a basis serve another data set?
====================================

An optimal basis is made for the structures it was fitted to. How much does it lose on others, compared with the basis
that is made for them, and with primitive functions?
"""

# %%
# Silicon again, in two parts: crystals of diamond, and everything else (liquid, β-tin, surfaces, vacancies …).

import matplotlib.pyplot as plt
import numpy as np

import rhobasis as rb

frames = rb.read("../../examples/data/silicon.xyz.xz@::2")
is_diamond = np.array([atoms.info["config_type"].startswith("diamond") for atoms in frames])
sets = {
    "diamond": rb.Frames([frames[i] for i in np.flatnonzero(is_diamond)]),
    "others": rb.Frames([frames[i] for i in np.flatnonzero(~is_diamond)]),
}

density = rb.Density(r_cut=5.0, sigma=0.4, cutoff_width=1.0)
bases = {name: rb.OptimalBasis(density, rb.Gto(n_max=16), l_max=6).fit(part) for name, part in sets.items()}

# %%
# ``retained_variance`` says, for any frames, what the first *q* functions of each *l* hold of the norm of all 16. Of
# GTO that are as few, the norm of their coefficients does.


def norm(n_max, part):
    c = rb.SphericalExpansion(density, rb.Gto(n_max), l_max=6).transform(part)
    return sum((block**2).sum() for block in c.blocks)


q = [2, 4, 6, 8, 10]
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (name, part) in zip(axes, sets.items(), strict=True):
    for of, basis in bases.items():
        lost = 1 - rb.retained_variance(basis, part, q=q, nu=[1])[:, 0]
        ax.semilogy(q, lost, "o-" if of == name else "s--", label=f"fitted to {of}")
    lost = 1 - np.array([norm(n, part) for n in q]) / norm(16, part)
    ax.semilogy(q, lost, "^:", color="0.5", label="GTO, n_max = q")
    ax.set(xlabel="functions of each l, q", title=f"on {name}")
axes[0].set_ylabel("residual variance")
axes[0].legend()

# %%
# A basis of the varied set serves the crystal almost as well as the crystal's own. The other way round there is a
# price: functions that diamond never needed are missing where atoms come nearer, or farther, than in diamond. Either
# is far better than primitive functions. So: fit to the most varied frames that you have, and keep one or two
# functions more than the plot asks for.
#
# A basis that was saved is used as it is, in :class:`rhobasis.PowerSpectrum` and in :class:`rhobasis.Potential`, on
# any data: both keep one that is fitted.
