"""The account of the texts that a run has seen, and what a run that trains on from it makes of it."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pytest

from learnable_rows import LEARNING, learnable_rows, read_table, write_table
from surefit.artifacts import RunDirectory, read_json, sha256_of, write_json
from surefit.errors import DataError, Interrupted, RunError
from surefit.model.saved import FACTS
from surefit.progress import Progress
from surefit.runs.evaluate import evaluate_file
from surefit.runs.leaks import LEARNED_UNKNOWN
from surefit.runs.seen import NEVER, SeenTexts, read_seen, write_seen
from surefit.runs.tables import evaluation_tables
from surefit.runs.train import train
from surefit.types import LABELS_TYPE, TEXT_TYPE, Examples

TRAIN, VALIDATION, TEST = 0, 1, 2
QUICK = LEARNING | {"epochs": 1}
EXACT = {"precision": "fp32", "threads": 1}
COLUMNS = ("text", "label")


def rows_of(*texts, pairs=None):
    numbers = np.arange(len(texts))
    return Examples(
        ids=pa.array([str(number) for number in numbers], TEXT_TYPE),
        texts=pa.array(texts, TEXT_TYPE),
        text_pairs=None if pairs is None else pa.array(pairs, TEXT_TYPE),
        labels=pa.array([["x"]] * len(texts), LABELS_TYPE),
        records=numbers,
        lines=numbers,
    )


def account(tmp_path, earlier=None, name="run", **splits):
    run = RunDirectory(tmp_path / name)
    run.model.mkdir(parents=True)
    parts = {name: rows_of(*splits.get(name, ())) for name in ("train", "validation", "test")}
    write_seen(run, parts, earlier)
    vouch(run)
    return run


def vouch(run):
    """Writes what the model says of the account, as at the end of a run."""
    write_json(run.model / FACTS, {"seen_texts_sha256": sha256_of(run.seen_texts)})


class TestAccount:
    def test_each_text_is_found_in_the_split_that_it_was_in(self, tmp_path):
        run = account(tmp_path, train=("a", "b", "a"), validation=("c",), test=("d", "é"))
        seen = read_seen(run.path)
        found = seen.split_of(rows_of("d", "a", "new", "c", "é", "b", ""))
        assert found.tolist() == [TEST, TRAIN, NEVER, VALIDATION, TEST, TRAIN, NEVER]
        assert seen.complete

    def test_a_text_of_two_splits_counts_for_the_one_that_was_learned_from(self, tmp_path):
        seen = read_seen(account(tmp_path, train=("a",), validation=("a", "b"), test=("a", "b")).path)
        assert seen.split_of(rows_of("a", "b")).tolist() == [TRAIN, VALIDATION]

    def test_rows_learned_from_are_those_of_training_and_validation(self, tmp_path):
        seen = read_seen(account(tmp_path, train=("a",), validation=("b",), test=("c",)).path)
        rows = rows_of("a", "b", "c", "d", "a")
        assert (seen.learned_from(rows).sum(), seen.learned_from(rows, validation=False).sum()) == (3, 2)

    def test_a_pair_is_another_text_than_its_halves(self, tmp_path):
        run = account(tmp_path)
        nothing = rows_of(pairs=())
        write_seen(run, {"train": rows_of("a b", pairs=("c",)), "validation": nothing, "test": nothing}, None)
        vouch(run)
        seen = read_seen(run.path)
        assert seen.split_of(rows_of("a b", "a", "a b", pairs=("c", "b c", "d"))).tolist() == [TRAIN, NEVER, NEVER]
        assert seen.split_of(rows_of("a b", "a b c")).tolist() == [NEVER, NEVER]

    def test_the_runs_before_are_in_it(self, tmp_path):
        first = read_seen(account(tmp_path, name="first", train=("a",), test=("b", "c")).path)
        second = read_seen(account(tmp_path, first, name="second", train=("b",), test=("d",)).path)
        assert second.split_of(rows_of("a", "b", "c", "d")).tolist() == [TRAIN, TRAIN, TEST, TEST]
        assert second.complete

    def test_what_follows_an_unknown_run_is_not_complete(self, tmp_path):
        unknown = read_seen(tmp_path / "nowhere")
        after = read_seen(account(tmp_path, unknown, train=("a",)).path)
        assert (unknown.complete, after.complete) == (False, False)
        assert unknown.split_of(rows_of("a", "")).tolist() == [NEVER, NEVER]
        assert after.split_of(rows_of("a")).tolist() == [TRAIN]

    @pytest.mark.parametrize("damage", [b"", b"{}", bytes(100), "cut", "unsorted"])
    def test_a_damaged_account_is_none(self, tmp_path, damage):
        run = account(tmp_path, train=("a", "b", "c"))
        if damage == "cut":
            run.seen_texts.write_bytes(run.seen_texts.read_bytes()[:-9])
        elif damage == "unsorted":
            seen = read_seen(run.path)
            turned = SeenTexts(seen.hashes[::-1].copy(), seen.splits, complete=True)
            nothing = {name: rows_of() for name in ("train", "validation", "test")}
            original, SeenTexts.of = SeenTexts.of, lambda parts, complete: turned
            try:
                write_seen(run, nothing, None)
            finally:
                SeenTexts.of = original
        else:
            run.seen_texts.write_bytes(damage)
        vouch(run)
        assert not read_seen(run.path).complete
        assert read_seen(run.path).split_of(rows_of("a")).tolist() == [NEVER]

    def test_the_account_of_another_run_is_none(self, tmp_path):
        run, other = account(tmp_path, train=("a",)), account(tmp_path, name="other", train=("a", "b"))
        shutil.copy(other.seen_texts, run.seen_texts)
        assert not read_seen(run.path).complete
        assert read_seen(run.path).split_of(rows_of("a")).tolist() == [NEVER]

    def test_it_holds_no_text(self, trained_run, learnable_csv):
        content = RunDirectory(trained_run.directory).seen_texts.read_bytes()
        assert not any(row["text"].encode() in content for row in read_table(learnable_csv) if row["text"])


class TestEvaluation:
    def test_rows_that_the_model_has_learned_from_are_counted(self, trained_run, learnable_csv):
        notes = []

        class Notes(Progress):
            def note(self, sentence):
                notes.append(sentence)

        found = evaluate_file(trained_run.directory, learnable_csv, {"id": "id"}, EXACT, Notes())
        splits = [row["split"] for row in read_table(RunDirectory(trained_run.directory).splits)]
        assert found["leaks"] == {"exact": len(splits) - splits.count("test")}
        assert notes[:-1] == [f"WARNING: the model has learned from {found['leaks']['exact']} of these rows"]
        assert notes[-1].startswith("computed in fp32 ")

    def test_a_text_is_noticed_whatever_its_spaces_and_invisible_characters(self, trained_run, learnable_csv, tmp_path):
        trained = next(row for row in read_table(RunDirectory(trained_run.directory).splits) if row["split"] == "train")
        text = next(row["text"] for row in read_table(learnable_csv) if row["id"] == trained["id"])
        data = write_table(tmp_path / "new.csv", COLUMNS, [("\u200b  " + text.replace(" ", "  "), "good"), ("is new", "bad")])
        assert evaluate_file(trained_run.directory, data, {}, EXACT, Progress())["leaks"] == {"exact": 1}

    def test_new_rows_are_none(self, trained_run, tmp_path):
        data = write_table(tmp_path / "new.csv", COLUMNS, [("a wholly new film", "good"), ("sad and new", "bad")])
        assert evaluate_file(trained_run.directory, data, {}, EXACT, Progress())["leaks"] == {"exact": 0}

    def test_of_a_model_that_was_copied_out_of_its_run_nothing_is_known(self, trained_run, learnable_csv, tmp_path):
        model = shutil.copytree(trained_run.directory / "model", tmp_path / "copy" / "model")
        assert evaluate_file(model, learnable_csv, {}, EXACT, Progress())["leaks"] == {"exact": None}


@pytest.fixture(scope="module")
def first(tiny_bert, tmp_path_factory):
    """A run on 80 rows, its texts all different."""
    directory = tmp_path_factory.mktemp("first")
    data = write_table(directory / "rows.csv", COLUMNS, distinct_rows(80))
    return train(data, directory / "run", model=tiny_bert, **QUICK)


def distinct_rows(n, seed=0):
    return [(f"{text} {number} {seed}", label) for number, (text, label) in enumerate(learnable_rows(n))]


def split_by_text(trained, rows):
    """The split of each row that stands in one file."""
    return {rows[int(row["id"]) - 1][0]: row["split"] for row in read_table(RunDirectory(trained.directory).splits)}


class TestTrainingOn:
    def test_the_split_of_the_run_before_is_kept_whatever_the_seed(self, first, tmp_path):
        rows = distinct_rows(80)
        data = write_table(tmp_path / "other name.csv", COLUMNS, list(reversed(rows)))
        on = train(data, tmp_path / "run", model=first.directory, seed=5, **QUICK)
        assert split_by_text(on, list(reversed(rows))) == split_by_text(first, rows)
        assert on.metrics["leaks"] == {"exact": 0, "near": 0, "group": 0, "earlier_run": 0}
        assert "that the model never saw" in evaluation_tables(on.metrics)[0].title
        (split,) = (stage for stage in on.trace.pipeline.stages if stage.stage == "split")
        assert "80 rows stay in the split that the earlier run had them in" in split.notes

    def test_new_rows_are_dealt_and_old_ones_stay(self, first, tmp_path):
        old, new = distinct_rows(80), distinct_rows(60, seed=1)
        data = write_table(tmp_path / "grown.csv", COLUMNS, old + new)
        on = train(data, tmp_path / "run", model=first.directory, **QUICK)
        after = split_by_text(on, old + new)
        assert {text: after[text] for text, _ in old} == split_by_text(first, old)
        assert {after[text] for text, _ in new} == {"train", "validation", "test"}
        assert on.metrics["leaks"]["earlier_run"] == 0

    def test_a_test_file_that_the_run_before_learned_from_is_counted(self, first, tmp_path):
        old, new = distinct_rows(80), distinct_rows(60, seed=1)
        before = split_by_text(first, old)
        learned = [row for row in old if before[row[0]] != "test"][:7]
        tested = [row for row in old if before[row[0]] == "test"][:2]
        data = write_table(tmp_path / "new.csv", COLUMNS, new)
        test = write_table(tmp_path / "test.csv", COLUMNS, learned + tested + [("never read before", "good")])
        on = train(data, tmp_path / "run", test=test, model=first.directory, **QUICK)
        assert (on.metrics["leaks"]["exact"], on.metrics["leaks"]["earlier_run"]) == (0, 7)
        for said in (evaluation_tables(on.metrics)[0].title, RunDirectory(on.directory).model_card.read_text()):
            assert "7 validation or test rows repeat a text that the earlier run learned from" in said
            assert "never saw" not in said
        listed = [row for row in read_table(RunDirectory(on.directory).leaks) if row["split"] == "test"]
        assert {row["kind"] for row in listed} == {"earlier_run", "near"}
        assert {f"{number}" for number in range(1, 8)} <= {row["id"] for row in listed}
        (finding,) = (one for one in read_json(RunDirectory(on.directory).audit)["findings"] if one["kind"] == "leaks")
        assert finding["rows"] == len(read_table(RunDirectory(on.directory).leaks))
        assert on.metrics["test_without_leaks"]["n"] == 10 - len(listed)
        for baseline in on.metrics["baselines"].values():
            assert (baseline["comparison"]["n"], baseline["comparison_without_leaks"]["n"]) == (10, 10 - len(listed))
        assert f"{len(listed)} of 10 test rows repeat rows that were learned from" in " ".join(on.metrics["verdict"]["reasons"])

    def test_without_an_account_nothing_is_promised(self, first, tmp_path):
        copied = shutil.copytree(first.directory / "model", tmp_path / "copied")
        data = write_table(tmp_path / "rows.csv", COLUMNS, distinct_rows(80))
        on = train(data, tmp_path / "run", model=copied, **QUICK)
        assert on.metrics["leaks"] == {"exact": 0, "near": 0, "group": 0, "earlier_run": None}
        assert LEARNED_UNKNOWN in evaluation_tables(on.metrics)[0].title
        assert read_json(RunDirectory(on.directory).metrics)["leaks"]["earlier_run"] is None

    def test_rows_that_were_all_learned_from_leave_nothing_to_test_on(self, first, tmp_path):
        rows = distinct_rows(80)
        before = split_by_text(first, rows)
        data = write_table(tmp_path / "rows.csv", COLUMNS, [row for row in rows if before[row[0]] == "train"])
        with pytest.raises(DataError, match=r"has learned from all rows of rows\.csv; give a --validation file"):
            train(data, tmp_path / "run", model=first.directory, **QUICK)
        assert not (tmp_path / "run").exists()

    def test_a_run_is_not_gone_on_with_where_its_rows_would_be_split_otherwise(self, first, tmp_path):
        class Stops(Progress):
            def begin(self, what, total):
                if what == "evaluate":
                    raise KeyboardInterrupt

        before = shutil.copytree(first.directory, tmp_path / "before")
        data = write_table(tmp_path / "rows.csv", COLUMNS, distinct_rows(80))
        with pytest.raises(Interrupted):
            train(data, tmp_path / "run", model=before, seed=5, progress=Stops(), **QUICK)
        splits = RunDirectory(tmp_path / "run").splits.read_text()
        RunDirectory(before).seen_texts.unlink()
        with pytest.raises(RunError, match=r"would be split otherwise than when the run .* began"):
            train(data, tmp_path / "run", resume=True)
        assert RunDirectory(tmp_path / "run").splits.read_text() == splits

    def test_the_columns_of_the_run_before_are_preferred(self, tiny_bert, tmp_path):
        rows = [("noise", text, label, "noise") for text, label in distinct_rows(60)]
        data = write_table(tmp_path / "rows.csv", ("text", "words", "mood", "label"), rows)
        before = train(data, tmp_path / "before", model=tiny_bert, text="words", label="mood", **QUICK)
        on = train(data, tmp_path / "on", model=before.directory, **QUICK)
        assert read_json(RunDirectory(on.directory).settings)["columns"] == {"text": "words", "label": "mood"}
