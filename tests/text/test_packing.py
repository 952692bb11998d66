"""Orders, cuts and packed batches."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surefit.text.packing import (
    ROWS_PER_GROUP,
    cut_by_tokens,
    epoch_order,
    large_row_groups,
    length_sorted_batches,
    lengths_of,
    pack,
    row_groups,
    step_rows,
)
from surefit.types import Encoding

ROW_LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=30)
few = settings(max_examples=60, deadline=None, derandomize=True)


def encoding(length, first_id=1):
    ids = np.arange(first_id, first_id + length, dtype=np.int32)
    return Encoding(ids, (ids % 2).astype(np.int32), truncated_tokens=0)


def cost(rows, lengths):
    return len(rows) * int(lengths[rows].max())


def test_order_is_a_permutation():
    assert sorted(epoch_order(1000, seed=3, epoch=2).tolist()) == list(range(1000))


def test_order_is_decided_by_seed_and_epoch_alone():
    first = epoch_order(100, seed=3, epoch=2)
    epoch_order(50, seed=9, epoch=9)
    np.random.default_rng().random(5)
    assert (epoch_order(100, seed=3, epoch=2) == first).all()


@pytest.mark.parametrize(("seed", "epoch"), [(3, 1), (2, 2), (2, 3), (2**32 - 1, 2)])
def test_other_seeds_and_epochs_give_other_orders(seed, epoch):
    assert (epoch_order(100, seed=seed, epoch=epoch) != epoch_order(100, seed=3, epoch=2)).any()


def test_steps_take_the_order_in_turn_and_the_last_what_is_left():
    lengths = np.array([5, 5, 5, 5, 5])
    steps = step_rows(np.array([4, 1, 3, 0, 2]), lengths, batch_size=2)
    assert [step.tolist() for step in steps] == [[4, 1], [3, 0], [2]], "rows of one length keep their order"


@few
@given(ROW_LENGTHS, st.integers(1, 12))
def test_a_step_has_its_rows_of_the_order_longest_first(row_lengths, batch_size):
    lengths = np.array(row_lengths)
    order = epoch_order(len(lengths), seed=0, epoch=1)
    steps = step_rows(order, lengths, batch_size)
    for number, step in enumerate(steps):
        assert set(step.tolist()) == set(order[number * batch_size : (number + 1) * batch_size].tolist())
        assert (np.diff(lengths[step]) <= 0).all()
    assert sum(map(len, steps)) == len(lengths)


@few
@given(ROW_LENGTHS)
def test_groups_are_neighbours_and_as_wide_as_the_longest_rounded_up(row_lengths):
    groups = row_groups(np.array(row_lengths))
    assert [group.first for group in groups] == list(range(0, len(row_lengths), ROWS_PER_GROUP))
    assert sum(group.rows for group in groups) == len(row_lengths)
    for group in groups:
        longest = max(row_lengths[group.first : group.first + group.rows])
        assert group.width % 8 == 0
        assert longest <= group.width < longest + 8


@few
@given(st.lists(st.integers(1, 600), min_size=1, max_size=60))
def test_groups_of_predictions_are_as_large_as_their_tokens_allow(row_lengths):
    lengths = np.sort(row_lengths)[::-1]
    groups = large_row_groups(lengths)
    assert [group.first for group in groups] == np.cumsum([0, *(group.rows for group in groups[:-1])]).tolist()
    assert sum(group.rows for group in groups) == len(lengths)
    for group in groups:
        longest = int(lengths[group.first])
        assert longest <= group.width < longest + 8
        assert group.width % 8 == 0
        assert group.rows in (1, 2, 4, 8, 16)
        assert group.rows == 1 or group.rows * longest <= 1024
        twice = 2 * group.rows
        assert twice > 16 or twice * longest > 1024 or group.first + twice > len(lengths), "no larger one would do"


@few
@given(st.lists(st.integers(1, 600), min_size=1, max_size=60))
def test_groups_of_predictions_hold_rows_in_any_order(row_lengths):
    groups = large_row_groups(np.array(row_lengths))
    covered = [row for group in groups for row in range(group.first, group.first + group.rows)]
    assert covered == list(range(len(row_lengths)))
    assert all(max(row_lengths[group.first : group.first + group.rows]) <= group.width for group in groups)


@few
@given(ROW_LENGTHS, st.integers(1, 400), st.sampled_from([1, ROWS_PER_GROUP]))
def test_cuts_keep_rows_and_order_and_respect_the_budget(row_lengths, budget, together):
    lengths = np.array(row_lengths)
    rows = epoch_order(len(lengths), seed=0, epoch=1)
    cuts = cut_by_tokens(rows, lengths, budget, together)
    assert np.concatenate(cuts).tolist() == rows.tolist()
    assert all(len(cut) <= together or cost(cut, lengths) <= budget for cut in cuts)
    assert all(len(cut) % together == 0 for cut in cuts[:-1])


@few
@given(ROW_LENGTHS, st.integers(1, 400), st.sampled_from([1, ROWS_PER_GROUP]))
def test_a_cut_ends_only_where_the_next_rows_do_not_fit(row_lengths, budget, together):
    lengths = np.array(row_lengths)
    cuts = cut_by_tokens(np.arange(len(lengths)), lengths, budget, together)
    assert all(cost(np.append(cut, after[:together]), lengths) > budget for cut, after in pairwise(cuts))


@few
@given(ROW_LENGTHS, st.integers(1, 400))
def test_cutting_leaves_the_groups_as_they_were(row_lengths, budget):
    lengths = np.array(row_lengths)
    (rows,) = step_rows(np.arange(len(lengths)), lengths, batch_size=len(lengths))
    of_cuts = [group for cut in cut_by_tokens(rows, lengths, budget, ROWS_PER_GROUP) for group in row_groups(lengths[cut])]
    assert [(group.rows, group.width) for group in of_cuts] == [
        (group.rows, group.width) for group in row_groups(lengths[rows])
    ]


def test_no_rows_are_no_cuts():
    assert cut_by_tokens(np.zeros(0, dtype=np.int64), np.array([3]), 8) == []
    assert length_sorted_batches(np.zeros(0, dtype=np.int64), 8) == []


@few
@given(ROW_LENGTHS, st.integers(1, 200))
def test_inference_batches_hold_each_row_once_longest_first(row_lengths, budget):
    lengths = np.array(row_lengths)
    batches = length_sorted_batches(lengths, budget)
    in_order = lengths[np.concatenate(batches)]
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert (np.diff(in_order) <= 0).all()
    assert all(len(batch) == 1 or cost(batch, lengths) <= budget for batch in batches)


@few
@given(ROW_LENGTHS)
def test_packing_and_padding_lose_nothing(row_lengths):
    encodings = [encoding(length, first_id=100 * row + 1) for row, length in enumerate(row_lengths)]
    rows = epoch_order(len(encodings), seed=1, epoch=1)
    batch = pack(encodings, rows)
    padded = batch.to_padded(pad_token_id=0)
    assert padded.input_ids.shape == (len(rows), max(row_lengths))
    assert batch.tokens == padded.attention_mask.sum() == sum(row_lengths)
    for place, row in enumerate(rows):
        real = padded.attention_mask[place] == 1
        assert padded.input_ids[place][real].tolist() == encodings[row].input_ids.tolist()
        assert padded.token_type_ids[place][real].tolist() == encodings[row].token_type_ids.tolist()
        assert not padded.input_ids[place][~real].any()
        assert not padded.token_type_ids[place][~real].any()


def test_a_packed_batch_says_where_rows_begin_and_which_they_are():
    batch = pack([encoding(2), encoding(4), encoding(3)], np.array([2, 0]))
    assert batch.cu_seqlens.tolist() == [0, 3, 5]
    assert batch.position_ids.tolist() == [0, 1, 2, 0, 1]
    assert (batch.example_ids.tolist(), batch.max_seqlen, len(batch)) == ([2, 0], 3, 2)


def test_lengths_are_tokens():
    assert lengths_of([encoding(2), encoding(7)]).tolist() == [2, 7]
    assert lengths_of([]).tolist() == []
