"""Work that is prepared in the background while the work before it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def prepare_ahead(items: Iterable[Item], prepare: Callable[[Item], Prepared]) -> Iterator[tuple[Item, Prepared]]:
    """Takes and prepares the next item in another thread while the one before is worked on.

    Only one item is ahead, so that memory holds two at a time. Errors of either come where the item
    would. Who stops early does not wait for the item that is being prepared.

    Args:
        items: what to prepare; it may be long.
        prepare: what to do with each.

    Returns:
        the items in their order, each with what was made of it.
    """
    source = iter(items)

    def take() -> tuple[Item, Prepared] | None:
        for item in source:
            return item, prepare(item)
        return None

    worker = ThreadPoolExecutor(1, "surefit-ahead")
    try:
        pending = worker.submit(take)
        while (ready := pending.result()) is not None:
            pending = worker.submit(take)
            yield ready
    finally:
        worker.shutdown(wait=False)
