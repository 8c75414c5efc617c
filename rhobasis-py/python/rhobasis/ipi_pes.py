"""A potential inside i-PI, which loads this file by its path, `rhobasis.ipi.pes_path()`.

In an input, and for i-PI's own client::

    <ffdirect name='rho'>
      <pes> custom </pes> <pes_path> …/ipi_pes.py </pes_path>
      <parameters> {potential: silicon.rho, template: start.xyz} </parameters>
    </ffdirect>

    i-pi-py_driver -m custom -P …/ipi_pes.py -o potential=silicon.rho,template=start.xyz -u -a silicon
"""

from typing import Any

try:
    from ipi.pes.dummy import Dummy_driver
except ImportError as error:
    raise ImportError("this file is for i-PI, which is not there; pip install ipi") from error
try:
    from rhobasis.ipi import Evaluator
except ImportError as error:
    raise ImportError(f"rhobasis has to be installed where i-PI runs: {error}") from error

__DRIVER_NAME__ = "rhobasis"
__DRIVER_CLASS__ = "RhobasisDriver"


class RhobasisDriver(Dummy_driver):
    """Parameters: `potential` and `template`, two files; `extras` and `skin` as for `rhobasis.ipi.Evaluator`."""

    def __init__(self, verbose: bool = False, verbosity: Any = None, **parameters: Any) -> None:
        self.parameters = parameters  # verbosity is what ffdirect adds
        super().__init__(verbose)

    def check_parameters(self) -> None:
        """Loads potential and template."""
        known = {"potential", "template", "extras", "skin"}
        if unknown := self.parameters.keys() - known:
            raise ValueError(f"{', '.join(sorted(unknown))}: no such parameter; there are {', '.join(sorted(known))}")
        if missing := {"potential", "template"} - self.parameters.keys():
            raise ValueError(
                f"{' and '.join(sorted(missing))} missing; give parameters {{potential: FILE.rho, template: FILE.xyz}}"
            )
        self.evaluator = Evaluator(**self.parameters)

    def compute_structure(self, cell: Any, pos: Any) -> Any:
        """Energy, forces, virial and extras of a structure, in atomic units."""
        return self.evaluator.evaluate(cell, pos)
