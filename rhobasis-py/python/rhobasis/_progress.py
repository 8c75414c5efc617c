"""A progress line with the time left, on request."""

from __future__ import annotations

import contextlib
import sys
import time


class Progress:
    """Writes ``fit  42 %, 0:13 left`` to standard error, at most five times a second."""

    def __init__(self, what: str, shown: bool) -> None:
        self.what, self.shown = what, shown
        self.start = self.last = time.monotonic()

    def update(self, fraction: float) -> None:
        """Shows the fraction of the work done, 0 to 1."""
        now = time.monotonic()
        if not self.shown or now - self.last < 0.2 or fraction <= 0:
            return
        self.last = now
        left = round((now - self.start) * (1 - fraction) / fraction)
        self._show(f"\r{self.what}  {100 * fraction:3.0f} %, {left // 60}:{left % 60:02d} left ")

    def done(self) -> None:
        """Ends the line."""
        if self.shown:
            seconds = time.monotonic() - self.start
            self._show(f"\r{self.what}  100 % in {seconds:.1f} s        \n")

    @staticmethod
    def _show(text: str) -> None:
        """Writes to standard error; that it is closed or full is no reason to stop."""
        if sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(text)
                sys.stderr.flush()


class FitProgress:
    """Says what memory the fit takes, then how far it is."""

    def __init__(self, shown: bool) -> None:
        self.shown, self.bar = shown, None

    def __call__(self, done: int, n_frames: int, n_bytes: int) -> None:
        if self.bar is None:
            if self.shown:
                print(f"fit  takes at most {n_bytes / 1e9:.2f} GB", file=sys.stderr)
            self.bar = Progress("fit", self.shown)
        self.bar.update(done / max(n_frames, 1))

    def done(self) -> None:
        if self.bar is not None:
            self.bar.done()
