"""A model's weights in one flat tensor, but for the word embeddings, and their gradients in another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn


class FlatParameters:
    """Lays a model's weights end to end; the model's parameters become views of them.

    One flat tensor is cast, measured and moved by one call where hundreds of small ones would each
    have their own. The word embeddings stay by themselves, since a step touches few of their rows.

    Args:
        model: its parameters are laid out, and keep their names, shapes and values; those that are
            not to be trained are left as they are.
        words: the word embeddings.
        first: names of parameters that stand at the beginning, in this order; then come other
            vectors, then other matrices, each in the order of the model.

    Attributes:
        values: all weights but the word embeddings, shape (n,), float32.
        words: the word embeddings, shape (vocabulary, width).
        places: name -> (start, end) in `values`.
        overwritten: of so many values at the beginning the first backward pass of a step sets the
            gradients, where those of others are added to.
        fresh: whether no backward pass has been made since the gradients were cleared.
    """

    def __init__(self, model: nn.Module, words: nn.Parameter, first: Sequence[str] = ()) -> None:
        trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        named = {name: parameter for name, parameter in trained.items() if parameter is not words}
        rest = sorted((name for name in named if name not in first), key=lambda name: named[name].ndim > 1)
        self._named = {name: named[name] for name in [*first, *rest]}
        self.words = words
        self.values = torch.cat([parameter.detach().reshape(-1) for parameter in self._named.values()])
        self.overwritten = 0
        self.fresh = True
        self._gradients: Tensor | None = None
        self.places: dict[str, tuple[int, int]] = {}
        start = 0
        for name, parameter in self._named.items():
            end = start + parameter.numel()
            parameter.data = self.values[start:end].view(parameter.shape)
            self.places[name] = (start, end)
            start = end

    def require_views(self) -> None:
        """Refuses a model that was moved or cast since its weights were laid out: these would no longer be its own.

        Raises:
            RuntimeError: its parameters are no views of `values` any more.
        """
        first = next(iter(self._named.values()))
        if first.data_ptr() != self.values.data_ptr():
            raise RuntimeError("the weights were moved or cast by themselves; call prepare() with what is to be computed on")

    def make_gradients(self) -> None:
        """Makes room for gradients, all zero, if there is none yet; the parameters' `grad` are views of it."""
        if self._gradients is None:
            self._gradients = torch.zeros_like(self.values)
            for name, parameter in self._named.items():
                start, end = self.places[name]
                parameter.grad = self._gradients[start:end].view(parameter.shape)
            self.words.grad = torch.zeros_like(self.words)

    @property
    def gradients(self) -> Tensor:
        """Gradients of `values`, shape (n,)."""
        assert self._gradients is not None, "make_gradients() comes first"
        return self._gradients

    @property
    def word_gradients(self) -> Tensor:
        """Gradients of `words`."""
        assert self.words.grad is not None, "make_gradients() comes first"
        return self.words.grad

    @property
    def matrices(self) -> list[str]:
        """Names of the weights in `values` that are no vectors."""
        return [name for name, parameter in self._named.items() if parameter.ndim > 1]

    def spans(self, chosen: Collection[str]) -> list[tuple[int, int, bool]]:
        """(start, end, whether they are chosen) of the stretches of weights that are chosen and that are not, in `values`."""
        found = [(list(names), wanted) for wanted, names in groupby(self._named, key=lambda name: name in chosen)]
        return [(self.places[names[0]][0], self.places[names[-1]][1], wanted) for names, wanted in found]

    def shorten_gradients(self, most: float, word_rows: Tensor) -> float:
        """Scales all gradients down to the norm `most` if theirs is larger (Pascanu et al. 2013); returns their norm.

        Args:
            most: the largest norm that is left alone.
            word_rows: rows of the word embeddings that have gradients, shape (rows,), int64.
        """
        of_words = torch.linalg.vector_norm(self.word_gradients.index_select(0, word_rows))
        norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(self.gradients), of_words])))
        if norm > most:
            self.gradients.mul_(most / norm)
            self.word_gradients.index_copy_(0, word_rows, self.word_gradients.index_select(0, word_rows).mul_(most / norm))
        return norm

    def by_name(self, flat: Tensor) -> dict[str, Tensor]:
        """The parts of a tensor like `values` that belong to each parameter."""
        return {name: flat[start:end] for name, (start, end) in self.places.items()}

    def clear_gradients(self, word_rows: Tensor) -> None:
        """Sets all gradients to zero.

        Args:
            word_rows: rows of the word embeddings that have any, shape (rows,), int64.
        """
        self.gradients[self.overwritten :].zero_()
        self.fresh = True
        self.word_gradients.index_fill_(0, word_rows, 0.0)
