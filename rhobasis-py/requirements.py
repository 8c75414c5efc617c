"""Prints what tests, figures and checks of the package need, as listed in pyproject.toml, for pip."""

import pathlib

try:
    import tomllib
except ImportError:  # Python 3.10
    from pip._vendor import tomli as tomllib

project = tomllib.loads((pathlib.Path(__file__).parent / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
print(*sorted({*project["dependencies"], *extras["plot"], *extras["test"]}))
