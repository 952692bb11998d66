"""The sides that classify with the same weights: SureFit, transformers.pipeline, ONNX Runtime and OpenVINO.

Each takes raw texts and gives answers, and imports no more than it needs to. The pipeline is called as users
call it. The last two get what makes them fast: texts tokenised all at once, rows sorted by length, batches
of 32 padded to their longest row, and of several ways to run the model the one that is fastest in a trial.
"""

from __future__ import annotations

import json
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = 32
INPUTS = ("input_ids", "attention_mask", "token_type_ids")

Feed = Mapping[str, NDArray[np.int64]]
# Takes batches, gives the logits of each.
Runner = Callable[[Sequence[Feed]], list[NDArray[np.float32]]]


@dataclass(frozen=True)
class Setup:
    """What the sides have in common.

    Attributes:
        model: directory of the saved model.
        graphs: folder for what the model is converted to.
        threads: processor threads of those sides that must be told.
        calibration: texts on which ranges of activations are measured.
    """

    model: Path
    graphs: Path
    threads: int
    calibration: Sequence[str] = ()


class Side(ABC):
    """One side of the comparison.

    Attributes:
        setting: how it runs, in words.
    """

    setting = ""

    @abstractmethod
    def answer(self, texts: list[str]) -> Any:
        """Probabilities of all classes for each text, in the side's own form; what is timed."""

    @abstractmethod
    def to_array(self, answers: Any, classes: Sequence[str]) -> NDArray[np.float64]:
        """The answers with the classes in that order, shape (texts, classes)."""

    def time_answers(self, texts: list[str]) -> float:
        """Seconds that the answers take."""
        start = time.perf_counter()
        self.answer(texts)
        return time.perf_counter() - start

    def probabilities(self, texts: list[str], classes: Sequence[str]) -> NDArray[np.float64]:
        """Of each class for each text, shape (texts, classes)."""
        return self.to_array(self.answer(texts), classes)


class SureFitSide(Side):
    """SureFit's Python interface."""

    def __init__(self, model: Path, precision: str) -> None:
        import surefit

        self._classifier = surefit.load(model, device="cpu", precision=precision)
        self.setting = self._classifier.hardware.precision

    def answer(self, texts: list[str]) -> Any:
        return self._classifier.predict(texts)

    def to_array(self, answers: Any, classes: Sequence[str]) -> NDArray[np.float64]:
        return np.array([prediction.scores for prediction in answers])[:, [self._classifier.classes.index(c) for c in classes]]


class PipelineSide(Side):
    """transformers.pipeline on a list of texts in their order."""

    def __init__(self, model: Path, precision: str) -> None:
        import torch
        from transformers import pipeline
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        self._pipeline = pipeline(
            "text-classification", model=str(model), batch_size=BATCH, truncation=True, top_k=None, dtype=dtype, device="cpu"
        )
        self.setting = f"{precision}, batches of {BATCH} in the order of the input"

    def answer(self, texts: list[str]) -> Any:
        return self._pipeline(texts)

    def to_array(self, answers: Any, classes: Sequence[str]) -> NDArray[np.float64]:
        rows = ({score["label"]: score["score"] for score in scores} for scores in answers)
        return np.array([[row[name] for name in classes] for row in rows])


class BatchedSide(Side):
    """A runtime that is given batches of rows of similar length.

    Args:
        model: directory of the saved model.
        way: one of the side's `ways` to run it.

    Attributes:
        ways: all that there are.
    """

    ways: tuple[str, ...]

    def __init__(self, model: Path, way: str) -> None:
        from tokenizers import Tokenizer

        config, tokenizer = (json.loads((model / name).read_text("utf-8")) for name in ("config.json", "tokenizer_config.json"))
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._tokenizer.enable_truncation(tokenizer["model_max_length"])
        self._column, self._pad = config["label2id"], config["pad_token_id"]
        self._runners: dict[str, tuple[str, Runner]] = {}
        self.take(way)

    @abstractmethod
    def load(self, way: str) -> tuple[str, Runner]:
        """Gets ready to run the model: how it runs, in words, and what runs it."""

    def take(self, way: str) -> None:
        """Runs the model that way from now on."""
        if way not in self._runners:
            self._runners[way] = self.load(way)
        self.setting, self._runner = self._runners[way]

    def fastest_way(self, texts: list[str]) -> str:
        """Tries all ways on some texts, in turns."""
        seconds: dict[str, list[float]] = {way: [] for way in self.ways}
        for trial in range(4):
            for way in self.ways:
                self.take(way)
                taken = self.time_answers(texts)
                if trial:  # the first warms up
                    seconds[way].append(taken)
        return min(seconds, key=lambda way: statistics.median(seconds[way]))

    def answer(self, texts: list[str]) -> NDArray[np.float32]:
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        batches = [[rows[row] for row in order[start : start + BATCH]] for start in range(0, len(rows), BATCH)]
        logits = np.concatenate(self._runner([padded(batch, self._pad) for batch in batches]))
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = np.empty_like(logits)
        probabilities[order] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return probabilities

    def to_array(self, answers: NDArray[np.float32], classes: Sequence[str]) -> NDArray[np.float64]:
        return answers[:, [self._column[name] for name in classes]].astype(np.float64)


def padded(rows: Sequence[Sequence[int]], pad: int) -> Feed:
    """A batch as wide as its longest row: token ids, mask and types, shape (rows, tokens) each."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return dict(zip(INPUTS, (ids, mask.astype(np.int64), np.zeros_like(ids)), strict=True))


class OnnxRuntimeSide(BatchedSide):
    """ONNX Runtime, weights and the inputs of products in int8, quantised as they come."""

    ways = ("exported graph", "graph fused for BERT")

    def __init__(self, setup: Setup, way: str) -> None:
        self._graphs = {name: setup.graphs / f"{name.replace(' ', '-')}.onnx" for name in self.ways}
        self._threads = setup.threads
        if not all(graph.is_file() for graph in self._graphs.values()):
            from benchmarks.peer_graphs import write_onnx

            write_onnx(setup.model, *self._graphs.values())
        super().__init__(setup.model, way)

    def load(self, way: str) -> tuple[str, Runner]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(self._graphs[way], options, providers=["CPUExecutionProvider"])
        return f"int8, {way}", lambda feeds: [session.run(None, feed)[0] for feed in feeds]


class OpenVinoSide(BatchedSide):
    """OpenVINO: one batch at a time on all cores, or several at a time, each on a part of them.

    Args:
        setup: what it shares with other sides.
        way: one of `ways`, OpenVINO's hints.
        weights: "bf16", or "int8" as quantised by NNCF; what stays in floating point is computed in bf16.
    """

    ways = ("LATENCY", "THROUGHPUT")

    def __init__(self, setup: Setup, way: str, weights: str) -> None:
        self._graph, self._weights, self._threads = setup.graphs / f"openvino-{weights}.xml", weights, setup.threads
        if not self._graph.is_file():
            from benchmarks.peer_graphs import write_openvino

            write_openvino(setup.model, self._graph, setup.calibration if weights == "int8" else None)
        super().__init__(setup.model, way)

    def load(self, way: str) -> tuple[str, Runner]:
        import openvino

        settings = {"PERFORMANCE_HINT": way, "INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": self._threads}
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(self._graph), "CPU", settings)
        # Where the processor has no bf16, another precision is taken.
        rest = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        precision = rest if self._weights == "bf16" else f"{self._weights}, else {rest}"
        if way == "LATENCY":
            request = compiled.create_infer_request()
            return f"{precision}, one request", lambda feeds: [request.infer(feed)[0].copy() for feed in feeds]
        queue = openvino.AsyncInferQueue(compiled)
        return f"{precision}, {len(queue)} requests", lambda feeds: _several_at_a_time(queue, feeds)


def _several_at_a_time(queue: Any, feeds: Sequence[Feed]) -> list[NDArray[np.float32]]:
    logits: list[Any] = [None] * len(feeds)

    def keep(done: Any, place: int) -> None:
        logits[place] = done.get_output_tensor(0).data.copy()

    queue.set_callback(keep)
    for place, feed in enumerate(feeds):
        queue.start_async(feed, place)
    queue.wait_all()
    return logits


# Those that are run in the fastest of several ways, with the packages that they need.
PEERS = {
    "onnxruntime int8": ("onnx", "onnxruntime"),
    "openvino bf16": ("openvino",),
    "openvino int8": ("openvino", "nncf"),
}


def build_side(name: str, setup: Setup, way: str | None = None) -> Side:
    """One side of the comparison, ready to classify.

    Args:
        name: one of `benchmarks.inference.SIDES`.
        setup: what the sides have in common.
        way: one of the ways of a side that has several; the first of them when not given.
    """
    family, _, precision = name.partition(" ")
    if family == "onnxruntime":
        return OnnxRuntimeSide(setup, way or OnnxRuntimeSide.ways[0])
    if family == "openvino":
        return OpenVinoSide(setup, way or OpenVinoSide.ways[0], precision)
    if family == "surefit":
        return SureFitSide(setup.model, precision or "auto")
    return PipelineSide(setup.model, precision or "fp32")
