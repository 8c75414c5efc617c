"""What acts between atoms that are nearer to each other than in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from . import _native

_DEFAULT = _native.DEFAULTS

Repulsion: TypeAlias = Literal["zbl"] | Mapping[str, float] | None


def repulsion_settings(repulsion: Repulsion) -> Any:
    """As the library takes it."""
    if repulsion is None:
        return "none"
    return dict(repulsion) if isinstance(repulsion, Mapping) else repulsion


def repulsion_of(settings: dict[str, Any]) -> Repulsion:
    """Of a stored potential; older ones have none."""
    stored = dict(settings.get("repulsion", {"type": "none"}))
    if stored.pop("type") == "none":
        return None
    return "zbl" if all(_DEFAULT[name] == value for name, value in stored.items()) else stored
