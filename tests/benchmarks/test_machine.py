import json
import os
import platform

import torch
from benchmarks.machine import describe_machine


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
