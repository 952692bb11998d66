"""Files of a run: written whole or not at all, harmless in spreadsheets, read with sentences."""

import hashlib
from pathlib import Path

import pytest

from surefit.artifacts import (
    SCHEMA_VERSION,
    RunDirectory,
    atomic_directory,
    atomic_writer,
    model_directory,
    output_file,
    read_json,
    read_own_json,
    remove,
    require_other_file,
    sha256_of,
    write_json,
)
from surefit.errors import RunError, UsageError


def names_in(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_run_knows_all_its_entries():
    run = RunDirectory(Path("run"))
    own = {name for name, value in vars(RunDirectory).items() if isinstance(value, property)} - {"entries"}
    assert sorted(run.entries) == sorted(getattr(run, name) for name in own)


def test_the_file_that_marks_a_run_is_its_last_entry():
    run = RunDirectory(Path("run"))
    assert run.entries[-1] == run.settings == Path("run/settings.json")


def test_what_is_not_complete_yet_is_known_by_its_name(tmp_path):
    run = RunDirectory(tmp_path)
    with atomic_writer(run.settings):
        assert run.unfinished() == list(tmp_path.iterdir())
    with atomic_directory(run.model) as model:
        assert run.unfinished() == [model]
    assert run.unfinished() == []


@pytest.mark.parametrize(
    "name",
    [".settings.json.swp", "settings.json.0123abcd.tmp", ".notes.txt.0123abcd.tmp", ".settings.json.0123.tmp", "settings.json"],
)
def test_what_others_have_put_there_is_not_taken_for_unfinished(tmp_path, name):
    (tmp_path / name).touch()
    assert RunDirectory(tmp_path).unfinished() == []


def test_model_directory_is_that_of_a_run_or_itself(tmp_path):
    assert model_directory(tmp_path) == tmp_path
    (tmp_path / "model").mkdir()
    assert model_directory(tmp_path) == tmp_path / "model"


def test_text_is_written_as_utf8_with_its_own_newlines(tmp_path):
    with atomic_writer(tmp_path / "new" / "file.txt") as file:
        file.write("é\r\n\n")
    assert (tmp_path / "new" / "file.txt").read_bytes() == b"\xc3\xa9\r\n\n"


def test_bytes_are_written_as_they_are(tmp_path):
    with atomic_writer(tmp_path / "file", binary=True) as file:
        file.write(b"\r\n\xff")
    assert (tmp_path / "file").read_bytes() == b"\r\n\xff"


def fail_while_writing(path):
    with atomic_writer(path) as file:
        file.write("half")
        raise KeyboardInterrupt


def test_a_stop_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fail_while_writing(tmp_path / "file")
    assert (names_in(tmp_path), (tmp_path / "file").read_text()) == (["file"], "old")


def test_directories_that_were_made_for_a_file_go_where_it_does_not_come(tmp_path):
    (tmp_path / "old").mkdir()
    with pytest.raises(KeyboardInterrupt):
        fail_while_writing(tmp_path / "old" / "new" / "newer" / "file")
    assert names_in(tmp_path) == ["old"]
    assert names_in(tmp_path / "old") == []


def test_a_directory_that_has_got_something_else_meanwhile_stays(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_writer(tmp_path / "new" / "newer" / "file"):
        (tmp_path / "new" / "newer").rename(tmp_path / "new" / "other")
    assert names_in(tmp_path / "new") == ["other"]


def test_a_file_has_its_name_only_once_it_is_complete(tmp_path):
    with atomic_writer(tmp_path / "file") as file:
        file.write("new")
        assert not (tmp_path / "file").exists()
    assert names_in(tmp_path) == ["file"]


def write_directory(path, *, stop=False):
    with atomic_directory(path) as directory:
        (directory / "new").write_text("new")
        if stop:
            raise KeyboardInterrupt


def test_a_directory_replaces_the_one_before_as_a_whole(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    write_directory(tmp_path / "model")
    assert (names_in(tmp_path), names_in(tmp_path / "model")) == (["model"], ["new"])


def test_a_stop_while_writing_leaves_the_old_directory_and_nothing_else(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    with pytest.raises(KeyboardInterrupt):
        write_directory(tmp_path / "model", stop=True)
    assert (names_in(tmp_path), names_in(tmp_path / "model")) == (["model"], ["old"])


def test_removing_follows_no_link_and_takes_whatever_is_there(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "kept", target_is_directory=True)
    (tmp_path / "file").touch()
    for name in ("directory", "link", "file", "nothing"):
        remove(tmp_path / name)
    assert names_in(tmp_path) == ["kept"]
    assert names_in(tmp_path / "kept") == ["file"]


def test_json_starts_with_the_schema_version(tmp_path):
    write_json(tmp_path / "file.json", {"name": "Zoë", "share": 0.1})
    assert (tmp_path / "file.json").read_text(encoding="utf-8").startswith('{\n  "schema_version": 1,\n')
    assert read_json(tmp_path / "file.json") == {"schema_version": SCHEMA_VERSION, "name": "Zoë", "share": 0.1}


def test_json_without_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"loss": float("nan")})
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\xff\xfe", b"null", b'{"a": ' + b"1" * 5000 + b"}", b'{"a": ' + b"[" * 100_000],
    ids=["empty", "cut", "list", "not-utf8", "null", "long-number", "deep"],
)
def test_damaged_json_is_a_sentence(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(RunError) as refused:
        read_json(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_missing_json_is_a_sentence(tmp_path):
    with pytest.raises(RunError, match="is missing"):
        read_json(tmp_path / "file.json")
    with pytest.raises(RunError, match="cannot be read as JSON"):
        read_json(tmp_path)


def test_a_file_of_surefit_s_own_is_read_with_its_schema_version(tmp_path):
    write_json(tmp_path / "file.json", {"share": 0.1})
    assert read_own_json(tmp_path / "file.json", "do it again") == {"schema_version": SCHEMA_VERSION, "share": 0.1}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "cannot be read as JSON"),
        ("{}", "has no schema_version that this SureFit reads"),
        ('{"schema_version": true}', "has no schema_version that this SureFit reads"),
        ('{"schema_version": "a text"}', "has no schema_version that this SureFit reads"),
        ('{"schema_version": 0}', "has no schema_version that this SureFit reads"),
        ('{"schema_version": 1, "loss": NaN}', "a number or a character that no file of SureFit has"),
        ('{"schema_version": 1, "loss": [1e400]}', "a number or a character that no file of SureFit has"),
        ('{"schema_version": 1, "name": "\\ud800"}', "a number or a character that no file of SureFit has"),
    ],
)
def test_what_surefit_would_not_have_written_is_damaged(tmp_path, content, sentence):
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(RunError) as refused:
        read_own_json(path, "do it again")
    said = str(refused.value)
    assert said.startswith(str(path))
    assert said.endswith("; do it again")
    assert sentence in said
    assert "a text" not in said


def test_a_file_of_a_newer_surefit_is_said_to_be_one(tmp_path):
    write_json(tmp_path / "file.json", {"schema_version": SCHEMA_VERSION + 1})
    with pytest.raises(RunError, match=r"file\.json was made by a newer SureFit .*; update SureFit$"):
        read_own_json(tmp_path / "file.json", "do it again")


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"\x00bytes")
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"\x00bytes").hexdigest()


def test_the_file_that_is_read_is_not_written(tmp_path):
    require_other_file(tmp_path / "a.csv", tmp_path / "b.csv")
    with pytest.raises(UsageError, match="is the file that is read"):
        require_other_file(tmp_path / "x" / ".." / "a.csv", tmp_path / "a.csv")


def test_an_error_names_the_file_that_was_asked_for(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied", str(arguments[0]))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PermissionError) as caught, atomic_writer(tmp_path / "out.csv"):
        pass
    assert caught.value.filename == str(tmp_path / "out.csv")


def test_a_file_where_the_directory_should_be_is_named(tmp_path):
    (tmp_path / "base.csv").touch()
    with (
        pytest.raises(UsageError, match=r"base\.csv is a file, not a directory"),
        atomic_writer(tmp_path / "base.csv" / "x.csv"),
    ):
        pass


def test_a_name_from_a_user_stands_for_what_its_links_lead_to(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("second")
    (tmp_path / "second").symlink_to(tmp_path / "there" / "file")
    assert output_file(tmp_path / "link") == tmp_path / "there" / "file"
    assert output_file(tmp_path / "new" / "file") == tmp_path / "new" / "file"
