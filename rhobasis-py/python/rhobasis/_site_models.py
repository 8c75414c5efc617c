"""Models of the energy of an atom, as a `Potential` takes them and the library does."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from . import _native
from ._base import Settings
from ._errors import RhobasisError
from .models import KernelRidge, Ridge

_DEFAULT = _native.DEFAULTS

Model: TypeAlias = "Ridge | Gap | KernelRidge"


class Gap(Settings):
    """A sparse kernel model of the energy of an atom, to be used in a `Potential`:

        E_i = Σ_m w_m (X_i · T_m)^ζ          over sparse points T_m of the species of atom i

    fitted as the mean of a Gaussian process with this kernel.

    Parameters
    ----------
    n_sparse : int, default 1000
        Number of sparse points, over all species in the proportion of their atoms.
    zeta : int, default 4
        Exponent of the kernel.
    sparse_method : {"fps", "cur"}, default "fps"
        ``"fps"`` chooses them by farthest point sampling, ``"cur"`` by leverage.
    delta : float, default 1.0
        Standard deviation of the energy of an atom before anything is known, in eV.
    jitter : float, default 1e-12
        Eigenvalues of the kernel of the sparse points below `jitter` times the largest are dropped.

    Examples
    --------
    >>> Gap(n_sparse=500)
    Gap(n_sparse=500)
    """

    def __init__(
        self,
        n_sparse: int = _DEFAULT["n_sparse"],
        zeta: int = _DEFAULT["zeta"],
        sparse_method: Literal["fps", "cur"] = "fps",
        delta: float = _DEFAULT["delta"],
        jitter: float = _DEFAULT["jitter"],
    ) -> None:
        self.n_sparse = n_sparse
        self.zeta = zeta
        self.sparse_method = sparse_method
        self.delta = delta
        self.jitter = jitter


def is_kernel(model: Any) -> bool:
    """Whether features are divided by their norms unless it is said otherwise."""
    return isinstance(model, (Gap, KernelRidge))


def model_settings(model: Any) -> dict[str, Any]:
    """As the library takes them."""
    if isinstance(model, Gap):
        return {"model": "gap", **model.get_params()}
    if isinstance(model, KernelRidge):
        alpha = model.alpha
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float, np.number)) or not 1e-60 <= alpha <= 1e60:
            raise RhobasisError(
                f"alpha = {alpha!r}: a positive number is needed in a Potential, from 1e-60 to 1e60; 1.0 is the default"
            )
        return {"model": "kernel-ridge", "zeta": model.zeta, "delta": float(alpha) ** -0.5}
    if isinstance(model, Ridge):
        if model.cv is not None:
            raise RhobasisError(
                f"cv = {model.cv!r}: a Potential chooses alpha by folds of its own, which keep frames that repeat "
                "together; leave cv out"
            )
        alpha = _DEFAULT["alpha"] if model.alpha is None else model.alpha
        return {"model": "ridge", "alpha": alpha, "solver": model.solver}
    raise TypeError(f"model must be a Ridge, a Gap or a KernelRidge of rhobasis, not {model!r}")


def model_of(settings: dict[str, Any]) -> Model:
    """The model of a stored potential."""
    settings = dict(settings)
    kind = settings.pop("type")
    if kind == "kernel-ridge":
        return KernelRidge(alpha=float(f"{settings['delta'] ** -2:.15g}"), zeta=settings["zeta"])
    return {"ridge": Ridge, "gap": Gap}[kind](**settings)
