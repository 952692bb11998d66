"""The prediction trace: the five layers that one text goes through."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surefit.decision import to_predictions
from surefit.model.hardware import Hardware
from surefit.model.pretrained import SavedClassifier
from surefit.text.packing import pack
from surefit.trace import LAYER_SENTENCES, LayerTrace, PredictionTrace
from surefit.types import SINGLE_LABEL, Encoding, Prediction

# Padding shown behind the text's tokens, so that the mask has something to hide.
_PADDING_SHOWN = 2
_CLASSES_IN_ORDER = 12


def trace_prediction(saved: SavedClassifier, hardware: Hardware, texts: list[str]) -> PredictionTrace:
    """Runs one text, or one pair of texts, through the model and keeps what each layer made of it.

    Args:
        saved: the model.
        hardware: what to compute on.
        texts: the normalised text, and the second one of a pair.
    """
    encoding = saved.tokenizer.encode(texts[:1], texts[1:] or None)[0]
    batch = pack([encoding], np.zeros(1, dtype=np.int64))
    saved.classifier.eval()
    with torch.inference_mode(), hardware.autocast():
        states = [state.float().cpu() for state in saved.classifier.hidden_states(batch)]
        logits = saved.classifier(batch).float().cpu().numpy()
    prediction = to_predictions(logits, saved.schema, saved.rule, np.array([encoding.truncated_tokens > 0]))[0]
    layers = (
        _tokenisation(saved, encoding, texts),
        _ids_and_mask(saved, encoding),
        _encoder(states),
        _head(saved, logits[0], states[-1].shape[1]),
        _prediction(saved, prediction),
    )
    return PredictionTrace(tuple(texts), layers, prediction.label, prediction.score)


def _layer(name: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], note: str = "") -> LayerTrace:
    return LayerTrace(name, LAYER_SENTENCES[name], columns, tuple(rows), note)


def _tokenisation(saved: SavedClassifier, encoding: Encoding, texts: list[str]) -> LayerTrace:
    tokens = saved.tokenizer.tokens(encoding.input_ids)
    rows = [("text", " | ".join(texts)), ("tokens", " ".join(tokens))]
    cut = encoding.truncated_tokens
    note = f"{len(tokens)} tokens" + (f"; {cut} more were cut off, the model reads {saved.max_length}" if cut else "")
    return _layer("tokenisation", ("what it is", "value"), rows, note)


def _ids_and_mask(saved: SavedClassifier, encoding: Encoding) -> LayerTrace:
    length = len(encoding)
    tokens = saved.tokenizer.tokens(encoding.input_ids)
    rows: list[tuple[Any, ...]] = [
        (position, tokens[position], int(encoding.input_ids[position]), int(encoding.token_type_ids[position]), 1)
        for position in range(length)
    ]
    pad = saved.tokenizer.pad_token_id
    pad_token = saved.tokenizer.tokens(np.array([pad], dtype=np.int32))[0]
    rows += [(length + position, pad_token, pad, 0, 0) for position in range(_PADDING_SHOWN)]
    note = "The padding is shown as it would stand behind this text in a batch with a longer one; SureFit's engine skips it."
    return _layer("input ids and mask", ("position", "token", "input id", "text", "mask"), rows, note)


def _encoder(states: list[Tensor]) -> LayerTrace:
    rows = []
    for number, state in enumerate(states):
        name = "embeddings" if number == 0 else f"layer {number}"
        first = state[0]
        moved = 0.0 if number == 0 else float(torch.linalg.vector_norm(first - states[number - 1][0]))
        rows.append((name, f"{state.shape[0]} × {state.shape[1]}", float(torch.linalg.vector_norm(first)), moved))
    columns = ("layer", "tokens × width", "size of the [CLS] vector", "how far the layer moved it")
    return _layer("encoder", columns, rows, "Size and distance are Euclidean norms.")


def _head(saved: SavedClassifier, logits: NDArray[np.float32], width: int) -> LayerTrace:
    rows = [(saved.schema.id2label[position], float(logits[position])) for position in _shown_order(logits)]
    note = f"{width} numbers of [CLS] in, {len(logits)} logits out"
    if saved.temperature != 1.0:
        note += f"; the fitted temperature {saved.temperature:g} is in them already"
    return _layer("head", ("class", "logit"), rows, note)


def _prediction(saved: SavedClassifier, prediction: Prediction) -> LayerTrace:
    thresholds = saved.rule.thresholds or (None,) * len(saved.schema)
    rule = "the largest" if saved.schema.problem_type == SINGLE_LABEL else 0.5
    rows = []
    for position in _shown_order(np.array(prediction.scores)):
        name, threshold = saved.schema.id2label[position], thresholds[position]
        mark = "<- label" if name in prediction.labels else ""
        rows.append((name, prediction.scores[position], rule if threshold is None else float(threshold), mark))
    note = f"label: {prediction.label or 'none'}, probability {prediction.score:.4f}"
    return _layer("prediction", ("class", "probability", "threshold", ""), rows, note)


def _shown_order(values: NDArray[Any]) -> list[int]:
    """The classes in their order where they are few, else by falling value."""
    order = range(len(values)) if len(values) <= _CLASSES_IN_ORDER else np.argsort(-values, kind="stable").tolist()
    return list(order)
