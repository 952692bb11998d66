"""Markup and script in texts, class names, columns and file names are shown as what they are: text."""

import re
import shutil
import subprocess

import pytest
from payloads import payloads
from reported import Page, run_with_other_texts

from learnable_rows import write_table
from surefit.runs.report import report_run
from surefit.runs.train import train

CLASSES = 20
# What could begin or end anything in HTML, CSS, a template or a formula becomes a letter; so do control characters.
HARMLESS = str.maketrans(dict.fromkeys("<>&\"'`{}$\\%#" + "".join(map(chr, [*range(9), *range(11, 32), 127, 8238])), "x"))
PAYLOADS = payloads()


def harmless(text):
    return text.translate(HARMLESS)


def in_a_name(payload):
    """A payload as a file name, which has no slash, or as a cell of one line."""
    return re.sub(r"[/\x00-\x1f\u202e]", "", payload)


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory, tiny_bert):
    """A run whose file, columns and classes are called by payloads, and whose texts hold all 200 twice."""
    directory = tmp_path_factory.mktemp("hostile")
    names = [in_a_name(payload) for payload in PAYLOADS[:CLASSES]]
    columns = tuple(in_a_name(payload) for payload in PAYLOADS[20:22])
    rows = [
        (f"{payload} word{time} of class", names[place % CLASSES]) for place, payload in enumerate(PAYLOADS) for time in (1, 2)
    ]
    data = write_table(directory / f"{in_a_name(PAYLOADS[1])}.csv", columns, rows)
    options = {"text": columns[0], "label": columns[1], "model": tiny_bert, "epochs": 1, "precision": "fp32", "threads": 1}
    return train(data, directory / in_a_name(PAYLOADS[15]), **options).directory


@pytest.fixture(scope="module")
def expected(hostile_run, tmp_path_factory):
    """The report of the same run with harmless words."""
    twin = run_with_other_texts(hostile_run, tmp_path_factory.mktemp("twin") / "run", harmless)
    return report_run(twin)


def elements_of(path):
    return Page(path.read_text(encoding="utf-8")).counted()


def test_there_are_two_hundred():
    assert len(PAYLOADS) == len(set(PAYLOADS)) == 200
    assert sum("<" in payload for payload in PAYLOADS) > 100


def test_payloads_add_no_element_to_a_report(hostile_run, expected):
    page = (hostile_run / "report.html").read_text(encoding="utf-8")
    assert elements_of(hostile_run / "report.html") == elements_of(expected)
    said = Page(page).named("body")[0].said
    assert sum(" ".join(in_a_name(payload).split()) in said for payload in PAYLOADS) > CLASSES


@pytest.mark.parametrize("first", range(CLASSES, 200, CLASSES))
def test_each_of_them_may_be_the_name_of_a_class_a_column_or_a_file(hostile_run, expected, first, tmp_path):
    old = [in_a_name(payload) for payload in PAYLOADS[: CLASSES + 2]]
    new = [f"{payload}\n\x00{payload}" for payload in [*PAYLOADS[first : first + CLASSES], *PAYLOADS[:2]]]
    swaps = dict(zip(old, new, strict=True))
    names = re.compile("|".join(re.escape(name) for name in sorted(old, key=len, reverse=True)))
    run = run_with_other_texts(hostile_run, tmp_path / "run", lambda text: names.sub(lambda found: swaps[found[0]], text))
    report = report_run(run)
    assert elements_of(report) == elements_of(expected)
    assert not {"\x00", "\u202e"} & set(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize("what", [r"<script", r"https?://(?!evil\.test)", r"<[^>]*\son\w+=", r"url\((?!#)", "\x00", "\u202e"])
def test_what_no_report_has(hostile_run, what):
    page = (hostile_run / "report.html").read_text(encoding="utf-8")
    assert not re.search(what, page, re.IGNORECASE)


def test_addresses_stand_in_texts_only(hostile_run):
    for element in Page((hostile_run / "report.html").read_text(encoding="utf-8")).elements:
        for name, value in element.attributes.items():
            assert name not in ("src", "srcset", "action", "style") or "//" not in value
            assert name != "href" or value.startswith("#")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")
def test_a_browser_finds_the_same_elements(hostile_run, expected, tmp_path):
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync --no-first-run --dump-dom"
    found = []
    for path in (hostile_run / "report.html", expected):
        shutil.copy(path, tmp_path / "report.html")
        command = ["chromium", *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "report.html").as_uri()]
        dom = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
        assert len(dom) > 50_000
        found.append(Page(dom.partition(">")[2]).counted())
    assert found[0] == found[1]
