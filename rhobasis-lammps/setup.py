"""Says that the wheel holds a compiled plugin, which pyproject.toml cannot."""

from setuptools import Distribution, setup


class WithPlugin(Distribution):
    """Of one platform."""

    def has_ext_modules(self) -> bool:
        """Not pure Python."""
        return True


setup(distclass=WithPlugin)
