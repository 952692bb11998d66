"""What the settings of a run ask of its decision rule."""

from __future__ import annotations

import unicodedata

import pytest

from surefit.config import DecisionSettings
from surefit.errors import UsageError
from surefit.runs.rules import request_of
from surefit.types import SINGLE_LABEL, LabelSchema

SCHEMA = LabelSchema(SINGLE_LABEL, ("café", "müll"))


@pytest.mark.parametrize("given", ["café", unicodedata.normalize("NFD", "café"), " café "])
def test_the_positive_class_is_named_by_the_rule_that_class_names_are_read_by(given):
    assert request_of(DecisionSettings(positive=given, best_f1=True), SCHEMA).positive == "café"


def test_a_class_that_there_is_not_is_refused():
    with pytest.raises(UsageError, match="--positive 'cafe' is none of the classes: 'café', 'müll'"):
        request_of(DecisionSettings(positive="cafe", best_f1=True), SCHEMA)


def test_a_table_of_costs_is_read_once_the_classes_are_known(tmp_path):
    table = tmp_path / "costs.csv"
    settings = DecisionSettings(costs=str(table))
    assert request_of(settings).costs == ()
    table.write_text("truth,müll,café\nmüll,0,5\ncafé,1,0\n", encoding="utf-8")
    assert request_of(settings, SCHEMA).costs == ((0.0, 1.0), (5.0, 0.0))
