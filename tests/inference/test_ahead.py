"""Work prepared in the background: order, one item ahead, errors in their place."""

from __future__ import annotations

import threading

import pytest

from surefit.inference.ahead import prepare_ahead


def test_items_come_in_their_order_with_what_was_made_of_them():
    assert list(prepare_ahead(range(50), lambda number: number * 2)) == [(number, number * 2) for number in range(50)]


def test_nothing_comes_of_nothing():
    assert list(prepare_ahead([], str)) == []


def test_the_next_item_is_prepared_while_the_one_before_is_worked_on():
    begun = {number: threading.Event() for number in range(3)}
    for number, _ in prepare_ahead(range(3), lambda number: begun[number].set()):
        # Were it prepared only when it is asked for, this would wait in vain.
        assert number == 2 or begun[number + 1].wait(timeout=30)


def test_only_one_item_is_taken_ahead():
    taken = []

    def items():
        for number in range(10):
            taken.append(number)
            yield number

    for number, _ in prepare_ahead(items(), lambda number: number):
        assert len(taken) <= number + 2


def test_work_is_prepared_in_another_thread():
    threads = {prepared for _, prepared in prepare_ahead(range(5), lambda _: threading.get_ident())}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_comes_where_the_item_would():
    def fail_at_two(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    found = prepare_ahead(range(5), fail_at_two)
    assert [next(found), next(found)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="two"):
        next(found)


def test_an_error_of_the_items_themselves_is_passed_on():
    def items():
        yield 1
        raise OSError("gone")

    found = prepare_ahead(items(), str)
    assert next(found) == (1, "1")
    with pytest.raises(OSError, match="gone"):
        next(found)


def test_who_stops_early_waits_for_nothing_and_leaves_no_thread_behind():
    released = threading.Event()

    def prepare(number):
        return number == 0 or released.wait(timeout=30)

    found = prepare_ahead(range(1000), prepare)
    assert next(found) == (0, True)
    (worker,) = [thread for thread in threading.enumerate() if thread.name.startswith("surefit-ahead")]
    found.close()  # would wait in vain for the next item, which is being prepared
    released.set()
    worker.join(timeout=30)
    assert not worker.is_alive()
