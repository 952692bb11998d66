"""Reports taken apart, and runs whose texts are others."""

import csv
import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

from surefit.artifacts import RunDirectory
from surefit.evaluation.cartography import REGIONS

VOID = {"meta", "link", "br", "img", "input", "hr", "base", "embed"}


@dataclass
class Element:
    name: str
    attributes: dict
    inside: tuple
    text: list = field(default_factory=list)

    @property
    def said(self):
        return " ".join("".join(self.text).split())


class Page(HTMLParser):
    """The elements of a page in their order, each with its text and the names of those around it."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements, self._open = [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), tuple(open_.name for open_ in self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, dict(attrs), tuple(open_.name for open_ in self._open)))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop().name == tag

    def handle_data(self, data):
        for element in self._open:
            element.text.append(data)

    def named(self, *names):
        return [element for element in self.elements if element.name in names]

    def counted(self):
        """How often there is an element with these attributes."""
        return Counter((element.name, *sorted(element.attributes)) for element in self.elements)


def run_with_other_texts(run, directory, change):
    """A copy of a run of which every text, class name and column name is another, and every figure the same."""
    copy = RunDirectory(directory)
    shutil.copytree(run, directory, ignore=shutil.ignore_patterns("checkpoints", "model", "report.html"))
    for path in directory.glob("*.json"):
        path.write_text(json.dumps(_changed(json.loads(path.read_text(encoding="utf-8")), change)), encoding="utf-8")
    for path in (copy.label_issues, copy.mistakes, copy.training_examples):
        lines = [
            [cell if cell in ("region", *REGIONS) else change(cell) for cell in row]
            for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        ]
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)
    return directory


def _changed(value, change):
    if isinstance(value, dict):
        return {change(name): _changed(entry, change) for name, entry in value.items()}
    if isinstance(value, list):
        return [_changed(entry, change) for entry in value]
    return change(value) if isinstance(value, str) else value
