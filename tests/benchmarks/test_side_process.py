"""A side's process answers, says in a sentence why it does not, and is gone then."""

import os

import pytest
from benchmarks.side_process import SideError, SideProcess, own_peak_memory

MODULE = "importlib:import_module"  # the object is a module, and its functions are the methods


@pytest.fixture
def side():
    process = SideProcess(MODULE, "os", limit=60)
    yield process
    process.close()


def test_methods_are_called_and_attributes_read_in_another_process(side):
    assert side.ask("name") == os.name
    assert side.ask("fspath", "a") == "a"
    assert side.ask("getpid") == side._process.pid != os.getpid()


def test_its_memory_is_its_own(side):
    assert 1 < side.peak_memory_mib < own_peak_memory()


def test_what_goes_wrong_there_is_said_in_a_sentence(side):
    with pytest.raises(SideError, match=r"^failed with FileNotFoundError: .*no-such-file"):
        side.ask("stat", "no-such-file")
    assert side._process.returncode is not None
    with pytest.raises(SideError, match="failed with ModuleNotFoundError: No module named 'no_such_module'"):
        SideProcess(MODULE, "no_such_module", limit=60)


def test_a_process_that_ends_is_no_answer(side):
    with pytest.raises(SideError, match="its process ended with exit status 3"):
        side.ask("_exit", 3)


def test_a_side_that_takes_too_long_is_ended():
    side = SideProcess(MODULE, "time", limit=5)
    with pytest.raises(SideError, match="took longer than 5 seconds"):
        side.ask("sleep", 600)
    assert side._process.returncode is not None
