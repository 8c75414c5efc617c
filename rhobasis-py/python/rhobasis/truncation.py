"""How many channels an order of correlation needs, and what is lost: truncation with a guarantee, Eq. (20)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _native
from ._accumulation import dataset
from ._errors import RhobasisError
from ._html import grid
from ._pictures import new_axes
from ._progress import Progress
from .optimal import OptimalBasis
from .structure import as_native

if TYPE_CHECKING:
    from .density import SphericalExpansion
    from .structure import FramesLike


class TruncationPlan:
    """The fewest channels that reach a target, and other truncations to compare with.

    Attributes
    ----------
    retain_ : float
        ``OptimalBasis(retain=plan.retain_)``, fitted to the same frames, keeps these channels.
    retained_ : float
        The fraction that they retain at the order of the plan.
    q : dict of int
        Channels of each block, with the keys of ``basis.eigenvalues_``.
    exact : bool
        Whether fractions are exact for the frames given, or powers of the retained variance.
    table : dict of ndarray
        Arrays over the truncations that were tried: `channels`, `retain`, and fractions [truncation, ν − 1] `exact`,
        `invariant` (where they are known) and `approximate`.
    chosen : int
        The row of the table that is the answer.
    """

    def __init__(
        self, nu: int, q: Any, table: dict[str, np.ndarray], chosen: int, exact: bool, invariant: bool
    ) -> None:
        self.nu, self.q, self.table, self.chosen = nu, q, table, chosen
        self.exact, self.invariant = exact, invariant

    @property
    def channels(self) -> int:
        """Channels of all l and species."""
        return int(self.table["channels"][self.chosen])

    @property
    def retain_(self) -> float:
        """The `retain` of an `OptimalBasis` with these channels."""
        return float(self.table["retain"][self.chosen])

    @property
    def retained_(self) -> float:
        """Fraction retained at the order of the plan."""
        law = "invariant" if self.invariant else "exact" if self.exact else "approximate"
        return float(self.table[law][self.chosen, self.nu - 1])

    def _laws(self) -> list[tuple[str, int, np.ndarray]]:
        laws = (name for name in ("exact", "invariant", "approximate") if name in self.table)
        columns = [(name, k + 1, column) for name in laws for k, column in enumerate(self.table[name].T)]
        return [law for law in columns if law[:2] != ("approximate", 1) or not self.exact]

    def __repr__(self) -> str:
        of = "invariant part of the " if self.invariant else ""
        how = "" if self.exact else ", approximately"
        return (
            f"TruncationPlan({self.channels} channels retain {self.retained_:.6f} of the {of}{self.nu}-spectrum{how}; "
            f"OptimalBasis(retain={self.retain_!r}))"
        )

    def _rows(self) -> list[list[str]]:
        """The table as text: its header, then a row for each truncation, the chosen one with a star."""
        laws = self._laws()
        header = ["channels", "retain", *(f"{name} ν={nu}" for name, nu, _ in laws)]
        rows = [
            [f"{n}{' *' if k == self.chosen else ''}", f"{retain}", *(f"{1 - law[2][k]:.2e}" for law in laws)]
            for k, (n, retain) in enumerate(zip(self.table["channels"], self.table["retain"], strict=True))
        ]
        return [header, *rows]

    def __str__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(f"{c:>{w}}" for c, w in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([repr(self), "lost:", *lines])

    def _repr_html_(self) -> str:
        header, *rows = self._rows()
        return grid(f"{self!r}; lost:", header, rows)

    def plot(self, ax: Any = None) -> Any:
        """Draws what is lost against the number of channels; returns the axes."""
        ax = new_axes(1)[0] if ax is None else ax
        for name, nu, column in self._laws():
            style = {"exact": "o-", "invariant": "s--", "approximate": ":"}[name]
            lost = np.where(column < 1 - 1e-13, 1 - column, np.nan)
            ax.plot(self.table["channels"], lost, style, color=f"C{nu - 1}", ms=3, label=f"ν = {nu}, {name}")
        ax.axvline(self.channels, color="0.5", ls="--", lw=0.8)
        ax.set(xlabel="channels", ylabel="residual variance", yscale="log")
        ax.legend(fontsize="small")
        return ax


def plan_truncation(
    basis: OptimalBasis,
    frames: FramesLike | None = None,
    nu: int = 4,
    retain: float = 0.999,
    invariant: bool = False,
) -> TruncationPlan:
    """The fewest channels, in the order of their eigenvalues, that retain a fraction of the ν-spectrum of `frames`.

        Σ_i |P c_i|^{2ν} / Σ_i |c_i|^{2ν} ≥ retain

    exactly, for these frames, relative to the channels of `basis`: fit it with neither `q_max` nor `retain`.
    `invariant` asks this of the invariant part (λ = 0, σ = 1) instead. Without frames, eigenvalues give the power of
    the retained variance, which is an approximation. Files are read whole: the frames are gone through several times.

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> frames = [molecule(name) for name in ("H2O", "CH4", "NH3")]
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=2, mixing="combined").fit(frames)
    >>> plan = rb.plan_truncation(basis, frames, nu=3, retain=0.99)
    >>> plan.retained_ >= 0.99, plan.exact
    (True, True)
    >>> small = rb.OptimalBasis(**{**basis.get_params(deep=False), "retain": plan.retain_}).fit(frames)
    >>> {l: len(u) for l, u in small.contraction_.items()} == plan.q
    True
    """
    native = basis._finish()
    if (lost := native.discarded_variance()) > 1e-12:
        warnings.warn(
            f"this basis keeps {1 - lost:.6f} of the variance, and fractions are relative to that; "
            "for those of the whole density fit it with neither q_max nor retain",
            UserWarning,
            stacklevel=2,
        )
    held = None if frames is None else as_native(frames)
    rows, chosen, exact = _native.plan(native, held, nu, retain, invariant)
    table = {"channels": np.array([row[1] for row in rows]), "retain": np.array([row[0] for row in rows])}
    for name, field in (("exact", 3), ("invariant", 4), ("approximate", 5)):
        if rows[0][field]:
            table[name] = np.array([row[field] for row in rows])
    kinds = {
        center: {(l if a is None else (a, l)): q for (a, l, _, _), q in zip(blocks, counts, strict=True)}
        for (center, _, blocks), counts in zip(native.kinds(), rows[chosen][2], strict=True)
    }
    return TruncationPlan(nu, kinds.get(None, kinds), table, chosen, exact, invariant)


def retained_variance(
    basis: OptimalBasis,
    frames: FramesLike,
    q: Sequence[int],
    nu: Sequence[int] = (1, 2, 3, 4),
    invariant: bool = False,
    progress: bool = False,
) -> np.ndarray:
    """Fraction of the ν-spectrum of `frames` that the first q channels of each block retain: [q, ν], exact.

    Of the full equivariant spectrum, or of its `invariant` part, relative to the channels of `basis`. The power
    ``retained_variance(basis, frames, q, [1]) ** nu`` is the dotted law of Fig. 4. Files are streamed.

    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> frames = [molecule(name) for name in ("H2O", "CH4", "NH3")]
    >>> basis = rb.OptimalBasis(rb.Density(r_cut=4.0), rb.Gto(n_max=6), l_max=2).fit(frames)
    >>> retained = rb.retained_variance(basis, frames, q=[1, 2, 6])
    >>> retained.shape, bool(retained[0, 3] < retained[0, 0])  # more bodies lose more
    ((3, 4), True)
    """
    norms = _native.SpectrumNorms.of_leading(basis._finish(), list(q), list(nu), invariant)
    _feed(norms, frames, progress)
    sums = norms.sums()
    if not (sums[-1] > 0).all():
        raise RhobasisError("frames: their density has no norm at all; give structures whose atoms have neighbours")
    return sums[:-1] / sums[-1]


def spectrum_norms(
    evaluator: SphericalExpansion | OptimalBasis,
    frames: FramesLike,
    nu: Sequence[int] = (1, 2, 3, 4),
    invariant: bool = False,
    progress: bool = False,
) -> np.ndarray:
    """Squared norm of the ν-spectrum of all environments of `frames`, Σ_i |c_i|^{2ν}: [ν].

    `invariant` gives that of its invariant part (λ = 0, σ = 1) instead. No feature is built. A `SphericalExpansion`
    needs its species beforehand: from `species`, or from `fit`.

    >>> import numpy as np
    >>> import rhobasis as rb
    >>> from ase.build import molecule
    >>> expansion = rb.SphericalExpansion(rb.Density(r_cut=4.0), rb.Gto(n_max=4), l_max=2).fit([molecule("H2O")])
    >>> norms = rb.spectrum_norms(expansion, molecule("H2O"), nu=[1])
    >>> c = expansion.transform(molecule("H2O"))
    >>> bool(np.isclose(norms[0], sum((block**2).sum() for block in c.blocks)))
    True
    """
    if isinstance(evaluator, OptimalBasis):
        native = evaluator._finish()
    else:
        native = evaluator._expansion(evaluator._known_species())
    norms = _native.SpectrumNorms.of_evaluator(native, list(nu), invariant)
    _feed(norms, frames, progress)
    return norms.sums()[0]


def _feed(norms: _native.SpectrumNorms, frames: FramesLike, progress: bool) -> None:
    bar = Progress("norms", progress)
    for chunk, _, _, fraction in dataset(frames, in_parts=progress):
        norms.add(chunk)
        bar.update(fraction)
    bar.done()
