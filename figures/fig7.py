"""Fig. 7: linear models of the energies of molecules against the number of channels, and of molecules to learn from.

    python figures/fig7.py --preset quick|standard|full [--data FILE]

Mean absolute errors of energies of molecules that no model has seen. Models are linear in sums over the atoms of each
species of the coefficients of l = 0 (nu <= 1), the power spectrum beside them (2), the bispectrum too (3), all exact,
and in NICE features (4), of which a few are kept at each order. Above, a GTO basis and the combined optimal basis with
as many channels (a, n); below, learning curves, with a kernel model of the power spectrum.

The density is as it is, where the two statements of the paper hold, and scaled, where fewer molecules are enough.
Beyond the paper: functions that are supervised by a linear model of the power spectrum.

Rows of features are never stored but worked off, block by block, into a triangle.
"""

import csv
import functools
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from common import Claims, Kept, arguments, digits, plain_log, save
from matplotlib.ticker import LogLocator

import rhobasis as rb

KCAL = 23.060548  # kcal/mol in an eV
R_CUT, SIGMA, WIDTH = 5.0, 0.3, 0.5
DENSITIES = {
    "as it is": rb.Density(r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH),
    "scaled": rb.Density(r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH, scaling=rb.RadialScaling(1.0, 2.0, 7.0)),
}
SPECTRA = (rb.RadialSpectrum, rb.PowerSpectrum, rb.Bispectrum)
# Okabe and Ito's, told apart by the colour-blind: of ν ≤ 1, 2, 3, 4, and of others.
COLOURS = ("#56B4E9", "#0072B2", "#D55E00", "#CC79A7", "#009E73", "#E69F00")
# By number of molecules to learn from, relative to the square of the largest singular value of the rows. Of one draw:
# the least error on molecules held out, of the bispectrum of the optimal basis; with GTO as good as the least.
ALPHAS = {100: 1e-7, 300: 1e-7, 1000: 1e-7, 2000: 3e-8, 5000: 3e-9, 10_000: 1e-10, 20_000: 1e-12, 65_000: 1e-13}
ENERGIES = {"force_sigma": None, "stress_sigma": None}
PRESETS = {
    "quick": {
        "default_data": "molecules.xyz.xz@::4",
        "n_test": 150,
        "draws": 1,
        "learn": (100, 300),
        "far": (),
        "n_top": 300,
        "l_max": 2,
        "n_ref": 6,
        "span": 6,
        "optimal": {1: (1, 2, 5, 10), 2: (1, 2, 5, 10), 3: (1, 2, 5), 4: (2, 5)},
        "gto": {1: (1, 2), 2: (1, 2), 3: (1,), 4: (1,)},
        "nice": {"n_equivariants": 10, "n_invariants": 50, "n_candidates": 100, "n_invariant_candidates": 200},
        "n_sparse": 100,
        "large": 8,
    },
    "standard": {
        "default_data": "qm9.xyz.xz",
        "n_test": 3000,
        "draws": 2,
        "learn": (1000, 2000, 5000, 20000),
        "far": (65000,),
        "n_top": 5000,
        "l_max": 5,
        "n_ref": 12,
        "span": 12,
        "optimal": {1: (1, 2, 3, 5, 10, 20, 40), 2: (1, 2, 3, 5, 10, 15), 3: (1, 2, 3, 4, 5), 4: (2, 5, 10, 20)},
        "gto": {1: (1, 2, 4, 8, 12), 2: (1, 2, 3), 3: (1,), 4: (1, 2, 4)},
        "nice": {"n_equivariants": 100, "n_invariants": 400},
        "n_sparse": 2000,
        "large": 20,
    },
    "full": {
        "default_data": "qm9.xyz.xz",
        "n_test": 10000,
        "draws": 2,
        "learn": (1000, 2000, 5000, 10000, 20000, 65000),
        "far": (),
        "n_top": 65000,
        "l_max": 5,
        "n_ref": 12,
        "span": 12,
        "optimal": {1: (1, 2, 3, 5, 10, 20, 40), 2: (1, 2, 3, 5, 10, 15), 3: (1, 2, 3, 4, 5), 4: (2, 5, 10, 20, 50)},
        "gto": {1: (1, 2, 4, 8, 12), 2: (1, 2, 3), 3: (1,), 4: (1, 2, 4, 10)},
        "nice": {"n_equivariants": 150, "n_invariants": 1000},
        "n_sparse": 8000,
        "large": 50,
        "notice": "full: about eight hours and 5 GB on two cores, by the times of smaller runs",
    },
}
args = arguments(__doc__.splitlines()[0], PRESETS)
frames = rb.read(args.data)
order = [np.random.default_rng(draw).permutation(len(frames)) for draw in range(args.draws)]
held_out = [rb.Frames([frames[k] for k in some[: args.n_test]]) for some in order]
settings = {"n_test": args.n_test, "n_train": args.n_top, "l_max": args.l_max, "nice": args.nice}
claims = Claims("fig7", args, r_cut=R_CUT, sigma=SIGMA, cutoff_width=WIDTH, **settings)
kept = Kept("fig7", args)
print(f"Fig. 7 ({args.preset}): {args.data}")


def to_learn_from(n, draw):
    """The first `n` molecules that are not held out: those of a smaller set are among those of a larger one."""
    return rb.Frames([frames[k] for k in order[draw][args.n_test : args.n_test + n]])


@functools.cache
def optimal(density, draw):
    """The combined basis of molecules to learn from; as many of its functions as are asked for are taken."""
    basis = rb.OptimalBasis(DENSITIES[density], rb.Gto(args.n_ref), l_max=args.l_max, mixing="combined")
    return basis.fit(to_learn_from(min(args.learn[-1], 5000), draw))


def basis(kind, density, n, n_train, draw):
    if kind == "GTO":
        return rb.SphericalExpansion(DENSITIES[density], rb.Gto(n), l_max=args.l_max, species=frames.species)
    if kind == "supervised":
        span = basis("optimal", density, args.span, n_train, draw)
        linear = rb.Potential(rb.PowerSpectrum(span), rb.Ridge(ALPHAS[n_train]))
        return linear.fit(to_learn_from(n_train, draw), **ENERGIES).supervised(n)
    return optimal(density, draw).set_params(q_max=n)


def potential(kind, some, nu, n_train):
    if kind == "kernel":
        return rb.Potential(rb.PowerSpectrum(some), rb.Gap(args.n_sparse, zeta=2))
    exact = [spectrum(some) for spectrum in SPECTRA[:nu]]
    return rb.Potential(
        exact if nu <= len(SPECTRA) else rb.Nice(some, nu_max=nu, **args.nice), rb.Ridge(ALPHAS[n_train])
    )


def error(kind, n, nu, n_train, density="as it is", draw=0) -> float:
    """Mean absolute error of the energies of held-out molecules, in kcal/mol."""

    def compute():
        start = time.time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few functions, and of columns that few molecules leave open
            some = basis("optimal" if kind == "kernel" else kind, density, n, n_train, draw)
            model = potential(kind, some, nu, n_train).fit(to_learn_from(n_train, draw), **ENERGIES)
        energies = np.array([atoms.info["energy"] for atoms in held_out[draw]])
        mae = KCAL * float(np.abs(model.predict(held_out[draw], forces=False).energies - energies).mean())
        print(
            f"  {kind}, {density}, {n} channels, ν ≤ {nu}, {n_train} molecules: {mae:.3g} kcal/mol, "
            f"{model.n_parameters_} columns, {time.time() - start:.1f} s",
            flush=True,
        )
        return mae

    return kept([kind, n, nu, n_train, density, draw], compute)


n_species = five = len(frames.species)  # one set of GTOs has a channel for each species
ORDERS = (1, 2, 3, 4)
top = {
    (name, nu): {channels * n: error(kind, n, nu, args.n_top) for n in sizes[nu]}
    for name, kind, sizes, channels in (("GTO", "GTO", args.gto, n_species), ("optimal", "optimal", args.optimal, 1))
    for nu in ORDERS
}
# By name: kind, n, nu, density; colour and line.
CURVES = {
    "GTO, ν ≤ 3": (("GTO", 1, 3, "as it is"), COLOURS[2], "--"),
    **{f"optimal, ν ≤ {nu}": (("optimal", five, nu, "as it is"), COLOURS[nu - 1], "-") for nu in (1, 2, 3)},
    f"optimal, NICE, ν ≤ 4, {args.large} channels": (("optimal", args.large, 4, "as it is"), COLOURS[3], "-"),
    f"kernel, {args.large} channels, {args.n_sparse} points, scaled": (("kernel", args.large, 2, "scaled"), "k", ":"),
    "GTO, ν ≤ 3, scaled": (("GTO", 1, 3, "scaled"), COLOURS[4], "--"),
    "optimal, ν ≤ 3, scaled": (("optimal", five, 3, "scaled"), COLOURS[4], "-"),
    "supervised, ν ≤ 3": (("supervised", five, 3, "as it is"), COLOURS[5], "-"),
    "supervised, ν ≤ 3, scaled": (("supervised", five, 3, "scaled"), COLOURS[5], "-."),
}
# What the paper's two statements are about: with more molecules than the other curves, and two draws of 5,000.
ITS = ("GTO, ν ≤ 3", "optimal, ν ≤ 3")
curves = {
    name: {
        n: [error(kind, size, nu, n, density, draw) for draw in range(args.draws if n == 5000 and name in ITS else 1)]
        for n in args.learn + (args.far if name in ITS else ())
    }
    for name, ((kind, size, nu, density), _, _) in CURVES.items()
}

farthest, largest, only = (args.learn + args.far)[-1], args.learn[-1], "GTO, ν ≤ 3"
ratio = {nu: top["GTO", nu][n_species] / top["optimal", nu][n_species] for nu in (1, 2, 3)}
claims.add(
    "the optimal basis is better at every order, and the more so the higher it is: error of one GTO for each species "
    f"over that of as many optimal channels, ν ≤ 1, 2, 3, {args.n_top:,} molecules",
    [digits(value) for value in ratio.values()],
    ratio[1] > 1 and ratio[2] > ratio[1] and ratio[3] > ratio[2],
    why=f"With {args.n_top:,} molecules ν ≤ 3 has more columns, 8,625, than molecules, and its ratio is about that of "
    "ν ≤ 2; with more molecules it goes on growing (next claim).",
)
mean = {name: {n: float(np.mean(values)) for n, values in curve.items()} for name, curve in curves.items()}
optimal_3 = mean["optimal, ν ≤ 3"]
fold = {n: digits(mean[only][n] / optimal_3[n]) for n in optimal_3}
claims.add(
    "five times smaller errors with ν ≤ 3 and as many channels as species, with 65,000 molecules; here by number of "
    f"molecules, and {'4.5' if farthest >= 65_000 else 'four'} at least with {farthest:,}",
    fold,
    fold[farthest] >= (4.5 if farthest >= 65_000 else 4),
    why=f"The ratio grows with the number of molecules, and this preset has {farthest:,}.",
)
claims.add(
    "with these the threshold of 1 kcal/mol is reached, with 65,000 molecules; here the errors by number of molecules "
    "(kcal/mol)",
    {n: digits(value) for n, value in optimal_3.items()},
    min(optimal_3.values()) < 1.05,
    why=f"With {farthest:,} molecules it is not there yet. With the scaled density, fewer are enough (below).",
)
twice = {
    nu: [digits(top["optimal", nu][n]), digits(top["GTO", nu][2 * n_species])]
    for nu in ORDERS
    for n in [n_species]
    if n in top["optimal", nu] and 2 * n_species in top["GTO", nu]
}
claims.add(
    "an optimal basis is as accurate as a GTO basis of twice its size: errors of both by order (kcal/mol)",
    twice,
    bool(twice) and all(one <= 1.05 * two for one, two in twice.values()),
)
plateau = list(top["optimal", 4].values())
claims.add(
    "where NICE is truncated, errors no longer fall with more channels: those of ν ≤ 4 by their number (kcal/mol)",
    {n: digits(value) for n, value in top["optimal", 4].items()},
    plateau[-1] > 0.8 * min(plateau[:-1]),
)
kernel = next(curve for name, curve in mean.items() if name.startswith("kernel"))
linear = {n: min(curve[n] for name, curve in mean.items() if CURVES[name][0][0] == "optimal") for n in args.learn}
claims.add(
    f"a kernel of the power spectrum is the most accurate of all: its error with {largest:,} molecules, and the least "
    "of the linear models on principal functions (kcal/mol)",
    [digits(kernel[largest]), digits(linear[largest])],
    kernel[largest] < linear[largest],
    why=f"With {args.n_sparse:,} sparse points, which is few for {largest:,} molecules of some eighteen atoms each.",
)
claims.table(
    "MAE in kcal/mol by number of molecules to learn from",
    ["model", *(f"{n:,}" for n in args.learn + args.far)],
    [
        [name, *(digits(curve[n]) if n in curve else None for n in args.learn + args.far)]
        for name, curve in mean.items()
    ],
)
if args.draws > 1:
    claims.table(
        "MAE in kcal/mol with 5,000 molecules, by draw of molecules (above, their mean)",
        ["model", *range(1, args.draws + 1)],
        [[name, *map(digits, curves[name][5000])] for name in ITS],
    )
claims.table(
    f"MAE in kcal/mol by number of channels (a, n), {args.n_top:,} molecules",
    ["basis", "order", "errors by number of channels"],
    [
        [name, "NICE, ν ≤ 4" if nu == 4 else f"ν ≤ {nu}", "; ".join(f"{n}: {e:#.3g}" for n, e in curve.items())]
        for (name, nu), curve in top.items()
    ],
)
claims.beyond(
    "The two statements hold for the density as it is. Where near neighbours count more (scaling 1, 2, 7), fewer "
    "molecules are enough. Functions that a linear model of the power spectrum supervises serve the bispectrum too."
)
scaled = {n: mean["GTO, ν ≤ 3, scaled"][n] / mean["optimal, ν ≤ 3, scaled"][n] for n in args.learn}
claims.add(
    "with the scaled density the optimal basis is ahead of GTO by less: ratio of the errors by number of molecules",
    {n: digits(value) for n, value in scaled.items()},
    1 < scaled[largest] < fold[largest],
)
ahead = {n: digits(optimal_3[n] / mean["supervised, ν ≤ 3"][n]) for n in args.learn}
claims.add(
    "supervised functions are better than principal ones: ratio of the errors by number of molecules, density as it is",
    ahead,
    ahead[largest] > 1,
)
claims.write()

with (args.out / "fig7.csv").open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["curve", "channels", "molecules", "MAE (kcal/mol)"])
    for (name, nu), curve in top.items():
        writer.writerows([[f"{name}, ν ≤ {nu}", n, args.n_top, value] for n, value in curve.items()])
    for name, curve in mean.items():
        writer.writerows([[name, CURVES[name][0][1], n, value] for n, value in curve.items()])

figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 9))
for (name, nu), curve in top.items():
    label = f"{name}, " + ("NICE, ν ≤ 4" if nu == 4 else f"ν ≤ {nu}")
    style = {"GTO": ("--", "s"), "optimal": ("-", "o")}[name]
    above.loglog(list(curve), list(curve.values()), style[0], marker=style[1], ms=4, color=COLOURS[nu - 1], label=label)
above.set(xlabel="channels (a, n)", ylabel="MAE / kcal/mol", title=f"{args.n_top:,} molecules to learn from")
for name, (_, colour, line) in CURVES.items():
    below.loglog(list(mean[name]), list(mean[name].values()), line, marker=".", color=colour, label=name)
below.set(xlabel="molecules to learn from", ylabel="MAE / kcal/mol")
for axis in (above, below):
    plain_log(axis)
    axis.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.xaxis.set_minor_formatter("{x:,.0f}")
    axis.axhline(1.0, color="0.6", lw=0.8, zorder=0)
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=4)
save(figure, args, "fig7")
