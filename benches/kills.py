"""Kills runs of the command at random moments, and looks at what they leave. Python's standard library suffices.

    python benches/kills.py COMMAND [N] [SEED]

COMMAND is the binary `rhobasis`; N kills (100 if not given) fall on `fit`, `train`, `features`, `merge` and `md`, by
SIGKILL, SIGINT and SIGTERM. After each of them, every output is absent, the old one, or the new one, to the byte; of
`md`, it may also be the beginning of the new trajectory, in whole frames but for the last after SIGKILL.
The same command then goes on to the same bytes as an unbroken run, and no temporary file remains.

Prints what was found, and ends with 1 if anything was not so.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SILICON = Path(__file__).resolve().parent.parent / "examples" / "data" / "silicon.xyz.xz"
SIGNALS = [signal.SIGKILL, signal.SIGINT, signal.SIGTERM]
SMALL = "--r-cut 4 --n-max 5 --l-max 2 --spline-accuracy 1e-5"
COMMENT = 'Properties=species:S:1:pos:R:3 pbc="F F F"'
MODEL = f"""\
[data]
train = ["{SILICON}@::6"]
[basis]
r_cut = 4.0
sigma = 0.4
n_max = 6
l_max = 3
q_max = 4
spline_accuracy = 1e-5
"""


@dataclass
class Job:
    """A command, and what it makes."""

    name: str
    arguments: str
    older: str  # a command that makes other files of these names
    new: dict[str, bytes] = field(default_factory=dict)
    old: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0


CHECKPOINT = "--checkpoint run.ckpt --checkpoint-every 0"
FORCE = "--force"  # the old file is replaced, and the new one of a run that had ended
JOBS = [
    Job("fit", f"fit a.xyz -o out.rho {SMALL} {CHECKPOINT} {FORCE}", f"fit a.xyz@:5 -o out.rho {SMALL}"),
    Job(
        "train", f"train model.toml -o out.rho --no-plot {CHECKPOINT} {FORCE}", "train small.toml -o out.rho --no-plot"
    ),
    Job("features", f"features a.xyz --basis b.rho -o X.npz {FORCE}", "features a.xyz@:5 --basis b.rho -o X.npz"),
    Job("features in pieces", "features a.xyz --basis b.rho -o X.npy --chunk-rows 2000", ""),
    Job("merge", f"merge 1.cov 2.cov -o out.rho --q-max 3 {FORCE}", f"fit a.xyz@:5 -o out.rho {SMALL}"),
    Job("md", f"md m.rho {SILICON}@0 --steps 300 --every 5 -o t.xyz {CHECKPOINT}", ""),
]
OUTPUTS = ["out.rho", "X*", "t.xyz"]


class Place:
    """A folder in which the command runs."""

    def __init__(self, command: str, folder: Path) -> None:
        self.command, self.folder = str(Path(command).resolve()), folder

    def start(self, arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.command, *arguments.split()], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def run(self, arguments: str) -> None:
        run = self.start(arguments)
        message = run.communicate()[1].decode()
        if run.returncode != 0:
            raise SystemExit(f"rhobasis {arguments}: {message}")

    def outputs(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for pattern in OUTPUTS for path in self.folder.glob(pattern)}

    def clear(self) -> None:
        for pattern in [*OUTPUTS, "run.ckpt"]:
            for path in self.folder.glob(pattern):
                path.unlink()

    def temporaries(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if path.name.endswith(".part")]


def molecules(n: int) -> str:
    """Frames of C, O, H, bent a little differently each."""
    frames = []
    for k in range(n):
        d = 0.01 * ((7 * k) % 13)
        frames.append(f"3\n{COMMENT}\nC 0 0 0\nO {1.2 + d} 0.2 0\nH -0.5 {0.95 - d} 0.3\n")
    return "".join(frames)


def prepare(place: Place) -> None:
    """What the jobs read, what they make, and how long they take."""
    (place.folder / "a.xyz").write_text(molecules(5000))
    (place.folder / "model.toml").write_text(MODEL)
    (place.folder / "small.toml").write_text(MODEL.replace("@::6", "@::60"))
    place.run("train small.toml -o m.rho --no-plot")
    place.run(f"fit a.xyz@:9 -o b.rho {SMALL}")
    for part in (1, 2):
        place.run(f"fit a.xyz -o {part}.cov {SMALL} --shard {part}/2")
    for job in JOBS:
        if job.older:
            place.run(job.older)
            job.old = place.outputs()
            place.clear()
        begin = time.monotonic()
        place.run(job.arguments)
        job.seconds = time.monotonic() - begin
        job.new = place.outputs()
        place.clear()


def kill(place: Place, job: Job, number: signal.Signals) -> list[str]:
    """Starts a job and kills it; what was wrong."""
    wrong: list[str] = []
    run = place.start(job.arguments)
    time.sleep(random.uniform(0, 1.1 * job.seconds))
    run.send_signal(number)
    message = run.communicate(timeout=120)[1].decode()
    # 0: it had ended; the signal itself: it came before the command listened, or was SIGKILL.
    answered = run.returncode == 128 + number
    if run.returncode not in (0, -number) and not answered:
        wrong.append(f"exit code {run.returncode}: {message}")
    if answered and f"interrupted by {number.name}: " not in message:
        wrong.append(f"it does not say what is kept: {message}")
    for name, found in place.outputs().items():
        beginning = job.name == "md" and is_beginning(found, job.new[name], whole=answered)
        if found not in (job.old.get(name), job.new.get(name)) and not beginning:
            wrong.append(f"{name} is neither the old nor the new file")
    if number != signal.SIGKILL and (left := place.temporaries()):
        wrong.append(f"left behind: {left}")
    COUNTS[job.name, "ended before" if run.returncode == 0 else number.name] += 1
    COUNTS["left by SIGKILL, removed by the next run", ""] += len(place.temporaries())
    return wrong


def is_beginning(found: bytes, new: bytes, whole: bool) -> bool:
    """Whether these are the first frames of a trajectory of which each has as many lines; all complete, if `whole`."""
    lines = int(new.split(b"\n", 1)[0]) + 2
    return new.startswith(found) and (not whole or (found.endswith(b"\n") and found.count(b"\n") % lines == 0))


def go_on(place: Place, job: Job) -> list[str]:
    """The same command again; what was wrong."""
    place.run(job.arguments)
    found = place.outputs()
    wrong = [f"{name} has other bytes than of an unbroken run" for name in job.new if found.get(name) != job.new[name]]
    kept = [] if job.name == "md" else place.folder.glob("run.ckpt")  # dynamics may go on to more steps
    if left := [*place.temporaries(), *(path.name for path in kept)]:
        wrong.append(f"left behind: {left}")
    return wrong


COUNTS: Counter[tuple[str, str]] = Counter()


def main() -> None:
    command, kills, seed = (*sys.argv[1:], *["100", "1"][len(sys.argv) - 2 :])
    random.seed(int(seed))
    folder = Path(tempfile.mkdtemp())
    place, faults = Place(command, folder), 0
    try:
        prepare(place)
        for k in range(int(kills)):
            job, number = JOBS[k % len(JOBS)], random.choice(SIGNALS)
            for name, content in job.old.items() if random.random() < 0.5 else ():
                (folder / name).write_bytes(content)
            for problem in kill(place, job, number) + go_on(place, job):
                faults += 1
                print(f"kill {k}, {job.name}, {number.name}: {problem}")
            place.clear()
    finally:
        shutil.rmtree(folder)
    for (name, what), count in sorted(COUNTS.items()):
        print(f"{name:42}{what:14}{count:5}")
    print(f"{kills} kills, {faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
