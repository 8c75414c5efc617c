"""Parameters of constructors, from the settings that files hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from .density import Density, RadialScaling
from .primitive import Dvr, Gto, LaplacianEigenstates, Tabulated


def basis_parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Parameters of an `OptimalBasis`, from its settings in a file."""
    method = dict(settings.get("method", {"name": "pca"}))
    if "supervised" in method and method["supervised"] is None:
        method["supervised"] = "all"
    return {
        **expansion_parameters(settings["expansion"]),
        "mixing": settings["mixing"],
        "center_specific": settings["center_specific"],
        "nu": settings.get("nu", 1),
        "weighting": scaling_of(settings.get("weighting")),
        "method": method.pop("name"),
        **method,
    }


def scaling_of(numbers: dict[str, float] | None) -> RadialScaling | None:
    """A `RadialScaling`, from its numbers in a file."""
    return None if numbers is None else RadialScaling(**numbers)


def expansion_parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a `SphericalExpansion`, from its settings in a file."""
    density = dict(settings["density"])
    if isinstance(density["sigma"], dict):
        density["sigma"] = {int(z): sigma for z, sigma in density["sigma"].items()}
    density["scaling"] = scaling_of(density["scaling"])
    primitive = dict(settings["primitive"])
    if primitive["kind"] == Tabulated._kind:
        R = np.array(primitive["R"])
        primitive.update(r=np.array(primitive["r"]), R=R[0] if len(R) == 1 else R)
    classes: dict[str, Any] = {c._kind: c for c in (Gto, Dvr, LaplacianEigenstates, Tabulated)}
    return {
        "density": Density(**density),
        "primitive": classes[primitive.pop("kind")](**primitive),
        "l_max": settings["l_max"],
        "spline_accuracy": settings["spline_accuracy"],
    }
