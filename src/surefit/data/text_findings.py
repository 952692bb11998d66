"""What an audit finds in the texts: markup, damage, other scripts and languages, boilerplate, labels, personal data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from surefit.data import text_checks
from surefit.data.findings import Finding, found_in
from surefit.data.languages import languages_of
from surefit.data.personal import KINDS, rows_with_personal_data
from surefit.types import Examples

# A class name gives the label away where it stands in its own rows so many times as often as in others.
_GIVES_AWAY = 10
_LEAST_NAMED = 5
_MOST_OTHERS = 20_000
_LONG_WORDS = 350  # about what a BERT reads of a text, 512 tokens
_LEAST_FRAMED = 10
_FRAMED_SHARE = 0.01
_CLASSES_NAMED = 5


def text_findings(examples: Examples, raw: Examples, columns: Mapping[str, str]) -> Iterator[Finding]:
    """What is found in the texts.

    Args:
        examples: cleaned, labelled rows, at least one.
        raw: the same rows as they stand in the file, and perhaps others that were left out.
        columns: role (text, label, ...) -> name of its column.
    """
    words = text_checks.words_of(examples)
    one_word = words <= (1 if examples.text_pairs is None else 2)
    sentence = "texts are a single word"
    yield from found_in(examples, "one word", one_word, sentence, "look whether a reader could tell their class")
    sentence = f"texts have more than {_LONG_WORDS} words"
    advice = "what stands beyond --max-length is not read: put first what matters"
    yield from found_in(examples, "long texts", words > _LONG_WORDS, sentence, advice)
    sentence = "texts hold markup: tags or character references of HTML, BBCode or Markdown"
    yield from found_in(examples, "markup", text_checks.with_markup(examples), sentence, "strip the markup before training")
    sentence = "rows repeat the header line of a file"
    header_lines = text_checks.like_the_header(examples, columns)
    yield from found_in(examples, "header lines", header_lines, sentence, "remove them: files were joined with their headers")
    sentence = "texts were read with a wrong encoding somewhere on their way"
    advice = "export them again as UTF-8, or repair them with ftfy"
    damaged = text_checks.damaged(raw)[np.isin(raw.records, examples.records)]
    yield from found_in(examples, "damaged characters", damaged, sentence, advice)
    yield from _boilerplate_findings(examples)
    yield from _language_findings(examples)
    yield from _label_findings(examples)
    for kind, rows in zip(KINDS, rows_with_personal_data(examples), strict=True):
        advice = "make sure that you may use them, or mask them before: reports of a run show texts"
        title = f"personal data: {kind.plural}"
        yield from found_in(examples, title, rows, f"texts hold {kind.plural}", advice, "personal data")


def _boilerplate_findings(examples: Examples) -> Iterator[Finding]:
    least = max(_LEAST_FRAMED, round(_FRAMED_SHARE * len(examples)))
    for where, rows in text_checks.framed(examples, least):
        sentence = f"texts share their {where} with many others and differ in the rest"
        advice = "look whether it is a template or signature that says nothing of the class, and remove it"
        yield from found_in(examples, "boilerplate", rows, sentence, advice)


def _language_findings(examples: Examples) -> Iterator[Finding]:
    advice = "train on one language, or with a multilingual model, and look at each language's figures"
    scripts = text_checks.scripts_of(examples)
    written = scripts >= 0
    if not written.any():
        return
    usual = int(np.bincount(scripts[written]).argmax())
    others = written & (scripts != usual)
    names = ", ".join(text_checks.SCRIPTS[place] for place in np.unique(scripts[others]).tolist())
    sentence = f"texts are not written in {text_checks.SCRIPTS[usual]} letters, as most are, but in {names}"
    yield from found_in(examples, "other scripts", others, sentence, advice)
    # Of texts in the usual script, since the others are told of already.
    rows = np.flatnonzero(scripts == usual)
    languages = languages_of(examples.take(rows))
    if languages is None:
        return
    foreign = np.zeros(len(examples), dtype=np.bool_)
    foreign[rows[languages.others]] = True
    names = ", ".join(f"{name} {count:,}" for name, count in list(languages.counts.items())[:_CLASSES_NAMED])
    looked = f" (of {languages.judged:,} long enough to tell, or a sample of them)"
    sentence = f"texts seem to be in another language than most, which are in {languages.usual}: {names}{looked}"
    yield from found_in(examples, "other languages", foreign, sentence, advice)


def _label_findings(examples: Examples) -> Iterator[Finding]:
    """Texts of classes whose name stands in their own texts, and hardly in others."""
    assert examples.labels is not None
    encoded = examples.labels.flatten().dictionary_encode()
    classes = encoded.indices.to_numpy()
    giving_away = np.zeros(len(examples), dtype=np.bool_)
    named: dict[str, int] = {}
    for number, name in enumerate(encoded.dictionary.to_pylist()):
        own = np.flatnonzero(classes == number)
        naming = own[text_checks.naming(examples.take(own), name)]
        others = np.flatnonzero(classes != number)
        others = others[:: max(1, len(others) // _MOST_OTHERS)]  # enough to know their share by
        if len(naming) < _LEAST_NAMED or not len(others):
            continue
        share_of_others = text_checks.naming(examples.take(others), name).mean()
        if len(naming) / len(own) >= _GIVES_AWAY * share_of_others:
            giving_away[naming] = True
            named[name] = len(naming)
    most = sorted(named, key=lambda name: -named[name])[:_CLASSES_NAMED]
    shown = ", ".join(f"{name!r} {named[name]:,}" for name in most) + (", ..." if len(named) > len(most) else "")
    sentence = f"texts hold the name of their own class, which other texts hardly do: {shown}"
    advice = "if labels were derived from the texts or written into them, figures on such rows mean little: mask the names"
    yield from found_in(examples, "label in the text", giving_away, sentence, advice)
