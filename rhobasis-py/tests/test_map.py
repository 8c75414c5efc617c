"""`rhobasis map`: the page holds what was asked for, and a browser shows it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import rhobasis as rb
from test_ase import labelled

pytest.importorskip("chemiscope")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def command(*arguments):
    code = "from rhobasis._cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


def data_of(page):
    text = pathlib.Path(page).read_text("utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Frames with labels, a basis and a potential, in files."""
    folder, frames = tmp_path_factory.mktemp("map"), labelled(12, 0.1)
    for k, atoms in enumerate(frames):
        atoms.info["config_type"] = "odd" if k % 2 else "even"
    basis = rb.OptimalBasis(rb.Density(r_cut=4.5, sigma=0.5), rb.Gto(n_max=6), l_max=2, q_max=3)
    potential = rb.Potential(rb.PowerSpectrum(basis), rb.Ridge(alpha=1e-8)).fit(frames)
    rb.write(folder / "a.xyz", frames)
    potential.save(folder / "p.rho")
    potential.features_.basis.save(folder / "b.rho")
    return folder


@pytest.fixture(autouse=True)
def files(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.xyz", "p.rho", "b.rho"):
        shutil.copy(made / name, name)


def test_a_map_of_atoms_has_energies_forces_and_labels():
    done = command("map", "a.xyz@:5", "--basis", "b.rho", "--potential", "p.rho", "-o", "m.html", "--normalize")
    assert done.returncode == 0, done.stderr
    frames, potential = rb.read("a.xyz@:5"), rb.load("p.rho")
    assert done.stdout == f"{sum(frames.n_atoms):,} atoms\nwrote m.html\n"
    data = data_of("m.html")
    found = {name: entry["values"] for name, entry in data["properties"].items()}
    assert all(entry["target"] == "atom" for entry in data["properties"].values())
    told = potential.predict(frames)
    free = potential.baseline_[frames.species[0]]
    np.testing.assert_allclose(
        found["energy less that of the free atom, eV"], np.concatenate(told.atom_energies) - free
    )
    np.testing.assert_allclose(found["force, eV/Å"], np.linalg.norm(np.concatenate(told.forces), axis=1))
    labels = np.concatenate([atoms.arrays["forces"] for atoms in frames])
    np.testing.assert_allclose(found["labelled force, eV/Å"], np.linalg.norm(labels, axis=1))
    assert found["config_type"][:: frames.n_atoms[0]] == ["even", "odd", "even", "odd", "even"]
    assert found["frame"][-1] == 4
    features = rb.PowerSpectrum(rb.load("b.rho"), normalize=True).transform(frames)
    leading = np.linalg.svd(features - features.mean(axis=0), compute_uv=False)[:3]
    np.testing.assert_allclose([np.linalg.norm(found[f"map {k + 1}"]) for k in range(3)], leading)
    assert data["meta"]["name"] == "a.xyz@:5"


def test_a_map_of_frames_is_of_the_features_of_the_potential():
    done = command("map", "a.xyz", "--potential", "p.rho", "-o", "m.html", "--of", "frames", "--title", "silicon")
    assert done.returncode == 0, done.stderr
    frames, potential = rb.read("a.xyz"), rb.load("p.rho")
    data = data_of("m.html")
    assert "environments" not in data
    assert data["meta"]["name"] == "silicon"
    found = {name: entry["values"] for name, entry in data["properties"].items()}
    means = potential.features_.transform(frames, reduce="mean")
    leading = np.linalg.svd(means - means.mean(axis=0), compute_uv=False)[:3]
    np.testing.assert_allclose([np.linalg.norm(found[f"map {k + 1}"]) for k in range(3)], leading)
    energies = np.array([atoms.info["energy"] for atoms in frames])
    np.testing.assert_allclose(found["labelled energy per atom, eV"], energies / np.array(frames.n_atoms))
    free = potential.baseline_[frames.species[0]]
    predicted = potential.predict(frames).energies / np.array(frames.n_atoms) - free
    np.testing.assert_allclose(found["energy per atom less that of free atoms, eV"], predicted)
    assert found["config_type"][:2] == ["even", "odd"]


def test_what_cannot_be_drawn_is_refused_in_words_and_nothing_written():
    for arguments, words in [
        (["a.xyz", "--basis", "p.rho"], "p.rho: holds Potential, which is no basis"),
        (["a.xyz", "--potential", "b.rho"], "b.rho: holds OptimalBasis, which is no potential"),
        (["none.xyz", "--basis", "b.rho"], "none.xyz"),
        (["a.xyz", "--basis", "b.rho", "--energy-key", "dft"], "dft"),
    ]:
        done = command("map", *arguments, "-o", "m.html")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert words in done.stderr
        assert not os.path.exists("m.html")


# What the viewer has made, which it keeps from the rest of the page: axes, canvases, boxes with the number of a point.
LOOK = """<script>
const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
setTimeout(() => {
    const found = all(document);
    const seen = {
        axes: found.filter((e) => e.classList.contains("xtitle")).map((e) => e.textContent),
        canvases: found.filter((e) => e.tagName === "CANVAS").length,
        numbers: found.filter((e) => e.tagName === "INPUT" && e.type === "number").map((e) => e.max),
    };
    const error = document.getElementById("error").textContent;
    document.body.innerHTML = `<pre>${JSON.stringify(seen)}</pre><p>${error}</p>`;
}, 20000);
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("of", ["atoms", "frames"])
def test_a_browser_shows_map_and_structure(of, tmp_path):
    done = command("map", "a.xyz@:5", "--potential", "p.rho", "-o", "m.html", "--of", of)
    assert done.returncode == 0, done.stderr
    page = tmp_path / "looked-at.html"
    page.write_text(pathlib.Path("m.html").read_text("utf-8").replace("</body>\n</html>", f"{LOOK}</html>"), "utf-8")
    assert BROWSER is not None
    flags = ["--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
    flags += ["--enable-unsafe-swiftshader", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=60000"]
    run = subprocess.run([BROWSER, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=240)
    seen = re.search(r"<pre>(.*?)</pre><p>(.*?)</p>", run.stdout)
    assert seen, run.stderr[-2000:]
    assert seen[2] == ""
    found = json.loads(seen[1])
    assert found["axes"] == ["map 1"]
    assert found["canvases"] >= 2  # points and atoms
    n_atoms = rb.read("a.xyz@0").n_atoms[0]
    expected = ["5", str(n_atoms)] if of == "atoms" else ["5"]  # structures, and atoms of the first
    assert found["numbers"][: len(expected)] == expected
