"""The peers that classify with the same weights: transformers.pipeline, ONNX Runtime and OpenVINO.

Each takes raw texts and gives answers. The pipeline is called as users call it. The other two get what
makes them fast: texts tokenised all at once, rows sorted by length, batches of 32 padded to their longest
row, and of several ways to run the model the one that is fastest in a short trial.
"""

from __future__ import annotations

import importlib.util
import logging
import statistics
import sys
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
from transformers.utils import logging as transformers_logging

from benchmarks.machine import describe_machine

BATCH = 32
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_INT8_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}

Feed = Mapping[str, NDArray[np.int64]]
# Takes batches, gives the logits of each.
Runner = Callable[[Sequence[Feed]], list[NDArray[np.float32]]]


class Side(ABC):
    """One side of the comparison.

    Attributes:
        setting: how it runs, in words.
    """

    setting = ""

    def choose(self, texts: list[str]) -> None:  # noqa: B027  # most sides have nothing to choose
        """Takes the way to run that is fastest on such texts."""

    @abstractmethod
    def answer(self, texts: list[str]) -> Any:
        """Probabilities of all classes for each text, in the side's own form; what is timed."""

    @abstractmethod
    def labels(self, answers: Any) -> list[str]:
        """The most probable class of each answer."""


class PipelineSide(Side):
    """transformers.pipeline on a list of texts in their order."""

    def __init__(self, model: Path, dtype: torch.dtype) -> None:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._pipeline = pipeline(
            "text-classification", model=str(model), batch_size=BATCH, truncation=True, top_k=None, dtype=dtype, device="cpu"
        )
        self.setting = f"{str(dtype).removeprefix('torch.')}, batches of {BATCH} in the order of the input"

    def answer(self, texts: list[str]) -> Any:
        return self._pipeline(texts)

    def labels(self, answers: Any) -> list[str]:
        return [max(scores, key=lambda score: score["score"])["label"] for scores in answers]


class BatchedSide(Side):
    """A runtime that is given batches of rows of similar length.

    Args:
        model: directory of the saved model.
        runners: ways to run it, by what they are called.
    """

    def __init__(self, model: Path, runners: Mapping[str, Runner]) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(model)
        config = AutoModelForSequenceClassification.from_pretrained(model).config
        self._id2label, self._pad = config.id2label, config.pad_token_id
        self._runners = runners
        self._take(next(iter(runners)))

    def choose(self, texts: list[str]) -> None:
        seconds: dict[str, list[float]] = {name: [] for name in self._runners}
        for trial in range(4):
            for name in self._runners:
                self._take(name)
                start = time.perf_counter()
                self.answer(texts)
                if trial:  # the first warms up
                    seconds[name].append(time.perf_counter() - start)
        self._take(min(seconds, key=lambda name: statistics.median(seconds[name])))

    def _take(self, name: str) -> None:
        self.setting, self._runner = name, self._runners[name]

    def answer(self, texts: list[str]) -> NDArray[np.float32]:
        rows = self._tokenizer(texts, truncation=True, return_attention_mask=False, return_token_type_ids=False)["input_ids"]
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        batches = [[rows[row] for row in order[start : start + BATCH]] for start in range(0, len(rows), BATCH)]
        logits = np.concatenate(self._runner([padded(batch, self._pad) for batch in batches]))
        probabilities = np.empty_like(logits)
        probabilities[order] = softmax(logits, axis=1)
        return probabilities

    def labels(self, answers: NDArray[np.float32]) -> list[str]:
        return [self._id2label[class_id] for class_id in answers.argmax(axis=1).tolist()]


def padded(rows: Sequence[Sequence[int]], pad: int) -> Feed:
    """A batch as wide as its longest row: token ids, mask and types, shape (rows, tokens) each."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return dict(zip(_INPUTS, (ids, mask.astype(np.int64), np.zeros_like(ids)), strict=True))


def onnxruntime_int8(model: Path) -> BatchedSide:
    """ONNX Runtime, weights and the inputs of products in int8, quantised as they come."""
    with quiet(), tempfile.TemporaryDirectory() as folder:
        exported = _export_onnx(model, Path(folder) / "exported.onnx")
        graphs = {"int8, exported graph": exported, "int8, graph fused for BERT": _fuse(exported, model)}
        return BatchedSide(model, {name: _onnxruntime_runner(_quantize_onnx(graph)) for name, graph in graphs.items()})


def _export_onnx(model: Path, path: Path) -> Path:
    # The graph optimiser knows the attention that is written out, and the graphs of the exporter by tracing.
    classifier = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").eval()
    rows_and_tokens = {name: {0: "rows", 1: "tokens"} for name in _INPUTS}
    torch.onnx.export(
        _Logits(classifier).eval(),
        tuple(_example().values()),
        path,
        input_names=list(_INPUTS),
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
        logits: torch.Tensor = self._classifier(**dict(zip(_INPUTS, inputs, strict=True))).logits
        return logits


def _fuse(graph: Path, model: Path) -> Path:
    from onnxruntime.transformers.optimizer import optimize_model

    config = AutoModelForSequenceClassification.from_pretrained(model).config
    heads, width = config.num_attention_heads, config.hidden_size
    fused = graph.with_name("fused.onnx")
    optimize_model(str(graph), "bert", num_heads=heads, hidden_size=width, opt_level=0).save_model_to_file(str(fused))
    return fused


def _quantize_onnx(graph: Path) -> Path:
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantized = graph.with_stem(f"{graph.stem}-int8")
    quantize_dynamic(
        graph,
        quantized,
        per_channel=True,
        # Without instructions for int8 sums of four, products of eight bits could overflow.
        reduce_range=not _INT8_DOT_PRODUCTS.intersection(describe_machine()["flags"]),
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},  # of the fused nodes, whose types are not inferred
    )
    return quantized


def _onnxruntime_runner(graph: Path) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda feeds: [session.run(None, feed)[0] for feed in feeds]


def openvino_bf16(model: Path) -> BatchedSide:
    """OpenVINO, products in bf16."""
    with quiet():
        return BatchedSide(model, _openvino_runners(_convert_openvino(model), "floating point"))


def openvino_int8(model: Path, calibration: Sequence[str]) -> BatchedSide:
    """OpenVINO, quantised to int8 by NNCF; what stays in floating point is computed in bf16.

    Args:
        model: directory of the saved model.
        calibration: texts on which the ranges of the activations are measured.
    """
    import nncf

    tokenizer = AutoTokenizer.from_pretrained(model)
    feeds = [padded([tokenizer(text, truncation=True)["input_ids"]], 0) for text in calibration]
    with quiet():
        converted = nncf.quantize(
            _convert_openvino(model),
            nncf.Dataset(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(feeds),
        )
        return BatchedSide(model, _openvino_runners(converted, "int8"))


def _convert_openvino(model: Path) -> Any:
    import openvino

    classifier = AutoModelForSequenceClassification.from_pretrained(model).eval()
    return openvino.convert_model(classifier, example_input=_example())


def _example() -> dict[str, torch.Tensor]:
    """A batch to trace a model with; it has padding, so that nothing takes the mask to be all ones."""
    return {name: torch.from_numpy(values) for name, values in padded([[1] * 8, [1] * 4], 0).items()}


def _openvino_runners(converted: Any, weights: str) -> dict[str, Runner]:
    """One batch at a time on all cores, and several at a time, each on a part of them."""
    import openvino

    def compiled(hint: str) -> Any:
        threads = torch.get_num_threads()  # as many as all other sides take
        settings = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": threads}
        return openvino.Core().compile_model(converted, "CPU", settings)

    alone, shared = compiled("LATENCY"), compiled("THROUGHPUT")
    request, queue = alone.create_infer_request(), openvino.AsyncInferQueue(shared)
    # Where the processor has no bf16, another precision is taken.
    rest = alone.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    precision = rest if weights == "floating point" else f"{weights}, else {rest}"

    def one_by_one(feeds: Sequence[Feed]) -> list[NDArray[np.float32]]:
        return [request.infer(feed)[0].copy() for feed in feeds]

    def several_at_a_time(feeds: Sequence[Feed]) -> list[NDArray[np.float32]]:
        logits: list[Any] = [None] * len(feeds)

        def keep(done: Any, place: int) -> None:
            logits[place] = done.get_output_tensor(0).data.copy()

        queue.set_callback(keep)
        for place, feed in enumerate(feeds):
            queue.start_async(feed, place)
        queue.wait_all()
        return logits

    return {
        f"{precision}, hint latency, one request": one_by_one,
        f"{precision}, hint throughput, {len(queue)} requests": several_at_a_time,
    }


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


def absent(packages: Sequence[str]) -> list[str]:
    """Those of the packages that are not installed."""
    return [package for package in packages if importlib.util.find_spec(package) is None]
