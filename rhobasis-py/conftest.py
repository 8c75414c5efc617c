"""Doctests write their files into a temporary folder."""

import pytest


@pytest.fixture(autouse=True)
def _doctests_in_a_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
