"""The prediction trace: the five layers that one text goes through."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surefit.decision import expected_costs, preferred_classes, to_predictions
from surefit.model.heads import has_one_logit
from surefit.model.pretrained import SavedClassifier
from surefit.text.packing import pack
from surefit.text.tokenizer import TextTokenizer
from surefit.trace import (
    LAYER_SENTENCES,
    MULTI_LABEL_SENTENCES,
    ONE_LOGIT_SENTENCES,
    PADDING_SENTENCES,
    LayerTrace,
    PredictionTrace,
)
from surefit.types import MULTI_LABEL, NEVER_ANSWERED, SINGLE_LABEL, Encoding, Prediction

# Padding shown behind the text's tokens, so that the mask has something to hide.
_PADDING_SHOWN = 2
_CLASSES_IN_ORDER = 12

# What a layer shows: the header, the rows, and a note or nothing.
_Shown = tuple[tuple[str, ...], list[tuple[Any, ...]], str]


def trace_prediction(saved: SavedClassifier, texts: list[str]) -> PredictionTrace:
    """Runs one text, or one pair of texts, through the model and keeps what each layer made of it.

    Args:
        saved: the model, prepared.
        texts: the normalised text, and the second one of a pair.
    """
    encoding = saved.tokenizer.encode(texts[:1], texts[1:] or None)[0]
    batch = pack([encoding], np.zeros(1, dtype=np.int64))
    with torch.no_grad():
        states = [state.float().cpu() for state in saved.classifier.hidden_states(batch)]
        logits = saved.classifier(batch).float().cpu().numpy()
    prediction = to_predictions(logits, saved.schema, saved.rule, np.array([encoding.truncated_tokens > 0]))[0]
    shown = {
        "tokenisation": _tokenisation(saved, encoding, texts),
        "input ids and mask": _ids_and_mask(saved, encoding),
        "encoder": _encoder(states, saved.tokenizer.first_token),
        "head": _head(saved, logits[0], states[-1].shape[1]),
        "prediction": _prediction(saved, prediction),
    }
    sentences = _sentences(saved)
    layers = tuple(
        LayerTrace(name, sentences[name], columns, tuple(rows), note) for name, (columns, rows, note) in shown.items()
    )
    return PredictionTrace(tuple(texts), layers, prediction.label, prediction.score)


def _sentences(saved: SavedClassifier) -> dict[str, str]:
    """What each layer does, as it is true of this model."""
    templates = dict(LAYER_SENTENCES)
    if saved.schema.problem_type == MULTI_LABEL:
        templates |= MULTI_LABEL_SENTENCES
    if has_one_logit(saved.schema, saved.head):
        templates |= {name: f"{templates[name]} {added}" for name, added in ONE_LOGIT_SENTENCES.items()}
    first = saved.tokenizer.first_token
    terms = {
        "first": first,
        "last": saved.tokenizer.last_token,
        "word_mark": _word_mark(saved.tokenizer),
        "head": saved.classifier.head_in_words,
        "head_input": f"the vector at {first}" if saved.classifier.reads_first_token else "the vectors of all pieces",
    }
    return {name: template.format(**terms) for name, template in templates.items()}


def _word_mark(tokenizer: TextTokenizer) -> str:
    """How the pieces show where words begin."""
    if tokenizer.continuation_mark:
        return f"; a piece that continues a word starts with {tokenizer.continuation_mark}"
    return f"; {tokenizer.space_mark} stands for a space in front of a piece" if tokenizer.space_mark else ""


def _tokenisation(saved: SavedClassifier, encoding: Encoding, texts: list[str]) -> _Shown:
    tokens = saved.tokenizer.tokens(encoding.input_ids)
    rows: list[tuple[Any, ...]] = [("text", " | ".join(texts)), ("tokens", " ".join(tokens))]
    cut = encoding.truncated_tokens
    note = f"{len(tokens)} tokens" + (f"; {cut} more were cut off, the model reads {saved.max_length}" if cut else "")
    return ("what it is", "value"), rows, note


def _ids_and_mask(saved: SavedClassifier, encoding: Encoding) -> _Shown:
    length = len(encoding)
    tokens = saved.tokenizer.tokens(encoding.input_ids)
    rows: list[tuple[Any, ...]] = [
        (position, tokens[position], int(encoding.input_ids[position]), int(encoding.token_type_ids[position]), 1)
        for position in range(length)
    ]
    pad = saved.tokenizer.pad_token_id
    pad_token = saved.tokenizer.tokens(np.array([pad], dtype=np.int32))[0]
    rows += [(length + position, pad_token, pad, 0, 0) for position in range(_PADDING_SHOWN)]
    note = f"The padding is {PADDING_SENTENCES[saved.classifier.skips_padding]}."
    return ("position", "token", "input id", "token type", "mask"), rows, note


def _encoder(states: list[Tensor], first_token: str) -> _Shown:
    rows: list[tuple[Any, ...]] = []
    for number, state in enumerate(states):
        name = "embeddings" if number == 0 else f"layer {number}"
        first = state[0]
        moved = 0.0 if number == 0 else float(torch.linalg.vector_norm(first - states[number - 1][0]))
        rows.append((name, f"{state.shape[0]} × {state.shape[1]}", float(torch.linalg.vector_norm(first)), moved))
    columns = ("layer", "tokens × width", f"size of the {first_token} vector", "how far the layer moved it")
    return columns, rows, "Size and distance are Euclidean norms."


def _head(saved: SavedClassifier, logits: NDArray[np.float32], width: int) -> _Shown:
    rows: list[tuple[Any, ...]] = [
        (saved.schema.id2label[position], float(logits[position])) for position in _shown_order(logits)
    ]
    source = saved.tokenizer.first_token if saved.classifier.reads_first_token else "each piece"
    note = f"{width} numbers of {source} in, {len(logits)} logits out"
    if saved.temperature != 1.0:
        note += f"; the fitted temperature {saved.temperature:g} is in them already"
    return ("class", "logit"), rows, note


def _prediction(saved: SavedClassifier, prediction: Prediction) -> _Shown:
    rows: list[tuple[Any, ...]] = []
    for position in _shown_order(np.array(prediction.scores)):
        name = saved.schema.id2label[position]
        decided = name in prediction.labels
        held_against = _held_against(saved, prediction, position, decided)
        rows.append((name, prediction.scores[position], held_against, "<- label" if decided else ""))
    header = "threshold" if saved.rule.costs is None else "expected cost"
    note = f"label: {prediction.label or 'none'}, probability {prediction.score:.4f}"
    return ("class", "probability", header, ""), rows, _abstention(saved, prediction) or note


def _abstention(saved: SavedClassifier, prediction: Prediction) -> str:
    """Why the model abstains, where it does."""
    if not prediction.abstained or saved.rule.abstain_below is None:
        return ""
    class_id = int(preferred_classes(np.array([prediction.scores]), saved.rule)[0])
    name, bound = saved.schema.id2label[class_id], saved.rule.abstain_below[class_id]
    if bound == NEVER_ANSWERED:
        return f"label: none, the model abstains: it would be {name}, which it never answers"
    probability = prediction.scores[class_id]
    return f"label: none, the model abstains: it would be {name}, whose probability {probability:.4f} is below {bound:.4f}"


def _held_against(saved: SavedClassifier, prediction: Prediction, position: int, decided: bool) -> float | str:
    """What the probability of a class was held against, or what the class would cost."""
    if saved.rule.costs is not None:
        return float(expected_costs(np.array([prediction.scores]), saved.rule.costs)[0, position])
    if saved.rule.thresholds is not None:
        return float(saved.rule.thresholds[position])
    if saved.schema.problem_type == SINGLE_LABEL and len(saved.schema) > 2:
        return "the largest" if decided else ""
    return 0.5  # of two classes that exclude each other, the larger probability is the one over one half


def _shown_order(values: NDArray[Any]) -> list[int]:
    """The classes in their order where they are few, else by falling value."""
    order = range(len(values)) if len(values) <= _CLASSES_IN_ORDER else np.argsort(-values, kind="stable").tolist()
    return list(order)
