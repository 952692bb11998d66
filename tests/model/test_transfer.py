"""Arrays to tensors on a device, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpu import CUDA, needs_gpu, waiting_is_an_error
from surefit.model.transfer import on_device, to_cpu


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.bool_])
def test_a_tensor_on_a_cpu_shares_the_array_s_memory(dtype):
    array = np.zeros((2, 3), dtype=dtype)
    tensor = on_device(array, torch.device("cpu"))
    array[1, 2] = 1
    assert (tensor.numpy() == array).all()
    assert tensor.numpy().dtype == dtype


@needs_gpu
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.bool_])
def test_a_gpu_gets_the_values_without_being_waited_for(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    with waiting_is_an_error():
        tensor = on_device(array, CUDA)
    array[:] = 0  # what was copied is not what is changed later
    assert tensor.device.type == "cuda"
    assert (tensor.cpu().numpy() == np.arange(6).reshape(2, 3).astype(dtype)).all()


def test_what_is_on_the_cpu_stays_as_it_is():
    tensor = torch.arange(3)
    assert to_cpu(tensor) is tensor


@needs_gpu
def test_a_gpu_s_values_are_brought_over_without_waiting_for_it():
    tensor = torch.arange(1000, device=CUDA).float()
    with waiting_is_an_error():
        brought = to_cpu(tensor * 2)
    last = float((tensor + 1)[-1])  # what is read after it has waited for it
    assert last == 1000
    assert brought.device.type == "cpu"
    assert (brought == 2 * torch.arange(1000)).all()
