from __future__ import annotations

import threading

import pytest
import torch

from surefit.model.fast_memory import PassMemory, Workspace

FP32 = torch.float32


def test_one_name_is_one_buffer():
    workspace = Workspace()
    first = workspace.take("scores", (4, 6), FP32).fill_(1)
    second = workspace.take("scores", (3, 2), FP32)
    assert second.shape == (3, 2)
    assert second.data_ptr() == first.data_ptr()
    assert workspace.take("context", (4, 6), FP32).data_ptr() != first.data_ptr()
    assert workspace.take("scores", (4, 6), torch.bfloat16).dtype == torch.bfloat16
    assert workspace.take("scores", (4, 6), FP32).eq(1).all()


def test_buffer_grows_and_leaves_what_was_given_alone():
    workspace = Workspace()
    small = workspace.take("scores", (8,), FP32).fill_(1)
    large = workspace.take("scores", (100,), FP32).fill_(2)
    assert small.eq(1).all()
    assert workspace.take("scores", (8,), FP32).data_ptr() == large.data_ptr()


def test_each_thread_has_its_own_buffers():
    workspace = Workspace()
    own = workspace.take("scores", (8,), FP32)
    others: list[torch.Tensor] = []
    thread = threading.Thread(target=lambda: others.append(workspace.take("scores", (8,), FP32)))
    thread.start()
    thread.join()
    assert others[0].data_ptr() != own.data_ptr()


def test_what_inference_mode_made_can_be_written_to_later():
    workspace = Workspace()
    with torch.inference_mode():
        workspace.take("scores", (8,), FP32)
    assert not workspace.take("scores", (8,), FP32).zero_().is_inference()


def test_layers_have_memory_of_their_own_where_it_must_last():
    memory = PassMemory(Workspace(), torch.bfloat16)
    first, second = memory.take_kept("sum", 0, 4, 2), memory.take_kept("sum", 1, 4, 2)
    assert (first.dtype, memory.take("mean", 3, dtype=FP32).dtype) == (torch.bfloat16, FP32)
    assert first.data_ptr() != second.data_ptr()
    assert memory.kept("sum", 0).data_ptr() == first.data_ptr()
    assert memory.kept("sum", 1).data_ptr() == second.data_ptr()


def test_what_is_kept_is_found():
    memory = PassMemory(Workspace(), FP32)
    mask = torch.ones(3)
    assert memory.keep("mask", 1, mask) is mask
    assert memory.find("mask", 1) is mask
    assert memory.find("mask", 0) is None


def test_what_a_later_pass_has_overwritten_is_not_given():
    workspace = Workspace()
    earlier = PassMemory(workspace, FP32)
    earlier.take_kept("sum", 0, 4)
    PassMemory(workspace, FP32)
    with pytest.raises(RuntimeError, match="backward pass must come before"):
        earlier.kept("sum", 0)
