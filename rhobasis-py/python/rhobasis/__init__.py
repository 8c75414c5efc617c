"""rhobasis: the most compact radial basis for atom densities, from structures to density coefficients.

>>> import rhobasis as rb
>>> from ase.build import bulk
>>> frames = [bulk("Si", a=a) for a in (5.3, 5.4, 5.5)]  # or rb.read("silicon.xyz.xz")
>>> density = rb.Density(r_cut=5.0, sigma=0.5, cutoff_width=1.0)
>>> basis = rb.OptimalBasis(density, rb.Gto(n_max=8), l_max=3, q_max=3, mixing="combined").fit(frames)
>>> basis.transform(frames)
Equivariants(6 centers, l_max=3, channels per l: 3)
"""

from typing import TYPE_CHECKING, Any

from . import distributed, ipi, metrics, models, selection
from ._clebsch_gordan import clebsch_gordan
from ._errors import NotFittedError, RhobasisError
from ._native import __version__
from .correlations import Bispectrum, PowerSpectrum, RadialSpectrum
from .density import Density, Equivariants, RadialScaling, SphericalExpansion
from .equivariant import EquivariantRidge
from .extxyz import read, write
from .files import load
from .label_check import LabelFinding, LabelReport, check_labels
from .maps import chemiscope
from .models import KernelRidge, Ridge
from .nice import EquivariantBlocks, Nice
from .optimal import OptimalBasis
from .pcovr import PCovR
from .potential import Gap, Potential, Prediction
from .primitive import Dvr, Gto, LaplacianEigenstates, Tabulated
from .sensitivity import Sensitivity
from .structure import Frames
from .tensor_map import to_metatensor
from .truncation import TruncationPlan, plan_truncation, retained_variance, spectrum_norms

if TYPE_CHECKING:
    from . import ase as ase

__all__ = [
    "Bispectrum",
    "Density",
    "Dvr",
    "EquivariantBlocks",
    "EquivariantRidge",
    "Equivariants",
    "Frames",
    "Gap",
    "Gto",
    "KernelRidge",
    "LabelFinding",
    "LabelReport",
    "LaplacianEigenstates",
    "Nice",
    "NotFittedError",
    "OptimalBasis",
    "PCovR",
    "Potential",
    "PowerSpectrum",
    "Prediction",
    "RadialScaling",
    "RadialSpectrum",
    "RhobasisError",
    "Ridge",
    "Sensitivity",
    "SphericalExpansion",
    "Tabulated",
    "TruncationPlan",
    "__version__",
    "check_labels",
    "chemiscope",
    "clebsch_gordan",
    "distributed",
    "ipi",
    "load",
    "metrics",
    "models",
    "plan_truncation",
    "read",
    "retained_variance",
    "selection",
    "spectrum_norms",
    "to_metatensor",
    "write",
]


def __getattr__(name: str) -> Any:
    """`rhobasis.ase` when it is first asked for: nothing else of rhobasis needs ASE on import."""
    if name == "ase":
        from importlib import import_module

        return import_module(".ase", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
