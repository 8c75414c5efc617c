"""rhobasis: the most compact radial basis for atom densities, from structures to density coefficients.

>>> import rhobasis as rb
>>> from ase.build import bulk
>>> frames = [bulk("Si", a=a) for a in (5.3, 5.4, 5.5)]  # or rb.read("silicon.xyz.xz")
>>> density = rb.Density(r_cut=5.0, sigma=0.5, cutoff_width=1.0)
>>> basis = rb.OptimalBasis(density, rb.Gto(n_max=8), l_max=3, q_max=3, mixing="combined").fit(frames)
>>> basis.transform(frames)
Equivariants(6 centers, l_max=3, channels per l: 3)
"""

from . import distributed, metrics, models, selection
from ._errors import NotFittedError, RhobasisError
from ._native import __version__
from .correlations import Bispectrum, PowerSpectrum, RadialSpectrum, clebsch_gordan
from .density import Density, Dvr, Equivariants, Gto, LaplacianEigenstates, RadialScaling, SphericalExpansion
from .extxyz import read, write
from .models import KernelRidge, Ridge
from .optimal import OptimalBasis, load
from .pcovr import PCovR
from .structure import Frames
from .truncation import TruncationPlan, plan_truncation, retained_variance, spectrum_norms

__all__ = [
    "Bispectrum",
    "Density",
    "Dvr",
    "Equivariants",
    "Frames",
    "Gto",
    "KernelRidge",
    "LaplacianEigenstates",
    "NotFittedError",
    "OptimalBasis",
    "PCovR",
    "PowerSpectrum",
    "RadialScaling",
    "RadialSpectrum",
    "RhobasisError",
    "Ridge",
    "SphericalExpansion",
    "TruncationPlan",
    "__version__",
    "clebsch_gordan",
    "distributed",
    "load",
    "metrics",
    "models",
    "plan_truncation",
    "read",
    "retained_variance",
    "selection",
    "spectrum_norms",
    "write",
]
