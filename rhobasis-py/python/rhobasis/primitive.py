"""The primitive radial bases."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ._base import Settings

if TYPE_CHECKING:
    from typing_extensions import Self


class Gto(Settings):
    """Gaussian-type orbitals, orthonormal; `n_max` functions, the same for every l."""

    _kind = "gto"

    def __init__(self, n_max: int) -> None:
        self.n_max = n_max


class Dvr(Settings):
    """Discrete variable representation: `n_max` functions, each peaked at one Gauss-Legendre node.

    `quadrature` takes the integrals by the rule of the nodes themselves instead of exact projection.
    """

    _kind = "dvr"

    def __init__(self, n_max: int, quadrature: bool = False) -> None:
        self.n_max = n_max
        self.quadrature = quadrature


class LaplacianEigenstates(Settings):
    """Eigenstates of the Laplacian in the sphere of radius r_cut: `n_max` for l = 0, fewer for larger l."""

    _kind = "laplacian"

    def __init__(self, n_max: int) -> None:
        self.n_max = n_max


class Tabulated(Settings):
    """Radial functions of your own, as a table: functions φ_nl(r_k) at radii r_k.

    For each l they are normalised and orthonormalised symmetrically (Löwdin), with x² as weight; functions that are
    orthonormal already stay as they are:

        R_nl = Σ_k (S^(−1/2))_nk φ_kl/|φ_kl|,   S_nk = ∫ x² φ_nl φ_kl dx / (|φ_nl| |φ_kl|)

    Between the radii φ is the spline of fifth degree of SciPy's ``make_interp_spline(r, R, k=5)``; beyond the last, 0.
    The error of the spline falls as the sixth power of the step: 1e-8 of the largest value with 32 steps for each
    half-wave. Then everything is as with the other bases. With ``sigma=0``, coefficients are values of the functions
    themselves: the radii must reach r_cut.

    Parameters
    ----------
    r : array [k]
        Radii in Å, six or more, ascending from 0. The last one may lie below r_cut, or beyond it: a Gaussian reaches
        some sigma further than the neighbour that it is on.
    R : array [n_max, k] or [l_max + 1, n_max, k]
        The functions, the same for every l or some for each, in any unit.

    Examples
    --------
    >>> r = np.linspace(0, 6, 193)
    >>> R = [np.sinc((n + 1) * r / 6) for n in range(6)]  # sin(kr)/(kr), k = (n + 1)π/6
    >>> import rhobasis as rb
    >>> basis = rb.SphericalExpansion(rb.Density(r_cut=5.0), rb.Tabulated(r, R), l_max=2, species=["Si"])
    >>> basis.primitive.n_max, basis.radial_functions([1.0, 2.0], l=0).shape
    (6, (2, 6))
    """

    _kind = "tabulated"

    def __init__(self, r: ArrayLike, R: ArrayLike) -> None:
        self.r = r
        self.R = R

    @classmethod
    def from_function(
        cls,
        f: Callable[..., ArrayLike],
        n_max: int,
        r_max: float,
        l_max: int | None = None,
        points: int | None = None,
    ) -> Self:
        """The table of a Python function.

        Parameters
        ----------
        f : callable
            ``f(r)`` gives an array [n_max, len(r)] for an array of radii in Å; if `l_max` is given, ``f(l, r)`` does.
        n_max : int
            Number of functions.
        r_max : float
            The last radius, in Å.
        l_max : int, optional
            Largest angular momentum, if the functions depend on it.
        points : int, optional
            Number of radii, equally spaced from 0; by default 32 n_max + 1, at least 257, for functions that change
            sign n_max times or less.

        Examples
        --------
        >>> from scipy.special import spherical_jn
        >>> waves = np.pi * np.arange(1, 5) / 5.0
        >>> Tabulated.from_function(lambda l, r: spherical_jn(l, np.outer(waves, r)), n_max=4, r_max=5.0, l_max=3)
        Tabulated(4 functions for each l <= 3, 257 radii up to 5.0 Å)
        """
        r = np.linspace(0.0, r_max, max(32 * n_max + 1, 257) if points is None else points)
        R = np.asarray(f(r) if l_max is None else [f(l, r) for l in range(l_max + 1)], dtype=float)
        expected = (n_max, len(r)) if l_max is None else (l_max + 1, n_max, len(r))
        if R.shape != expected:
            of_l = "" if l_max is None else ", for each l,"
            shape = expected[-2:], R.shape if l_max is None else R.shape[1:]
            raise ValueError(f"f must give{of_l} an array [n_max, len(r)] = {shape[0]}, not {shape[1]}")
        return cls(r, R)

    @property
    def n_max(self) -> int:
        """Number of functions."""
        return np.shape(self.R)[-2]

    def _table(self) -> dict[str, Any]:
        """Checked for its axes, the functions as [l, n, k]."""
        r, R = _floats("r", self.r), _floats("R", self.R)
        if r.ndim != 1 or R.ndim not in (2, 3) or R.shape[-1] != len(r):
            raise ValueError(
                f"R has shape {R.shape} and r {r.shape}; give r [k], and R [n_max, k] or [l_max + 1, n_max, k]"
            )
        return {"r": r.tolist(), "R": (R[None] if R.ndim == 2 else R).tolist()}

    def _state(self) -> tuple[Any, ...]:
        arrays = _floats("r", self.r), _floats("R", self.R)
        return (type(self), *((array.shape, array.tobytes()) for array in arrays))

    def __eq__(self, other: object) -> bool:
        return self._state() == other._state() if isinstance(other, Tabulated) else NotImplemented

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        shape, r = np.shape(self.R), np.ravel(np.asarray(self.r))
        of_l = f" for each l <= {shape[0] - 1}" if len(shape) == 3 else ""
        n = shape[-2] if len(shape) > 1 else shape
        return f"Tabulated({n} functions{of_l}, {len(r)} radii up to {r[-1] if len(r) else None} Å)"


def _floats(name: str, values: ArrayLike) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of numbers") from None


Primitive: TypeAlias = Gto | Dvr | LaplacianEigenstates | Tabulated
