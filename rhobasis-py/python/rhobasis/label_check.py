"""Are the labels right? Units, signs, components of the stress, single frames, frames that contradict each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import _native
from .structure import as_native

if TYPE_CHECKING:
    from .structure import FramesLike


@dataclass(frozen=True)
class LabelFinding:
    """One suspicion.

    Attributes
    ----------
    label : str
        ``"energy"``, ``"forces"`` or ``"stress"``.
    suspicion : str
        What is suspected.
    sureness : str
        ``"certain"``, ``"likely"`` or ``"worth a look"``.
    factor : float
        How many times smaller the deviation becomes if the suspicion is true; of an outlier, how many robust standard
        deviations it is off.
    evidence : str
        What was seen.
    remedy : str
        What to do.
    frames : list of int
        Indices of the frames, ascending.
    """

    label: str
    suspicion: str
    sureness: str
    factor: float
    evidence: str
    remedy: str
    frames: list[int] = field(repr=False)

    def __str__(self) -> str:
        first = ", ".join(map(str, self.frames[:8])) + (" …" if len(self.frames) > 8 else "")
        return (
            f"{self.sureness}: {self.suspicion}, {len(self.frames)} frames: {first}\n"
            f"  {self.evidence}\n  remedy: {self.remedy}"
        )


@dataclass(frozen=True)
class LabelReport:
    """What a check of labels has found, what was tested, and what could not be and why."""

    findings: list[LabelFinding]
    tested: list[str]
    untested: list[str]

    def __str__(self) -> str:
        found = [str(finding) for finding in self.findings] or ["no fault found"]
        return "\n".join(
            [*found, *(f"tested: {line}" for line in self.tested), *(f"not tested: {line}" for line in self.untested)]
        )


def check_labels(
    frames: FramesLike,
    *,
    energy_key: str | None = None,
    force_key: str | None = None,
    stress_key: str | None = None,
    virial_key: str | None = None,
) -> LabelReport:
    """Looks for labels that cannot be right, by nothing but the frames themselves; changes nothing.

    Found are units (Hartree, Rydberg, kcal/mol, kJ/mol, meV; per Bohr; GPa, kbar), signs, energies per atom given as
    totals, a virial taken for a stress, components of the stress in another order or of the wrong sign, each in the
    whole set, in all frames of a ``config_type`` or in single frames; labels more than ten robust standard deviations
    off; and repeated frames with different labels. Labels are looked up as in `Potential.fit`.

    >>> import rhobasis as rb
    >>> frames = rb.read("examples/data/silicon.xyz.xz")  # doctest: +SKIP
    >>> print(rb.check_labels(frames))  # doctest: +SKIP
    no fault found
    """
    native = as_native(frames, everything=True, lenient=True)
    labels = _native.Labels.of_frames(native, energy_key, force_key, stress_key, virial_key)
    findings, tested, untested = _native.check_labels(native, labels)
    return LabelReport([LabelFinding(*finding) for finding in findings], tested, untested)
