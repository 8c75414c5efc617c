"""Bases of all kinds, and motions, for the tests of derivatives and of memory."""

import numpy as np
import rhobasis as rb

VARIABLES = ["positions", "strain", "cell"]


def primitive(**options):
    return rb.SphericalExpansion(rb.Density(r_cut=3.7, sigma=0.4), rb.Gto(n_max=4), **{"l_max": 3, **options})


def contracted(mixing, center_specific=False):
    density, options = rb.Density(r_cut=3.7, sigma=0.4), {"mixing": mixing, "center_specific": center_specific}
    return rb.OptimalBasis(density, rb.Gto(n_max=6), l_max=3, q_max=3, **options)


BASES = {
    "primitive": primitive,
    "per species": lambda: contracted("per-species"),
    "combined": lambda: contracted("combined"),
    "center specific": lambda: contracted("per-species", center_specific=True),
}


def motion(frames, seed=3):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(len(atoms), 3)) for atoms in frames], rng.normal(size=(len(frames), 3, 3))
