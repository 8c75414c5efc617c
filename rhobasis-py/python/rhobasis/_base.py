"""scikit-learn's habits without scikit-learn: constructors store parameters, to be read, set, compared, cloned."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self


class Parameters:
    """Base of all classes whose constructor only stores its arguments under their own names."""

    _parts: tuple[str, ...] = ()
    """Parameters that are kept as they are where they come fitted."""

    @classmethod
    def _names(cls) -> list[str]:
        names = _NAMES.get(cls)
        if names is None:
            names = _NAMES[cls] = [name for name in inspect.signature(cls).parameters if name != "self"]
        return names

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with `deep`, those of parameters too: ``density__r_cut``, ``features__0`` of a list."""
        params = {name: getattr(self, name) for name in self._names()}
        if deep:
            for name, value in list(params.items()):
                for key, inner in _inner(value):
                    params[f"{name}__{key}"] = inner
        return params

    def _state(self) -> tuple[Any, ...]:
        """Values of all parameters, nested ones too, to be compared: cheap enough for every call."""
        return (type(self), *(_frozen(getattr(self, name)) for name in self._names()))

    def _leaves(self) -> dict[str, Any]:
        """Values of all parameters by the names of `set_params`, of nested ones the class too: a copy."""
        leaves: dict[str, Any] = {}
        for name in self._names():
            value = getattr(self, name)
            if isinstance(value, Parameters):
                leaves[name] = type(value).__name__
                leaves.update({f"{name}__{key}": inner for key, inner in value._leaves().items()})
            else:
                leaves[name] = copy.deepcopy(value)
        return leaves

    def _unfitted(self) -> Self:
        """Another of the same parameters, which are copied: what scikit-learn's `clone` makes of it."""
        return type(self)(**{name: self._copied(name) for name in self._names()})

    def _copied(self, name: str) -> Any:
        return self._copy_of(getattr(self, name), name in self._parts)

    def _copy_of(self, value: Any, is_part: bool) -> Any:
        if _is_list(value):
            return type(value)([self._copy_of(item, is_part) for item in value])
        if not isinstance(value, Parameters):
            return copy.deepcopy(value)
        return value._twin() if is_part and value.__sklearn_is_fitted__() else value._unfitted()

    def _twin(self) -> Self:
        """Another of the same parameters and the same fit."""
        return copy.deepcopy(self)

    def __sklearn_is_fitted__(self) -> bool:
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def set_params(self, **params: Any) -> Self:
        """Sets parameters by name: ``density__r_cut`` is `r_cut` of the parameter `density`, ``features__0`` the first
        of a list."""
        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, _, inner = key.partition("__")
            if name not in self._names():
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(self._names())}")
            if inner:
                nested.setdefault(name, {})[inner] = value
            else:
                setattr(self, name, value)
        for name, inner_params in nested.items():
            value = getattr(self, name)
            if _is_list(value):
                setattr(self, name, _with_params(name, value, inner_params))
            else:
                value.set_params(**inner_params)
        return self

    def _shown(self) -> list[tuple[str, Any]]:
        """Parameters that differ from their defaults, or have none."""
        parameters = inspect.signature(type(self)).parameters
        return [
            (name, value)
            for name, value in self.get_params(deep=False).items()
            if parameters[name].default is inspect.Parameter.empty or not _same(value, parameters[name].default)
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._shown())})"


_NAMES: dict[type, list[str]] = {}


def _is_list(value: Any) -> bool:
    """Whether this is a list of objects with parameters."""
    return isinstance(value, (list, tuple)) and any(isinstance(item, Parameters) for item in value)


def _inner(value: Any) -> Iterator[tuple[str, Any]]:
    """Parameters of an object by name; of a list the objects by number, and their own."""
    if isinstance(value, Parameters):
        yield from value.get_params().items()
    elif _is_list(value):
        for k, item in enumerate(value):
            yield str(k), item
            yield from ((f"{k}__{key}", inner) for key, inner in _inner(item))


def _with_params(name: str, values: Any, params: dict[str, Any]) -> Any:
    """A list of objects with some of them, or of their parameters, set."""
    changed = list(values)
    for key, value in sorted(params.items(), key=lambda entry: "__" in entry[0]):
        place, _, inner = key.partition("__")
        if not place.isdecimal() or int(place) >= len(changed):
            raise ValueError(f"{name} has no parameter {place!r}; it has 0 to {len(changed) - 1}")
        if inner:
            changed[int(place)].set_params(**{inner: value})
        else:
            changed[int(place)] = value
    return type(values)(changed)


def _frozen(value: Any) -> Any:
    """A value that later changes of the original do not reach."""
    if isinstance(value, Parameters):
        return value._state()
    return type(value), repr(value)


class Settings(Parameters):
    """Parameters that are equal if their values are."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, Parameters):
            return NotImplemented
        return self.get_params(deep=False) == other.get_params(deep=False)

    __hash__ = None  # pyright: ignore[reportAssignmentType]


def first_change(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """The first name whose value is another one; 5 and 5.0 are the same."""
    names = (name for name in {**now, **before} if not (name in before and name in now))
    differing = (name for name, value in now.items() if name in before and not _equal(before[name], value))
    return next(differing, next(names, None))


def _equal(a: Any, b: Any) -> bool:
    return a is b or bool(np.array_equal(a, b))


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and a == b)
