"""What benches/pareto.py makes of reports, timings and errors."""

import json

import pareto
import pytest

REPORT = """\
features        495 of each atom

ERRORS
                              train     RMSE       MAE    test     RMSE       MAE
  energy per atom, meV/atom     171    3.712     1.901      43    7.469     4.261
    Elastic                      42   0.4626    0.4030      12   0.5206    0.4579
  force component, eV/Å      31,644   0.1442   0.08932   7,983   0.1359   0.07848
"""


def test_errors_are_those_of_the_test_frames():
    assert pareto.found(REPORT) == {
        "features": 495,
        "energy_rmse": 7.469,
        "energy_mae": 4.261,
        "force_rmse": 0.1359,
        "force_mae": 0.07848,
    }


def test_the_front_has_what_no_other_beats_in_both():
    points = [(3.0, 1.0), (1.0, 5.0), (2.0, 5.0), (2.0, 2.0), (4.0, 1.0), (5.0, 0.5)]
    assert pareto.front(points) == [(1.0, 5.0), (2.0, 2.0), (3.0, 1.0), (5.0, 0.5)]


def test_what_is_printed_is_on_a_front_or_the_best_of_its_family():
    columns = ("family", "us", "energy_mae", "force_mae")
    rows = [
        dict(zip(columns, row, strict=True))
        for row in (("a", 1.0, 3.0, 0.3), ("a", 2.0, 4.0, 0.4), ("b", 3.0, 5.0, 0.6), ("b", 4.0, 6.0, 0.5))
    ]
    assert [row["us"] for row in pareto.telling(rows)] == [1.0, 4.0]


def test_a_line_that_a_kill_cut_off_is_dropped(tmp_path):
    path = tmp_path / "models.jsonl"
    path.write_text(json.dumps({"id": "a", "us": 1.0}) + '\n{"id": "b", "u')
    results = pareto.Results(path)
    results.add({"id": "c", "us": 2.0})
    assert [line["id"] for line in pareto.Results(path).lines] == ["a", "c"]


@pytest.mark.parametrize("data", [pareto.Silicon, pareto.Ethanol])
def test_no_two_models_have_the_same_name_or_settings(data):
    models = data().models()
    assert len({(model.family, model.label) for model in models}) == len(models)
    assert len({model.text({}) for model in models}) == len(models)
    assert any(model.quick for model in models)


def test_a_step_takes_what_more_steps_take_more(tmp_path, monkeypatch):
    monkeypatch.setattr(pareto, "find_data", lambda name: name)
    run = pareto.Run(pareto.Silicon(), tmp_path, "rhobasis", quick=True)
    id = next(iter(run.models))
    assert run.microseconds(id) is None
    for steps, seconds in ((1, 0.2), (101, 1.3), (1, 0.1), (101, 1.124)):
        run.times.add({"id": id, "steps": steps, "seconds": seconds})
    assert run.microseconds(id) == pytest.approx(1e6 * 1.024 / (100 * 512))
