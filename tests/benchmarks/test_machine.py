import json
import os
import platform

import torch
from benchmarks.machine import absent, code_digest, describe_machine, peak_flops, record


def test_the_description_is_plain_json_and_names_what_decides_speed():
    description = json.loads(json.dumps(describe_machine(), allow_nan=False))
    assert description["cores"] == os.cpu_count()
    assert description["threads"] == torch.get_num_threads()
    assert description["python"] == platform.python_version()
    assert description["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert description["processor"]


def test_the_flags_are_those_that_the_processor_has():
    capability = torch.backends.cpu.get_cpu_capability()
    if capability.startswith("AVX512"):
        assert "avx512f" in describe_machine()["flags"]
    if capability == "NO AVX":
        assert describe_machine()["flags"] == []


def test_a_line_is_appended_with_time_and_machine(tmp_path):
    results = tmp_path / "results" / "figures.jsonl"
    record(results, {"seconds": 1.5})
    returned = record(results, {"seconds": 2.5})
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert [line["seconds"] for line in lines] == [1.5, 2.5]
    assert lines[0]["machine"] == describe_machine()
    assert lines[0]["code"] == code_digest()
    assert lines[0]["when"] <= lines[1]["when"]
    assert lines[1] == returned


def test_the_peak_is_one_that_a_processor_can_have():
    assert 1e9 < peak_flops() < 1e15


def test_packages_that_are_not_installed_are_named():
    assert absent(["torch", "no_such_package"]) == ["no_such_package"]
