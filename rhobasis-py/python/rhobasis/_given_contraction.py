"""A basis from matrices that were made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ._accumulation import Accumulation
from ._errors import RhobasisError
from .density import _DEFAULT, Density
from .primitive import Primitive

if TYPE_CHECKING:
    from typing_extensions import Self

    from .structure import FramesLike

_Matrix = tuple[int | str | None, int | str | None, int, Any]


class GivenContraction(Accumulation):
    """How an `OptimalBasis` is made of matrices U that are given."""

    @classmethod
    def from_contraction(
        cls,
        density: Density,
        primitive: Primitive,
        contraction: Mapping[Any, Any],
        frames: FramesLike,
        orthonormalise: bool = False,
        spline_accuracy: float | None = _DEFAULT["spline_accuracy"],
        progress: bool = False,
    ) -> Self:
        """The basis of given matrices U, of a paper or another code, over the functions n of `primitive`:

            ⟨x|aql; opt⟩ = Σ_n U[q, n] ⟨x|nl⟩                                   Eqs. (7), (10), or (12)

        `contraction` holds them as `contraction_` does: U [q, n] by (species, l), or, of all species combined,
        [q, (species, n)] by l alone, species of the frames ascending, n fastest; centre-specific: a dict of these by
        species of centre. Species are atomic numbers or symbols, l goes from 0 to `l_max`, and there is a matrix for
        each of them and each species of the frames; one of shape (0, n) keeps no function.

        `frames` tell how much of the variance each function keeps, Eq. (22): `eigenvalues_` are (U C Uᵀ)_qq with the
        covariance C of `frames`, followed by the eigenvalues of C in what U leaves. Rows have to be orthonormal to
        1e-6; with `orthonormalise`, others are replaced by the nearest that are, (U Uᵀ)^(−1/2) U. The basis says
        ``method="given"``; it is saved, loaded and used as any other.

        >>> import rhobasis as rb
        >>> from ase.build import molecule
        >>> density, primitive = rb.Density(r_cut=4.0), rb.Gto(n_max=6)
        >>> fitted = rb.OptimalBasis(density, primitive, l_max=1, q_max=1).fit(molecule("H2O"))
        >>> basis = rb.OptimalBasis.from_contraction(density, primitive, fitted.contraction_, molecule("H2O"))
        >>> basis.transform(molecule("H2O")).blocks[0].shape
        (3, 1, 2)
        """
        settings, matrices = _read(contraction)
        settings |= {"density": density, "primitive": primitive, "spline_accuracy": spline_accuracy}
        basis = cls(**settings)
        basis._accumulate(frames, None, progress)
        basis._covariance.set_files(basis._files, None)
        return cls._of_native(basis._covariance.basis_of(matrices, orthonormalise))

    def _check_is_found(self) -> None:
        """Refuses to look for functions where the method says that they are made of something else."""
        if self.method == "sensitivity":
            raise RhobasisError(
                "method = sensitivity: it is that of a potential; "
                "potential.sensitivity(frames).basis(q_max) makes the basis"
            )
        if self.method == "given":
            raise RhobasisError(
                "method = given: its functions are those of matrices; OptimalBasis.from_contraction makes the basis, "
                "and method='pca' finds functions"
            )


def _read(contraction: Mapping[Any, Any]) -> tuple[dict[str, Any], list[_Matrix]]:
    """Settings that the keys tell, and centre, species, l and U of each matrix."""
    if not isinstance(contraction, Mapping) or not contraction:
        raise _refused(contraction, "it is no dict of matrices")
    center_specific = all(isinstance(value, Mapping) for value in contraction.values())
    matrices: list[_Matrix] = []
    for center, blocks in contraction.items() if center_specific else [(None, contraction)]:
        for key, matrix in blocks.items():
            species, l = cast(Any, key) if isinstance(key, tuple) and len(key) == 2 else (None, key)
            if isinstance(matrix, Mapping) or not isinstance(l, (int, np.integer)) or isinstance(l, bool) or l < 0:
                raise _refused(key, "this key is neither (species, l) nor l")
            matrices.append((center, species, int(l), matrix))
    combined = {species is None for _, species, _, _ in matrices}
    if len(combined) != 1:
        raise _refused(sorted(map(str, contraction)), "some keys are (species, l), others l alone")
    mixing = "combined" if combined == {True} else "per-species"
    l_max = max(l for _, _, l, _ in matrices)
    return {"l_max": l_max, "mixing": mixing, "center_specific": center_specific}, matrices


def _refused(value: Any, problem: str) -> RhobasisError:
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return RhobasisError(f"contraction = {shown}: {problem}; give U as contraction_ of a fitted basis holds it")
