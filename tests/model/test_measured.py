"""What is measured of the machine: measured well, kept, and taken again where it holds."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from surefit.model.measured import Figure, cache_directory, is_steady, measured_speedup, one_thread, processor_name

CPU = torch.device("cpu")
FIGURE = Figure("speedup", CPU, 1)


@pytest.fixture
def file(own_cache):
    return own_cache / "measured.json"


def compute(amount):
    """Keeps the processor busy, for longer the larger the amount."""
    return sum(number * number for number in range(amount))


def works(usual, other):
    return lambda: (lambda: compute(usual), lambda: compute(other))


def never():
    raise AssertionError("it was measured again")


def plant(file, kept):
    """Whatever it is, in the place of this machine's figure."""
    FIGURE.keep(1)
    content = json.loads(file.read_text(encoding="utf-8"))
    (machine,) = content["machines"]
    content["machines"][machine][FIGURE.name] = kept
    file.write_text(json.dumps(content), encoding="utf-8")


class TestFigure:
    def test_what_was_kept_is_there_for_the_next_process(self, file):
        FIGURE.keep(1.75)
        ask = "import torch; from surefit.model.measured import Figure; print(Figure('speedup', torch.device('cpu'), 1).kept())"
        done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=120, check=True)
        assert float(done.stdout) == FIGURE.kept() == 1.75

    def test_nothing_is_kept_at_first(self, file):
        assert FIGURE.kept() is None
        assert not file.parent.exists()

    def test_figures_stand_beside_each_other_and_the_last_value_holds(self, file):
        other = Figure("batch_tokens", CPU, 1)
        for figure, value in ((FIGURE, 1.5), (other, 4096), (FIGURE, 2.5)):
            figure.keep(value)
        assert (FIGURE.kept(), other.kept()) == (2.5, 4096)

    def test_the_file_says_what_it_is_of(self, file):
        FIGURE.keep(1.5)
        content = json.loads(file.read_text(encoding="utf-8"))
        assert content["schema_version"] == 1
        ((machine, figures),) = content["machines"].items()
        assert figures == {"speedup": 1.5}
        assert machine.startswith(f"{processor_name()} (")
        assert machine.endswith(f" cores, 1 thread, torch {torch.__version__}, cpu")
        assert [entry.name for entry in file.parent.iterdir()] == [file.name]

    @pytest.mark.parametrize("other", [Figure("speedup", CPU, 2), Figure("speedup", torch.device("mps"), 1)])
    def test_what_was_measured_with_other_threads_or_another_device_does_not_hold(self, other, file):
        other.keep(1.5)
        assert FIGURE.kept() is None

    @pytest.mark.parametrize(("ours", "theirs"), [("(", "Another ("), (" cores", "0 cores"), (torch.__version__, "1.0")])
    def test_what_another_machine_or_version_measured_does_not_hold_and_stays(self, ours, theirs, file):
        FIGURE.keep(1.5)
        file.write_text(file.read_text(encoding="utf-8").replace(ours, theirs, 1), encoding="utf-8")
        assert FIGURE.kept() is None
        FIGURE.keep(2.5)
        assert FIGURE.kept() == 2.5
        assert sorted(figures["speedup"] for figures in json.loads(file.read_text())["machines"].values()) == [1.5, 2.5]

    @pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system assigns no cores")
    def test_what_was_measured_with_other_cores_does_not_hold(self, file):
        cores = os.sched_getaffinity(0)
        if len(cores) == 1:
            pytest.skip("this machine has one core")
        FIGURE.keep(1.5)
        try:
            os.sched_setaffinity(0, {min(cores)})
            assert FIGURE.kept() is None
        finally:
            os.sched_setaffinity(0, cores)
        assert FIGURE.kept() == 1.5

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"\xff\x00\x01",
            b"[" * 100_000,
            b"[]",
            b"null",
            b'{"schema_version": 1}',
            b'{"schema_version": 1, "machines": []}',
            b'{"schema_version": 1, "machines": {"MACHINE": 2}}',
            b'{"schema_version": 1, "machines": {"MACHINE": {"speedup": NaN}}}',
            b'{"schema_version": 2, "machines": {"MACHINE": {"speedup": 2}}}',
            b'{"machines": {"MACHINE": {"speedup": 2}}}',
        ],
    )
    def test_a_damaged_or_foreign_file_is_ignored_and_replaced(self, content, file):
        FIGURE.keep(1.5)
        (machine,) = json.loads(file.read_text(encoding="utf-8"))["machines"]
        file.write_bytes(content.replace(b"MACHINE", machine.encode()))
        assert FIGURE.kept() is None
        FIGURE.keep(2.5)
        assert FIGURE.kept() == 2.5

    @pytest.mark.parametrize("value", [None, True, "2", [2], {"speedup": 2}])
    def test_what_is_no_number_was_not_kept(self, value, file):
        plant(file, value)
        assert FIGURE.kept() is None


def unwritable_places(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir(mode=0o500)
    (tmp_path / "taken" / "measured.json").mkdir(parents=True)
    places = [tmp_path / "file", tmp_path / "file" / "below", Path("/proc/surefit"), tmp_path / "taken"]
    return places if os.name == "nt" or os.geteuid() == 0 else [*places, tmp_path / "closed", tmp_path / "closed" / "below"]


class TestWhereNothingCanBeWritten:
    def test_figures_are_measured_each_time(self, tmp_path, monkeypatch):
        for place in unwritable_places(tmp_path):
            monkeypatch.setenv("SUREFIT_CACHE", str(place))
            assert measured_speedup("speedup", CPU, works(20_000, 10_000)) > 1, place
            assert FIGURE.kept() is None
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["closed", "file", "taken"]
        assert [entry.name for entry in (tmp_path / "taken").iterdir()] == ["measured.json"]

    @pytest.mark.skipif(os.name == "nt", reason="asks for a user as POSIX has them")
    def test_a_user_without_a_home_keeps_nothing(self, monkeypatch):
        for name in ("SUREFIT_CACHE", "XDG_CACHE_HOME", "HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # whom no table of users has
        assert cache_directory() is None
        FIGURE.keep(1.5)
        assert FIGURE.kept() is None


WRITER = """
import sys, torch
from surefit.model.measured import Figure
figure = Figure(sys.argv[1], torch.device("cpu"), 1)
print("ready", flush=True)
sys.stdin.readline()
for value in range(100):
    figure.keep(value)
"""


def test_processes_that_write_at_once_leave_a_whole_file(file):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    names = ["one", "two"]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name], **pipes) for name in names]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    seen = 0
    while any(writer.poll() is None for writer in writers):
        if file.exists():
            seen += len(json.loads(file.read_text(encoding="utf-8"))["machines"])
    assert [writer.communicate() and writer.returncode for writer in writers] == [0, 0]
    assert seen > 0
    assert 99 in [Figure(name, CPU, 1).kept() for name in names]
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


class TestPlace:
    def test_the_user_s_cache_or_what_is_given(self, monkeypatch, tmp_path):
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("SUREFIT_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.setenv(name, "")
        assert cache_directory() == tmp_path / ".cache" / "surefit"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_directory() == tmp_path / "xdg" / "surefit"
        monkeypatch.setenv("SUREFIT_CACHE", str(tmp_path / "given"))
        assert cache_directory() == tmp_path / "given"

    def test_other_systems_have_other_places(self, monkeypatch, tmp_path):
        for name, value in {"SUREFIT_CACHE": "", "HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path / "local")}.items():
            monkeypatch.setenv(name, value)
        found = {}
        for platform in ("darwin", "win32"):
            monkeypatch.setattr(sys, "platform", platform)
            found[platform] = cache_directory()
        assert found == {
            "darwin": tmp_path / "Library" / "Caches" / "surefit",
            "win32": tmp_path / "local" / "surefit",
        }


class TestSpeedup:
    def test_it_is_how_many_times_shorter_the_other_work_takes(self, file):
        assert 2 < measured_speedup("slower", CPU, works(40_000, 10_000)) < 8
        assert 1 / 8 < measured_speedup("faster", CPU, works(10_000, 40_000)) < 1 / 2

    def test_time_that_the_thread_is_not_computing_is_not_counted(self, file):
        def interrupted():
            compute(20_000)
            time.sleep(0.02)

        assert measured_speedup("speedup", CPU, lambda: (interrupted, lambda: compute(20_000))) < 2

    def test_it_is_measured_in_one_thread_and_the_threads_are_as_before(self, file):
        before = torch.get_num_threads()
        counts = set()
        try:
            torch.set_num_threads(2)
            measured_speedup("speedup", CPU, lambda: (lambda: counts.add(torch.get_num_threads()), lambda: compute(1000)))
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)
        assert counts == {1}

    def test_the_threads_are_as_before_after_an_error_too(self):
        before = torch.get_num_threads()
        with pytest.raises(RuntimeError), one_thread():
            raise RuntimeError
        assert torch.get_num_threads() == before

    def test_it_is_measured_once(self, file):
        for _ in range(5):  # a machine that is very busy may disturb one
            found = measured_speedup("speedup", CPU, works(40_000, 10_000))
            if FIGURE.kept() is not None:
                break
        assert FIGURE.kept() == found
        assert measured_speedup("speedup", CPU, never) == found

    def test_a_planted_value_is_taken(self, file):
        plant(file, 123.5)
        assert measured_speedup("speedup", CPU, never) == 123.5

    @pytest.mark.parametrize("value", [0, -2, 1e-9, 1e9, pytest.param(10**400, id="huge"), None, "2"])
    def test_a_value_that_cannot_be_is_measured_again(self, value, file):
        plant(file, value)
        assert 1 < measured_speedup("speedup", CPU, works(20_000, 10_000)) < 10

    def test_a_disturbed_measurement_is_taken_but_not_kept(self, file):
        amounts = (5000 * 1.3**number for number in itertools.count())
        assert measured_speedup("speedup", CPU, lambda: (lambda: compute(int(next(amounts))), lambda: compute(1000))) > 1
        assert FIGURE.kept() is None

    @pytest.mark.parametrize(
        ("times", "steady"), [([1.0, 1.09, 9.0], True), ([9.0, 1.09, 5.0, 1.0], True), ([1.0, 1.2, 1.2], False)]
    )
    def test_it_is_steady_where_the_two_shortest_times_agree(self, times, steady):
        assert is_steady(times) is steady
