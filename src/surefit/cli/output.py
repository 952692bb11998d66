"""Where a verb writes: results on standard output, progress and prose on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from surefit.artifacts import SCHEMA_VERSION
from surefit.progress import Progress


def print_json(content: Mapping[str, Any]) -> None:
    """Prints one JSON object, and nothing else, on standard output."""
    text = json.dumps({"schema_version": SCHEMA_VERSION} | dict(content), ensure_ascii=False, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextmanager
def shown_progress(quiet: bool) -> Iterator[Progress]:
    """Progress bars on standard error, or nothing where `quiet`."""
    if quiet:
        yield Progress()
        return
    from rich.console import Console

    from surefit.cli.progress import TerminalProgress

    with TerminalProgress(Console(stderr=True)) as progress:
        yield progress
