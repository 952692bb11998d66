"""`surefit trace`: five layers of one prediction."""

from surefit_command import assert_refused, run_here

LAYERS = ["tokenisation", "input ids and mask", "encoder", "head", "prediction"]


def test_json_has_the_five_layers_and_the_prediction_of_predict(trained_run):
    outcome = run_here("trace", trained_run.directory, "a great film", "--json", "--precision", "fp32")
    trace = outcome.json()
    assert outcome.err == ""
    assert [layer["layer"] for layer in trace["layers"]] == LAYERS
    predicted = run_here("predict", trained_run.directory, "a great film", "--json", "--precision", "fp32")
    said = predicted.json()["predictions"][0]
    assert (trace["label"], round(trace["score"], 6)) == (said["label"], round(said["probability"], 6))


def test_tables_show_tokens_and_label(trained_run):
    outcome = run_here("trace", trained_run.directory, "a great film")
    assert outcome.status == 0
    assert outcome.err == ""
    for number, layer in enumerate(LAYERS, 1):
        assert f"{number}. {layer}" in outcome.out
    assert "[CLS] a great film [SEP]" in outcome.out
    assert "<- label" in outcome.out


def test_markup_and_escapes_are_shown_as_text(trained_run):
    outcome = run_here("trace", trained_run.directory, "a [bold]great[/] \x1b[31mfilm [/nothing]")
    assert outcome.status == 0
    assert "a [bold]great[/] [31mfilm [/nothing]" in outcome.out
    assert "\x1b" not in outcome.out


def test_narrow_terminal(trained_run):
    outcome = run_here("trace", trained_run.directory, "a great film " * 20, environment={"COLUMNS": "40"})
    assert outcome.status == 0
    assert max(map(len, outcome.out.splitlines())) <= 40


def test_nothing_to_trace_is_refused(trained_run):
    assert_refused(run_here("trace", trained_run.directory, " \u200b "), "empty")


def test_a_second_text_for_a_model_of_single_texts_is_refused(trained_run):
    assert_refused(run_here("trace", trained_run.directory, "a film", "--text-pair", "a story"), "single texts")
