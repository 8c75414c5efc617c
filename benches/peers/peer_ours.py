"""rhobasis: density coefficients and their derivatives from a list of `ase.Atoms`, neighbour list included.

The Jacobian is taken in parts, each dropped before the next.
"""

from workloads import Workload, measure

import rhobasis as rb


def build(w: Workload, frames):
    density = rb.Density(r_cut=w.r_cut, sigma=w.sigma, cutoff_width=w.cutoff_width)
    if w.contract_from:
        mixing = "combined" if w.combined else "per-species"
        basis = rb.OptimalBasis(density, rb.Gto(w.contract_from), l_max=w.l_max, q_max=w.n, mixing=mixing)
    else:
        basis = rb.SphericalExpansion(density, rb.Gto(w.n), l_max=w.l_max)
    basis.fit(frames)
    if w.kind == "power":
        basis = rb.PowerSpectrum(basis)
    if w.task == "adjoint":
        gradient = basis.transform(frames)
        if w.kind == "power":
            gradient = gradient.mean(axis=0)  # the weights of a linear model
        return lambda: basis.backward(frames, gradient)
    if w.task == "jacobian":
        return lambda: sum(len(part) for part in basis.jacobian_parts(frames))
    return lambda: basis.transform(frames)


if __name__ == "__main__":
    measure("rhobasis", build)
