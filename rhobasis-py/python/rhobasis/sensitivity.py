"""What a fitted potential looks at, and bases made for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _native
from .density import RadialScaling
from .optimal import OptimalBasis
from .structure import as_native

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .structure import FramesLike

__all__ = ["Sensitivity"]


class Sensitivity:
    """How strongly energies of atoms depend on the coefficients of their density, for each l:

        S^l = Σ_i Σ_m g_i g_iᵀ,   g_i = ∂E_i/∂⟨qlm|ρ_i⟩

    over the functions q of the optimal basis of a potential; `Potential.sensitivity` makes it.

    Attributes
    ----------
    matrices_ : dict of ndarray
        S [q, q′] by (species, l), or by l where all species are contracted together; centre-specific: a dict of these
        by species of centre.
    n_centers_ : int
        Number of atoms.
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

    def radial_weight(self, r: ArrayLike) -> np.ndarray:
        """How much energies depend on a neighbour at each distance `r`, in Å, per unit of its density:

            w(r)² = Σ_l I_l(r)ᵀ S^l I_l(r) / Σ_l (2l + 1) N I_l(r)ᵀ I_l(r)

        with the contracted radial integrals I_l of Eq. (9) and the number N of atoms, summed over species. Only how it
        changes with r means something, and only where the training set has pairs.
        """
        r = np.asarray(r, dtype=float)
        return np.array(self._native.radial_weight(r.ravel().tolist())).reshape(r.shape)

    def scaling(self, frames: FramesLike) -> RadialScaling | None:
        """The scaling of the density that lets neighbours count as this potential needs them, u(r) = 1/(1 + (r/r0)^m).

        For potentials of a density without scaling: r0 is 0.85 of the median distance of nearest neighbours in
        `frames`, m is fitted to ln w(r), see `radial_weight`, from there to the shell of the cutoff. None if w does not
        fall with r. ``rhobasis tune`` tries it with others.

        >>> import rhobasis as rb
        >>> from ase.build import bulk
        >>> from ase.calculators.emt import EMT
        >>> frames = [bulk("Cu", cubic=True) for _ in range(8)]
        >>> for k, atoms in enumerate(frames):
        ...     atoms.rattle(0.1, seed=k)
        ...     atoms.calc = EMT()
        ...     _ = atoms.get_forces()
        >>> span = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=8), l_max=2, q_max=6)
        >>> potential = rb.Potential(rb.PowerSpectrum(span), rb.Ridge()).fit(frames)
        >>> u = potential.sensitivity(frames).scaling(frames)
        >>> u is None or 1.9 < u.scale < 2.3
        True
        """
        found = self._native.scaling(as_native(frames))
        return None if found is None else RadialScaling(*found)

    def __repr__(self) -> str:
        return f"Sensitivity({self.n_centers_} atoms)"
