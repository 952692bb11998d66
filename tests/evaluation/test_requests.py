import pytest

from surefit.errors import UsageError
from surefit.evaluation.requests import DecisionRequest
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema

SCHEMA = LabelSchema(SINGLE_LABEL, ("ham", "spam"))
COSTS = ((0.0, 1.0), (5.0, 0.0))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"min_precision": 1.0}, "--min-precision must be over 0 and under 1, got 1"),
        ({"min_precision": 0.0}, "--min-precision must be over 0"),
        ({"min_precision": float("nan")}, "--min-precision must be over 0"),
        ({"positive": "spam", "min_recall": 1.5}, "--min-recall must be over 0"),
        ({"max_error": 0.0}, "--max-error must be over 0"),
        ({"min_recall": 0.9}, "--min-recall is for one class; name it with --positive"),
        ({"positive": "spam"}, "--positive needs --min-precision, --min-recall or --best-f1"),
        ({"positive": "spam", "max_error": 0.1}, "--positive needs"),
        ({"positive": "spam", "best_f1": True, "min_recall": 0.9}, "--best-f1 goes with neither"),
        ({"best_f1": True, "min_precision": 0.9}, "--best-f1 goes with neither"),
        ({"costs": COSTS, "best_f1": True}, "--costs decide by themselves"),
        ({"max_error": 0.1, "min_precision": 0.9}, "both say when to abstain"),
        ({"costs": ((0.0, 1.0), (1.0,))}, "--costs must have as many columns as rows"),
        ({"costs": ((0.0, float("inf")), (1.0, 0.0))}, "--costs must be finite numbers; row 1"),
        ({"costs": ((0.0, 1.0), (1.0, 2.0))}, "--costs: in row 2 a wrong answer costs less"),
    ],
)
def test_what_cannot_be_asked_for_is_a_sentence(asked, sentence):
    with pytest.raises(UsageError, match=sentence):
        DecisionRequest(**asked)


@pytest.mark.parametrize(
    ("asked", "schema", "sentence"),
    [
        ({"positive": "spma", "best_f1": True}, SCHEMA, "--positive 'spma' is none of the classes: 'ham', 'spam'$"),
        ({"costs": ((0.0,),)}, SCHEMA, "for each of the 2 classes, got 1"),
        ({"max_error": 0.1}, LabelSchema(MULTI_LABEL, ("a", "b")), "exactly one class only"),
        (
            {"positive": "x", "best_f1": True},
            LabelSchema(SINGLE_LABEL, tuple(f"c{number}" for number in range(30))),
            "'c9' and 20 more$",
        ),
    ],
)
def test_a_request_for_other_classes_is_a_sentence(asked, schema, sentence):
    with pytest.raises(UsageError, match=sentence):
        DecisionRequest(**asked).require_fit(schema)


def test_wishes_that_go_together_are_taken():
    DecisionRequest(positive="spam", min_precision=0.9, min_recall=0.5, max_error=0.1).require_fit(SCHEMA)
    DecisionRequest(costs=COSTS, max_error=0.1).require_fit(SCHEMA)
    DecisionRequest().require_fit(LabelSchema(MULTI_LABEL, ("a", "b")))
