"""Fig. 4: what a truncated basis loses of the density (nu = 1), the power spectrum, the bispectrum, the trispectrum.

    python figures/fig4.py --preset quick|standard|full [--data FILE]

Residual variance of the whole nu-spectrum (all equivariants) and of its invariants, relative to n_max = 20, l_max = 5,
by the exact laws: for each environment |P c|^(2 nu), and the average of the rotated self-overlap to the power of nu.
Optimal bases are centre-specific and combine species; GTO bases have n functions for each species. Dotted: what the
power of the retained variance of the data set would be.
"""

import csv

import matplotlib.pyplot as plt
import numpy as np
from common import Claims, arguments, fit, save

import rhobasis as rb

N_REF, L_MAX, NU = 20, 5, (1, 2, 3, 4)
DENSITY = rb.Density(r_cut=3.5, sigma=0.2, cutoff_width=0.5, scaling=rb.RadialScaling(1.0, 2.0, 7.0))
PRESETS = {
    "quick": {"default_data": "molecules.xyz.xz@::25", "sizes": (2, 4, 8)},
    "standard": {"default_data": "qm9.xyz.xz@::200", "sizes": (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18)},
    "full": {
        "default_data": "qm9.xyz.xz@::10",
        "sizes": tuple(range(1, 20)),
        "notice": "full: about three hours and 1 GB on two cores",
    },
}
args = arguments(__doc__.splitlines()[0], PRESETS)
claims = Claims("fig4", args, n_ref=N_REF, l_max=L_MAX, r_cut=3.5, sigma=0.2, cutoff_width=0.5, scaling=[1, 2, 7])
print(f"Fig. 4 ({args.preset}): {args.data}")

frames = rb.read(args.data)
species = frames.species
# Optimal bases with as many channels as the GTO bases have, and with fewer.
q = sorted({*args.sizes, *(n * len(species) for n in args.sizes)})
basis = fit(
    rb.OptimalBasis(DENSITY, rb.Gto(n_max=N_REF), l_max=L_MAX, mixing="combined", center_specific=True, retain=1.0),
    args,
)


def expansion(n):
    return rb.SphericalExpansion(DENSITY, rb.Gto(n_max=n), l_max=L_MAX, species=species)


lost = {}  # residual variance [size, nu]
for part, invariant in (("equivariant", False), ("invariant", True)):
    lost["optimal", part] = 1 - rb.retained_variance(basis, frames, q, NU, invariant=invariant)
    whole = rb.spectrum_norms(expansion(N_REF), frames, NU, invariant=invariant)
    norms = [rb.spectrum_norms(expansion(n), frames, NU, invariant=invariant) for n in args.sizes]
    lost["GTO", part] = 1 - np.array(norms) / whole
sizes = {"optimal": np.array(q), "GTO": np.array(args.sizes) * len(species)}


def dotted(name):
    """The power of the variance that the data set retains."""
    return 1 - (1 - lost[name, "equivariant"][:, :1]) ** np.array(NU)


for part in ("equivariant", "invariant"):
    at = [q.index(n) for n in sizes["GTO"]]
    gain = lost["GTO", part] - lost["optimal", part][at]
    # Where less than half is lost: beyond, a spectrum is gone, and there is nothing to gain.
    shown = lost["GTO", part][:, -1] < 0.5
    claims.add(
        f"the optimal basis loses less than GTO with as many channels, at every order and size ({part})",
        float(f"{np.max(lost['optimal', part][at] / lost['GTO', part]):.3g}"),
        (lost["optimal", part][at] < lost["GTO", part]).all(),
    )
    claims.add(
        f"its advantage (variance lost by GTO, minus lost by optimal) grows with nu where GTO keeps half ({part})",
        [[float(f"{x:.3g}") for x in row] for row in gain[shown]],
        shown.any() and (np.diff(gain[shown], axis=1) > 0).all(),
    )
    few = lost["optimal", part]
    claims.add(
        f"truncation costs the more the higher the order ({part})",
        [float(f"{x:.3g}") for x in few[0]],
        (np.diff(few[few[:, 0] > 1e-12], axis=1) > 0).all(),
    )
exact, few = (
    lost["optimal", "equivariant"][:, -1],
    (sizes["optimal"] < 60) & (lost["optimal", "equivariant"][:, -1] > 1e-12),
)
error = np.abs(dotted("optimal")[few, -1] - exact[few]) / exact[few]
claims.add(
    "the power of the retained variance is near the exact law, but not it: largest relative error at nu = 4",
    float(f"{error.max():.3g}"),
    error.max() > 1e-6,
)

figure, axes = plt.subplots(2, 2, figsize=(9, 7))
for column, part in enumerate(("equivariant", "invariant")):
    top, bottom = axes[:, column]
    for name, style in (("optimal", "-"), ("GTO", "--")):
        for k, nu in enumerate(NU):
            values = np.where(lost[name, part][:, k] > 1e-12, lost[name, part][:, k], np.nan)
            top.semilogy(sizes[name], values, style, color=f"C{k}", marker=".", label=f"{name}, ν = {nu}")
            if name == "optimal":
                power = dotted(name)[:, k]
                top.semilogy(sizes[name], np.where(power > 1e-12, power, np.nan), ":", color=f"C{k}", lw=1)
    top.set(xlabel="radial channels", ylabel="residual variance", title=f"{part} ν-spectrum", ylim=(1e-6, 1.5))
    top.legend(fontsize=6, ncol=2)
    for name, style in (("optimal", "-"), ("GTO", "--")):
        for k, size in enumerate(sizes["GTO"][:: max(1, len(args.sizes) // 4)][:5]):
            row = int(np.flatnonzero(sizes[name] == size)[0])
            bottom.semilogy(
                NU, lost[name, part][row], style, color=f"C{k}", marker=".", label=f"{name}, {size} channels"
            )
            bottom.semilogy(NU, dotted(name)[row], ":", color=f"C{k}", lw=1)
    bottom.set(xlabel="ν", ylabel="residual variance", xticks=NU)
    bottom.set_ylim(bottom.get_ylim()[0] / 300, 3)
    bottom.legend(fontsize=6, ncol=2, loc="lower right")
figure.tight_layout()
save(figure, args, "fig4")
with open(args.out / "fig4.csv", "w", newline="") as file:
    rows = [
        [name, part, int(size), nu, float(f"{lost[name, part][i, k]:.6e}"), float(f"{dotted(name)[i, k]:.6e}")]
        for (name, part) in lost
        for i, size in enumerate(sizes[name])
        for k, nu in enumerate(NU)
    ]
    header = ["basis", "part", "radial channels", "nu", "residual variance", "power of the retained variance"]
    csv.writer(file).writerows([header, *rows])
claims.write()
