"""featomic: `SphericalExpansion` with splined radial integrals."""

import featomic
import numpy as np
from featomic.basis import Explicit, Gto, RadialBasis
from featomic.splines import SoapSpliner
from workloads import Workload, measure

# featomic cannot orthonormalise 20 GTO; the cost of contracted functions does not depend on what they were made of.
LARGEST_GTO = 12


def parameters(w: Workload, n: int) -> dict:
    return {
        "cutoff": {"radius": w.r_cut, "smoothing": {"type": "ShiftedCosine", "width": w.cutoff_width}},
        "density": {"type": "Gaussian", "width": w.sigma},
        "basis": {
            "type": "TensorProduct",
            "max_angular": w.l_max,
            "radial": {"type": "Gto", "max_radial": n - 1},
            "spline_accuracy": 1e-8,
        },
    }


class Contracted(RadialBasis):
    """Functions R_q = Σ_n u[q, n] R_n of a GTO basis."""

    def __init__(self, gto: Gto, u: np.ndarray, radius: float) -> None:
        super().__init__(max_radial=len(u) - 1, radius=radius)
        self.gto, self.u = gto, u

    @property
    def integration_radius(self) -> float:
        return self.gto.integration_radius

    def compute_primitive(self, positions, n, *, derivative=False):
        values = self.gto.compute(np.atleast_1d(positions), derivative=derivative)
        return (values @ self.u[n]).reshape(np.shape(positions))


def contracted_parameters(w: Workload, frames) -> dict:
    n = min(w.contract_from, LARGEST_GTO)
    covariance = np.zeros((w.l_max + 1, n, n))
    for key, block in featomic.SphericalExpansion(**parameters(w, n)).compute(frames).items():
        c = block.values.reshape(-1, n)
        covariance[key["o3_lambda"]] += c.T @ c
    gto = Gto(max_radial=n - 1, radius=w.r_cut)
    u = [np.linalg.eigh(c)[1].T[::-1][: w.n] for c in covariance]
    functions = {l: Contracted(gto, u[l], w.r_cut) for l in range(w.l_max + 1)}
    smoothing = featomic.cutoff.ShiftedCosine(width=w.cutoff_width)
    return SoapSpliner(
        cutoff=featomic.cutoff.Cutoff(radius=w.r_cut, smoothing=smoothing),
        density=featomic.density.Gaussian(width=w.sigma),
        basis=Explicit(by_angular=functions, spline_accuracy=1e-4),
    ).get_hypers()


def build(w: Workload, frames):
    kind = {"density": featomic.SphericalExpansion, "power": featomic.SoapPowerSpectrum}[w.kind]
    calculator = kind(**(contracted_parameters(w, frames) if w.contract_from else parameters(w, w.n)))
    # featomic has no adjoint: forces there are its gradients, and their contraction with dE/dc, which is left out here.
    gradients = None if w.task == "values" else ["positions"]
    return lambda: calculator.compute(frames, gradients=gradients)


if __name__ == "__main__":
    measure("featomic", build)
