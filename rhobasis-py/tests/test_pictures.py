"""What is seen: tables in notebooks, plots of bases and potentials, maps."""

import builtins
import json
import re
import warnings

import numpy as np
import pytest
import rhobasis as rb
from potential_samples import DENSITY, FRAMES, optimal


@pytest.fixture(scope="module")
def potential():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three functions keep little, which is enough here
        return rb.Potential(rb.PowerSpectrum(optimal()), rb.Ridge(alpha=1e-8)).fit(FRAMES)


@pytest.fixture
def plt():
    """Matplotlib without a screen; figures are closed afterwards."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def missing(monkeypatch):
    """Makes a package look as if it were not installed."""
    real = builtins.__import__

    def forget(package):
        def imported(name, *args, **options):
            if name.partition(".")[0] == package and (options.get("level") or (args[3] if len(args) > 3 else 0)) == 0:
                raise ImportError(name)
            return real(name, *args, **options)

        monkeypatch.setattr(builtins, "__import__", imported)

    return forget


def cells(html):
    """Names and values of a table."""
    return dict(re.findall(r"<th[^>]*>(.*?)</th><td[^>]*>(.*?)</td>", html))


def test_a_basis_shows_settings_before_the_fit_and_what_it_keeps_after():
    basis = optimal(q_max=2)
    before = cells(basis._repr_html_())
    assert before["q_max"] == "2"
    assert "call fit(frames)" in before["state"]
    after = cells(basis.fit(FRAMES)._repr_html_())
    assert after["functions, l = 0, 1 …"] == "2 2 2 2"
    assert after["neighbour species"] == "Al Cu"
    assert float(after["variance left out"]) == pytest.approx(basis.discarded_variance_, rel=1e-2)
    basis.set_params(l_max=1)
    assert "it was 3" in cells(basis._repr_html_())["state"]


@pytest.mark.filterwarnings("ignore:.*blocks keep fewer channels")
def test_many_blocks_are_counted(molecules):
    basis = rb.OptimalBasis(DENSITY, rb.Gto(n_max=4), l_max=1, q_max=1, center_specific=True).fit(molecules)
    kept = [len(u) for of_center in basis.contraction_.values() for u in of_center.values()]
    assert len(kept) == 4 * 4 * 2  # centres, neighbours, l
    assert cells(basis._repr_html_())["functions of a block"] == f"{min(kept)} to 1, of 32 blocks {sum(kept)}"


def test_a_potential_shows_what_it_knows(potential):
    assert cells(rb.Potential(potential.features, rb.Ridge())._repr_html_())["state"] == "not fitted; call fit(frames)"
    shown = cells(potential._repr_html_())
    assert shown["species"] == "Al Cu"
    assert shown["features of an atom"] == str(potential.n_features_)
    assert shown["nearest pairs in training / Å"].count("–") == 3
    assert shown["model"] == "Ridge(alpha=1e-08)"


def test_a_prediction_shows_ranges(potential):
    prediction = potential.predict(FRAMES[:5], uncertainty=True)
    shown = cells(prediction._repr_html_())
    assert shown["frames"] == "5"
    largest = max(np.abs(forces).max() for forces in prediction.forces)
    assert float(shown["largest component of a force / (eV/Å)"]) == pytest.approx(largest, rel=1e-3)
    assert shown["atoms unlike those of training"].endswith(f"of {sum(map(len, FRAMES[:5]))}")
    assert "largest component of a force / (eV/Å)" not in cells(potential.predict(FRAMES, forces=False)._repr_html_())


def test_a_plan_shows_its_table_with_the_chosen_row():
    plan = rb.plan_truncation(optimal(q_max=None).fit(FRAMES), FRAMES, nu=2, retain=0.99)
    html = plan._repr_html_()
    assert html.count("<tr>") == 1 + len(plan.table["retain"])
    assert f"<td>{plan.channels} *</td>" in html


def test_tables_are_escaped():
    basis = optimal(mixing="<b>combined</b>")
    assert "&lt;b&gt;combined" in basis._repr_html_()
    assert "<b>combined" not in basis._repr_html_()


def test_a_basis_is_drawn(plt):
    basis = optimal(q_max=3).fit(FRAMES)
    functions, variance = basis.plot(l=2, species="Al")
    r, drawn = functions.lines[0].get_data()
    np.testing.assert_allclose(drawn, basis.radial_functions(r, "Al", l=2)[:, 0])
    assert len(functions.lines) == 3 + 1  # and zero
    np.testing.assert_allclose(variance.lines[0].get_ydata(), basis.residual_variance()[:-1])  # on a logarithmic axis
    np.testing.assert_allclose(variance.lines[1].get_ydata(), basis.discarded_variance_)
    with pytest.raises(rb.RhobasisError, match="Al"):
        basis.plot()
    given = plt.subplots(1, 2)[1]
    assert basis.plot(species="Cu", axes=given)[1] is given[1]
    with pytest.raises(rb.RhobasisError, match="axes = 1 of them: 2"):
        basis.plot(species="Cu", axes=given[:1])


def test_parity_of_energies_and_forces_is_drawn(plt, potential):
    frames = FRAMES[:6]
    energies, forces = potential.plot(frames)
    predicted = potential.predict(frames)
    sizes = np.array([len(atoms) for atoms in frames])
    labels = np.array([atoms.get_potential_energy() for atoms in frames])
    np.testing.assert_allclose(energies.lines[0].get_data(), [labels / sizes, predicted.energies / sizes])
    rmse = np.sqrt(np.mean(((labels - predicted.energies) / sizes) ** 2))
    assert energies.get_title() == f"RMSE {1000 * rmse:.3g} meV"
    of_labels = np.concatenate([atoms.get_forces().ravel() for atoms in frames])
    found = np.concatenate([f.ravel() for f in predicted.forces])
    np.testing.assert_allclose(forces.lines[0].get_data(), [of_labels, found])
    assert len(potential.plot(frames, force_key="")) == 1
    bare = [atoms.copy() for atoms in frames]
    with pytest.raises(rb.RhobasisError, match="no frame has an energy"):
        potential.plot(bare)


def test_without_matplotlib_it_is_said_what_to_install(missing):
    basis = optimal().fit(FRAMES)
    missing("matplotlib")
    with pytest.raises(ImportError, match=r"rhobasis\[plot\]"):
        basis.plot(species="Al")


def test_a_map_of_atoms_holds_structures_and_principal_components(tmp_path, molecules):
    pytest.importorskip("chemiscope")
    basis = rb.OptimalBasis(DENSITY, rb.Gto(n_max=4), l_max=1, q_max=2).fit(molecules)
    features = rb.PowerSpectrum(basis).transform(molecules)
    rb.chemiscope(molecules, features, tmp_path / "map.html", {"norm": np.linalg.norm(features, axis=1)}, name="a < b")
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert "<title>a &lt; b</title>" in page
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data["meta"]["name"] == "a < b"
    assert len(data["structures"]) == len(molecules)
    assert len(data["environments"]) == len(features)
    centred = features - features.mean(axis=0)
    leading = np.linalg.svd(centred, compute_uv=False)[:3]
    for k in range(3):
        assert np.linalg.norm(data["properties"][f"map {k + 1}"]["values"]) == pytest.approx(leading[k])
    assert data["properties"]["species"]["values"][:3] == ["O", "H", "H"]
    assert set(data["properties"]) == {"map 1", "map 2", "map 3", "species", "norm"}
    assert [file.name for file in tmp_path.iterdir()] == ["map.html"]


def test_a_map_of_structures_takes_two_columns_as_they_are(tmp_path):
    pytest.importorskip("chemiscope")
    frames = rb.Frames(FRAMES[:8])
    places = np.arange(16.0).reshape(8, 2)
    rb.chemiscope(frames, places, tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data["properties"]["map 2"]["values"] == places[:, 1].tolist()
    assert data["properties"]["config_type"]["values"] == [atoms.info["config_type"] for atoms in frames]
    assert "environments" not in data


@pytest.mark.parametrize(
    ("features", "options", "words"),
    [
        (np.ones((3, 4)), {}, "features = 3 rows: .* atoms or 8 frames"),
        (np.ones(8), {}, r"shape \(8,\)"),
        (np.full((8, 2), np.nan), {}, "row 0 holds a number that is not finite"),
        (np.ones((8, 2)), {"properties": {"x": [1.0]}}, r"properties\['x'\] has shape \(1,\)"),
    ],
)
def test_a_map_that_cannot_be_is_refused_and_nothing_written(tmp_path, molecules, features, options, words):
    pytest.importorskip("chemiscope")
    with pytest.raises(rb.RhobasisError, match=words):
        rb.chemiscope(molecules, features, tmp_path / "map.html", **options)
    assert not list(tmp_path.iterdir())


def test_without_chemiscope_it_is_said_what_to_install(tmp_path, molecules, missing):
    missing("chemiscope")
    with pytest.raises(ImportError, match=r"rhobasis\[maps\]"):
        rb.chemiscope(molecules, np.ones((8, 2)), tmp_path / "map.html")
