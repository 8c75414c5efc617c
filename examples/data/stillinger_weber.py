"""The Stillinger-Weber potential of silicon: energy, forces and stress, in NumPy.

F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985):

    E = Σ_i [ 1/2 Σ_j v2(r_ij) + Σ_{j<k} v3(r_ij, r_ik, cos θ_jik) ]

    v2(r)         = ε A [B (σ/r)^4 - 1] h(r)                        h(r) = exp[σ / (r - aσ)]
    v3(r, s, cos) = ε λ (cos + 1/3)^2 h(r)^γ h(s)^γ

for distances below aσ = 3.77 Å; everything vanishes there with all its derivatives. Units: Å and eV.
"""

import numpy as np

EPSILON = 2.1682  # eV; 50 kcal/mol per pair, the paper's ε
SIGMA = 2.0951  # Å
A = 7.049556277
B = 0.6022245584
CUTOFF = 1.80 * SIGMA  # aσ, Å
LAMBDA = 21.0
GAMMA = 1.20


def wrap(positions, cell, pbc):
    """Positions moved into the cell along its periodic directions; cell vectors stand in rows."""
    fractional = positions @ np.linalg.inv(cell)
    return positions - np.floor(fractional) * pbc @ cell


def neighbors(positions, cell, pbc, cutoff=CUTOFF):
    """All ordered pairs closer than `cutoff`, every pair twice, images of the atom itself included.

    Returns i, j and shift (in Å): the vector of pair p is positions[j[p]] + shift[p] - positions[i[p]].
    """
    fractional = positions @ np.linalg.inv(cell)
    origin = np.floor(fractional) * pbc  # whole cells, so that the search below starts from wrapped atoms
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    reach = np.ceil(cutoff / heights).astype(int) * pbc
    images = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    wrapped = positions - origin @ cell
    delta = wrapped[None, :, None] - wrapped[:, None, None] + (images @ cell)[None, None]  # axes [i, j, image, xyz]
    squared = np.einsum("ijsx,ijsx->ijs", delta, delta)
    i, j, image = np.nonzero((squared < cutoff**2) & (squared > 1e-12))
    return i, j, (images[image] + origin[i] - origin[j]) @ cell


def smooth(r, power=1.0):
    """h(r)^power and its derivative; zero from the cutoff on."""
    gap = np.minimum(r - CUTOFF, -1e-9)
    value = np.exp(power * SIGMA / gap)
    return value, -power * SIGMA / gap**2 * value


def evaluate(positions, cell, pbc, pairs=None):
    """Energy (eV), forces (eV/Å) and the strain derivative dE/dη (eV, 3x3) of one structure.

    The stress, positive under tension, is dE/dη divided by the volume. `pairs` takes the result of
    `neighbors`, also of one with a larger cutoff, to be used again while the atoms move little.
    """
    i, j, shift = neighbors(positions, cell, pbc) if pairs is None else pairs
    vector = positions[j] + shift - positions[i]
    r = np.linalg.norm(vector, axis=1)
    inside = r < CUTOFF
    i, j, vector, r = i[inside], j[inside], vector[inside], r[inside]
    unit = vector / r[:, None]

    # Two bodies: every pair is listed twice, hence the half.
    h, dh = smooth(r)
    repulsion = B * (SIGMA / r) ** 4
    energy = 0.5 * EPSILON * A * np.sum((repulsion - 1) * h)
    slope = 0.5 * EPSILON * A * ((repulsion - 1) * dh - 4 * repulsion / r * h)
    gradient = slope[:, None] * unit  # dE / d vector, one row per pair

    # Three bodies: pairs p and q, p < q, that share their first atom.
    p, q = np.nonzero(np.triu(i[:, None] == i[None, :], k=1))
    g, dg = smooth(r, GAMMA)
    cosine = np.einsum("tx,tx->t", unit[p], unit[q])
    angle = cosine + 1 / 3
    energy += EPSILON * LAMBDA * np.sum(angle**2 * g[p] * g[q])
    by_cosine = 2 * EPSILON * LAMBDA * angle * g[p] * g[q]
    for one, other in ((p, q), (q, p)):
        along = EPSILON * LAMBDA * angle**2 * dg[one] * g[other]
        turning = (by_cosine / r[one])[:, None] * (unit[other] - cosine[:, None] * unit[one])
        np.add.at(gradient, one, along[:, None] * unit[one] + turning)

    forces = np.zeros_like(positions)
    np.add.at(forces, i, gradient)
    np.add.at(forces, j, -gradient)
    return float(energy), forces, vector.T @ gradient


def stress(positions, cell, pbc):
    """Stress in eV/Å^3, 3x3, positive under tension (the sign of ASE)."""
    return evaluate(positions, cell, pbc)[2] / abs(np.linalg.det(cell))
