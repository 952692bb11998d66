"""What one batch drops, in the order in which the fast encoder has its values."""

from __future__ import annotations

from torch import Tensor

from surefit.model.configuration import BertConfig
from surefit.model.dropout import StepDropout, kept_scale
from surefit.model.fast_layout import FastLayout


class Masks:
    """The masks of one batch; each is drawn when it is asked for.

    Args:
        dropout: what the step drops, None for nothing.
        config: the shares.
        layout: of the batch.

    Attributes:
        hidden_scale: what kept values of tokens are to be multiplied by.
        score_scale: what kept attention probabilities are to be multiplied by.
    """

    def __init__(self, dropout: StepDropout | None, config: BertConfig, layout: FastLayout) -> None:
        self._dropout = dropout
        self._config = config
        self._layout = layout
        self.hidden_scale = 1.0 if dropout is None else kept_scale(config.hidden_dropout_prob)
        self.score_scale = 1.0 if dropout is None else kept_scale(config.attention_probs_dropout_prob)

    def of_tokens(self, site: int) -> Tensor | None:
        """Which values of the tokens stay at a site, shape (tokens, hidden); None where all do."""
        dropout, width, p = self._dropout, self._config.hidden_size, self._config.hidden_dropout_prob
        if dropout is None or p == 0:
            return None
        return dropout.keep(site, dropout.tokens * width, self._layout.tokens * width, p).view(-1, width)

    def of_first_tokens(self, site: int) -> Tensor | None:
        """The rows of `of_tokens` that belong to first tokens, shape (rows, hidden)."""
        keep = self.of_tokens(site)
        return None if keep is None else keep.index_select(0, self._layout.first_tokens)

    def of_scores(self, site: int) -> Tensor | None:
        """Which attention probabilities stay, shape (scores,); None where all do."""
        dropout, p = self._dropout, self._config.attention_probs_dropout_prob
        if dropout is None or p == 0:
            return None
        return dropout.keep(site, dropout.scores * self._config.num_attention_heads, self._layout.scores, p)
