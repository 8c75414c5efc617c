"""Damaged files, by the thousand: does the command refuse them, or does it fall over, hang, or go on and be wrong?

    make fuzz SECONDS=60
    python benches/fuzz target/debug/rhobasis --seconds 3600 --keep faults
    python benches/fuzz target/debug/rhobasis --only 40123 --keep faults     one case again

Small files of each kind that the command reads are made with the command itself, then changed at random and given back
to it: structures (plain and packed), bases, covariances, rows, checkpoints, potentials, matrices, model files. Our own
binary files carry a digest, so most changes to them are caught there; in half of the cases the digest is made right
again, for what lies behind it to be tried as well. Case k of a seed is always the same.

A case is a *fault* if the command ends by a signal or a panic, needs more than --limit seconds of work (or ten times as
long, should the machine have other things to do) or --memory bytes,
refuses without a message, says more than a page, leaves an output although it refused, prints numbers that are not
finite, or accepts a damaged file of ours and does anything else than with the sound one. Ends with 1 if there is one.
Python's standard library suffices; the debug build is the right one, since it also traps integers that overflow.
"""

import argparse
import collections
import contextlib
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from damage import damaged
from samples import KINDS, Kind, make_samples

# So many times longer than its work a command may take.
PATIENCE = 10


@dataclass
class Run:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float
    output: bytes | None


def run(command: str, use: list[str], folder: Path, limit: float, memory: int) -> Run:
    """Runs the command in the folder, with limits, on one thread."""

    def confine() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit) + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    args, start = [command, *use, "--threads", "1"], time.monotonic()
    pipe = subprocess.PIPE
    process = subprocess.Popen(args, cwd=folder, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL, preexec_fn=confine)
    try:
        out, err = process.communicate(timeout=PATIENCE * limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    seconds = time.monotonic() - start
    outputs = sorted(folder.glob("out.*")) + sorted(folder.glob("out-*"))
    output = b"".join(path.read_bytes() for path in outputs) if outputs else None
    for path in outputs:
        path.unlink()
    return Run(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), seconds, output)


def fault(verb: str, content: bytes, done: Run, limit: float, sound: Run | None) -> str | None:
    """What is wrong with how the command ended, if anything; `sound` is what the undamaged file gave."""
    message = [line for line in done.err.splitlines() if not line.startswith(("memory:", "note:", "warning:"))]
    if done.code == -signal.SIGXCPU:
        return f"no end after {limit:g} s of work"
    if done.seconds >= PATIENCE * limit:
        return f"no end after {PATIENCE * limit:g} s"
    if done.code < 0:
        return f"ended by {signal.Signals(-done.code).name}"
    if "panicked" in done.err or done.code not in (0, 1, 2):
        return f"panic, exit code {done.code}"
    if done.code != 0 and not any(line.startswith("error: ") for line in message):
        return "refused without a message"
    if len(done.err) > 4000:
        return f"a message of {len(done.err)} characters"
    if re.search(r"\b(Some\(|Err\(|Os \{|InvalidData|Utf8Error)", re.sub(r"'[^']*'|\"[^\"]*\"", "", done.err)):
        return "a message in the language of the program"
    if done.code != 0 and done.output is not None:
        return "refused, yet there is an output"
    # What stands in the file is what info tells, and a file may be called nan.
    numbers = re.sub(r"(?m)^from .*$", "", done.out)
    if done.code == 0 and verb != "info" and re.search(r"(?<![\w.])-?(nan|inf)(?![\w.])", numbers.lower()):
        return "numbers that are not finite"
    # What the file itself says goes on into the output of predict.
    odd = rb"(?i)[ =\"]-?(nan|inf)[ \"\n]"
    infinite = rb"(?i)nan|inf|e999|[0-9]{300}"  # what a number of eight bytes cannot hold is infinite
    if done.code == 0 and re.search(odd, done.output or b"") and not re.search(infinite, content):
        return "an output with numbers that are not finite"
    if done.code == 0 and sound is not None and (done.output, done.out) != (sound.output, sound.out):
        return "a damaged file was taken, and gave something else"
    return None


class Fuzz:
    """Cases of one seed, and what became of them."""

    def __init__(self, command: str, options: argparse.Namespace, samples: Path):
        self.command, self.options, self.samples = command, options, samples
        self.counts: dict[str, collections.Counter[str]] = {kind.name: collections.Counter() for kind in KINDS}
        self.slowest: dict[str, float] = dict.fromkeys(self.counts, 0.0)
        self.lock = threading.Lock()
        self.sound: dict[str, Run] = {}
        self.end = time.monotonic() + options.seconds
        self.next_case = 0

    def one(self, k: int, folder: Path) -> None:
        """Case `k`, in a folder with the sound files."""
        rng = random.Random(f"{self.options.seed}/{k}")
        kind = rng.choice(KINDS)
        name, use = rng.choice(kind.files), rng.choice(kind.uses)
        content, same = damaged(rng, kind, name, (self.samples / name).read_bytes())
        file = folder / f"case{''.join(Path(name).suffixes)}"
        file.write_bytes(content)
        args = [file.name if word == "FILE" else word for word in use]
        done = run(self.command, args, folder, self.options.limit, self.options.memory)
        sound = self.sound_run(kind, name, use, folder) if same and done.code == 0 else None
        problem = fault(use[0], content, done, self.options.limit, sound)
        with self.lock:
            counts = self.counts[kind.name]
            counts["taken" if done.code == 0 else "refused"] += 1
            self.slowest[kind.name] = max(self.slowest[kind.name], done.seconds)
            if problem:
                counts["faults"] += 1
                self.report(k, file, args, problem, done)
        file.unlink(missing_ok=True)

    def sound_run(self, kind: Kind, name: str, use: list[str], folder: Path) -> Run:
        """What the sound file gives under the name of the damaged one."""
        file = folder / f"case{''.join(Path(name).suffixes)}"
        with self.lock:
            known = self.sound.get(f"{kind.name} {use}")
        if known is None:
            shutil.copy(self.samples / name, file)
            args = [file.name if word == "FILE" else word for word in use]
            known = run(self.command, args, folder, self.options.limit, self.options.memory)
            with self.lock:
                self.sound[f"{kind.name} {use}"] = known
        return known

    def report(self, k: int, file: Path, args: list[str], problem: str, done: Run) -> None:
        """Says what happened, and keeps the file."""
        print(f"case {k}: {problem}: rhobasis {' '.join(args)}", *done.err.splitlines()[-3:], sep="\n    ", flush=True)
        if self.options.keep:
            self.options.keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, self.options.keep / f"{self.options.seed}-{k}{''.join(file.suffixes)}")

    def work(self) -> None:
        """Case after case, until the time is over."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copytree(self.samples, folder, dirs_exist_ok=True)
            while time.monotonic() < self.end:
                with self.lock:
                    k = self.next_case
                    self.next_case += 1
                self.one(k, folder)

    def run(self) -> int:
        """All workers; returns the number of faults."""
        if self.options.only is not None:
            with tempfile.TemporaryDirectory() as name:
                shutil.copytree(self.samples, name, dirs_exist_ok=True)
                self.one(self.options.only, Path(name))
        else:
            workers = [threading.Thread(target=self.work) for _ in range(self.options.workers)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        print(f"{'kind':18} {'cases':>8} {'taken':>8} {'refused':>8} {'faults':>8} {'slowest':>9}")
        for kind, counts in self.counts.items():
            cases = counts["taken"] + counts["refused"]
            slowest = self.slowest[kind]
            print(
                f"{kind:18} {cases:8} {counts['taken']:8} {counts['refused']:8} {counts['faults']:7} {slowest:7.2f} s"
            )
        return sum(counts["faults"] for counts in self.counts.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", type=os.path.abspath, help="the rhobasis command to try")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="K", help="only this case")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit", type=float, default=20, help="seconds that a command may work")
    # Products of matrices reserve, but do not use, twice the last cache of the processor for each thread: 1 GB on some.
    parser.add_argument("--memory", type=int, default=1 << 32, help="bytes of address space that a command may take")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where files that show faults are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(KeyboardInterrupt):
        make_samples(options.command, Path(name))
        return 1 if Fuzz(options.command, options, Path(name)).run() else 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
