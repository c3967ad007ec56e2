"""What goes to stdout: a reader that has gone must not change the exit code, which is the verdict's."""

from __future__ import annotations

import os
import sys


def show(text: str) -> None:
    """Prints `text`; where nobody can read it any more (a closed pipe, a terminal that hung up) nothing happens."""
    try:
        print(text, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # what is left in the buffer is written at the end
        os.close(nowhere)
