"""Where a verb writes: results on standard output, progress and prose on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from surefit.artifacts import SCHEMA_VERSION

if TYPE_CHECKING:
    from surefit.progress import Progress


def print_json(content: Mapping[str, Any]) -> None:
    """Prints one JSON object, and nothing else, on standard output."""
    escaped = sys.stdout.encoding.lower() != "utf-8"
    text = json.dumps({"schema_version": SCHEMA_VERSION} | dict(content), ensure_ascii=escaped, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def shown_progress(quiet: bool) -> Iterator[Progress]:
    """Progress bars on standard error, or nothing where `quiet`."""
    from surefit.progress import Progress  # here, because help pages need no numpy

    if quiet:
        yield Progress()
        return
    from surefit.cli.progress import ProgressConsole, TerminalProgress

    with TerminalProgress(ProgressConsole(stderr=True)) as progress:
        yield progress
