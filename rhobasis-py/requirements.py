"""Prints what tests, figures and checks of a package need, as its pyproject.toml lists it, for pip.

python requirements.py [FOLDER [EXTRA...]], by default that of this file, for plots and tests. Our own packages are left
out.
"""

import pathlib
import sys

try:
    import tomllib
except ImportError:  # Python 3.10
    from pip._vendor import tomli as tomllib

folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
names = sys.argv[2:] or ["plot", "test"]
project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
needed = {*project["dependencies"], *(package for name in names for package in extras.get(name, ()))}
print(*sorted(needed - {"rhobasis"}))
