"""
A map of environments
=====================

Features of atoms, in two dimensions: which environments are alike, and which stand apart? With a page to click on.
"""

# %%
# A power spectrum for each atom of every fourth frame of silicon, divided by its norm; the leading principal
# components are the map.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

import rhobasis as rb

frames = rb.read("../../examples/data/silicon.xyz.xz@::4")
density = rb.Density(r_cut=4.5, sigma=0.4, cutoff_width=1.0)
basis = rb.OptimalBasis(density, rb.Gto(n_max=12), l_max=6, q_max=6).fit(frames)
spectrum = rb.PowerSpectrum(basis, normalize=True)
X = spectrum.transform(frames)
xy = PCA(n_components=2).fit_transform(X)

# %%
# Colours are the kinds of structures that the frames come from.

names = [atoms.info["config_type"] for atoms in frames]
kind_of_frame = np.array([name.split("_")[0] if name.startswith(("diamond", "surface")) else name for name in names])
kinds = kind_of_frame[spectrum.centers(frames)["structure"]]
ax = plt.figure(figsize=(6.5, 4.5), layout="constrained").gca()
for k, kind in enumerate(np.unique(kinds)):
    of = kinds == kind
    ax.plot(*xy[of].T, ".", ms=3, color=f"C{k}", label=kind)
ax.set(xlabel="first component", ylabel="second component")
ax.legend(markerscale=4, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))

# %%
# Diamond, in whatever cell, is one cloud, whose width is temperature and strain; atoms near surfaces and vacancies
# lie along its edge. On the other side are the liquid and β-tin, with more neighbours, and simple cubic apart from
# both.
#
# :func:`rhobasis.chemiscope` writes the map as a page, where a click on a point shows the atom in its structure. The
# page holds all it needs: it opens from the file. Here, the map of every eighth of the frames.

few = frames[::8]
rows = np.isin(spectrum.centers(frames)["structure"], np.arange(len(frames))[::8])
rb.chemiscope(few, X[rows], "silicon_map.html", {"kind": kinds[rows]}, name="silicon")

# %%
# .. raw:: html
#
#    <iframe src="silicon_map.html" title="map of silicon"
#            style="width: 100%; height: 560px; border: 1px solid #ccc"></iframe>
#
# `The page by itself <silicon_map.html>`__.
