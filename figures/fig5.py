"""Fig. 5: accuracy of a Gaussian approximation potential of silicon against the size of the radial basis.

    python figures/fig5.py --preset quick|standard|full [--data FILE]

Cross-validated RMSE of energies and forces of a sparse kernel model, (p̂·p̂')^4, of the power spectrum, with n functions
of GTO or of the optimal basis (from GTO n_max = 20, of the training frames), and with n_SOAP of its components, chosen
by deterministic CUR. The density is as it is, or scaled: neighbours count less from about 3 Å on. The standard data has
crystals, surfaces, vacancies and dynamics; its repeated frames share a fold.

Beyond the paper, dashed and open: bases made for the target, of the training frames of each fold. Kernels have
principal functions of a weighted density, those behind one supervised function for each l, and the sensitivity of a
kernel model. Linear models of the power spectrum, which stand beside, have functions that are all supervised.
"""

import csv
import functools

import matplotlib.pyplot as plt
import numpy as np
from common import Claims, CrossValidation, Kept, arguments, digits, find_data, plain_log, save, trained

import rhobasis as rb

N_REF, ZETA, R_CUT, SIGMA, WIDTH = 20, 4, 6.0, 0.5, 1.0
# Supervised functions, and those of a sensitivity, are combinations of so many others.
SPAN, GAMMA = 12, 0.1
PAPER, BEYOND = ("GTO", "optimal"), ("weighted", "supervised + weighted", "sensitivity")
DENSITIES = {
    "unscaled": rb.Density(r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH),
    "scaled": rb.Density(r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH, scaling=rb.RadialScaling(1.0, 3.0, 4.0)),
}
# Where the paper is not followed: what else could make the difference. Fields of `Other`.
OTHERS = (
    "as above",
    "another draw of folds",
    "cutoff width 0.5 Å",
    "1,000 sparse points",
    "energies count ten times as much",
    "all frames of the file",
    "other data: si_diamond_liquid, every 30th",
    "other data: si_random_crystals, every 30th",
)
PRESETS = {
    "quick": {
        "default_data": "silicon.xyz.xz@::3",
        "sizes": (1, 2, 4, 6, 10),
        "beyond": (2, 4),
        "linear": (2, 10),
        "l_max": 3,
        "n_sparse": 80,
        "folds": 2,
        "others": {},
        "selected": {4: (5, 10, 20)},
        "environments": 500,
    },
    "standard": {
        "default_data": "si_zuo2020.xyz.xz@::2",
        "sizes": (1, 2, 3, 4, 6, 8, 12),
        "beyond": (1, 2, 3, 4, 6),
        "linear": (1, 2, 3, 4, 6, 8, 12),
        "l_max": 6,
        "n_sparse": 400,
        "folds": 3,
        "others": {3: OTHERS, 6: OTHERS, 12: OTHERS[:5]},
        "selected": {4: (10, 20, 50), 12: (10, 20, 50, 100, 200)},
        "environments": 1500,
    },
    "full": {
        "default_data": "si_diamond_liquid.xyz.xz",
        "sizes": tuple(range(1, 13)),
        "beyond": tuple(range(1, 9)),
        "linear": tuple(range(1, 13)),
        "l_max": 6,
        "n_sparse": 2000,
        "folds": 5,
        "others": dict.fromkeys((3, 6, 12), OTHERS),
        "selected": dict.fromkeys((4, 8, 12), (10, 20, 50, 100, 200, 400)),
        "environments": 8000,
        "notice": "full: about three days and 3 GB on two cores, by the times of smaller runs",
    },
}
args = arguments(__doc__.splitlines()[0], PRESETS)
settings = {"l_max": args.l_max, "folds": args.folds, "n_sparse": args.n_sparse, "zeta": ZETA}
claims = Claims("fig5", args, r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH, scaling=[1, 3, 4], **settings)
print(f"Fig. 5 ({args.preset}): {args.data}")

data = CrossValidation(args.data, args.folds, Kept("fig5", args))
# Of each training set; as many functions as are asked for are taken of them later.
optimal = {
    kind: [rb.OptimalBasis(density, rb.Gto(N_REF), l_max=args.l_max).fit(train) for train in data.trains]
    for kind, density in DENSITIES.items()
}


def potential(some, columns=None):
    soap = rb.PowerSpectrum(some, columns=columns, normalize=True)
    return rb.Potential(soap, rb.Gap(n_sparse=args.n_sparse, zeta=ZETA))


def linear(some):
    return rb.Potential(rb.PowerSpectrum(some), rb.Ridge())


weighted = [
    rb.OptimalBasis(DENSITIES["unscaled"], rb.Gto(N_REF), l_max=args.l_max, weighting="nearest").fit(train)
    for train in data.trains
]


@functools.cache
def linear_model(name, fold):
    """A linear model on the leading functions of a basis, of which supervised functions are made."""
    return trained(linear(basis(name, "unscaled", SPAN, fold)), data.trains[fold])


@functools.cache
def sensitivity(fold):
    """What a kernel model on the leading weighted functions depends on."""
    train = data.trains[fold]
    return trained(potential(basis("weighted", "unscaled", SPAN, fold)), train).sensitivity(train)


def basis(name, kind, n, fold):
    match name:
        case "GTO":
            return rb.SphericalExpansion(DENSITIES[kind], rb.Gto(n_max=n), l_max=args.l_max)
        case "optimal":
            return optimal[kind][fold].set_params(q_max=n)
        case "weighted":
            return weighted[fold].set_params(q_max=n)
        case "supervised + weighted":
            return linear_model("weighted", fold).supervised(n, supervised=1)
        case "sensitivity":
            return sensitivity(fold).basis(n, gamma=GAMMA)
        case "supervised":
            return linear_model("optimal", fold).supervised(n)
    raise ValueError(name)


@functools.cache
def most_telling(name, n, fold):
    """Components by deterministic CUR on environments of the training frames, the first ones first."""
    train = data.trains[fold]
    soap = rb.PowerSpectrum(basis(name, "unscaled", n, fold), normalize=True).fit(train[:1])
    thinned = train[:: max(1, sum(train.n_atoms) // args.environments)]
    return soap.columns_[rb.selection.cur(soap.transform(thinned), max(args.selected[n]))]


def shown(pair):
    return f"{pair[0]:.2f} meV/atom, {pair[1]:.4f} eV/Å"


# By name and density, by name: by n; by name and n: by n_SOAP. Energies, forces.
errors: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
for kind in DENSITIES:
    for name in (*PAPER, *BEYOND) if kind == "unscaled" else PAPER:
        for n in args.sizes if name in PAPER else args.beyond:
            pair = data.rmse(["kernel", name, kind, n], lambda fold, of=(name, kind, n): potential(basis(*of, fold)))
            errors.setdefault((name, kind), {})[n] = pair
            print(f"  {name}, {kind}, n = {n}: {shown(pair)}", flush=True)
of_linear: dict[str, dict[int, tuple[float, float]]] = {}
for name in (*PAPER, "supervised"):
    for n in args.linear if name in PAPER else args.beyond:
        pair = data.rmse(["linear", name, n], lambda fold, of=(name, "unscaled", n): linear(basis(*of, fold)))
        of_linear.setdefault(name, {})[n] = pair
        print(f"  {name}, linear, n = {n}: {shown(pair)}", flush=True)
selected: dict[tuple[str, int], dict[int, tuple[float, float]]] = {}
for n, counts in args.selected.items():
    for name in (*PAPER, "supervised + weighted") if n in args.beyond else PAPER:
        for count in counts:
            pair = data.rmse(
                ["kernel", name, n, count, "components"],
                lambda fold, name=name, n=n, count=count: potential(
                    basis(name, "unscaled", n, fold), most_telling(name, n, fold)[:count]
                ),
            )
            selected.setdefault((name, n), {})[count] = pair
            print(f"  {name}, n = {n}, {count} components: {shown(pair)}", flush=True)


@functools.cache
def other(name):
    """The density, the folds, the number of sparse points and the sigmas of one of `OTHERS`."""
    density, file, seed, n_sparse, sigmas = DENSITIES["unscaled"], args.data, 0, args.n_sparse, {}
    match name:
        case "another draw of folds":
            seed = 1
        case "cutoff width 0.5 Å":
            density = rb.Density(r_cut=R_CUT, sigma=SIGMA, cutoff_width=0.5)
        case "1,000 sparse points":
            n_sparse = 1000
        case "energies count ten times as much":
            sigmas = {"energy_sigma": 2e-4}
        case "all frames of the file":
            file = args.data.partition("@")[0]
        case "other data: si_diamond_liquid, every 30th":
            file = find_data("si_diamond_liquid.xyz.xz@::30")
        case "other data: si_random_crystals, every 30th":
            file = find_data("si_random_crystals.xyz.xz@::30")
    of = data if (file, seed) == (args.data, 0) else CrossValidation(file, args.folds, data.kept, seed)
    return density, of, n_sparse, sigmas


def error_of_other(name, kind, n):
    density, of, n_sparse, sigmas = other(name)

    def make(fold):
        optimal = rb.OptimalBasis(density, rb.Gto(N_REF), l_max=args.l_max, q_max=n)
        gto = rb.SphericalExpansion(density, rb.Gto(n_max=n), l_max=args.l_max)
        return rb.Potential(
            rb.PowerSpectrum(gto if kind == "GTO" else optimal.fit(of.trains[fold]), normalize=True),
            rb.Gap(n_sparse=n_sparse, zeta=ZETA),
        )

    return of.rmse(["other", name, kind, n], make, **sigmas)


others = {
    name: {
        n: {kind: error_of_other(name, kind, n) for kind in PAPER} for n, names in args.others.items() if name in names
    }
    for name in OTHERS
}
print("  other settings:", others)

FEW_FUNCTIONS = (
    "The settings are the paper's, but not its data: its 2,475 frames of silicon are not to be had. Principal "
    "functions describe where the variance is. In a density that is not scaled most of it is far out, since shells "
    "of neighbours grow with the square of the distance, while energies depend most on the nearest ones. Weighting "
    "the density of the covariance puts it right (below), and so does scaling. What else was tried is in the table "
    "of other settings."
)
QUANTITIES = ("energies", "forces")
for k, limit in ((1, 6), (0, 4)):
    few = [n for n in args.sizes if n <= limit]
    pairs = {n: [errors[name, "unscaled"][n][k] for name in ("optimal", "GTO")] for n in few}
    claims.add(
        f"the optimal basis gives better {QUANTITIES[k]} than GTO with few functions, up to {limit}",
        {n: [digits(x) for x in pair] for n, pair in pairs.items()},
        all(of_optimal < gto for of_optimal, gto in pairs.values()),
        of=["n", "optimal", "GTO"],
        why=FEW_FUNCTIONS,
    )
last = args.sizes[-1]


def ratio(kind):
    """Errors of the optimal basis by those of GTO, with most functions: energies, forces."""
    return [errors["optimal", kind][last][k] / errors["GTO", kind][last][k] for k in (0, 1)]


claims.add(
    f"with most ({last}) GTO is the better one, by up to 10 %: ratio of errors, energies and forces, 1 to 1.1",
    [digits(x) for x in ratio("unscaled")],
    1 < max(ratio("unscaled")) < 1.1,
    why="The difference is of the size of what another draw of folds makes (table of other settings).",
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
    why="Steps up are those of energies from one n to the next, a few meV/atom.",
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
        why="As with few functions: what CUR finds telling is what varies, and that is far out.",
    )


def table(title, what, curves):
    columns = sorted({n for curve in curves.values() for n in curve})
    rows = [
        [*key, *([digits(x) for x in curve[n]] if n in curve else None for n in columns)]
        for key, curve in curves.items()
    ]
    claims.table(f"RMSE of energies (meV/atom) / forces (eV/Å) {title}", ["basis", what, *columns], rows)


if args.others:
    rows = [
        [name, *(f"{of[n]['GTO'][1]:#.3g} / {of[n]['optimal'][1]:#.3g}" if n in of else None for n in args.others)]
        for name, of in others.items()
    ]
    title = "Other settings: RMSE of forces (eV/Å), GTO / optimal, unscaled, by number of radial functions"
    claims.table(title, ["what is different", *args.others], rows)
COMPONENTS = "by number of components selected by CUR, unscaled"
table("by number of radial functions", "density", {key: errors[key] for key in errors if key[0] in PAPER})
table(COMPONENTS, "radial functions", {key: selected[key] for key in selected if key[0] in PAPER})

claims.beyond(
    "Bases made for the target, of the training frames of each fold alone. *Weighted*: principal functions of the "
    'density in which near neighbours count more (`weighting="nearest"`). *Supervised*: the functions with which a '
    f"linear model of the power spectrum does best, combinations of {SPAN} principal ones. *Supervised + weighted*: "
    f"one such for each l, of {SPAN} weighted ones, and weighted ones of the rest behind it. *Sensitivity* "
    f"(γ = {GAMMA}): what a kernel model on {SPAN} weighted functions depends on. The density of the features is not "
    "scaled."
)


def forces(*names):
    """Force errors of kernel models by n, of each of these bases."""
    return {n: [errors[name, "unscaled"][n][1] for name in names] for n in few}


few = [n for n in args.beyond if 2 <= n <= 4]
for statement, better, worse in (
    ("weighting makes the optimal basis better with 2 to 4 functions: forces, weighted and not", "weighted", "optimal"),
    ("which is then better than GTO, as the paper has it of the optimal basis: forces", "weighted", "GTO"),
    (
        "one supervised function before the weighted ones makes them better still: forces, with and without it",
        "supervised + weighted",
        "weighted",
    ),
):
    pairs = forces(better, worse)
    claims.add(
        f"{statement} (eV/Å)",
        {n: [digits(x) for x in pair] for n, pair in pairs.items()},
        all(ours < theirs for ours, theirs in pairs.values()),
        of=["n", better, worse],
    )
best = few[-1]
for k, unit in ((1, "forces, eV/Å"), (0, "energies, meV/atom")):
    found = [errors["supervised + weighted", "unscaled"][best][k]]
    found += [errors[name, "unscaled"][last][k] for name in PAPER]
    claims.add(
        f"{best} such functions do what {last} of GTO or of the optimal basis do: {unit}",
        [digits(x) for x in found],
        found[0] <= min(found[1:]),
        why="Forces are as good; energies need a few functions more.",
    )
pairs = forces("sensitivity", "optimal", "supervised + weighted")
claims.add(
    "functions by sensitivity are better than principal ones too: forces of these, of principal, and of supervised + "
    "weighted ones (eV/Å)",
    {n: [digits(x) for x in triple] for n, triple in pairs.items()},
    all(ours < theirs for ours, theirs, _ in pairs.values()),
    of=["n", "sensitivity", "principal", "supervised + weighted"],
)
few_of_linear = {
    name: [of_linear[name][n] for n in (2, last)] if name in PAPER else [of_linear[name][2]] for name in of_linear
}
claims.add(
    f"in a linear model two supervised functions do what {last} principal ones do: forces at most 1.2 times as far off "
    f"(eV/Å; of supervised functions 2, of the others 2 and {last})",
    {name: [digits(pair[1]) for pair in pairs] for name, pairs in few_of_linear.items()},
    few_of_linear["supervised"][0][1] < 1.2 * few_of_linear["optimal"][1][1],
)
counts = args.selected[best]
pairs = {count: [selected[name, best][count][1] for name in ("supervised + weighted", *PAPER)] for count in counts}
claims.add(
    f"with few components of {best} functions supervised + weighted ones are better than GTO and principal ones: "
    "forces of these three by n_SOAP (eV/Å)",
    {count: [digits(x) for x in triple] for count, triple in pairs.items()},
    all(triple[0] == min(triple) for triple in pairs.values()),
    of=["n_SOAP", "supervised + weighted", *PAPER],
    why="With ten of its 70 components; CUR does not know that one function counts more than the others.",
)
table("by number of radial functions", "density", {key: errors[key] for key in errors if key[0] not in PAPER})
table(
    "of linear models, unscaled, by number of radial functions",
    "density",
    {(name, "unscaled"): curve for name, curve in of_linear.items()},
)
table(COMPONENTS, "radial functions", {key: selected[key] for key in selected if key[0] not in PAPER})

# Colours that the colour-blind can tell (Okabe, Ito). What the paper has is solid and filled, the rest dashed and open.
STYLES = {
    "GTO": {"color": "black", "marker": "o", "ls": "-"},
    "optimal": {"color": "#D55E00", "marker": "s", "ls": "-"},
    "weighted": {"color": "#E69F00", "marker": "^", "ls": "--", "mfc": "none"},
    "supervised + weighted": {"color": "#0072B2", "marker": "D", "ls": "--", "mfc": "none"},
    "sensitivity": {"color": "#CC79A7", "marker": "v", "ls": "--", "mfc": "none"},
    "supervised": {"color": "#009E73", "marker": "P", "ls": "--", "mfc": "none"},
}
LABELS = {
    "GTO": "GTO",
    "optimal": "optimal: principal functions",
    "weighted": "ours: weighted",
    "supervised + weighted": "ours: one supervised, weighted behind",
    "sensitivity": "ours: sensitivity of a kernel model",
    "supervised": "ours: all supervised",
}


def draw(axis, name, curve, k, **changes):
    style = STYLES[name] | {"ms": 5, "label": LABELS[name]} | changes
    axis.plot(list(curve), [pair[k] for pair in curve.values()], **style)


figure, axes = plt.subplots(2, 3, figsize=(12, 7.4), sharey="row", layout="constrained")
for k, label in enumerate(("energy RMSE, meV/atom", "force RMSE, eV/Å")):
    for (name, kind), curve in errors.items():
        of_scaled = {"ls": ":", "alpha": 0.6, "label": f"{name}, scaled density"} if kind == "scaled" else {}
        draw(axes[k, 0], name, curve, k, **of_scaled)
    for name, curve in of_linear.items():
        draw(axes[k, 1], name, curve, k)
    for axis in axes[k, :2]:
        axis.set(xlabel="radial functions", xticks=args.sizes)
    right = axes[k, -1]
    for (name, n), curve in selected.items():
        alpha = (list(args.selected).index(n) + 1) / len(args.selected)
        draw(right, name, curve, k, alpha=alpha, label=f"{name}, n = {n}")
    ticks = sorted({count for counts in args.selected.values() for count in counts})
    right.set_xscale("log")
    right.set_xticks(ticks, labels=[str(count) for count in ticks])
    right.set_xticks([], minor=True)
    right.set(xlabel="components selected by CUR, n_SOAP")
    plain_log(axes[k, 0])
    axes[k, 0].set_ylabel(label)
titles = ("GAP", "linear model of the power spectrum", "GAP, components selected")
for axis, title in zip(axes[0], titles, strict=True):
    axis.set_title(title, fontsize=10)
axes[0, -1].legend(fontsize=7, loc="best")
handles = {
    label: handle for axis in axes[0, :2] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
}
handles = dict(sorted(handles.items(), key=lambda item: item[0].startswith("ours")))
figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8)
figure.suptitle(
    f"Potentials of silicon, {data.n_frames} frames, {data.n_atoms} atoms, {args.n_sparse} sparse points", fontsize=10
)
save(figure, args, "fig5")

with open(args.out / "fig5.csv", "w", newline="") as file:
    rows = [
        [*key, "GAP", n, "all", *(digits(e, 6) for e in pair)]
        for key, curve in errors.items()
        for n, pair in curve.items()
    ]
    rows += [
        [name, "unscaled", "linear", n, "all", *(digits(e, 6) for e in pair)]
        for name, curve in of_linear.items()
        for n, pair in curve.items()
    ]
    rows += [
        [name, "unscaled", "GAP", n, count, *(digits(e, 6) for e in pair)]
        for (name, n), curve in selected.items()
        for count, pair in curve.items()
    ]
    header = ["basis", "density", "model", "radial functions", "n_SOAP", "energy RMSE (meV/atom)", "force RMSE (eV/A)"]
    csv.writer(file).writerows([header, *rows])
claims.write()
