"""Features of several kinds beside each other in one potential, all of one basis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from . import _native
from ._errors import RhobasisError
from ._site_models import is_kernel
from .correlations import Bispectrum, Invariants, PowerSpectrum, RadialSpectrum
from .density import Evaluator, SphericalExpansion
from .models import KernelRidge
from .nice import Nice
from .optimal import OptimalBasis
from .structure import Frames

Features: TypeAlias = "Invariants | Sequence[Invariants]"

_CLASSES = {c._kind: c for c in (RadialSpectrum, PowerSpectrum, Bispectrum)}


def members_of(features: Any) -> list[Invariants]:
    """The features of each kind."""
    members = list(features) if isinstance(features, (list, tuple)) else [features]
    for member in members:
        if not isinstance(member, Invariants):
            raise TypeError(
                "features must be a PowerSpectrum, a RadialSpectrum, a Bispectrum or a Nice, or a list of such, "
                f"not {features!r}"
            )
        if member.reduce is not None or member.by_species:
            problem = "a potential sums contributions of atoms itself, and needs the features of each"
            raise RhobasisError(f"reduce = {member.reduce!r} of {type(member).__name__}: {problem}; leave it out")
    if not members:
        raise RhobasisError("features = []: there are none; give a PowerSpectrum, or several kinds")
    return members


def member_settings(member: Invariants, model: Any) -> dict[str, Any]:
    """As the library takes them: rows are divided by their norms for kernels, unless it is said otherwise."""
    normalize = member.normalize
    if normalize is None:
        normalize = is_kernel(model)
    elif isinstance(model, KernelRidge) and model.normalize and not normalize:
        raise RhobasisError(
            f"normalize = {normalize} of the features, {model.normalize} of the model: they contradict each "
            "other; leave it out of one of them"
        )
    return member._settings(normalize)


def common_basis(
    members: Sequence[Invariants], frames: _native.Frames, labels: _native.Labels, target: dict[str, Any]
) -> Evaluator:
    """The fitted basis of all of them; of one that is not, a copy is fitted to `frames`, or for what a model learns."""
    first = members[0]
    for k, member in enumerate(members):
        if not isinstance(member.basis, Evaluator):
            member._check_basis()
        if not _same(first._used_basis(), member._used_basis()):
            raise RhobasisError(
                f"features = {list(members)!r}: {type(member).__name__} (number {k}) has another basis than "
                f"{type(first).__name__} (number 0), and there is one expansion of the density; give them one basis, "
                "and q_max, l_max for each kind"
            )
    if first._used_basis().__sklearn_is_fitted__():
        return first.basis_
    basis = first.basis._unfitted()
    if isinstance(basis, OptimalBasis) and basis.method == "supervised":
        return basis._fit_to(frames, labels, target)
    energies = labels.energies()
    return basis.fit(Frames(frames), energies if np.isfinite(energies).all() else None)


def _same(a: Evaluator, b: Evaluator) -> bool:
    """Whether these are one basis: the same object, or equal in parameters and in what was fitted."""
    if a is b:
        return True
    if type(a) is not type(b) or a.__sklearn_is_fitted__() != b.__sklearn_is_fitted__():
        return False
    if isinstance(a, OptimalBasis) and isinstance(b, OptimalBasis) and a.__sklearn_is_fitted__():
        return a._finish().to_bytes() == b._finish().to_bytes()
    if isinstance(a, SphericalExpansion) and isinstance(b, SphericalExpansion) and a.__sklearn_is_fitted__():
        return a._known_species() == b._known_species() and a._state() == b._state()
    return a._state() == b._state()


def features_of(
    members: list[dict[str, Any]], basis: Evaluator, model: Any, nice: Callable[[int], _native.Nice | None]
) -> Invariants | list[Invariants]:
    """The features of a stored potential; `nice` gives what NICE of a member was fitted to be."""
    made = [_member_of(member, basis, model, nice(k)) for k, member in enumerate(members)]
    return made[0] if len(made) == 1 else made


def _member_of(settings: dict[str, Any], basis: Evaluator, model: Any, nice: _native.Nice | None) -> Invariants:
    normalize = settings.pop("normalize")
    if nice is not None:
        own = {name: settings[name] for name in ("q_max", "l_max", "weight") if name in settings}
        return Nice._of_native(nice, basis, own | {"normalize": None if normalize == is_kernel(model) else normalize})
    return _CLASSES[settings.pop("kind")](
        basis, normalize=None if normalize == is_kernel(model) else normalize, **settings
    )
