"""Seeded splits, stratified by class, in which no group of equal texts stands on two sides.

How: each group belongs to a stratum, which is the rarest class among its rows (for a row with
several labels the rarest of them; rows without labels are a stratum too). Groups of one stratum
and one size are dealt to the splits in proportion to what each split still lacks of the stratum,
and what the rounding leaves goes to the split that lacks most, over all strata so far. Where a
group is so large that a split gets too much of its stratum, the other strata make good for it.
Where a class would then be missing from a split, one of its groups is moved there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from surefit.config import SplitSettings
from surefit.data.clean import Int8Array, Targets, label_pairs, quote_class, rows_of_large_classes
from surefit.errors import DataError
from surefit.types import SINGLE_LABEL, FloatArray, Int64Array, LabelSchema

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)

_CLASSES_SHOWN = 3
# By how much of all rows a split may be off before the strata that follow make good for it.
_OFF_SHARE = 0.01
# Shares are sums and products of floats: 0.1 x 30 rows must count as 3 whole rows.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Split:
    """Which split each row belongs to.

    Attributes:
        assignment: position in `SPLIT_NAMES` (0 train, 1 validation, 2 test), shape (n,), int8.
    """

    assignment: Int8Array

    def rows(self, name: SplitName) -> Int64Array:
        """Positions of the rows of one split, rising, shape (m,)."""
        return np.flatnonzero(self.assignment == SPLIT_NAMES.index(name))


@dataclass(frozen=True)
class SplitSummary:
    """Size and classes of one split.

    Attributes:
        name: which split.
        rows: how many rows it has.
        share: of the rows of all splits.
        class_rows: rows of each class, by class id.
        class_shares: share of the split's rows that have each class, by class id.
    """

    name: str
    rows: int
    share: float
    class_rows: tuple[int, ...]
    class_shares: tuple[float, ...]


def split(
    targets: Targets,
    groups: Int64Array,
    settings: SplitSettings,
    seed: int,
    schema: LabelSchema,
    *,
    given: Collection[SplitName] = (),
    where: str = "the data",
) -> Split:
    """Splits rows into train, validation and test; a pure function of its arguments.

    Args:
        targets: class ids of shape (n,), or 0/1 of shape (n, classes).
        groups: rows of one group stay together, shape (n,).
        settings: the share of each split.
        seed: decides which groups of a class go where.
        schema: the classes; one without rows here is not missed.
        given: splits that come from files of their own; no row here is put into them, and the
            other shares stay shares of the rows here.
        where: what errors call the rows, for instance "reviews.csv".

    Raises:
        DataError: a class has too few groups to stand in every split.
    """
    shares = shares_of(settings, given)
    grouped = _Grouped.of(targets, groups, len(schema))
    assignment, missing = _assign(grouped, shares, seed)
    if len(missing):
        remedy = _offer_minimum(targets, groups, shares, seed, schema)
        raise DataError(f"{where}: {_too_small(missing, grouped, shares, schema)}; add such texts{remedy}")
    return Split(assignment[grouped.groups])


def shares_of(settings: SplitSettings, given: Collection[SplitName]) -> FloatArray:
    """Share of the rows for each of `SPLIT_NAMES`, shape (3,)."""
    validation = 0.0 if "validation" in given else settings.validation_size
    test = 0.0 if "test" in given else settings.test_size
    return np.array([1 - validation - test, validation, test])


@dataclass(frozen=True, eq=False)
class _Grouped:
    """Groups and the classes in them.

    Attributes:
        groups: group of each row, numbered by first appearance, shape (n,).
        sizes: rows of each group, shape (groups,).
        strata: class that stands for each group, -1 where it has none, shape (groups,).
        class_rows: rows of each class, shape (classes,).
        pair_groups: the distinct (group, class) pairs, sorted by group, shape (pairs,).
        pair_classes: the classes of those pairs, shape (pairs,).
    """

    groups: Int64Array
    sizes: Int64Array
    strata: Int64Array
    class_rows: Int64Array
    pair_groups: Int64Array
    pair_classes: Int64Array

    @classmethod
    def of(cls, targets: Targets, groups: Int64Array, classes: int) -> _Grouped:
        # Numbers without gaps that depend on these rows alone, so that rows left out before change nothing.
        _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
        groups = np.argsort(np.argsort(first))[inverse]
        sizes = np.bincount(groups)
        rows, class_ids = label_pairs(targets)
        class_rows = np.bincount(class_ids, minlength=classes)
        pair_groups, pair_classes = np.divmod(np.unique(groups[rows] * classes + class_ids), classes)
        # Position 0 of the rarity order is the rarest class; the last one stands for "no label".
        by_rarity = np.append(np.argsort(class_rows, kind="stable"), -1)
        rank = np.empty(classes, dtype=np.int64)
        rank[by_rarity[:-1]] = np.arange(classes)
        rarest = np.full(len(sizes), classes)
        np.minimum.at(rarest, pair_groups, rank[pair_classes])
        return cls(groups, sizes, by_rarity[rarest], class_rows, pair_groups, pair_classes)

    @property
    def class_groups(self) -> Int64Array:
        """Groups in which each class stands, shape (classes,)."""
        return np.bincount(self.pair_classes, minlength=len(self.class_rows))


def _assign(grouped: _Grouped, shares: FloatArray, seed: int) -> tuple[Int8Array, Int64Array]:
    """The split of each group, shape (groups,), and the classes that some split must do without."""
    shuffled = np.random.default_rng(seed).permutation(len(grouped.sizes))
    return _Repair(grouped, _deal(grouped, shares, shuffled), shuffled).run(np.flatnonzero(shares > 0))


def _deal(grouped: _Grouped, shares: FloatArray, shuffled: Int64Array) -> Int8Array:
    """Deals groups to splits, one cell (stratum and size) after another, the largest size first.

    Strata with a huge group come first, so that there are others to make good for it.

    Args:
        grouped: the groups.
        shares: of the rows for each split, shape (splits,).
        shuffled: the groups in random order, shape (groups,).

    Returns:
        Split of each group, shape (groups,).
    """
    off = _OFF_SHARE * grouped.sizes.sum()
    others = ~np.isin(grouped.strata, grouped.strata[grouped.sizes > off])
    order = shuffled[np.lexsort((-grouped.sizes[shuffled], grouped.strata[shuffled], others[shuffled]))]
    strata, sizes = grouped.strata[order], grouped.sizes[order]
    starts = np.append(0, np.flatnonzero(np.diff(strata).astype(bool) | np.diff(sizes).astype(bool)) + 1)
    counts = np.diff(starts, append=len(order))
    stratum_rows = np.bincount(strata + 1, weights=sizes)

    dealt = np.zeros((len(starts), len(shares)), dtype=np.int64)
    lacking, carried = np.zeros(len(shares)), np.zeros(len(shares))
    for cell, (stratum, size) in enumerate(zip(strata[starts].tolist(), sizes[starts].tolist(), strict=True)):
        if cell == 0 or stratum != strata[starts[cell - 1]]:
            carried += lacking
            lacking = shares * stratum_rows[stratum + 1]
            if np.abs(carried).max() > off:
                lacking, carried = lacking + carried, np.zeros(len(shares))
        dealt[cell] = _deal_cell(int(counts[cell]), size, lacking, carried)
        lacking = lacking - dealt[cell] * size

    assignment = np.empty(len(order), dtype=np.int8)
    assignment[order] = np.repeat(np.tile(np.arange(len(shares), dtype=np.int8), len(starts)), dealt.ravel())
    return assignment


def _deal_cell(count: int, size: int, lacking: FloatArray, carried: FloatArray) -> Int64Array:
    """How many of `count` groups of `size` rows each split gets, shape (splits,).

    Args:
        count: groups of one stratum and size.
        size: rows of each.
        lacking: rows that each split still needs of this stratum, at least count * size together.
        carried: rows that each split lacks of the strata dealt before.
    """
    wanted = np.maximum(lacking, 0)
    exact = count * wanted / wanted.sum()
    dealt: Int64Array = np.floor(exact + _ROUNDING).astype(np.int64)
    # Rounding down or up only: a split whose part is whole already gets no group more.
    need = np.where(exact - dealt > _ROUNDING, lacking - dealt * size + carried, -np.inf)
    dealt[np.argsort(-need, kind="stable")[: count - dealt.sum()]] += 1
    return dealt


class _Repair:
    """Moves groups until every class stands in every split, or no move is left."""

    def __init__(self, grouped: _Grouped, assignment: Int8Array, shuffled: Int64Array) -> None:
        self._grouped = grouped
        self._assignment = assignment.copy()
        self._rank = np.argsort(shuffled)  # decides between groups that are equally good to move
        self._present = np.zeros((len(grouped.class_rows), len(SPLIT_NAMES)), dtype=np.int64)
        np.add.at(self._present, (grouped.pair_classes, self._assignment[grouped.pair_groups]), 1)

    def run(self, splits: Int64Array) -> tuple[Int8Array, Int64Array]:
        """The repaired assignment, and the classes that stay missing in some of `splits`, the smallest first."""
        groups_of_class = self._grouped.class_groups
        absent = (self._present[:, splits] == 0).any(axis=1) & (groups_of_class > 0)
        suspects = np.flatnonzero(absent)
        # Stable: the pairs of a class stay sorted by group.
        by_class = np.argsort(self._grouped.pair_classes, kind="stable")
        ends = np.cumsum(groups_of_class)
        unplaced = []
        for class_id in suspects[np.argsort(groups_of_class[suspects], kind="stable")]:
            pairs = by_class[ends[class_id] - groups_of_class[class_id] : ends[class_id]]
            if not self._place(int(class_id), self._grouped.pair_groups[pairs], splits):
                unplaced.append(class_id)
        return self._assignment, np.array(unplaced, dtype=np.int64)

    def _place(self, class_id: int, groups: Int64Array, splits: Int64Array) -> bool:
        """Brings one class, which stands in `groups`, into every split; False where it cannot."""
        for target in splits[self._present[class_id, splits] == 0]:
            # The smallest group disturbs the shares least.
            order = np.lexsort((self._rank[groups], self._grouped.sizes[groups]))
            if not any(self._move(group, int(target)) for group in groups[order].tolist()):
                return False
        return True

    def _move(self, group: int, target: int) -> bool:
        """Moves a group unless a class would then be missing where the group stood."""
        first, last = np.searchsorted(self._grouped.pair_groups, [group, group + 1])
        class_ids = self._grouped.pair_classes[first:last]
        source = self._assignment[group]
        if (self._present[class_ids, source] < 2).any():
            return False
        self._present[class_ids, source] -= 1
        self._present[class_ids, target] += 1
        self._assignment[group] = target
        return True


def _too_small(missing: Int64Array, grouped: _Grouped, shares: FloatArray, schema: LabelSchema) -> str:
    texts = grouped.class_groups
    named = []
    for class_id in missing[:_CLASSES_SHOWN]:
        rows = int(grouped.class_rows[class_id])
        different = f", {texts[class_id]} different" if texts[class_id] < rows else ""
        named.append(f"{quote_class(schema.id2label[class_id])} ({rows} {'row' if rows == 1 else 'rows'}{different})")
    more = f" and {len(missing) - _CLASSES_SHOWN} more" if len(missing) > _CLASSES_SHOWN else ""
    kind = "class" if len(missing) == 1 else f"{len(missing)} classes"
    need = f"each of the {np.count_nonzero(shares)} splits needs a different text of every class"
    if (texts < grouped.class_rows)[missing].any():
        need += ", and rows of similar text or of one --group stay together"
    return f"{kind} {', '.join(named)}{more} too small: {need}"


def _offer_minimum(targets: Targets, groups: Int64Array, shares: FloatArray, seed: int, schema: LabelSchema) -> str:
    """Offers a value of --min-rows-per-class with which the same split was tried and works, if one does."""
    rows, class_ids = label_pairs(targets)
    least_classes = 2 if schema.problem_type == SINGLE_LABEL else 1
    grouped = _Grouped.of(targets, groups, len(schema))
    missing = _assign(grouped, shares, seed)[1]
    offer = ""
    while len(missing):
        min_rows = int(grouped.class_rows[missing].max()) + 1
        kept = rows_of_large_classes(rows, class_ids, len(targets), min_rows)
        grouped = _Grouped.of(targets[kept], groups[kept], len(schema))
        if np.count_nonzero(grouped.class_rows) < least_classes:
            return ""
        missing = _assign(grouped, shares, seed)[1]
        count = np.count_nonzero(~kept)
        rows_out = f"{count} {'row' if count == 1 else 'rows'}"
        offer = f", or leave {rows_out} of small classes out with --min-rows-per-class {min_rows}"
    return offer


def summarize(parts: Mapping[SplitName, Targets], schema: LabelSchema) -> tuple[SplitSummary, ...]:
    """Sizes and class shares of the splits, for the trace.

    Args:
        parts: targets of each split, from one file or several.
        schema: the classes.
    """
    total = sum(len(targets) for targets in parts.values())
    summaries = []
    for name, targets in parts.items():
        counts = np.bincount(label_pairs(targets)[1], minlength=len(schema))
        shares = counts / max(len(targets), 1)
        share = len(targets) / max(total, 1)
        summaries.append(SplitSummary(name, len(targets), share, tuple(counts.tolist()), tuple(shares.tolist())))
    return tuple(summaries)
