"""What notebooks show of a basis, a potential, a prediction, a plan: small tables of settings and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from .structure import symbols_of

if TYPE_CHECKING:
    from . import _native

Rows = list[tuple[str, Any]]

_LEFT = ' style="text-align: left"'
_BLOCKS = 8
"""Blocks of a basis that are shown one by one; of more, their number is."""


def table(title: str, settings: Iterable[tuple[str, Any]], rows: Iterable[tuple[str, Any]]) -> str:
    """A table of settings, as Python writes them, and of other names and values; everything in it is escaped."""
    shown = [*((name, repr(value)) for name, value in settings), *((name, str(value)) for name, value in rows)]
    lines = [f"<tr><th{_LEFT}>{escape(name)}</th><td{_LEFT}>{escape(value)}</td></tr>" for name, value in shown]
    return f"<table><caption{_LEFT}><b>{escape(title)}</b></caption><tbody>{''.join(lines)}</tbody></table>"


def grid(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a header, which scrolls where it is long; everything in it is escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<p><b>{escape(title)}</b></p>"
        '<div style="max-height: 24em; overflow: auto">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def rows_of_basis(basis: _native.Basis) -> Rows:
    """What a fitted basis keeps."""
    kinds = basis.kinds()
    rows: Rows = [
        ("neighbour species", " ".join(symbols_of(basis.species()))),
        ("atoms it was fitted to", sum(n for _, n, _ in kinds)),
    ]
    functions: Rows = []
    for center, _, blocks in kinds:
        around = "" if center is None else f" around {symbols_of([center])[0]}"
        for a in dict.fromkeys(block[0] for block in blocks):
            of = "" if a is None else f" of {symbols_of([a])[0]}"
            counts = " ".join(str(len(block[3])) for block in blocks if block[0] == a)
            functions.append((f"functions{of}{around}, l = 0, 1 …", counts))
    if len(functions) > _BLOCKS:
        counts = [len(block[3]) for _, _, blocks in kinds for block in blocks]
        functions = [("functions of a block", f"{min(counts)} to {max(counts)}, of {len(counts)} blocks {sum(counts)}")]
    return [*rows, *functions, ("variance left out", f"{basis.discarded_variance():.3g}")]


def rows_of_potential(potential: _native.Potential) -> Rows:
    """Size of a fitted potential, and what it knows."""
    energies = (f"{symbols_of([z])[0]} {energy:.4f}" for z, energy in potential.baseline().items())
    rows: Rows = [
        ("species", " ".join(symbols_of(potential.species()))),
        ("features of an atom", potential.n_features()),
        ("weights, or sparse points", potential.n_parameters()),
        ("energies of free atoms / eV", ", ".join(energies)),
    ]
    if (alpha := potential.alpha()) is not None:
        rows.append(("alpha that was taken", f"{alpha:.3g}"))
    if np.isfinite(condition := potential.condition_number()):
        rows.append(("condition number", f"{condition:.2g}"))
    if nearest := potential.nearest():
        pairs = (f"{'–'.join(symbols_of(pair))} {distance:.3f}" for pair, distance in nearest.items())
        rows.append(("nearest pairs in training / Å", ", ".join(pairs)))
    return rows
