"""Fig. 1: the optimal radial functions of silicon do not depend on the primitive basis they come from.

python figures/fig1.py --preset quick|standard|full [--data FILE]
"""

import csv

import matplotlib.pyplot as plt
import numpy as np
from common import Claims, arguments, fit, need, save

import rhobasis as rb

R_CUT, SIGMA, WIDTH, L_MAX, SHOWN = 6.0, 0.5, 1.0, 6, (0, 4)
PRESETS = {
    "quick": {"default_data": "silicon.xyz.xz@::4", "bases": [(20, 20), (20, 30), (30, 40)], "widths": ()},
    "standard": {
        "default_data": "si_diamond_liquid.xyz.xz",
        "bases": [(12, 12), (16, 20), (20, 20), (20, 30), (30, 40)],
        "widths": (0.5, 2.0),
    },
    "full": {
        "default_data": "si_diamond_liquid.xyz.xz",
        "bases": [(12, 12), (16, 20), (20, 20), (25, 35), (20, 30), (30, 40)],
        "widths": (0.25, 0.5, 2.0, 3.0),
        "notice": "full: about ten minutes and 1 GB on two cores",
    },
}
args = arguments(__doc__.splitlines()[0], PRESETS)
need("Si", args)
claims = Claims("fig1", args, r_cut=R_CUT, sigma=SIGMA, l_max=L_MAX, cutoff_width=WIDTH)

# Gauss-Legendre nodes on [0, 5 r_cut], where the Gaussian-type orbitals live; the DVR functions end at r_cut + 3 sigma.
t, w = np.polynomial.legendre.leggauss(1200)
x, weight = 2.5 * R_CUT * (t + 1), 2.5 * R_CUT * w


def density(width=WIDTH):
    return rb.Density(r_cut=R_CUT, sigma=SIGMA, cutoff_width=width)


def optimal(primitive, width=WIDTH):
    """Eight functions for each l, contracted from `primitive`."""
    return fit(rb.OptimalBasis(density(width), primitive, l_max=L_MAX, q_max=8), args)


def overlaps(a, b):
    """|<a ql|b ql>| for each l (rows) and q (columns)."""
    inner = [np.einsum("xq,xq,x->q", f, g, weight * x**2) for f, g in zip(functions(a), functions(b), strict=True)]
    return np.abs(inner)


def functions(basis):
    return [basis.radial_functions(x, species="Si", l=l) for l in range(L_MAX + 1)]


print(f"Fig. 1 ({args.preset}): {args.data}")
by_size = {}
rows = []
# How much of the density lies at the cutoff, where bases differ, depends on the width of the cutoff function.
for width, n_gto, n_dvr in [(WIDTH, *b) for b in args.bases] + [(v, *b) for v in args.widths for b in args.bases[-2:]]:
    smallest = overlaps(optimal(rb.Gto(n_max=n_gto), width), optimal(rb.Dvr(n_max=n_dvr), width)).min(axis=0)
    rows.append([width, n_gto, n_dvr, *(float(f"{v:.7f}") for v in smallest)])
    print(
        f"  width {width} Å, GTO {n_gto}, DVR {n_dvr}: smallest overlap over l, by q:", *(f"{v:.6f}" for v in smallest)
    )
    if width == WIDTH:
        by_size[n_gto, n_dvr] = smallest.tolist()
header = ["cutoff width / Å", "n_max GTO", "n_max DVR", *(f"q = {q + 1}" for q in range(8))]
claims.table("Smallest overlap over l of functions from both bases", header, rows)

first, last = (20, 30), (30, 40)
claims.add(
    "the same radial functions are obtained from GTO (20) and DVR (30): overlap of the leading six above 0.9999",
    round(min(by_size[first][:6]), 7),
    min(by_size[first][:6]) > 0.9999,
)
claims.add(
    "the discrepancy increases for higher q: smallest overlap of eight functions above 0.997, last below first",
    [round(by_size[first][0], 9), round(by_size[first][7], 6)],
    0.997 < by_size[first][7] < by_size[first][0],
)
claims.add(
    "it is reduced by increasing the primitive basis: GTO 30, DVR 40, eight functions above 0.99999",
    round(min(by_size[last]), 8),
    min(by_size[last]) > 0.99999,
)

best = optimal(rb.Gto(n_max=last[0]))
leading = [f[:, 0] for f in functions(best)]
spill = max(np.sum(weight * x**2 * f**2 * (x > R_CUT)) for f in leading)
raw = rb.SphericalExpansion(density(), rb.Gto(n_max=20), l_max=0, species=["Si"]).radial_functions(x, species="Si", l=0)
raw_spill = np.sum(weight * x**2 * raw[:, -1] ** 2 * (x > R_CUT))
claims.add(
    "the functions decay at the cutoff, where the raw basis spills over: norm beyond r_cut of the leading optimal "
    "functions (largest over l), and of the last raw GTO",
    [float(f"{spill:.2e}"), round(float(raw_spill), 3)],
    spill < 0.05 < raw_spill,
)
# The paper shows l = 0 and l = 4: where do their leading functions peak? And is it a trend over all l? l = 0 holds the
# centre itself, so the trend starts at l = 1.
peak = [float(x[np.argmax(np.abs(f))]) for f in leading]
claims.add(
    "functions of higher angular momentum peak further out, as shown: place of the largest value of the first "
    "function, l = 0 and 4 (Å)",
    [round(peak[l], 2) for l in SHOWN],
    peak[SHOWN[0]] < peak[SHOWN[1]],
)
radius = [float(np.sum(weight * x**3 * f**2)) for f in leading]
claims.add(
    "the same as a trend over l: mean radius of the first function increases from l = 1 to 6 (Å)",
    [round(r, 3) for r in radius[1:]],
    bool(np.all(np.diff(radius[1:]) >= 0)),
)


def sign_changes(f):
    inside = f[(x < R_CUT)]
    return int(np.sum(np.diff(np.sign(inside[np.abs(inside) > 0.02 * np.abs(inside).max()])) != 0))


nodes = [[sign_changes(f[:, q]) for q in range(8)] for f in functions(best)]
correlation = float(np.mean([np.corrcoef(range(8), n)[0, 1] for n in nodes]))
claims.add(
    "highly oscillating functions have low eigenvalues: correlation of q with the number of sign changes, mean over l",
    round(correlation, 3),
    correlation > 0.9,
)

figure, axes = plt.subplots(2, 2, figsize=(7.2, 5), gridspec_kw={"width_ratios": [2.2, 1]})
gto, dvr = optimal(rb.Gto(n_max=20)), optimal(rb.Dvr(n_max=20))
r = np.linspace(0.02, R_CUT + 2, 400)
for (left, right), l in zip(axes, SHOWN, strict=True):
    f, g = (b.radial_functions(r, species="Si", l=l) for b in (gto, dvr))
    for q in range(5):
        sign = np.sign(np.sum(f[:, q] * g[:, q]))
        left.plot(r, f[:, q], color=f"C{q}", label=f"q = {q + 1}")
        left.plot(r, sign * g[:, q], color="black", ls="--", lw=0.8)
    left.axvline(R_CUT, color="0.7", lw=0.8)
    left.set(
        xlabel="x / Å", ylabel=r"$\langle x|q\,l;\mathrm{opt}\rangle$ / Å$^{-3/2}$", title=f"$l$ = {l}", xlim=(0, r[-1])
    )
    if l == 0:  # the function of the centre is far higher than the others
        left.set_ylim(-1.6, 1.6)
    for basis, style, name in ((gto, "o-", "GTO"), (dvr, "k+", "DVR")):
        values = np.asarray(basis.eigenvalues_[14, l])
        right.semilogy(range(1, 13), values[:12] / values[0], style, ms=4, label=name)
    right.set(xlabel="q", ylabel=r"$\Lambda_q/\Lambda_1$")
axes[0, 0].legend(fontsize=7, ncols=2)
axes[0, 1].legend(fontsize=7)
figure.suptitle("Optimal radial functions of silicon: from GTO (colours) and DVR (dashed)", fontsize=10)
figure.tight_layout()
save(figure, args, "fig1")

with open(args.out / "fig1.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["x/A", *(f"{n} l={l} q={q + 1}" for n in ("gto", "dvr") for l in SHOWN for q in range(8))])
    columns = [b.radial_functions(r, species="Si", l=l) for b in (gto, dvr) for l in SHOWN]
    writer.writerows(np.column_stack([r, *columns]).round(10).tolist())
claims.write()
