"""From text to token ids: a pretrained tokenizer that normalises, truncates and never pads.

The backend is the `tokenizers` library, so what is written into `tokenizer.json` does in stock
Hugging Face tools what it does here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, normalizers

from surefit.errors import ModelError
from surefit.normalization import REMOVED_PATTERN, WHITE_SPACE_PATTERN
from surefit.types import Encoding, Int64Array

# Encodings of the backend take about 200 bytes a token, so a chunk of texts is turned into arrays
# before the next one is read.
_CHUNK_TEXTS = 1024
_CHUNK_CHARACTERS = 4_000_000

# The last character for private use, which no vocabulary has.
_UNKNOWN_CHARACTER = "\U0010fffd"

# What each special token is called in the families of encoders there are, most common first.
_USUAL_NAMES = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


class TextTokenizer:
    """A tokenizer together with the most tokens that a row may have.

    Args:
        backend: the tokenizer; it is copied, its padding and truncation are dropped, and the text
            normalisation of `surefit.normalization` is put before its own where it is not there.
        max_length: most tokens of a row, special tokens included.
        special_tokens: role ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token") ->
            token, as in `tokenizer_config.json`; for roles not given the usual names are tried.
        source: what to call it in messages, such as its file.

    Raises:
        ModelError: it lacks a token for padding, for the start or end of a text or for what it does
            not know, or does not set those of start and end around a text.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        max_length: int,
        special_tokens: Mapping[str, str] | None = None,
        source: str = "the tokenizer",
    ) -> None:
        self._source = source
        self._backend = tokenizers.Tokenizer.from_str(backend.to_str())
        self._backend.no_padding()
        self._backend.no_truncation()
        _put_normalization_first(self._backend)
        self.max_length = max_length
        self.special_tokens = self._find_special_tokens(special_tokens or {})
        self._mark_special_tokens()
        self._require_unknown_token()
        self._require_frame()

    @classmethod
    def from_file(cls, path: Path, max_length: int, special_tokens: Mapping[str, str] | None = None) -> TextTokenizer:
        """Reads a `tokenizer.json`.

        Raises:
            ModelError: the file is missing, damaged, or holds a tokenizer that is no encoder's.
        """
        try:
            backend = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{path} cannot be read as a tokenizer: {reason}") from None
        return cls(backend, max_length, special_tokens, str(path))

    def to_json(self) -> str:
        """The content of `tokenizer.json`: normalisation inside, no padding, no truncation."""
        return self._backend.to_str(pretty=True)

    def special_token_settings(self) -> dict[str, dict[str, object]]:
        """Role -> the special token and how it matches, as `tokenizer_config.json` holds them."""
        added = {token.content: token for token in self._backend.get_added_tokens_decoder().values()}
        flags = ("content", "lstrip", "rstrip", "single_word", "normalized", "special")
        return {
            role: {"__type": "AddedToken"} | {flag: getattr(added[token], flag) for flag in flags}
            for role, token in self.special_tokens.items()
        }

    def with_max_length(self, max_length: int) -> TextTokenizer:
        """The same tokenizer with another maximum length."""
        return TextTokenizer(self._backend, max_length, self.special_tokens, self._source)

    @property
    def vocab_size(self) -> int:
        """One more than the highest token id: the rows that an embedding matrix must have."""
        return 1 + max(self._backend.get_vocab(with_added_tokens=True).values())

    @property
    def token_types(self) -> int:
        """One more than the highest token type: the texts of a row that a model must tell apart."""
        return 1 + max(*self._backend.encode("a").type_ids, *self._backend.encode("a", "a").type_ids)

    @property
    def pad_token_id(self) -> int:
        return self._id_of("pad_token")

    @property
    def unk_token_id(self) -> int | None:
        """Id of the token for what the vocabulary cannot spell; None where it can spell all."""
        return self._id_of("unk_token") if "unk_token" in self.special_tokens else None

    @property
    def first_token(self) -> str:
        """The special token in front of every text."""
        return str(self._backend.encode("").tokens[0])

    @property
    def last_token(self) -> str:
        """The special token after every text."""
        return str(self._backend.encode("").tokens[-1])

    @property
    def continuation_mark(self) -> str:
        """What a piece that continues a word starts with, such as ##; empty where there is no such mark."""
        return str(getattr(self._backend.model, "continuing_subword_prefix", None) or "")

    @property
    def space_mark(self) -> str:
        """What stands for a space in front of a piece, such as Ġ or ▁; empty where pieces do not show spaces."""
        read: str = self._backend.normalizer.normalize_str("a b")
        splitter = self._backend.pre_tokenizer
        if splitter is not None:
            read = "".join(piece for piece, _ in splitter.pre_tokenize_str(read))
        return read.partition("a")[2].partition("b")[0].strip()

    def tokens(self, ids: Sequence[int] | NDArray[np.int32]) -> list[str]:
        """The vocabulary's entry for each id."""
        return [self._backend.id_to_token(int(token_id)) or "" for token_id in ids]

    def encode(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> list[Encoding]:
        """Encodes rows, each cut to `max_length` tokens with its special tokens kept.

        The cut is that of the library's `longest_first` strategy: of a pair, the longer text loses
        tokens from its end until both are equally long.

        Args:
            texts: one a row, raw or normalised: the result is the same.
            text_pairs: the second text of each row where rows are pairs.

        Returns:
            one encoding a row; a text that says nothing to the tokenizer has its special tokens only.

        Raises:
            ModelError: rows are pairs and the tokenizer sets no special tokens around pairs, or the
                maximum length leaves no room for text.
        """
        special = self.special_tokens_added(pairs=text_pairs is not None)
        return [self._encoding(whole, special) for whole in self._uncut(texts, text_pairs)]

    def lengths(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> Int64Array:
        """Tokens of each row before it is cut, special tokens included, shape (n,).

        Args:
            texts, text_pairs: as for `encode`.

        Raises:
            ModelError: as for `encode`.
        """
        return np.fromiter(map(len, self._uncut(texts, text_pairs)), dtype=np.int64, count=len(texts))

    def _uncut(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> Iterator[tokenizers.Encoding]:
        """The backend's encoding of each row, a chunk of them at a time."""
        if text_pairs is not None:
            if len(text_pairs) != len(texts):
                raise ValueError(f"{len(texts)} texts and {len(text_pairs)} second texts")
            self._require_pair_frame()
        rows: list[str] | list[tuple[str, str]]
        rows = list(texts) if text_pairs is None else list(zip(texts, text_pairs, strict=True))
        special = self.special_tokens_added(pairs=text_pairs is not None)
        if special >= self.max_length:
            raise ModelError(f"the tokenizer adds {special} special tokens to a row: --max-length must be more than that")
        for chunk in _chunks(rows):
            yield from self._backend.encode_batch_fast(chunk)

    def special_tokens_added(self, *, pairs: bool) -> int:
        """How many special tokens a row gets."""
        return self._backend.num_special_tokens_to_add(pairs)

    def require_fit(self, embedding_rows: int) -> None:
        """Refuses a tokenizer whose ids a model has no embedding for.

        Raises:
            ModelError: the highest token id is not below `embedding_rows`.
        """
        highest = max([self.vocab_size - 1, *self._backend.encode("").ids, *self._backend.encode("", "").ids])
        if highest >= embedding_rows:
            raise ModelError(
                f"{self._source} does not belong to the model: its token ids go up to {highest}, "
                f"the model knows {embedding_rows} tokens"
            )

    def _encoding(self, whole: tokenizers.Encoding, special: int) -> Encoding:
        """Cuts one untruncated encoding of the backend.

        The backend's own truncation is not used: of a long pair it makes every combination of
        pieces that were cut off, which takes time and memory with the square of the length.
        """
        input_ids = np.array(whole.ids, dtype=np.int32)
        token_type_ids = np.array(whole.type_ids, dtype=np.int32)
        excess = len(input_ids) - self.max_length
        if excess <= 0:
            return Encoding(input_ids, token_type_ids, truncated_tokens=0)
        sequence = np.array([-1 if part is None else part for part in whole.sequence_ids], dtype=np.int8)
        first, second = np.flatnonzero(sequence == 0), np.flatnonzero(sequence == 1)
        keep = np.ones(len(input_ids), dtype=bool)
        kept_first, kept_second = _longest_first(len(first), len(second), self.max_length - special)
        keep[first[kept_first:]] = False
        keep[second[kept_second:]] = False
        return Encoding(input_ids[keep], token_type_ids[keep], truncated_tokens=excess)

    def _id_of(self, role: str) -> int:
        token_id = self._backend.token_to_id(self.special_tokens[role])
        assert token_id is not None  # made sure of when the special tokens were found
        return token_id

    def _mark_special_tokens(self) -> None:
        """Tokens of the vocabulary become special where `tokenizer.json` forgets it, as stock tools do."""
        marked = {token.content for token in self._backend.get_added_tokens_decoder().values()}
        plain = [token for token in self.special_tokens.values() if token not in marked]
        self._backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in plain])

    def _find_special_tokens(self, named: Mapping[str, str]) -> dict[str, str]:
        found = {}
        for role, usual in _USUAL_NAMES.items():
            candidates = [named[role]] if role in named else usual
            for token in candidates:
                if self._backend.token_to_id(token) is not None:
                    found[role] = token
                    break
        missing = [role for role in ("pad_token", "cls_token", "sep_token") if role not in found]
        if missing:
            names = ", ".join(named.get(role, _USUAL_NAMES[role][0]) for role in missing)
            raise ModelError(f"{self._source} has no {names} token: it does not belong to an encoder such as BERT")
        return found

    def _require_unknown_token(self) -> None:
        """Refuses a vocabulary that fails at a character that it does not have."""
        try:
            self._backend.model.tokenize(_UNKNOWN_CHARACTER)
        except Exception as error:  # the library raises bare Exception
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{self._source} has no token for unknown characters: {reason}; it is damaged") from None

    def _require_frame(self) -> None:
        """Refuses a tokenizer that sets other tokens around a text than its special tokens."""
        if not self._is_framed(self._backend.encode("").ids):
            raise ModelError(
                f"{self._source} does not set {self.special_tokens['cls_token']} before a text and "
                f"{self.special_tokens['sep_token']} after each text of a row, which encoders need: its post_processor is "
                f"{'damaged or of another model' if self._backend.post_processor else 'missing'}"
            )

    def _require_pair_frame(self) -> None:
        """Refuses a tokenizer that was made for single texts only."""
        ids = self._backend.encode("", "").ids
        if not self._is_framed(ids) or self._id_of("sep_token") not in ids[1:-1]:
            raise ModelError(
                f"{self._source} has no form for pairs of texts: it does not set {self.special_tokens['cls_token']} before a "
                f"pair and {self.special_tokens['sep_token']} after each of its texts; use single texts, or another model"
            )

    def _is_framed(self, ids: Sequence[int]) -> bool:
        first, last = self._id_of("cls_token"), self._id_of("sep_token")
        return len(ids) > 1 and (ids[0], ids[-1]) == (first, last)


def _longest_first(first: int, second: int, budget: int) -> tuple[int, int]:
    """How many tokens of each text are kept when `first` and `second` exceed the budget together.

    Source: `TruncationStrategy::LongestFirst` of the tokenizers library, whose results these are.
    """
    shorter, longer = min(first, second), max(first, second)
    longer = max(shorter, budget - shorter)
    if shorter + longer > budget:
        shorter, longer = budget // 2, budget - budget // 2
    return (shorter, longer) if first <= second else (longer, shorter)


def _chunks(rows: list[str] | list[tuple[str, str]]) -> Iterator[list[str | tuple[str, str]]]:
    """Cuts rows into runs that are small in number and in characters."""
    chunk: list[str | tuple[str, str]] = []
    characters = 0
    for row in rows:
        chunk.append(row)
        characters += len(row) if isinstance(row, str) else len(row[0]) + len(row[1])
        if len(chunk) == _CHUNK_TEXTS or characters > _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _normalization_steps() -> list[normalizers.Normalizer]:
    """The rule of `surefit.normalization` in the terms of the tokenizers library."""
    return [
        normalizers.Replace(Regex(REMOVED_PATTERN), ""),
        normalizers.NFC(),
        normalizers.Replace(Regex(WHITE_SPACE_PATTERN), " "),
        normalizers.Strip(),
    ]


def _put_normalization_first(backend: tokenizers.Tokenizer) -> None:
    steps = _normalization_steps()
    own = backend.normalizer
    if own is not None:
        if _described_steps(own)[: len(steps)] == _described_steps(normalizers.Sequence(steps)):
            return
        steps.append(own)
    backend.normalizer = normalizers.Sequence(steps)


def _described_steps(normalizer: normalizers.Normalizer) -> list[object]:
    """The steps of a normalizer as `tokenizer.json` describes them."""
    description = json.loads(normalizer.__getstate__())
    return list(description["normalizers"]) if description["type"] == "Sequence" else [description]
