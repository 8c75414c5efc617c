"""Fig. 3: how well a truncated power spectrum of silicon reconstructs the full one, and a selection of it.

    python figures/fig3.py --preset quick|standard|full [--data FILE]

Global feature space reconstruction error (GFRE) towards the power spectrum of GTO n_max = 20, l_max = 6, from that of
smaller GTO bases and of optimal bases of the same size: all components, and those that deterministic CUR or farthest
point sampling (FPS) select.
"""

import csv

import matplotlib.pyplot as plt
import numpy as np
from common import Claims, arguments, save

import rhobasis as rb

N_REF, L_MAX, R_CUT, SIGMA, WIDTH = 20, 6, 6.0, 0.5, 1.0
PRESETS = {
    "quick": {"default_data": "silicon.xyz.xz@::2", "sizes": (2, 3, 4, 6), "environments": 1500, "selected": (10, 20)},
    "standard": {
        "default_data": "si_diamond_liquid.xyz.xz@::12",
        "sizes": (1, 2, 3, 4, 5, 6, 8, 10, 12),
        "environments": 3000,
        "selected": (20, 50, 100),
    },
    "full": {
        "default_data": "si_diamond_liquid.xyz.xz",
        "sizes": tuple(range(1, 17)),
        "environments": 8000,
        "selected": (20, 50, 100, 200),
        "notice": "full: about an hour and 2 GB on two cores",
    },
}
args = arguments(__doc__.splitlines()[0], PRESETS)
claims = Claims("fig3", args, n_ref=N_REF, l_max=L_MAX, r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH)
print(f"Fig. 3 ({args.preset}): {args.data}")

density = rb.Density(r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH)
frames = rb.read(args.data)
n_centers = sum(frames.n_atoms)
chosen = np.sort(np.random.default_rng(0).permutation(n_centers)[: args.environments])


def power_spectrum(basis):
    """The power spectrum of the chosen environments, some frames at a time."""
    soap = rb.PowerSpectrum(basis).fit(frames)
    rows, first = [], 0
    for start in range(0, len(frames), 16):
        some = frames[start : start + 16]
        n = sum(some.n_atoms)
        mine = chosen[(chosen >= first) & (chosen < first + n)] - first
        if len(mine):
            rows.append(soap.transform(some)[mine])
        first += n
    return np.concatenate(rows)


reference = power_spectrum(rb.SphericalExpansion(density, rb.Gto(n_max=N_REF), l_max=L_MAX))
series: dict[str, dict[int, float]] = {}
for n in args.sizes:
    bases = {
        "GTO": rb.SphericalExpansion(density, rb.Gto(n_max=n), l_max=L_MAX),
        "optimal": rb.OptimalBasis(density, rb.Gto(n_max=N_REF), l_max=L_MAX, q_max=n).fit(frames),
    }
    for name, basis in bases.items():
        x = power_spectrum(basis)
        x /= np.sqrt((x**2).sum() / len(x))  # one scale for all columns
        series.setdefault(f"{name}, all", {})[n] = rb.metrics.gfre(x, reference)
        for count in args.selected:
            if count >= x.shape[1]:
                continue
            for method, select in (("CUR", rb.selection.cur), ("FPS", rb.selection.fps)):
                picked = select(x, count)
                error = rb.metrics.gfre(x[:, picked], reference)
                series.setdefault(f"{name}, {method} {count}", {})[n] = error
        print(f"  n = {n}, {name}: {series[f'{name}, all'][n]:.4f} with {x.shape[1]} components")

for kind in [name.partition(", ")[2] for name in series if name.startswith("GTO")]:
    gto, optimal = series[f"GTO, {kind}"], series[f"optimal, {kind}"]
    what = "all components" if kind == "all" else f"{kind.split()[1]} components by {kind.split()[0]}"
    claims.add(
        f"an optimal basis has a smaller GFRE than GTO of the same size, at every size ({what})",
        {n: [float(f"{optimal[n]:.4f}"), float(f"{gto[n]:.4f}")] for n in gto},
        all(optimal[n] < gto[n] for n in gto),
    )

counts = [None, *args.selected]
figure, axes = plt.subplots(1, len(counts), figsize=(3.4 * len(counts), 3.4), sharey=True, squeeze=False)
for axis, count in zip(axes[0], counts, strict=True):
    kinds = ["all"] if count is None else [f"CUR {count}", f"FPS {count}"]
    for name, color in (("GTO", "black"), ("optimal", "tab:red")):
        for kind, style in zip(kinds, ("o-", "s--"), strict=False):
            curve = series.get(f"{name}, {kind}", {})
            axis.semilogy(list(curve), list(curve.values()), style, color=color, ms=3.5, label=f"{name}, {kind}")
    axis.set(xlabel="radial functions", title="all components" if count is None else f"{count} selected")
    axis.legend(fontsize=7)
axes[0, 0].set_ylabel(f"GFRE towards GTO {N_REF}")
figure.suptitle(f"Power spectrum of silicon, {len(chosen)} environments", fontsize=10)
figure.tight_layout()
save(figure, args, "fig3")
with open(args.out / "fig3.csv", "w", newline="") as file:
    rows = [[name, n, float(f"{error:.6e}")] for name, curve in series.items() for n, error in curve.items()]
    csv.writer(file).writerows([["series", "radial functions", "GFRE"], *rows])
claims.write()
