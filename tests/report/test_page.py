"""The page is in order: verdict first, headings, tables and charts that everyone can read, and nothing from elsewhere."""

import json
import re
import shutil
from itertools import pairwise

import pytest
from reported import Page

from surefit.artifacts import RunDirectory, read_json
from surefit.report.page import SECTIONS, figure_columns
from surefit.runs.report import report_run
from surefit.trace import Table


@pytest.fixture(scope="module")
def source(trained_run):
    return RunDirectory(trained_run.directory).report.read_text(encoding="utf-8")


@pytest.fixture
def copied_run(trained_run, tmp_path):
    return RunDirectory(shutil.copytree(trained_run.directory, tmp_path / trained_run.directory.name))


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def section(page, key):
    """The elements of a section, itself first."""
    (start,) = (place for place, element in enumerate(page.elements) if element.attributes.get("id") == key)
    depth = len(page.elements[start].inside)
    inside = [page.elements[start]]
    for element in page.elements[start + 1 :]:
        if len(element.inside) <= depth:
            break
        inside.append(element)
    return inside


def test_verdict_comes_first_with_a_word_a_sign_and_its_reasons(page, trained_run):
    first = section(page, SECTIONS[0].key)
    verdict = trained_run.metrics["verdict"]
    said = first[0].said
    assert SECTIONS[0].key == "verdict"
    assert [element.said for element in first if element.name == "strong"] == [verdict["grade"]]
    sign = {"good": "✓", "usable with care": "!", "not reliable": "✕"}[verdict["grade"]]
    assert [element.said for element in first if element.attributes.get("class") == "sign"] == [sign]
    for reason in verdict["reasons"]:
        assert reason in said


def test_each_section_has_a_heading_and_a_sentence_on_how_to_read_it(page):
    assert [element.attributes["id"] for element in page.named("section")] == [section.key for section in SECTIONS]
    for described in SECTIONS:
        elements = section(page, described.key)
        (heading,) = (element for element in elements if element.name == "h2")
        (lead,) = (element for element in elements if element.attributes.get("class") == "lead")
        assert (heading.said, lead.said) == (described.title, described.lead)


def test_headings_leave_no_level_out(page):
    levels = [int(element.name[1]) for element in page.named("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_links_lead_to_the_sections(page):
    ids = {element.attributes["id"] for element in page.elements if "id" in element.attributes}
    links = [element.attributes["href"] for element in page.named("a")]
    assert links == [f"#{section.key}" for section in SECTIONS[1:]]
    assert {link.removeprefix("#") for link in links} <= ids


def test_ids_are_unique_and_what_they_name_is_there(page):
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        assert set(element.attributes.get("aria-labelledby", "").split()) <= set(ids)
        for value in element.attributes.values():
            assert set(re.findall(r"url\(#([\w-]+)\)", value or "")) <= set(ids)


def test_every_table_has_a_name_and_headers_that_say_what_they_are_for(page):
    assert len(page.named("table")) >= 10
    named = len(page.named("caption")) + sum("aria-label" in table.attributes for table in page.named("table"))
    assert named == len(page.named("table"))
    for header in page.named("th"):
        assert header.attributes["scope"] == ("col" if "thead" in header.inside else "row")


def test_every_wide_box_can_be_scrolled_by_keyboard(page):
    boxes = [element for element in page.elements if element.attributes.get("class") == "scroll"]
    assert boxes
    assert all(element.attributes["tabindex"] == "0" for element in boxes)
    assert all("div" in table.inside for table in page.named("table"))


def test_every_chart_says_in_words_what_it_shows(page):
    charts = page.named("svg")
    assert len(charts) >= 6
    for chart in charts:
        assert chart.attributes["role"] == "img"
        title, description = chart.attributes["aria-labelledby"].split()
        for part in (title, description):
            (element,) = (element for element in page.elements if element.attributes.get("id") == part)
            assert len(element.said) > 10


def test_text_in_charts_is_text_in_the_fonts_and_colours_of_the_page(source):
    drawn = "".join(re.findall(r"<svg.*?</svg>", source, re.DOTALL))
    assert "precision</text>" in drawn
    assert "font-family" not in drawn
    assert not re.search(r"(stroke|fill): #", drawn)


def test_nothing_comes_from_elsewhere(source, page):
    assert not re.search(r"https?://|//\w|<script|@import|xmlns|<\?xml|<!ENTITY", source)
    assert not page.named("script", "link", "iframe", "object", "embed", "img", "form", "base")
    assert not [name for element in page.elements for name in element.attributes if name.startswith("on")]


def test_the_policy_allows_styles_and_nothing_else(page):
    (policy,) = (element for element in page.named("meta") if element.attributes.get("http-equiv") == "Content-Security-Policy")
    rules = policy.attributes["content"].split("; ")
    assert rules == ["default-src 'none'", "style-src 'unsafe-inline'", "base-uri 'none'", "form-action 'none'"]
    assert page.elements.index(policy) < page.elements.index(page.named("style")[0])


def test_figures_are_those_of_the_run(page, trained_run):
    test = trained_run.metrics["test"]
    figures = section(page, "figures")[0].said
    assert f"Accuracy {test['accuracy']:.1%} " in figures
    assert f"Macro F1 {test['macro']['f1']:.2f} " in figures
    assert f"Test rows {test['n']} " in figures
    cells = [element.said for element in section(page, "confusion") if element.name == "td"]
    expected = [str(count) for row in test["confusion_matrix"] for count in [*row, sum(row)]]
    assert cells == expected


def test_the_gap_says_on_how_many_rows_it_stands(page, trained_run):
    gap, validation = trained_run.metrics["overfitting"], trained_run.metrics["validation"]
    said = section(page, "learning")[0].said
    assert f", of {validation['n']} validation rows {gap['validation_accuracy']:.1%}: a gap of " in said


def test_a_word_among_figures_leaves_them_a_column_of_figures():
    table = Table("", ("class", "precision"), (("a", "0.91 (0.80 to 0.95)"), ("b", "never answered"), ("c", "<\u00a00.001")))
    assert figure_columns(table) == [False, True]


def test_bars_are_explained_whether_calibration_changed_something_or_not(copied_run):
    metrics = read_json(copied_run.metrics)
    for temperature in (1.0, 1.3):
        metrics["calibration"]["temperature"] = temperature
        copied_run.metrics.write_text(json.dumps(metrics), encoding="utf-8")
        said = section(Page(report_run(copied_run.path).read_text(encoding="utf-8")), "calibration")[0].said
        assert "A vertical bar is the range in which the true share lies in 95 of 100 cases." in said


def test_what_the_page_holds_of_data_and_settings(page, trained_run):
    facts = read_json(RunDirectory(trained_run.directory).settings)
    said = section(page, "fingerprints")[0].said
    for value in (facts["data"]["train"]["sha256"], facts["split_sha256"], facts["base_weights_sha256"], "seed"):
        assert value in said
    for number in facts["versions"].values():
        assert number in said


def test_the_three_traces_are_there(page, trained_run):
    said = section(page, "traces")[0].said
    for stage in trained_run.trace.pipeline.stages:
        assert stage.does in said
    for epoch in trained_run.trace.training.epochs:
        assert epoch.observation in said
    for layer in ("tokenisation", "input ids and mask", "encoder", "head", "prediction"):
        assert layer in said


# Text on ground: contrast of at least 4.5 (WCAG 2.2, success criterion 1.4.3).
GROUNDS = {"ink": ("page", "panel"), "muted": ("page", "panel"), "link": ("page", "panel")}
GROUNDS |= {grade: ("page", f"{grade}-back") for grade in ("good", "care", "bad")}
GROUNDS["ink"] += ("good-back", "care-back", "bad-back")


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(source, scheme):
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", re.findall(r":root \{(.*?)\}", source, re.DOTALL)[scheme]))
    tints = dict(re.findall(r"--(right|wrong): (\d+ \d+ \d+);", re.findall(r":root \{(.*?)\}", source, re.DOTALL)[scheme]))
    strongest = max(float(share) for share in re.findall(r"rgb\(var\(--tint\) / (\.\d+)\)", source))
    for text, grounds in GROUNDS.items():
        for ground in grounds:
            assert contrast(rgb(colours[text]), rgb(colours[ground])) >= 4.5, (text, ground)
    for tint in tints.values():
        shown = [
            strongest * int(part) + (1 - strongest) * below
            for part, below in zip(tint.split(), rgb(colours["page"]), strict=True)
        ]
        assert contrast(rgb(colours["ink"]), shown) >= 4.5


def rgb(colour):
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    """Relative luminance (WCAG 2.2)."""
    parts = [part / 255 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
