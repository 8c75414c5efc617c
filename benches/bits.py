"""Do two builds of rhobasis give the same numbers, to the bit?

    python benches/bits.py write before.npz            # with the one installed
    python benches/bits.py write after.npz             # with the other
    python benches/bits.py compare before.npz after.npz [--within 1e-14]

`write` takes the bundled data, and slices of real sets where there are any (in $RHOBASIS_DATA, else ../shared/data): it
goes through densities, features, bases, models, potentials and a calculator, once with one thread and once with two,
insists that both agree, and keeps every array under a name such as `molecules/power-spectrum/backward/forces`.

`compare` lists the arrays whose bits differ, with the largest difference over the largest magnitude of the array. It
ends with 1 if there are any, or, with `--within`, any beyond that. `write` takes two to three minutes of one core.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

import rhobasis as rb

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "examples" / "data"
REAL = Path(os.environ.get("RHOBASIS_DATA", ROOT.parent / "shared" / "data"))
SCALING = rb.RadialScaling(rate=1.0, scale=2.0, exponent=7.0)


class Results(dict[str, np.ndarray]):
    """Arrays by name."""

    def put(self, name: str, value: Any) -> None:
        """Keeps an array, or each array of a list, of a dict or of one of the package's results."""
        if value is None:
            return
        fields = ("blocks", "values", "rows", "centers", "channels", "energies", "forces", "virials", "stresses")
        fields = {field: getattr(value, field) for field in fields if hasattr(value, field) and not callable(value)}
        if isinstance(value, dict):
            for key, part in value.items():
                self.put(f"{name}/{key}", part)
        elif isinstance(value, (list, tuple)) and any(isinstance(part, (np.ndarray, list, tuple)) for part in value):
            for k, part in enumerate(value):
                self.put(f"{name}/{k}", part)
        elif isinstance(value, (np.ndarray, float, int, list, tuple, np.generic)):
            if name in self:
                raise KeyError(f"{name}: two results of this name")
            self[name] = np.asarray(value)
        else:
            self.put(name, fields)


def read(path: Path, frames: slice) -> rb.Frames:
    text = ":".join("" if part is None else str(part) for part in (frames.start, frames.stop, frames.step))
    return rb.read(f"{path}@{text}")


def few(frames: rb.Frames, n: int) -> rb.Frames:
    """The n frames of the fewest atoms, more than one."""
    if n >= len(frames):
        return frames
    return rb.Frames(sorted((atoms for atoms in frames if len(atoms) > 1), key=len)[:n])


def mixed() -> rb.Frames:
    """Molecules of 3 to 20 atoms between a cell of 512, one smaller than the cutoff, a film and lone atoms."""
    rng = np.random.default_rng(5)
    molecules = list(read(BUNDLED / "molecules.xyz.xz", slice(None, None, 90)))
    large = bulk("Si", cubic=True).repeat(4)
    small = bulk("SiC", "zincblende", a=4.36)
    slab = bulk("Si", cubic=True).repeat((1, 1, 2))
    slab.pbc = [True, True, False]
    for atoms in (large, small, slab):
        atoms.positions += rng.normal(scale=0.08, size=(len(atoms), 3))
    small.positions[0] += 3 * small.cell.array[0]  # outside of the cell
    lone = [Atoms("C"), Atoms("Si", positions=[[1.0, 2.0, 3.0]], cell=[20.0] * 3, pbc=True)]
    frames = [*molecules[:7], large, *molecules[7:12], lone[0], small, lone[1], Atoms(), slab, *molecules[12:]]
    for atoms in frames:  # labels of any kind
        if len(atoms):
            atoms.info = {"energy": rng.normal() - sum(atoms.numbers)}
            atoms.arrays["forces"] = rng.normal(size=(len(atoms), 3))
            if atoms.pbc.all():
                atoms.info["stress"] = 0.01 * np.cov(rng.normal(size=(3, 5)))
    return rb.Frames(frames)


def data_sets() -> Iterator[tuple[str, rb.Frames]]:
    """Small sets: bundled, made here, and real ones where they are there."""
    yield "silicon", read(BUNDLED / "silicon.xyz.xz", slice(None, None, 17))
    yield "molecules", read(BUNDLED / "molecules_rattled.xyz.xz", slice(None, None, 16))
    yield "mixed", mixed()
    for name, file, frames in (
        ("real silicon", "si_diamond_liquid.xyz.xz", slice(None, None, 260)),
        ("metals", "mo_nb_ta_w.xyz.xz", slice(None, None, 400)),
        ("qm9", "qm9.xyz.xz", slice(40, 400, 12)),
        ("ethanol", "rmd17_ethanol.xyz.xz", slice(None, None, 50)),
    ):
        if (REAL / file).exists():
            yield name, read(REAL / file, frames)


def motion(frames: rb.Frames) -> tuple[np.ndarray, np.ndarray]:
    """Velocities of all atoms and strain rates of all frames."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(sum(frames.n_atoms), 3)), 0.1 * rng.normal(size=(len(frames), 3, 3))


def adjoint(pair: tuple[list[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    return {"forces": np.concatenate(pair[0]), "virials": pair[1]}


def evaluator(results: Results, name: str, basis: Any, frames: rb.Frames, jacobians: int = 2) -> None:
    """Coefficients, forces and virial of Σ g·c, change along a motion, Jacobians of the first small frames."""
    c = basis.transform(frames)
    rng = np.random.default_rng(7)
    results.put(f"{name}/forward", c)
    results.put(f"{name}/backward", adjoint(basis.backward(frames, [rng.normal(size=b.shape) for b in c.blocks])))
    results.put(f"{name}/tangent", basis.tangent(frames, *motion(frames)).blocks)
    results.put(f"{name}/tangent at fixed cell", basis.tangent(frames, motion(frames)[0]).blocks[-1])
    small = few(frames, jacobians)
    for by in ("positions", "strain", "cell") if jacobians else ():
        results.put(f"{name}/jacobian/{by}", basis.jacobian(small, by))
        parts = basis.jacobian_parts(small, by, memory=2e4)
        results.put(f"{name}/jacobian parts/{by}", np.concatenate([part.blocks[0] for part in parts]))


def densities(results: Results, name: str, frames: rb.Frames) -> None:
    """Eqs. (2)-(5) in every primitive basis and with every kind of density."""
    species = {z: 0.3 + 0.05 * k for k, z in enumerate(frames.species)}
    plain = rb.Density(r_cut=4.5, sigma=0.4, cutoff_width=0.8)
    kinds: dict[str, tuple[rb.Density, Any, dict[str, Any]]] = {
        "gto": (plain, rb.Gto(n_max=5), {"l_max": 4}),
        "dvr": (plain, rb.Dvr(n_max=8), {"l_max": 3}),
        "dvr of nodes": (plain, rb.Dvr(n_max=6, quadrature=True), {"l_max": 2}),
        "laplacian": (plain, rb.LaplacianEigenstates(n_max=6), {"l_max": 5}),
        "sigma by species": (rb.Density(r_cut=4.0, sigma=species), rb.Gto(n_max=4), {"l_max": 3}),
        "sigma 0": (rb.Density(r_cut=4.0, sigma=0.0, cutoff_width=1.0), rb.Gto(n_max=4), {"l_max": 3}),
        "sigma 0, laplacian": (rb.Density(r_cut=4.0, sigma=0.0), rb.LaplacianEigenstates(n_max=5), {"l_max": 3}),
        "scaling": (rb.Density(r_cut=5.0, sigma=0.3, scaling=SCALING), rb.Gto(n_max=10), {"l_max": 6}),
        "exact": (rb.Density(r_cut=3.5, center_weight=0.5), rb.Gto(n_max=3), {"l_max": 2, "spline_accuracy": None}),
        "l = 0": (plain, rb.Gto(n_max=1), {"l_max": 0, "spline_accuracy": 1e-5}),
    }
    for kind, (density, primitive, options) in kinds.items():
        some = few(frames, {"exact": 4, "scaling": 12}.get(kind, len(frames)))  # slow, and large
        expansion = rb.SphericalExpansion(density, primitive, **options).fit(frames)
        evaluator(results, f"{name}/density/{kind}", expansion, some, jacobians=0 if kind == "scaling" else 1)
    r = np.linspace(0.0, 4.0, 9)
    for derivative in (False, True):
        tables = expansion.radial_integrals(r, species=frames.species[0], derivative=derivative)
        results.put(f"{name}/density/radial integrals/{derivative}", tables)


def fitted(results: Results, name: str, basis: rb.OptimalBasis, frames: rb.Frames) -> None:
    """What a basis is, and what it gives."""
    results.put(f"{name}/contraction", basis.contraction_)
    results.put(f"{name}/eigenvalues", basis.eigenvalues_)
    results.put(f"{name}/residual variance", basis.residual_variance())
    evaluator(results, name, basis, frames)


def bases(results: Results, name: str, frames: rb.Frames, folder: Path) -> dict[str, rb.OptimalBasis]:
    """Eqs. (6)-(14), (21), (22): one call, parts that are merged, files."""
    density = rb.Density(r_cut=4.5, sigma=0.4, cutoff_width=0.8)
    rng = np.random.default_rng(11)

    def optimal(n_max: int = 7, **options: Any) -> rb.OptimalBasis:
        usual = {"l_max": 3, "q_max": 3, "spline_accuracy": 1e-6}  # loose: tables are most of the time
        return rb.OptimalBasis(density, rb.Gto(n_max=n_max), **{**usual, **options})

    made = {
        "per species": optimal().fit(frames),
        "combined": optimal(mixing="combined", spline_accuracy=1e-8).fit(frames),
        "center specific": optimal(center_specific=True).fit(frames),
        "combined, center specific": optimal(mixing="combined", center_specific=True, q_max=2).fit(frames),
        "retain": optimal(q_max=None, retain=0.999, mixing="combined").fit(frames),
        "nu 2": optimal(nu=2, n_max=5).fit(frames),
        "nu 3, combined": optimal(nu=3, n_max=4, mixing="combined").fit(frames),
        "weights": optimal().fit(frames, weights=rng.uniform(size=sum(frames.n_atoms))),
    }
    energies = rng.normal(size=len(frames)) - np.array(frames.n_atoms)
    for mixing in ("per-species", "combined"):
        made[f"pcovr, {mixing}"] = optimal(method="pcovr", gamma=0.3, mixing=mixing).fit(frames, energies)
    for kind, basis in made.items():
        fitted(results, f"{name}/basis/{kind}", basis, frames)
    results.put(f"{name}/basis/nu 2/retained", made["nu 2"].retained_)

    # The same sums in parts.
    parts = optimal(mixing="combined")
    for k in range(0, len(frames), 3):
        parts.partial_fit(frames[k : k + 3])
    results.put(f"{name}/basis/partial fit/contraction", parts.contraction_)
    for kind, mixing, specific in (("shards", "combined", False), ("shards, center specific", "per-species", True)):
        shards = [folder / f"{kind}-{i}.cov" for i in (1, 2, 3)]
        for i, shard in enumerate(shards, 1):
            optimal(mixing=mixing, center_specific=specific).accumulate(frames, shard, shard=(i, 3))
            results.put(f"{name}/basis/{kind}/sums {i}", tensors(shard))
        merged = rb.OptimalBasis.merge(shards, q_max=3)
        results.put(f"{name}/basis/{kind}/contraction", merged.contraction_)
        results.put(f"{name}/basis/{kind}/eigenvalues", merged.eigenvalues_)
    for kind in ("per species", "combined, center specific", "pcovr, combined"):
        made[kind].save(folder / "basis.rho")
        results.put(f"{name}/basis/{kind}/file", tensors(folder / "basis.rho"))
        results.put(f"{name}/basis/{kind}/loaded", rb.load(folder / "basis.rho").transform(frames[:2]).blocks)

    full = optimal(q_max=None, n_max=4).fit(frames)
    for invariant in (False, True):
        retained = rb.retained_variance(full, frames, q=[1, 2, 4], invariant=invariant)
        results.put(f"{name}/norms/retained/{invariant}", retained)
        results.put(f"{name}/norms/sums/{invariant}", rb.spectrum_norms(full, frames, invariant=invariant))
    plan = rb.plan_truncation(full, frames, nu=3, retain=0.99)
    results.put(f"{name}/norms/plan", [plan.retained_, plan.retain_])
    return made


def features(results: Results, name: str, frames: rb.Frames, made: dict[str, rb.OptimalBasis]) -> None:
    """Six kinds of features with their derivatives, on primitive and on optimal bases."""
    density = rb.Density(r_cut=4.0, sigma=0.5, cutoff_width=1.0)
    small = rb.SphericalExpansion(density, rb.Gto(n_max=2), l_max=2).fit(frames)
    columns = rb.PowerSpectrum(made["combined"]).columns_
    kinds: dict[str, rb.PowerSpectrum | rb.RadialSpectrum | rb.Bispectrum] = {}
    for normalize in (False, True):
        n = ", normalized" if normalize else ""
        kinds |= {
            f"radial spectrum{n}": rb.RadialSpectrum(made["per species"], normalize=normalize),
            f"power spectrum{n}": rb.PowerSpectrum(made["combined"], normalize=normalize),
            f"power spectrum of columns{n}": rb.PowerSpectrum(made["combined"], columns[1::3], normalize=normalize),
            f"power spectrum, primitive{n}": rb.PowerSpectrum(small, normalize=normalize),
            f"power spectrum, center specific{n}": rb.PowerSpectrum(made["center specific"], normalize=normalize),
            f"bispectrum{n}": rb.Bispectrum(made["combined, center specific"], normalize=normalize),
            f"power spectrum, leading{n}": rb.PowerSpectrum(made["combined"], normalize=normalize, q_max=2, l_max=1),
        }
    if len(frames.species) < 3:  # else tens of thousands of columns
        kinds["bispectrum, primitive"] = rb.Bispectrum(small)
    rng = np.random.default_rng(13)
    for kind, invariants in kinds.items():
        here, tiny = f"{name}/features/{kind}", few(frames, 2)
        # Thousands of columns per species pair: of fewer frames, which keeps the file small.
        some = few(frames, 5) if "primitive" in kind or "center specific" in kind else frames
        x = invariants.transform(some)
        results.put(f"{here}/forward", x)
        results.put(f"{here}/backward", adjoint(invariants.backward(some, rng.normal(size=x.shape))))
        results.put(f"{here}/backward, linear", adjoint(invariants.backward(some, rng.normal(size=x.shape[1]))))
        results.put(f"{here}/tangent", invariants.tangent(some, *motion(some)))
        alone = rb.Frames([some[0]])
        results.put(f"{here}/alone", invariants.transform(alone))
        results.put(f"{here}/alone, linear", adjoint(invariants.backward(alone, np.ones(x.shape[1]))))
        if x.shape[1] < 2000:
            for by in ("positions", "strain", "cell"):
                results.put(f"{here}/jacobian/{by}", invariants.jacobian(tiny, by))


def models(results: Results, name: str, frames: rb.Frames, made: dict[str, rb.OptimalBasis]) -> None:
    """Regression, selection and errors of plain matrices."""
    x = rb.PowerSpectrum(made["combined"]).transform(frames)[:300]
    rng = np.random.default_rng(17)
    y = x @ rng.normal(size=(x.shape[1], 2)) + 0.01 * rng.normal(size=(len(x), 2))
    for solver in ("qr", "cholesky"):
        ridge = rb.Ridge(alpha=[1e-9, 1e-6, 1e-3], cv=4, solver=solver).fit(x, y)
        results.put(f"{name}/models/ridge, {solver}", [ridge.coef_, ridge.cv_errors_, ridge.coef_path_])
        parts = rb.Ridge(alpha=1e-8, solver=solver)
        for k in range(0, len(x), 70):
            parts.partial_fit(x[k : k + 70], y[k : k + 70])
        results.put(f"{name}/models/ridge in parts, {solver}", [parts.coef_, parts.condition_number_])
    results.put(f"{name}/models/kernel ridge", rb.KernelRidge(alpha=1e-6, zeta=3, normalize=True).fit(x, y).predict(x))
    results.put(f"{name}/models/pcovr", rb.PCovR(gamma=0.2, n_components=4).fit(x, y).transform(x))
    results.put(f"{name}/models/gfre", [rb.metrics.gfre(x, y), rb.metrics.gfrd(x[:, :20], y)])
    results.put(f"{name}/models/cur", np.array(rb.selection.cur(x, n=12)))
    results.put(f"{name}/models/fps", np.array(rb.selection.fps(x, n=12)))


def potentials(results: Results, name: str, frames: rb.Frames, made: dict[str, rb.OptimalBasis], folder: Path) -> None:
    """Fits to energies, forces and stresses; predictions, files, a calculator that keeps its list of neighbours."""
    density = rb.Density(r_cut=4.0, sigma=0.5, cutoff_width=1.0)
    tiny = rb.OptimalBasis(density, rb.Gto(n_max=4), l_max=1, q_max=2, mixing="combined").fit(frames)
    soap, few_columns = rb.PowerSpectrum(made["combined"]), rb.PowerSpectrum(tiny)
    triples = rb.Bispectrum(made["combined, center specific"])
    specific = rb.PowerSpectrum(made["center specific"])
    specific = rb.PowerSpectrum(made["center specific"], specific.columns_[:: len(specific.columns_) // 40 + 1])
    normal = {"normalize": True}
    kinds: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "ridge, qr": (soap, rb.Ridge(alpha=1e-9), {}),
        "ridge, cholesky": (soap, rb.Ridge(alpha=1e-7, solver="cholesky"), {}),
        "ridge of alphas": (soap, rb.Ridge(alpha=[1e-10, 1e-7, 1e-4]), {}),
        "ridge, normalized": (rb.PowerSpectrum(made["combined"], **normal), rb.Ridge(alpha=1e-9), {}),
        "ridge, columns": (rb.PowerSpectrum(made["combined"], soap.columns_[::2]), rb.Ridge(alpha=1e-9), {}),
        "ridge, center specific": (specific, rb.Ridge(alpha=1e-9), {}),
        "ridge, radial": (rb.RadialSpectrum(made["per species"]), rb.Ridge(alpha=1e-9), {}),
        "ridge, radial, normalized": (rb.RadialSpectrum(made["combined"], **normal), rb.Ridge(alpha=1e-9), {}),
        "ridge, bispectrum": (triples, rb.Ridge(alpha=1e-9), {}),
        "ridge, bispectrum, normalized": (rb.Bispectrum(tiny, **normal), rb.Ridge(alpha=1e-9), {}),
        "ridge, energies": (soap, rb.Ridge(alpha=1e-9), {"force_sigma": None, "stress_sigma": None}),
        "ridge, two kinds": ([soap, rb.Bispectrum(made["combined"], q_max=1, l_max=1)], rb.Ridge(alpha=1e-9), {}),
        "gap, fps": (soap, rb.Gap(n_sparse=30, zeta=4), {}),
        "gap, cur": (soap, rb.Gap(n_sparse=30, zeta=2, sparse_method="cur"), {}),
        "gap, zeta 2, quadratic": (few_columns, rb.Gap(n_sparse=60, zeta=2), {}),
        "gap, bispectrum": (triples, rb.Gap(n_sparse=20, zeta=2), {}),
        "gap, radial, not normalized": (
            rb.RadialSpectrum(made["combined"], normalize=False), rb.Gap(n_sparse=20, zeta=3), {},
        ),
        "gap, zeta 1": (soap, rb.Gap(n_sparse=20, zeta=1), {}),
        "kernel ridge": (soap, rb.KernelRidge(zeta=2), {"force_sigma": None, "stress_sigma": None}),
        "kernel ridge, zeta 3": (few_columns, rb.KernelRidge(zeta=3), {"force_sigma": None, "stress_sigma": None}),
    }  # fmt: skip
    for kind, (invariants, model, options) in kinds.items():
        baseline = None if kind == "ridge, columns" else "least-squares"
        potential = rb.Potential(invariants, model, baseline).fit(frames, **options)
        here = f"{name}/potential/{kind}"
        prediction = potential.predict(frames, uncertainty="kernel ridge" not in kind)
        results.put(f"{here}/energies", prediction.energies)
        results.put(f"{here}/atom energies", np.concatenate(prediction.atom_energies))
        results.put(f"{here}/forces", np.concatenate(prediction.forces or []))
        results.put(f"{here}/virials", prediction.virials)
        results.put(f"{here}/stresses", prediction.stresses)
        results.put(f"{here}/uncertainties", prediction.energy_uncertainties)
        results.put(f"{here}/energies alone", potential.predict(frames, forces=False).energies)
        results.put(f"{here}/baseline", potential.baseline_)
        results.put(f"{here}/scalars", [potential.alpha_ or 0.0, potential.condition_number_])
        potential.save(folder / "potential.rho")
        results.put(f"{here}/file", tensors(folder / "potential.rho", "model/"))
        loaded = rb.load(folder / "potential.rho").predict(frames[:3])
        results.put(f"{here}/loaded", [loaded.energies, np.concatenate(loaded.forces)])
        trajectory(results, f"{here}/calculator, large", potential, frames[int(np.argmax(frames.n_atoms))])
        trajectory(results, f"{here}/calculator, small", potential, few(frames, 1)[0])


def trajectory(results: Results, name: str, potential: rb.Potential, atoms: Atoms) -> None:
    """Small steps on one list of neighbours, a leap that asks for another, another cell."""
    rng = np.random.default_rng(19)
    atoms.calc = rb.ase.Calculator(potential, skin=0.4)
    for step in range(6):
        atoms.positions += (0.3 if step == 3 else 0.01) * rng.normal(size=(len(atoms), 3))
        if step == 4 and atoms.pbc.all():
            atoms.set_cell(1.001 * atoms.cell.array, scale_atoms=True)
        energies = [atoms.get_potential_energy(), *atoms.get_potential_energies()]
        results.put(f"{name}/{step}", [np.array(energies), atoms.get_forces()])
        if atoms.pbc.all():
            results.put(f"{name}/{step}/stress", atoms.get_stress())


def weighted(results: Results, name: str, frames: rb.Frames, made: dict[str, rb.OptimalBasis]) -> None:
    """Weights by type of configuration, energies of isolated atoms."""
    lone = []
    for z in frames.species:
        lone.append(Atoms([z]))
        lone[-1].info["energy"] = -0.1 * z
    kinds = {frames[k].info.get("config_type") for k in range(len(frames))} - {None}
    weights = {kind: {"energy_sigma": 0.01, "force_sigma": 0.3} for kind in sorted(kinds)[:1]}
    potential = rb.Potential(rb.PowerSpectrum(made["combined"]), rb.Ridge(alpha=1e-9), "isolated-atoms")
    potential.fit([*frames, *lone], weights=weights)
    prediction = potential.predict([*frames, *lone])
    results.put(f"{name}/potential/weights", [prediction.energies, np.concatenate(prediction.forces or [])])


def tensors(path: Path, under: str = "") -> dict[str, np.ndarray]:
    """The real arrays of a file of safetensors."""
    content = path.read_bytes()
    (n,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + n]), content[8 + n :]
    found = {}
    for name, entry in header.items():
        if name != "__metadata__" and name.startswith(under) and entry["dtype"] == "F64":
            start, stop = entry["data_offsets"]
            found[name] = np.frombuffer(body[start:stop]).reshape(entry["shape"])
    return found


def collect() -> Results:
    """Every result."""
    results = Results()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # noise among eigenvalues, labels that some frames lack
        for name, frames in data_sets():
            densities(results, name, frames)
            made = bases(results, name, frames, Path(folder))
            features(results, name, frames, made)
            models(results, name, frames, made)
            potentials(results, name, frames, made, Path(folder))
            weighted(results, name, frames, made)
    return results


def difference(a: np.ndarray, b: np.ndarray) -> float | None:
    """Largest difference over the largest magnitude; None if all bits agree."""
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return np.inf
    if a.tobytes() == b.tobytes():
        return None
    if a.dtype.names or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return np.inf
    finite = np.isfinite(a)
    largest = np.abs(a[finite]).max(initial=0)
    return float(np.abs(a[finite] - b[finite]).max(initial=0) / (largest or 1.0))


def compare(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], within: float | None) -> int:
    """Prints what differs, and says whether that is too much."""
    missing = sorted(a.keys() ^ b.keys())
    for name in missing:
        print(f"{name}: in {'the first' if name in a else 'the second'} only")
    equal, worst, beyond = 0, 0.0, len(missing)
    for name in a:
        if name in b:
            off = difference(a[name], b[name])
            if off is None:
                equal += 1
                continue
            print(f"{name}: differs by {off:.1e}")
            worst = max(worst, off)
            beyond += within is None or off > within
    print(f"{equal} of {len(a.keys() & b.keys())} arrays equal to the bit; the largest difference is {worst:.1e}")
    return int(beyond > 0)


def write(path: str) -> int:
    """Results with one thread, if those with two are the same."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in ("1", "2"):
            one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # NumPy's own products
            output = f"{folder}/{threads}.npz"
            environment = {**os.environ, **one, "RAYON_NUM_THREADS": threads}
            subprocess.run([sys.executable, __file__, "collect", output], env=environment, check=True)
            found.append(dict(np.load(output)))
    if compare(*found, within=None):
        print("one thread and two give different bits")
        return 1
    np.savez(path, **found[0])
    print(f"{path}: {len(found[0])} arrays, {sum(array.nbytes for array in found[0].values()) / 1e6:.0f} MB")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("write", "collect"):  # `collect` is what `write` calls, twice
        verbs.add_parser(verb).add_argument("output")
    arguments = verbs.add_parser("compare")
    arguments.add_argument("first")
    arguments.add_argument("second")
    arguments.add_argument("--within", type=float, help="largest difference that is accepted, instead of none")
    chosen = parser.parse_args()
    if chosen.verb == "write":
        return write(chosen.output)
    if chosen.verb == "collect":
        np.savez(chosen.output, **collect())
        return 0
    return compare(np.load(chosen.first), np.load(chosen.second), chosen.within)


if __name__ == "__main__":
    sys.exit(main())
