"""Fig. 5: accuracy of a Gaussian approximation potential of silicon against the size of the radial basis.

    python figures/fig5.py --preset quick|standard|full [--data FILE]

Cross-validated RMSE of energies and forces of a sparse kernel model, (p̂·p̂')^4, of the power spectrum, with n functions
of GTO or of the optimal basis (from GTO n_max = 20, of the training frames), and with n_SOAP of its components, chosen
by deterministic CUR. The density is as it is, or scaled: neighbours count less from about 3 Å on. The standard data has
crystals, surfaces, vacancies and dynamics; its repeated frames share a fold.
"""

import csv

import matplotlib.pyplot as plt
import numpy as np
from common import Claims, CrossValidation, arguments, digits, plain_log, save

import rhobasis as rb

N_REF, ZETA, R_CUT, SIGMA, WIDTH = 20, 4, 6.0, 0.5, 1.0
DENSITIES = {
    "unscaled": rb.Density(r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH),
    "scaled": rb.Density(r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH, scaling=rb.RadialScaling(1.0, 3.0, 4.0)),
}
PRESETS = {
    "quick": {
        "default_data": "silicon.xyz.xz@::3",
        "sizes": (1, 2, 4, 6, 10),
        "l_max": 3,
        "n_sparse": 80,
        "folds": 2,
        "selected": {4: (5, 10, 20)},
        "environments": 500,
    },
    "standard": {
        "default_data": "si_zuo2020.xyz.xz@::2",
        "sizes": (1, 2, 3, 4, 6, 8, 12),
        "l_max": 6,
        "n_sparse": 400,
        "folds": 3,
        "selected": {4: (10, 20, 50), 12: (10, 20, 50, 100, 200)},
        "environments": 1500,
    },
    "full": {
        "default_data": "si_diamond_liquid.xyz.xz",
        "sizes": tuple(range(1, 13)),
        "l_max": 6,
        "n_sparse": 2000,
        "folds": 5,
        "selected": dict.fromkeys((4, 8, 12), (10, 20, 50, 100, 200, 400)),
        "environments": 8000,
        "notice": "full: about three days and 3 GB on two cores, by the times of smaller runs",
    },
}
args = arguments(__doc__.splitlines()[0], PRESETS)
settings = {"l_max": args.l_max, "folds": args.folds, "n_sparse": args.n_sparse, "zeta": ZETA}
claims = Claims("fig5", args, r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH, scaling=[1, 3, 4], **settings)
print(f"Fig. 5 ({args.preset}): {args.data}")

data = CrossValidation(args.data, args.folds)
# Of each training set; as many functions as are asked for are taken of them later.
optimal = {
    kind: [rb.OptimalBasis(density, rb.Gto(N_REF), l_max=args.l_max).fit(train) for train in data.trains]
    for kind, density in DENSITIES.items()
}


def basis(name, kind, n, fold):
    if name == "optimal":
        return optimal[kind][fold].set_params(q_max=n)
    return rb.SphericalExpansion(DENSITIES[kind], rb.Gto(n_max=n), l_max=args.l_max)


def potential(some, columns=None):
    soap = rb.PowerSpectrum(some, columns=columns, normalize=True)
    return rb.Potential(soap, rb.Gap(n_sparse=args.n_sparse, zeta=ZETA))


def most_telling(some, train, count):
    """Components by deterministic CUR on environments of the training frames, the first ones first."""
    soap = rb.PowerSpectrum(some, normalize=True).fit(train[:1])
    thinned = train[:: max(1, sum(train.n_atoms) // args.environments)]
    return soap.columns_[rb.selection.cur(soap.transform(thinned), count)]


def shown(pair):
    return f"{pair[0]:.2f} meV/atom, {pair[1]:.4f} eV/Å"


# By name and density: by n; by name and n: by n_SOAP. Energies, forces.
errors: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
for kind in DENSITIES:
    for n in args.sizes:
        for name in ("GTO", "optimal"):
            pair = data.rmse(lambda fold, of=(name, kind, n): potential(basis(*of, fold)))
            errors.setdefault((name, kind), {})[n] = pair
            print(f"  {name}, {kind}, n = {n}: {shown(pair)}")
selected: dict[tuple[str, int], dict[int, tuple[float, float]]] = {}
for n, counts in args.selected.items():
    for name in ("GTO", "optimal"):
        columns = [
            most_telling(basis(name, "unscaled", n, fold), train, max(counts)) for fold, train in enumerate(data.trains)
        ]
        for count in counts:
            pair = data.rmse(
                lambda fold, of=(name, "unscaled", n), c=columns, k=count: potential(basis(*of, fold), c[fold][:k])
            )
            selected.setdefault((name, n), {})[count] = pair
            print(f"  {name}, n = {n}, {count} components: {shown(pair)}")

QUANTITIES = ("energies", "forces")
for k, limit in ((1, 6), (0, 4)):
    few = [n for n in args.sizes if n <= limit]
    pairs = {n: [errors[name, "unscaled"][n][k] for name in ("optimal", "GTO")] for n in few}
    claims.add(
        f"the optimal basis gives better {QUANTITIES[k]} than GTO with few functions, up to {limit}",
        {n: [digits(x) for x in pair] for n, pair in pairs.items()},
        all(of_optimal < gto for of_optimal, gto in pairs.values()),
    )
last = args.sizes[-1]


def ratio(kind):
    """Errors of the optimal basis by those of GTO, with most functions: energies, forces."""
    return [errors["optimal", kind][last][k] / errors["GTO", kind][last][k] for k in (0, 1)]


claims.add(
    f"with most ({last}) GTO is the better one, by up to 10 %: ratio of errors, energies and forces, 1 to 1.1",
    [digits(x) for x in ratio("unscaled")],
    1 < max(ratio("unscaled")) < 1.1,
)


def rise(name):
    """Largest factor by which an error grows from one n to the next."""
    curve = np.array(list(errors[name, "unscaled"].values()))
    return float(np.max(curve[1:] / curve[:-1]))


claims.add("GTO errors do not fall monotonically with n: largest step up", digits(rise("GTO")), rise("GTO") > 1.0)
claims.add(
    "those of the optimal basis do so more regularly: its largest step up, and that of GTO",
    [digits(rise("optimal")), digits(rise("GTO"))],
    rise("optimal") < rise("GTO"),
)
claims.add(
    f"the scaled density closes the gap: the optimal basis is then at most 2 % worse than GTO, with {last} functions",
    {kind: [digits(x) for x in ratio(kind)] for kind in DENSITIES},
    max(ratio("scaled")) < 1.02,
)
claims.add(
    "and the scaled density is the better one for forces, with either basis: scaled by unscaled, most functions",
    {name: digits(errors[name, "scaled"][last][1] / errors[name, "unscaled"][last][1]) for name in ("GTO", "optimal")},
    all(errors[name, "scaled"][last][1] < errors[name, "unscaled"][last][1] for name in ("GTO", "optimal")),
)
for n, counts in args.selected.items():
    count = counts[0]
    claims.add(
        f"with few components (n_SOAP = {count} of n = {n}) the optimal basis gives better forces than GTO (eV/Å)",
        [digits(selected[name, n][count][1]) for name in ("optimal", "GTO")],
        selected["optimal", n][count][1] < selected["GTO", n][count][1],
    )
for title, what, curves in (
    ("radial functions", "density", errors),
    ("components selected by CUR, unscaled", "radial functions", selected),
):
    columns = sorted({n for curve in curves.values() for n in curve})
    rows = [
        [*key, *(" / ".join(str(digits(x)) for x in curve[n]) if n in curve else None for n in columns)]
        for key, curve in curves.items()
    ]
    claims.table(f"RMSE of energies (meV/atom) / forces (eV/Å) by number of {title}", ["basis", what, *columns], rows)

figure, axes = plt.subplots(2, 2, figsize=(9, 7), sharey="row")
for k, label in enumerate(("energy RMSE, meV/atom", "force RMSE, eV/Å")):
    left, right = axes[k]
    for (name, kind), curve in errors.items():
        style = {"unscaled": "o-", "scaled": "^:"}[kind]
        color = {"GTO": "black", "optimal": "tab:red"}[name]
        left.plot(list(curve), [pair[k] for pair in curve.values()], style, color=color, ms=4, label=f"{name}, {kind}")
    for (name, n), curve in selected.items():
        style = ("s--", "o-", "^:")[list(args.selected).index(n)]
        color = {"GTO": "black", "optimal": "tab:red"}[name]
        right.semilogx(
            list(curve), [pair[k] for pair in curve.values()], style, color=color, ms=4, label=f"{name}, n = {n}"
        )
    plain_log(left)
    left.set(xlabel="radial functions", ylabel=label, xticks=args.sizes)
    ticks = sorted({count for counts in args.selected.values() for count in counts})
    right.set_xticks(ticks, labels=[str(count) for count in ticks])
    right.set_xticks([], minor=True)
    right.set(xlabel="n_SOAP, components selected by CUR (unscaled)")
for axis in axes[0]:
    axis.legend(fontsize=7)
figure.suptitle(
    f"GAP of silicon, {data.n_frames} frames, {data.n_atoms} atoms, {args.n_sparse} sparse points", fontsize=10
)
figure.tight_layout()
save(figure, args, "fig5")

with open(args.out / "fig5.csv", "w", newline="") as file:
    rows = [
        [*key, n, "all", *(digits(e, 6) for e in pair)] for key, curve in errors.items() for n, pair in curve.items()
    ]
    rows += [
        [name, "unscaled", n, count, *(digits(e, 6) for e in pair)]
        for (name, n), curve in selected.items()
        for count, pair in curve.items()
    ]
    header = ["basis", "density", "radial functions", "n_SOAP", "energy RMSE (meV/atom)", "force RMSE (eV/A)"]
    csv.writer(file).writerows([header, *rows])
claims.write()
