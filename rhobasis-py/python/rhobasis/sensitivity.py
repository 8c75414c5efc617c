"""What a fitted potential looks at, and bases made for it."""

from __future__ import annotations

from typing import Any

from . import _native
from .optimal import OptimalBasis

__all__ = ["Sensitivity"]


class Sensitivity:
    """How strongly energies of atoms depend on the coefficients of their density, for each l:

        S^l = Σ_i Σ_m g_i g_iᵀ,   g_i = ∂E_i/∂⟨qlm|ρ_i⟩

    over the functions q of the optimal basis of a potential; `Potential.sensitivity` makes it.

    Attributes
    ----------
    matrices_ : S [q, q′] by (species, l), or by l where all species are contracted together; centre-specific: a dict of
        these by species of centre.
    n_centers_ : number of atoms.
    """

    def __init__(self, native: _native.Sensitivity) -> None:
        self._native = native

    @property
    def matrices_(self) -> dict[Any, Any]:
        """S of each block; see the class for the keys."""
        kinds = {
            center: {l if species is None else (species, l): matrix for species, l, matrix in blocks}
            for center, blocks in self._native.matrices()
        }
        return kinds.get(None, kinds)

    @property
    def n_centers_(self) -> int:
        """Number of atoms."""
        return self._native.n_centers()

    def basis(self, q_max: int, gamma: float = 0.1) -> OptimalBasis:
        """The basis of `q_max` functions for each l that keeps variance and sensitivity:

            C̃ = γ C/tr C + (1 − γ) C^½ S C^½/tr(C^½ S C^½)

        with C the covariance that the basis of the potential was made from. `gamma` = 1 gives principal functions,
        smaller ones give more weight to what the potential depends on.

        >>> import rhobasis as rb
        >>> from ase.build import bulk
        >>> from ase.calculators.emt import EMT
        >>> frames = [bulk("Cu", cubic=True) for _ in range(8)]
        >>> for k, atoms in enumerate(frames):
        ...     atoms.rattle(0.1, seed=k)
        ...     atoms.calc = EMT()
        ...     _ = atoms.get_forces()
        >>> span = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=8), l_max=2, q_max=6)
        >>> potential = rb.Potential(rb.PowerSpectrum(span), rb.Gap(n_sparse=20)).fit(frames)
        >>> basis = potential.sensitivity(frames).basis(q_max=2)
        >>> basis.transform(frames).blocks[1].shape
        (32, 3, 2)
        """
        return OptimalBasis._of_native(self._native.basis({"q_max": q_max, "gamma": gamma}))

    def __repr__(self) -> str:
        return f"Sensitivity({self.n_centers_} atoms)"
