"""The saved model in the formats of ONNX Runtime and OpenVINO."""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from benchmarks.inference_sides import INPUTS, padded
from benchmarks.machine import describe_machine

_INT8_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}


def write_onnx(model: Path, exported: Path, fused: Path) -> None:
    """Writes graphs quantised to int8: as exported, and as fused by the optimiser for BERT.

    Args:
        model: directory of the saved model.
        exported: file of the first.
        fused: file of the second.
    """
    with quiet(), tempfile.TemporaryDirectory() as folder:
        graph = _export_onnx(model, Path(folder) / "exported.onnx")
        _quantize_onnx(graph, exported)
        _quantize_onnx(_fuse(graph, model), fused)


def _export_onnx(model: Path, path: Path) -> Path:
    # The graph optimiser knows the attention that is written out, and the graphs of the exporter by tracing.
    classifier = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").eval()
    rows_and_tokens = {name: {0: "rows", 1: "tokens"} for name in INPUTS}
    torch.onnx.export(
        _Logits(classifier).eval(),
        tuple(_example().values()),
        path,
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_axes=rows_and_tokens | {"logits": {0: "rows"}},
        opset_version=17,
        dynamo=False,
    )
    return path


class _Logits(torch.nn.Module):
    """A classifier whose inputs go by place and whose output is one tensor, as the exporter wants it."""

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self._classifier = classifier

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._classifier(**dict(zip(INPUTS, inputs, strict=True))).logits
        return logits


def _fuse(graph: Path, model: Path) -> Path:
    from onnxruntime.transformers.optimizer import optimize_model

    config = AutoModelForSequenceClassification.from_pretrained(model).config
    heads, width = config.num_attention_heads, config.hidden_size
    fused = graph.with_name("fused.onnx")
    optimize_model(str(graph), "bert", num_heads=heads, hidden_size=width, opt_level=0).save_model_to_file(str(fused))
    return fused


def _quantize_onnx(graph: Path, quantized: Path) -> None:
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        graph,
        quantized,
        per_channel=True,
        # Without instructions for int8 sums of four, products of eight bits could overflow.
        reduce_range=not _INT8_DOT_PRODUCTS.intersection(describe_machine()["flags"]),
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},  # of the fused nodes, whose types are not inferred
    )


def write_openvino(model: Path, graph: Path, calibration: Sequence[str] | None) -> None:
    """Writes the graph in floating point, or quantised to int8 by NNCF.

    Args:
        model: directory of the saved model.
        graph: file to write, ending in .xml; another beside it has the weights.
        calibration: texts on which the ranges of the activations are measured; none for floating point.
    """
    import openvino

    with quiet():
        classifier = AutoModelForSequenceClassification.from_pretrained(model).eval()
        converted = openvino.convert_model(classifier, example_input=_example())
        if calibration is not None:
            converted = _quantize_openvino(converted, model, calibration)
        openvino.save_model(converted, graph, compress_to_fp16=False)


def _quantize_openvino(converted: Any, model: Path, calibration: Sequence[str]) -> Any:
    import nncf

    tokenizer = AutoTokenizer.from_pretrained(model)
    feeds = [padded([tokenizer(text, truncation=True)["input_ids"]], 0) for text in calibration]
    kind = nncf.ModelType.TRANSFORMER
    return nncf.quantize(converted, nncf.Dataset(feeds), model_type=kind, subset_size=len(feeds))


def _example() -> dict[str, torch.Tensor]:
    """A batch to trace a model with; it has padding, so that nothing takes the mask to be all ones."""
    return {name: torch.from_numpy(values) for name, values in padded([[1] * 8, [1] * 4], 0).items()}


@contextmanager
def quiet() -> Iterator[None]:
    """Without the remarks and warnings of exporters, which concern nobody here; their progress is no result."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
