"""What a model runs on."""

from __future__ import annotations

import pytest
import torch

from processor import needs_int8
from surefit.config import MachineSettings
from surefit.errors import UsageError
from surefit.model import hardware as hardware_module
from surefit.model.hardware import Hardware, bf16_speedup, choose_hardware
from surefit.model.int8_products import int8_speedup
from surefit.model.int8_ranges import Int8Facts, Range
from surefit.model.kernels.library import library
from surefit.model.measured import Figure

CPU = torch.device("cpu")
SAFE, UNSAFE = (Int8Facts({"0 hidden": Range(0.1, 128)}, safe=safe) for safe in (True, False))


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_asked_for_is_taken(precision):
    torch.set_num_threads(2)
    hardware = choose_hardware(MachineSettings(device="cpu", threads=1, precision=precision))
    assert hardware == Hardware(CPU, precision, 1, compiled_loops=library() is not None)
    assert torch.get_num_threads() == 1


def test_without_a_number_of_threads_all_are_taken_whatever_was_chosen_before(monkeypatch):
    monkeypatch.setattr(hardware_module, "_ALL_THREADS", 3)
    choose_hardware(MachineSettings(device="cpu", threads=1, precision="fp32"))
    assert choose_hardware(MachineSettings(device="cpu", precision="fp32")).threads == 3
    assert torch.get_num_threads() == 3


def test_automatic_precision_follows_the_measured_speed():
    hardware = choose_hardware(MachineSettings(device="cpu", threads=1))
    assert hardware.precision == ("bf16" if bf16_speedup(CPU) >= 1.3 else "fp32")
    assert bf16_speedup(CPU) > 0


@pytest.fixture
def nothing_measured(own_cache):
    """As in a new process on a machine of which nothing is kept."""
    for measured in (bf16_speedup, int8_speedup):
        measured.cache_clear()
    yield
    for measured in (bf16_speedup, int8_speedup):
        measured.cache_clear()


@pytest.mark.usefixtures("nothing_measured")
@pytest.mark.parametrize(("kept", "precision"), [(1.29, "fp32"), (1.3, "bf16")])
def test_automatic_precision_is_that_of_the_speed_that_an_earlier_process_measured(kept, precision):
    Figure("bf16_speedup", CPU, 1).keep(kept)
    assert choose_hardware(MachineSettings(device="cpu", threads=1)).precision == precision
    assert choose_hardware(MachineSettings(device="cpu", threads=2)).precision == precision


@needs_int8
@pytest.mark.usefixtures("nothing_measured")
@pytest.mark.parametrize(("over_bf16", "over_fp32", "precision"), [(1.2, 9, "bf16"), (1.4, 0.1, "int8")])
def test_int8_is_taken_by_its_kept_speed_over_what_it_would_replace(over_bf16, over_fp32, precision):
    kept = {"bf16_speedup": 2, "int8_speedup_over_bfloat16": over_bf16, "int8_speedup_over_float32": over_fp32}
    for name, value in kept.items():
        Figure(name, CPU, 1).keep(value)
    assert choose_hardware(MachineSettings(device="cpu"), SAFE).precision == precision


@needs_int8
@pytest.mark.parametrize("facts", [SAFE, UNSAFE], ids=["safe", "unsafe"])
def test_int8_is_taken_where_it_is_asked_for(facts):
    hardware = choose_hardware(MachineSettings(device="cpu", threads=1, precision="int8"), facts)
    assert hardware == Hardware(CPU, "int8", 1, compiled_loops=library() is not None)


def test_int8_without_a_model_that_knows_its_ranges_is_a_sentence():
    with pytest.raises(UsageError, match="--precision int8 needs a trained model that was saved with ranges for it; take"):
        choose_hardware(MachineSettings(device="cpu", threads=1, precision="int8"))


def test_automatic_precision_is_int8_where_it_is_safe_and_measured_to_be_faster():
    without = choose_hardware(MachineSettings(device="cpu", threads=1))
    faster = int8_speedup(without.dtype) >= 1.3
    assert choose_hardware(MachineSettings(device="cpu", threads=1), SAFE).precision == (
        "int8" if faster else without.precision
    )
    assert choose_hardware(MachineSettings(device="cpu", threads=1), UNSAFE) == without


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_another_precision_that_is_asked_for_is_not_exchanged_for_int8(precision):
    assert choose_hardware(MachineSettings(device="cpu", threads=1, precision=precision), SAFE).precision == precision


def test_automatic_device_exists():
    assert torch.zeros(1, device=choose_hardware(MachineSettings(precision="fp32")).device).sum() == 0


@pytest.mark.parametrize("device", ["cuda:99", "mps"])
def test_a_device_that_is_not_there_is_a_sentence(device):
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has MPS")
    with pytest.raises(UsageError, match=f"--device {device} is not available on this machine; try --device auto"):
        choose_hardware(MachineSettings(device=device))


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("int8", torch.float32)])
def test_products_run_in_the_precision(precision, dtype):
    with Hardware(CPU, precision, 1).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
