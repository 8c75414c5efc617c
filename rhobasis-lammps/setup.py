"""Says that the wheel holds a compiled plugin, for any Python: what pyproject.toml cannot."""

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


class WithPlugin(Distribution):
    """Of one platform."""

    def has_ext_modules(self) -> bool:
        """Not pure Python."""
        return True


class AnyPython(bdist_wheel):
    """LAMMPS loads the plugin, Python only knows where it is."""

    def get_tag(self) -> tuple[str, str, str]:
        """Of any Python 3, on this platform."""
        return "py3", "none", super().get_tag()[2]


setup(distclass=WithPlugin, cmdclass={"bdist_wheel": AnyPython})
