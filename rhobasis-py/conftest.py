"""Doctests write their files into a temporary folder."""

from importlib.util import find_spec

import pytest

# It is loaded by i-PI, and needs it.
collect_ignore = [] if find_spec("ipi") else ["python/rhobasis/ipi_pes.py"]


@pytest.fixture(autouse=True)
def _doctests_in_a_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
