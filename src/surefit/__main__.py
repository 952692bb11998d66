"""The first step of the command line, which answers Ctrl-C even before the door is loaded, and the last one."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from surefit.interruption import answer_signals, interrupt


def main() -> None:
    """Runs the command line and ends the process."""
    answer_signals(interrupt)
    try:
        from surefit.cli.main import main as door

        status = door()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
    except KeyboardInterrupt:
        status = 130
        with suppress(AttributeError, OSError):  # None where the shell closed it
            sys.stderr.write("interrupted; no file of SureFit's was left half written\n")
            sys.stderr.flush()
    os._exit(status)  # Python itself would wait for a thread that tokenises what nobody asks for any more


if __name__ == "__main__":
    main()
