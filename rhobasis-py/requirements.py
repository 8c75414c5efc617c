"""Prints what tests, figures and checks of a package need, as its pyproject.toml lists it, for pip.

python requirements.py [FOLDER], by default that of this file. Our own packages are left out.
"""

import pathlib
import sys

try:
    import tomllib
except ImportError:  # Python 3.10
    from pip._vendor import tomli as tomllib

folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
print(*sorted({*project["dependencies"], *extras.get("plot", ()), *extras["test"]} - {"rhobasis"}))
