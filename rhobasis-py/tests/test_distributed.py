"""Fits on Dask workers, one of which dies."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import rhobasis as rb
from ase import Atoms

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")

N_FRAMES, PART = 1000, 32


@pytest.fixture(scope="module")
def cluster():
    quiet = {"distributed.admin.tick.limit": "60s", "distributed.scheduler.worker-ttl": "60s"}
    with (
        __import__("dask").config.set(quiet),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(5)
    along = np.arange(12)[:, None] / 3
    symbols = ["CHON" + ("F" if k == 900 else "H") * 8 for k in range(N_FRAMES)]
    return [Atoms(names, positions=rng.uniform(0, 5, (12, 3)) + along) for names in symbols]


def basis_of(**more):
    return rb.OptimalBasis(
        rb.Density(r_cut=5.0), rb.Gto(n_max=10), l_max=4, q_max=4, mixing="combined", spline_accuracy=1e-4, **more
    )


def assert_equal(found, expected):
    assert found.n_centers_ == expected.n_centers_ == 12 * N_FRAMES
    assert found.species_ == expected.species_ == [1, 6, 7, 8, 9]
    for l, eigenvalues in expected.eigenvalues_.items():
        np.testing.assert_allclose(found.eigenvalues_[l], eigenvalues, rtol=0, atol=1e-13 * eigenvalues[0])


def test_a_worker_that_is_killed_takes_nothing_with_it(cluster, frames):
    local = basis_of().fit(frames)
    with distributed.Client(cluster) as client:
        pids = list(client.run(os.getpid).values())
        found, errors = basis_of(), []

        def run():
            try:
                rb.distributed.fit(found, frames, client, part=PART)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        start = time.monotonic()
        held = 0
        while held < 3 and thread.is_alive() and time.monotonic() - start < 60:
            held = sum(str(key).startswith("rhobasis-part-") for keys in client.has_what().values() for key in keys)
            time.sleep(0.01)
        assert thread.is_alive(), "it was over before a worker could be killed"
        os.kill(pids[0], signal.SIGKILL)
        thread.join(timeout=120)
        assert not thread.is_alive()
        assert not errors, errors
        assert pids[0] not in client.run(os.getpid).values()
    assert_equal(found, local)


def test_files_and_any_number_of_workers_give_the_same_bits(cluster, frames, tmp_path):
    names = [tmp_path / "a.xyz", tmp_path / "b.xyz"]
    rb.write(names[0], frames[:500])
    rb.write(names[1], [frames[0], *frames[500:]])
    data = [str(names[0]), f"{names[1]}@1:"]
    local = basis_of().fit(data)
    with distributed.Client(cluster) as client:
        two = rb.distributed.fit(basis_of(), data, client, part=200)
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None):
        one = rb.distributed.fit(basis_of(), data, part=200)
    assert_equal(two, local)
    two.save(tmp_path / "two.rho")
    one.save(tmp_path / "one.rho")
    assert (tmp_path / "two.rho").read_bytes() == (tmp_path / "one.rho").read_bytes()
    assert two._basis.provenance() == local._basis.provenance()
    assert two.set_params(q_max=2).contraction_[0].shape == (2, 50)  # the covariance is there, as after a local fit


def test_a_file_that_changes_meanwhile_is_named(frames, tmp_path, monkeypatch):
    file, pieces = tmp_path / "a.xyz", rb.distributed._pieces
    rb.write(file, frames[:40])

    def then_written_anew(*args):
        found = pieces(*args)
        rb.write(file, frames[40:80])
        return found

    monkeypatch.setattr(rb.distributed, "_pieces", then_written_anew)
    with (
        distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client,
        pytest.raises(rb.RhobasisError, match=r"a\.xyz: the file changed between two passes over the data"),
    ):
        rb.distributed.fit(basis_of(), file, client, part=20)


def test_what_cannot_be_fitted_is_refused_here(frames):
    with pytest.raises(rb.RhobasisError, match="none is in use"):
        rb.distributed.fit(basis_of(), frames)
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        with pytest.raises(rb.RhobasisError, match="weighting = nearest: distances are those of all frames, and each"):
            rb.distributed.fit(basis_of().set_params(weighting="nearest"), frames, client)
        with pytest.raises(rb.RhobasisError, match="part = 0"):
            rb.distributed.fit(basis_of(), frames, client, part=0)
        with pytest.raises(rb.RhobasisError, match="l_max"):
            rb.distributed.fit(basis_of().set_params(l_max=99), frames, client)
        with pytest.raises(rb.RhobasisError, match="at least one structure"):
            rb.distributed.fit(basis_of(), [], client)
