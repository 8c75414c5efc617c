"""Fig. 2: how many radial channels the density of carbon-centred environments needs, by way of contracting them.

    python figures/fig2.py --preset quick|standard|full [--data FILE]

Residual variance, Eq. (22), over the centres of carbon, relative to a GTO basis of n_max = 20 for each of the species;
l <= 5. The shared bases (full lines) are those of all centres, the C-specific ones (dashed) of carbon centres alone.
"""

import csv

import matplotlib.pyplot as plt
import numpy as np
from common import Claims, arguments, fit, need, save

import rhobasis as rb

N_REF, L_MAX, CENTER, LEVEL = 20, 5, 6, 1e-4
# r_cut, sigma, scaling; then the channels found with other tools: GTO, per species (C-specific), combined (C-specific).
SETTINGS = [
    (3.5, 0.2, (1.0, 2.0, 7.0), (100, 40, 35, 32, 28)),
    (5.0, 0.3, None, (120, 60, 55, 49, 45)),
]
PRESETS = {
    "quick": {"default_data": "molecules.xyz.xz@::10", "settings": SETTINGS[:1], "sizes": (2, 5, 10, 20)},
    "standard": {
        "default_data": "qm9.xyz.xz@::10",
        "settings": SETTINGS,
        "sizes": (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24),
    },
    "full": {
        "default_data": "qm9.xyz.xz",
        "settings": SETTINGS,
        "sizes": tuple(range(1, 25)),
        "notice": "full: about an hour and 1 GB on two cores",
    },
}
args = arguments(__doc__.splitlines()[0], PRESETS)
need("C", args)
claims = Claims("fig2", args, n_ref=N_REF, l_max=L_MAX, cutoff_width=0.5, settings=[s[:3] for s in args.settings])
print(f"Fig. 2 ({args.preset}): {args.data}")


def carbon_covariance(basis):
    """C^l of carbon-centred environments, rebuilt from its eigenvectors: C = UᵀΛU."""
    u, eigenvalues = basis.contraction_[CENTER], basis.eigenvalues_[CENTER]
    return [np.einsum("qa,q,qb->ab", u[l], eigenvalues[l][: len(u[l])], u[l]) for l in range(L_MAX + 1)]


def left_out(u, covariance):
    """Σ_l of the variance that the first q rows of u[l] miss, q = 0 ... , of what `covariance` holds."""
    kept = np.zeros(max(len(v) for v in u))
    for v, c in zip(u, covariance, strict=True):
        kept[: len(v)] += np.einsum("qa,ab,qb->q", v, c, v)
    total = sum(np.trace(c) for c in covariance)
    return 1 - np.concatenate([[0], np.cumsum(kept)]) / total


def first_below(channels, variance):
    """Channels at which the residual variance first falls below the level."""
    below = np.flatnonzero(np.asarray(variance) < LEVEL)
    return int(channels[below[0]]) if len(below) else None


figure, axes = plt.subplots(1, len(args.settings), figsize=(4.6 * len(args.settings), 3.8), squeeze=False)
series_rows = []
for axis, (r_cut, sigma, scaling, trial) in zip(axes[0], args.settings, strict=True):
    density = rb.Density(r_cut=r_cut, sigma=sigma, cutoff_width=0.5, scaling=scaling and rb.RadialScaling(*scaling))

    # All channels are kept here, so that contraction_ holds complete sets of eigenvectors.
    def optimal(density=density, **options):
        return fit(rb.OptimalBasis(density, rb.Gto(n_max=N_REF), l_max=L_MAX, retain=1.0, **options), args)

    carbon = optimal(mixing="combined", center_specific=True)
    covariance = carbon_covariance(carbon)
    species = list(carbon.species_)
    per_species = [c[s : s + N_REF, s : s + N_REF] for c in covariance for s in range(0, N_REF * len(species), N_REF)]
    combined = optimal(mixing="combined")
    separate = optimal(mixing="per-species")

    curves = {}
    keys = [(z, l) for l in range(L_MAX + 1) for z in species]
    rv = left_out([separate.contraction_[key] for key in keys], per_species)
    curves["per species"] = (np.arange(len(rv)) * len(species), rv)
    own = [np.linalg.eigh(c)[1].T[::-1] for c in per_species]
    rv = left_out(own, per_species)
    curves["per species, C only"] = (np.arange(len(rv)) * len(species), rv)
    rv = left_out([combined.contraction_[l] for l in range(L_MAX + 1)], covariance)
    curves["combined"] = (np.arange(len(rv)), rv)
    rv = carbon.residual_variance(center=CENTER)
    curves["combined, C only"] = (np.arange(len(rv)), rv)

    # A smaller GTO basis is another basis: its norm is compared with the reference's, and with that of a larger basis.
    def norm(primitive, density=density):
        basis = fit(rb.OptimalBasis(density, primitive, l_max=L_MAX, q_max=1, center_specific=True), args)
        return sum(float(np.sum(e)) for e in basis.eigenvalues_[CENTER].values())

    total = sum(np.trace(c) for c in covariance)
    exact = norm(rb.Dvr(n_max=48))
    gto = np.array([norm(rb.Gto(n_max=n)) for n in args.sizes])
    curves["GTO"] = (np.array(args.sizes) * len(species), 1 - gto / total)
    curves["GTO, of DVR 48"] = (np.array(args.sizes) * len(species), 1 - gto / exact)
    reference_misses = 1 - total / exact

    label = f"r_cut {r_cut} Å, σ {sigma} Å" + (", scaling 1,2,7" if scaling else "")
    found = {name: first_below(*curve) for name, curve in curves.items()}
    claims.table(
        f"Channels at which the residual variance first falls below {LEVEL:g}; {label}",
        ["", "found", "with other tools"],
        [
            [f"GTO, of the norm of GTO {N_REF}", found["GTO"], trial[0]],
            ["GTO, of the norm of DVR 48", found["GTO, of DVR 48"], None],
            ["per species", found["per species"], trial[1]],
            ["per species, C only", found["per species, C only"], trial[2]],
            ["combined", found["combined"], trial[3]],
            ["combined, C only", found["combined, C only"], trial[4]],
            [f"variance that GTO {N_REF} itself misses (against DVR 48)", float(f"{reference_misses:.2e}"), None],
        ],
    )
    claims.add(
        f"GTO needs most channels, then per species, then combined ({label})",
        [found["GTO"], found["per species"], found["combined"]],
        (found["GTO"] or 10**6) > found["per species"] > found["combined"],
    )
    claims.add(
        f"a basis specific to the centre accelerates the convergence slightly ({label})",
        [found["per species, C only"], found["combined, C only"]],
        found["per species, C only"] <= found["per species"] and found["combined, C only"] <= found["combined"],
    )
    if args.preset != "quick" and scaling:
        claims.add(
            f"at or below 40 (C only 35) channels per species and 33 (29) combined ({label})",
            [found[k] for k in ("per species", "per species, C only", "combined", "combined, C only")],
            found["per species"] <= 40
            and found["per species, C only"] <= 35
            and found["combined"] <= 33
            and found["combined, C only"] <= 29,
        )

    styles = {
        "GTO": ("black", "-"),
        "GTO, of DVR 48": ("0.5", ":"),
        "per species": ("tab:blue", "-"),
        "per species, C only": ("tab:blue", "--"),
        "combined": ("tab:red", "-"),
        "combined, C only": ("tab:red", "--"),
    }
    for name, (color, style) in styles.items():
        channels, rv = curves[name]
        shown = (channels > 0) & (rv > 1e-9)
        axis.semilogy(
            channels[shown], rv[shown], color=color, ls=style, label=name, marker="." if name == "GTO" else None
        )
        series_rows += [[label, name, int(c), float(f"{v:.6e}")] for c, v in zip(channels, rv, strict=True)]
    axis.axhline(LEVEL, color="0.7", lw=0.8)
    axis.set(xlabel="radial channels", ylabel="residual variance", title=label, xlim=(0, 125), ylim=(1e-7, 1))
    axis.title.set_size(9)
    axis.legend(fontsize=7)
figure.suptitle("Density of carbon-centred environments", fontsize=10)
figure.tight_layout()
save(figure, args, "fig2")
with open(args.out / "fig2.csv", "w", newline="") as file:
    csv.writer(file).writerows([["setting", "series", "channels", "residual variance"], *series_rows])
claims.write()
