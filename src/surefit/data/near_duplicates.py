"""Rows whose texts share most of their words, found by MinHash and locality-sensitive hashing.

Two texts are near duplicates where the words that both have are more than `SIMILARITY` of the words
that either has (Jaccard's index of their sets of words). Case, punctuation, order and how often a word
stands there do not count. In scripts that set no spaces each character is a word, the marks above, below
and beside it included: without them a Thai or Burmese text of three lines has the characters of any other.

Source of the method: Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman
and Ullman, "Mining of Massive Datasets", 2nd edition, sections 3.3 and 3.4. Pairs that share all hashes of
a band are compared word by word, so that what is less alike is never reported. A pair of index s shares a
band with a chance of 1 - (1 - s ** BAND_HASHES) ** BANDS: 99.8% at 0.8, which is about where texts stand
that differ in one word of ten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rensa import RMinHash, RMinHashDigestMatrix, RMinHashLSH
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from surefit.data.clean import BoolArray
from surefit.data.duplicates import numbered
from surefit.types import Examples, FloatArray, Int32Array, Int64Array

SIMILARITY = 0.75
BANDS = 20
BAND_HASHES = 6

UInt64Array = NDArray[np.uint64]

_SEED = 20
_ROWS_AT_ONCE = 20_000
_WORDS_AT_ONCE = 8_000_000
_TEXTS_AT_ONCE = 100_000
_PAIRS_AT_ONCE = 1_000_000
# A text is compared with so many others of its bucket at most: the rest is reached by way of these.
_MOST_NEIGHBOURS = 64

# What RE2 calls letters, digits and the marks that belong to them.
_NO_WORD = r"[^\p{L}\p{N}\p{M}]+"
# Each byte of ASCII as it stands in a word, or a space.
_ASCII_WORDS = np.array([ord(chr(byte).lower()) if chr(byte).isalnum() and byte < 128 else 32 for byte in range(256)], np.uint8)
# A character of a script that sets no spaces between words, with its marks.
UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*)"
# Within a word they are often left out: "dont" is "don't".
_APOSTROPHES = "['\u2019]"


@dataclass(frozen=True, eq=False)
class WordSets:
    """The distinct words of each text as numbers.

    Attributes:
        words: those of one text after the other, in any order within each, shape (words,), int32.
        ends: text i has words[ends[i]:ends[i + 1]], shape (texts + 1,).
    """

    words: Int32Array
    ends: Int64Array

    @classmethod
    def of(cls, examples: Examples) -> WordSets:
        """The word sets of rows; those of the second texts of pairs are words of their own."""
        columns = [examples.texts] if examples.text_pairs is None else [examples.texts, examples.text_pairs]
        sizes, of_columns, first = [], [], 0
        for column in columns:
            starts = range(0, max(len(column), 1), _TEXTS_AT_ONCE)
            of_column = [_distinct_words(column.slice(start, _TEXTS_AT_ONCE)) for start in starts]
            sizes.append(np.concatenate([counts for counts, _ in of_column]))
            words = pa.chunked_array([chunk for _, chunk in of_column]).unify_dictionaries()
            of_columns.append(np.concatenate([chunk.indices.to_numpy() for chunk in words.chunks]) + np.int32(first))
            first += len(words.chunk(0).dictionary)
        if len(columns) == 1:
            return cls(of_columns[0], np.concatenate([[0], np.cumsum(sizes[0])]))
        rows = np.concatenate([np.repeat(np.arange(len(examples)), counts) for counts in sizes])
        ends = np.concatenate([[0], np.cumsum(sizes[0] + sizes[1])])
        return cls(np.concatenate(of_columns)[np.argsort(rows, kind="stable")], ends)

    @property
    def sizes(self) -> Int64Array:
        """How many words each text has, shape (texts,)."""
        return np.diff(self.ends)

    def similarities(self, pairs: Int64Array) -> FloatArray:
        """Jaccard's index of pairs of texts.

        Args:
            pairs: positions, shape (n, 2).

        Returns:
            Between 0 and 1, shape (n,); 0 where neither text has a word.
        """
        sizes = self.sizes
        both = sizes[pairs].sum(axis=1)
        shared = np.zeros(len(pairs), dtype=np.int64)
        count = int(self.words.max(initial=0)) + 1
        portion = np.cumsum(both) // _WORDS_AT_ONCE  # so that memory stays bounded
        for part in np.split(np.arange(len(pairs)), np.flatnonzero(np.diff(portion)) + 1):
            of_pair = np.repeat(np.repeat(np.arange(len(part)), 2), sizes[pairs[part]].ravel())
            keys = np.sort(of_pair * count + self.words_of(pairs[part].ravel()))
            shared[part] = np.bincount(keys[1:][keys[1:] == keys[:-1]] // count, minlength=len(part))
        return np.asarray(shared / np.maximum(both - shared, 1), dtype=np.float64)

    def words_of(self, texts: Int64Array) -> Int32Array:
        """The words of some texts, one after the other, shape (words,)."""
        sizes = self.sizes[texts]
        places = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        words: Int32Array = self.words[np.repeat(self.ends[texts], sizes) + places]
        return words


def _distinct_words(column: pa.Array) -> tuple[Int64Array, pa.DictionaryArray]:
    """How many distinct words each text has, shape (texts,), and the words of one text after the other."""
    # Most texts are ASCII, where a table of bytes does what patterns need many times as long for.
    ascii_only = pc.string_is_ascii(column).to_numpy(zero_copy_only=False)
    rows, words = [], []
    for chosen, spaced in ((ascii_only, _spaced_bytes), (~ascii_only, _spaced)):
        lists = pc.ascii_split_whitespace(spaced(column.filter(pa.array(chosen))))
        flat = lists.flatten()
        real = pc.not_equal(flat, "")  # a text that begins or ends with a space has an empty one there
        of_word = np.repeat(np.flatnonzero(chosen), pc.list_value_length(lists).to_numpy())
        rows.append(of_word[real.to_numpy(zero_copy_only=False)])
        words.append(flat.filter(real))
    encoded = pa.concat_arrays(words).dictionary_encode()
    count = max(len(encoded.dictionary), 1)
    # Sorted, since np.unique takes ten times as long for so many numbers.
    every = np.sort(np.concatenate(rows) * count + encoded.indices.to_numpy())
    distinct = every[np.diff(every, prepend=-1) > 0]
    sizes = np.diff(np.searchsorted(distinct, np.arange(len(column) + 1) * count)).astype(np.int64)
    return sizes, pa.DictionaryArray.from_arrays(pa.array((distinct % count).astype(np.int32)), encoded.dictionary)


def _spaced(texts: pa.Array) -> pa.Array:
    """Texts in lower case with spaces between their words, and nothing else but words."""
    joined = pc.replace_substring_regex(pc.utf8_lower(texts), _APOSTROPHES, "")
    spaced = pc.replace_substring_regex(joined, _NO_WORD, " ")
    return pc.replace_substring_regex(spaced, UNSPACED, r" \1 ")


def _spaced_bytes(texts: pa.Array) -> pa.Array:
    """The same of texts in ASCII."""
    # New texts, too, without the bytes of others, which may stand before and behind.
    texts = pc.replace_substring(texts, "'", "")
    _, offsets, data = texts.buffers()
    if data is None:
        return texts
    spaced = _ASCII_WORDS[np.frombuffer(data, dtype=np.uint8)]
    return pa.LargeStringArray.from_buffers(len(texts), offsets, pa.py_buffer(spaced), offset=texts.offset)


def near_groups(words: WordSets) -> Int64Array:
    """Texts that are near duplicates share a group, and so do those that are connected by way of others.

    Args:
        words: of n texts.

    Returns:
        Group of each text, from 0 in order of first appearance, shape (n,).
    """
    groups = _same_sets(words)
    first = np.unique(groups, return_index=True)[1]
    firsts = first[words.sizes[first] > 0]
    for candidates in _candidates(words, firsts):
        apart = candidates[groups[candidates[:, 0]] != groups[candidates[:, 1]]]
        fewer, more = np.sort(words.sizes[apart], axis=1).T
        apart = apart[fewer > SIMILARITY * more]  # else they cannot share enough
        alike = apart[words.similarities(apart) > SIMILARITY]
        if len(alike):
            groups = _connected(groups, alike)
    return numbered(groups)


def near_matches(words: WordSets, wanted: BoolArray, among: BoolArray) -> tuple[Int64Array, Int64Array]:
    """For texts of one kind, a near duplicate of another kind, where there is one.

    Args:
        words: of n texts.
        wanted: the texts of the one kind, shape (n,).
        among: those of the other, shape (n,).

    Returns:
        Positions of the texts that have one, and of the most similar that was found, both of shape (m,).
    """
    sets = _same_sets(words)
    match = _first_of(sets, among & (words.sizes > 0))  # of each set of words, the text that is most similar
    similarity = (match >= 0).astype(np.float64)
    one_wanted = _first_of(sets, wanted & (words.sizes > 0) & (match[sets] < 0))
    is_wanted = np.isin(np.arange(len(sets)), one_wanted)
    texts = np.flatnonzero(is_wanted | np.isin(np.arange(len(sets)), match))
    for pairs in _candidates_across(words, texts, is_wanted[texts]):
        near = words.similarities(pairs)
        rising = np.argsort(near, kind="stable")  # of several matches of a text, the last is kept
        own, near, pairs = sets[pairs[rising, 0]], near[rising], pairs[rising]
        better = (near > SIMILARITY) & (near > similarity[own])
        similarity[own[better]], match[own[better]] = near[better], pairs[better, 1]
    found = np.flatnonzero(wanted & (match[sets] >= 0))
    return found, match[sets[found]]


def _first_of(groups: Int64Array, wanted: BoolArray) -> Int64Array:
    """The first wanted position of each group, -1 where it has none."""
    first = np.full(int(groups.max(initial=-1)) + 1, -1, dtype=np.int64)
    places = np.flatnonzero(wanted)[::-1]
    first[groups[places]] = places
    return first


def _same_sets(words: WordSets) -> Int64Array:
    """Texts of the same words share a number; one without words is alone."""
    hashes = np.zeros(len(words.sizes), dtype=np.uint64)
    for start in range(0, len(hashes), _TEXTS_AT_ONCE):
        ends = words.ends[start : start + _TEXTS_AT_ONCE + 1]
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(words.words[ends[0] : ends[-1]]))])
        hashes[start : start + _TEXTS_AT_ONCE] = np.diff(sums[ends - ends[0]])  # modulo 2 ** 64, whatever stood before
    empty = words.sizes == 0
    hashes[empty] = _mixed(-1 - np.flatnonzero(empty))
    return np.unique(hashes, return_inverse=True)[1].astype(np.int64)


def _connected(groups: Int64Array, pairs: Int64Array) -> Int64Array:
    """The groups after those of each pair have become one."""
    count = int(groups.max()) + 1
    left, right = groups[pairs].T
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (left, right)), shape=(count, count))
    components: Int64Array = connected_components(graph, directed=False)[1].astype(np.int64)
    return components[groups]


def _candidates(words: WordSets, texts: Int64Array) -> Iterator[Int64Array]:
    """Pairs of texts that share a bucket, in several portions, each of shape (n, 2); a pair may come again.

    Args:
        words: of all texts.
        texts: those to pair, by position, shape (m,); each has words.
    """
    for order, keys in _buckets(words, texts):
        pairs, waiting = [], 0
        for gap in range(1, _MOST_NEIGHBOURS):
            places = np.flatnonzero(keys[gap:] == keys[: max(len(keys) - gap, 0)])
            if not len(places):
                break  # no bucket is larger
            pairs.append(np.stack([order[places], order[places + gap]], axis=1))
            waiting += len(places)
            if waiting > _PAIRS_AT_ONCE or gap & (gap + 1) == 0:  # after 1, 3, 7, ...: most are told by the first few
                yield np.concatenate(pairs)
                pairs, waiting = [], 0
        if pairs:
            yield np.concatenate(pairs)


def _candidates_across(words: WordSets, texts: Int64Array, wanted: BoolArray) -> Iterator[Int64Array]:
    """The same for texts of two kinds, first one that is wanted, then one of the others.

    Args:
        words, texts: as for `_candidates`.
        wanted: which of `texts` are of the first kind, shape (m,).
    """
    is_wanted = np.zeros(len(words.sizes), dtype=bool)
    is_wanted[texts[wanted]] = True
    for order, keys in _buckets(words, texts):
        places = np.flatnonzero(is_wanted[order])
        others = np.flatnonzero(~is_wanted[order])
        first, end = (np.searchsorted(keys[others], keys[places], side=side) for side in ("left", "right"))
        for number in range(_MOST_NEIGHBOURS):
            some = end - first > number
            if not some.any():
                break
            # Each begins elsewhere in the bucket, so that together they meet all of it.
            turned = first[some] + (places[some] + number) % (end - first)[some]
            yield np.stack([order[places[some]], order[others[turned]]], axis=1)


def _buckets(words: WordSets, texts: Int64Array) -> Iterator[tuple[Int64Array, UInt64Array]]:
    """For each band the texts, those of one bucket beside each other, and the bucket of each.

    Texts that are in no bucket with another are left out; within a bucket chance decides who stands beside whom.
    """
    texts = texts[_in_company(words, texts)]
    by_chance = np.argsort(_mixed(texts), kind="stable")
    for band in _bands(words, texts):
        order = by_chance[np.argsort(band[by_chance], kind="stable")]
        yield texts[order], band[order]


def _in_company(words: WordSets, texts: Int64Array) -> BoolArray:
    """Which texts share a bucket with another at all, shape (m,): most do not, and need no further look."""
    if not len(texts):
        return np.zeros(0, dtype=bool)
    index = RMinHashLSH(SIMILARITY, BANDS * BAND_HASHES, BANDS)
    return np.array(index.query_duplicate_flags_matrix_one_shot(_signatures(words, texts)), dtype=bool)


def _bands(words: WordSets, texts: Int64Array) -> UInt64Array:
    """A number for each band of each text's signature, the same where its hashes are, shape (BANDS, texts)."""
    bands = np.empty((BANDS, len(texts)), dtype=np.uint64)
    for start in range(0, len(texts), _ROWS_AT_ONCE):
        part = texts[start : start + _ROWS_AT_ONCE]
        signatures = np.array(_signatures(words, part).to_rows(), dtype=np.uint64).reshape(len(part), BANDS, BAND_HASHES)
        keys = np.zeros((len(part), BANDS), dtype=np.uint64)
        for number in range(BAND_HASHES):
            keys = _mixed(keys ^ signatures[:, :, number])
        bands[:, start : start + len(part)] = keys.T
    return bands


def _signatures(words: WordSets, texts: Int64Array) -> RMinHashDigestMatrix:
    ends = np.concatenate([[0], np.cumsum(words.sizes[texts])]).astype(np.uint64)
    hashes = _mixed(words.words_of(texts))
    return RMinHash.digest_matrix_from_flat_token_hashes(hashes, ends, BANDS * BAND_HASHES, _SEED)


def _mixed(numbers: Int32Array | Int64Array | UInt64Array) -> UInt64Array:
    """Each number's hash: splitmix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")."""
    mixed = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
