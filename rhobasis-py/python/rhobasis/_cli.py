"""The `rhobasis` command of the wheel: the same as the Rust binary."""

import signal
import sys

from . import _native


def main() -> None:
    """Runs the command line and exits with its code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the computation, not only Python
    sys.exit(_native.main(["rhobasis", *sys.argv[1:]]))
