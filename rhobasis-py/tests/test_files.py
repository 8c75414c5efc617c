"""What saving may write over, and fits that are interrupted."""

import os
import subprocess
import sys
import threading

import pytest
import rhobasis as rb
from ase import Atoms

H2 = [Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 0.01 * k]]) for k in range(4)]


def small() -> rb.OptimalBasis:
    return rb.OptimalBasis(rb.Density(r_cut=3.0), rb.Gto(n_max=4), l_max=1, q_max=2)


@pytest.fixture
def basis() -> rb.OptimalBasis:
    return small().fit(H2)


def test_a_file_of_another_kind_is_not_replaced(basis, tmp_path):
    structures, notes, accumulated = (tmp_path / name for name in ("a.xyz", "notes.txt", "sums.cov"))
    rb.write(structures, H2)
    notes.write_text("to do")
    basis.accumulate(H2, accumulated)
    for path, kind in [(structures, "structures"), (notes, "a text"), (accumulated, "'covariance'")]:
        before = path.read_bytes()
        with pytest.raises(rb.RhobasisError, match=f"{path.name}: is .*{kind}.*, or remove the file first"):
            basis.save(path)
        assert path.read_bytes() == before
    basis.save(tmp_path / "b.rho")
    for path in (notes, tmp_path / "b.rho"):
        with pytest.raises(rb.RhobasisError, match="would be replaced by a file of structures"):
            rb.write(path, H2)
    basis.save(tmp_path / "b.rho")
    rb.write(structures, H2[:1])
    assert len(rb.read(structures)) == 1


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_links_stay_and_pipes_are_written_to(basis, tmp_path):
    (tmp_path / "link.rho").symlink_to("b.rho")
    basis.save(tmp_path / "link.rho")
    assert (tmp_path / "link.rho").is_symlink()
    assert (tmp_path / "b.rho").is_file()
    rb.write(tmp_path / "a.xyz", H2)
    pipe, read = tmp_path / "pipe.xyz", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    rb.write(pipe, H2)
    reader.join()
    assert read == [(tmp_path / "a.xyz").read_bytes()]
    assert pipe.is_fifo()


INTERRUPTED = """
import os, signal, threading
import numpy as np, rhobasis as rb
from ase import Atoms

def basis():
    return rb.OptimalBasis(rb.Density(r_cut=5.0), rb.Gto(n_max=8), l_max=4, q_max=2)

random = np.random.default_rng(0)
some = rb.Frames([Atoms("CHON" * 5, 4 * random.random((20, 3))) for _ in range(300)])
many = rb.Frames([Atoms("CHON" * 5, 4 * random.random((20, 3))) for _ in range(8_000)])
fitted = basis().fit(some)
expected = fitted.eigenvalues_
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    fitted.fit(many)
except KeyboardInterrupt:
    print("interrupted")
try:
    fitted.transform(some)
except rb.NotFittedError:
    print("not fitted")
again = fitted.fit(some).eigenvalues_
print(all(np.array_equal(again[key], expected[key]) for key in expected))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_a_fit_to_frames_in_memory_and_leaves_no_basis_of_half_of_them():
    run = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert run.stdout.split("\n")[:3] == ["interrupted", "not fitted", "True"], run.stdout + run.stderr


@pytest.mark.skipif(os.name != "posix", reason="file descriptors")
def test_messages_of_the_command_never_land_in_a_file(tmp_path):
    rb.write(tmp_path / "a.xyz", H2)
    settings = "--r-cut 3 --n-max 4 --l-max 1 --q-max 2"
    code = "from rhobasis._cli import main; main()"
    lines = []
    for redirection in ("", ">&- 2>&-", "<&- >&- 2>&-"):
        line = f'"{sys.executable}" -c "{code}" fit a.xyz -o b.rho --force {settings} {redirection}'
        subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True, capture_output=True)
        lines.append((tmp_path / "b.rho").read_bytes())
    assert lines[0] == lines[1] == lines[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.xyz", "b.rho"]
