"""Planted faults are found and named."""

from pathlib import Path

import rhobasis as rb

SILICON = Path(__file__).parents[2] / "examples" / "data" / "silicon.xyz.xz"


def test_gradients_in_place_of_forces_are_named():
    frames = list(rb.read(f"{SILICON}@::3"))
    for atoms in frames:
        atoms.arrays["forces"] *= -1
    report = rb.check_labels(frames)
    (finding,) = [f for f in report.findings if f.label == "forces"]
    assert finding.suspicion.startswith("forces of the wrong sign")
    assert finding.sureness == "certain"
    assert len(finding.frames) == len(frames)
    assert "remedy" in str(report)


def test_a_virial_read_as_stress_is_named():
    report = rb.check_labels(rb.read(f"{SILICON}@::3"), stress_key="virial", virial_key="")
    assert [f.suspicion for f in report.findings if f.label == "stress"] == ["virial taken for stress"]
    assert report.tested


def test_nothing_is_said_of_right_labels():
    report = rb.check_labels(rb.read(f"{SILICON}@::3"))
    assert sum(len(f.frames) for f in report.findings) <= 3
