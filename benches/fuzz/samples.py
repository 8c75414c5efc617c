"""Sound files of every kind that the command reads, made with the command, and what is done with them."""

import gzip
import lzma
import random
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


def structures(rng: random.Random, n: int) -> str:
    """A few crystals and molecules with labels in all places they may have."""
    frames = []
    for k in range(n):
        atoms = [("Si" if rng.random() < 0.7 else "H", [rng.uniform(0, 4) for _ in range(3)]) for _ in range(1 + k % 3)]
        lines = [f"{z} {' '.join(f'{x:.6f}' for x in r)} 0.1 -0.2 {0.05 * k:.3f} {i}" for i, (z, r) in enumerate(atoms)]
        pbc = ["T T T", "T T F", "F F F"][k % 3]
        stress = 'stress="0.01 0 0 0 0.02 0 0 0 0.03"' if pbc == "T T T" else "note=none"
        energies = f"energy={-5.0 * len(atoms) + 0.1 * rng.random():.6f} {stress} config_type=some"
        energies += f' dipole="0.1 {0.1 * k:.2f} -0.2"'
        columns = "Properties=species:S:1:pos:R:3:forces:R:3:tag:I:1"
        cell = 'Lattice="4.1 0 0 0.2 4.3 0 0 0.1 4.4"'
        frames += [str(len(atoms)), f'{cell} {columns} {energies} pbc="{pbc}"', *lines]
    return "\n".join(frames) + "\n"


DIALECTS = """\
2
Lattice="3 0 0 0 3.0 0 0 0 3" Properties=species:S:1:pos:R:3:force:R:3:Z:I:1 energy=-3.5 virial={1 0 0 0 1 0 0 0 1}
Si 0.0 0.0 0.0 0.1 0.0 0.0 14
Si 1.5 1.5 1.4 -0.1 0.0 0.0 14

3
a comment of a plain file
O 0.0 0.0 0.1
H 0.0 0.76 -0.48
H 0.0 -0.76 -0.48
2
q=-1 Properties="species:S:1:pos:R:3" pbc=[T, T, F] Lattice='4 0 0 0 4 0 0 0 4' name="a \\"word\\"" flag list=[1,2] e=""
C   1e0\t2.5E-1 .5
H 0.1d0 1 +2
"""

MODEL = """\
[data]
train = "data.xyz"
test_fraction = 0.2
seed = 1
[basis]
r_cut = 3.5
sigma = { Si = 0.4, H = 0.3 }
n_max = 4
l_max = 2
q_max = 2
spline_accuracy = 1e-4
[model]
type = "ridge"
alpha = 1e-8
[baseline]
type = "least-squares"
[weights]
energy_sigma = 0.01
force_sigma = 0.1
[weights."some"]
energy_sigma = 0.005
"""

TENSORS = """\
[data]
train = "data.xyz"
[basis]
r_cut = 3.5
sigma = 0.4
n_max = 4
l_max = 2
q_max = 2
spline_accuracy = 1e-4
[features]
nu_max = 2
n_equivariants = 3
[model]
type = "equivariant-ridge"
target = "dipole"
alpha = 1e-4
"""

SMALL = ["--n-max", "4", "--l-max", "2", "--q-max", "2", "--r-cut", "3.5", "--spline-accuracy", "1e-4"]


def make_samples(command: str, folder: Path) -> None:
    """Sound files of every kind."""
    rng = random.Random(0)

    def run(*args: str) -> None:
        subprocess.run([command, *args, "--threads", "1"], cwd=folder, check=True, capture_output=True)

    text = structures(rng, 6)
    (folder / "data.xyz").write_text(text)
    (folder / "dialects.xyz").write_text(DIALECTS)
    (folder / "data.xyz.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    (folder / "data.xyz.xz").write_bytes(lzma.compress(text.encode()))
    (folder / "many.xyz").write_text(structures(rng, 3000))
    (folder / "model.toml").write_text(MODEL)
    (folder / "tensors.toml").write_text(TENSORS)
    run("fit", "data.xyz", "-o", "basis.rho", *SMALL)
    run("fit", "data.xyz", "-o", "sum.cov", *SMALL[:4], *SMALL[6:])
    run("train", "model.toml", "-o", "potential.rho", "--no-plot")
    run("train", "tensors.toml", "-o", "tensors.rho", "--no-plot")
    run("train", "model.toml", "-o", "part.rows", "--shard", "1/1")
    run("features", "data.xyz", "--basis", "basis.rho", "--kind", "power-spectrum", "-o", "matrix.npz")
    run("features", "data.xyz", "--basis", "basis.rho", "--kind", "power-spectrum", "-o", "matrix.npy")
    run("predict", "potential.rho", "data.xyz", "-o", "predicted.xyz.zst")
    checkpoint = folder / "fit.ckpt"
    args = ["fit", "many.xyz", "-o", "many.rho", *SMALL, "--checkpoint", checkpoint.name, "--checkpoint-every", "0"]
    args += ["--force"]  # until one is killed in time
    while not checkpoint.exists():
        fit = subprocess.Popen([command, *args], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not checkpoint.exists() and fit.poll() is None:
            time.sleep(0.001)
        fit.kill()
        fit.wait()
    shutil.copy(checkpoint, folder / "kept.ckpt")


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and what is done with them. In `uses`, FILE stands for the damaged one."""

    name: str
    files: list[str]
    uses: list[list[str]]
    sealed: bool = False


DATA_USES = [
    ["info", "FILE"],
    ["fit", "FILE", "-o", "out.rho", *SMALL],
    ["features", "FILE", "--basis", "basis.rho", "-o", "out.npz"],
    ["features", "FILE", "--basis", "basis.rho", "--kind", "power-spectrum", "-o", "out.npy", "--chunk-rows", "3"],
    ["predict", "potential.rho", "FILE", "-o", "out.xyz"],
    ["evaluate", "potential.rho", "FILE"],
    ["evaluate", "tensors.rho", "FILE"],
    ["md", "potential.rho", "FILE", "--steps", "2", "-o", "out.xyz"],
]
KINDS = [
    Kind("structures", ["data.xyz", "dialects.xyz"], DATA_USES),
    Kind("packed structures", ["data.xyz.gz", "data.xyz.xz", "predicted.xyz.zst"], DATA_USES[:2]),
    Kind(
        "basis",
        ["basis.rho"],
        [
            ["show", "FILE"],
            ["features", "data.xyz", "--basis", "FILE", "--kind", "power-spectrum", "-o", "out.npz"],
            ["export", "FILE", "--to", "csv", "--points", "5", "-o", "out.csv"],
        ],
        sealed=True,
    ),
    Kind("rows", ["part.rows"], [["merge", "FILE", "-o", "out.rho"], ["show", "FILE"]], sealed=True),
    Kind("covariance", ["sum.cov"], [["merge", "FILE", "-o", "out.rho", "--q-max", "2"]], sealed=True),
    Kind(
        "checkpoint",
        ["kept.ckpt"],
        [["fit", "many.xyz", "-o", "out.rho", *SMALL, "--checkpoint", "FILE"]],
        sealed=True,
    ),
    Kind("potential", ["potential.rho"], [["predict", "FILE", "data.xyz", "-o", "out.xyz"]], sealed=True),
    Kind(
        "model of a tensor",
        ["tensors.rho"],
        [["show", "FILE"], ["predict", "FILE", "data.xyz", "-o", "out.xyz", "--derivatives"]],
        sealed=True,
    ),
    Kind(
        "matrix",
        ["matrix.npz", "matrix.npy"],
        [
            ["select", "FILE", "-n", "2", "-o", "out.npz"],
            ["select", "FILE", "--method", "fps", "-n", "2", "-o", "out.npz"],
        ],
    ),
    Kind(
        "model file",
        ["model.toml", "tensors.toml"],
        [["train", "FILE", "-o", "out.rho", "--no-plot"], ["evaluate", "FILE", "--folds", "2"]],
    ),
]
