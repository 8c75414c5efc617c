"""The model files of examples/models/ are read as they are; their data, which are not bundled, are replaced."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MODELS = sorted((EXAMPLES / "models").glob("*.toml"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_an_example_is_read_and_says_what_its_fit_takes(path, tmp_path):
    bundled = "molecules_rattled" if path.stem.startswith(("rmd17", "qm9")) else "silicon"
    text = re.sub(r"(?m)^test = .*$", "", path.read_text())
    text = re.sub(r"(?m)^train = .*$", f'train = "{EXAMPLES / "data" / bundled}.xyz.xz@:20"', text)
    # The basis is made before a dry run stops, and with five species instead of three its search would take minutes.
    text = text.replace('method = "supervised"', 'method = "supervised"\nspan = 6')
    (tmp_path / "model.toml").write_text(text)
    code = "from rhobasis._cli import main; main()"
    run = [sys.executable, "-c", code, "train", "model.toml", "-o", "model.rho", "--dry-run"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_examples_that_share_a_data_set_share_its_split():
    sections = {}
    for path in MODELS:
        section = re.search(r"(?ms)^\[data\]\n(.*?)^\[", path.read_text())
        assert section, path
        sections.setdefault(path.stem.rpartition("_")[0], set()).add(section[1].strip())
    assert [name for name, some in sections.items() if len(some) > 1] == []
