"""The `rhobasis` command of the wheel: the same as the Rust binary."""

import os
import signal
import sys

from . import _native


def main() -> None:
    """Runs the command line and exits with its code."""
    _open_standard_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a job in the background ignores it
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the computation, not only Python
    if sys.executable:
        os.environ.setdefault("RHOBASIS_PYTHON", sys.executable)  # where packages that it starts are looked for
    sys.exit(_native.main(["rhobasis", *sys.argv[1:]]))


def _open_standard_streams() -> None:
    """Opens what is closed: the next file would take its number, and messages would be written into it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
