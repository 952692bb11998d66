"""The first step of the command line, which answers Ctrl-C even before the door is loaded."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line."""
    try:
        from surefit.cli.main import main as door

        door()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("interrupted; nothing was left half written\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
