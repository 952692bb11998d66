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

_PERSONAL_ADVICE = (
    "make sure that you may use such data, or mask them in the file: terminal, report and model card show texts masked, but "
    "the model learns from them, and mistakes.csv, label_issues.csv and training_examples.csv of a run hold them as they are"
)


def text_findings(examples: Examples, raw: Examples, columns: Mapping[str, str]) -> Iterator[Finding]:
    """What is found in the texts.

    Args:
        examples: cleaned, labelled rows, at least one.
        raw: the same rows as they stand in the file, and perhaps others that were left out.
        columns: role (text, label, ...) -> name of its column.
    """
    words = text_checks.words_of(examples)
    one_word = words <= (1 if examples.text_pairs is None else 2)
    sentence = "text is a single word", "texts are a single word"
    advice = "look whether a reader could tell the class from so little"
    yield from found_in(examples, "one word", one_word, sentence, advice)
    sentence = f"text has more than {_LONG_WORDS} words", f"texts have more than {_LONG_WORDS} words"
    advice = "what stands beyond --max-length is not read: put first what matters"
    yield from found_in(examples, "long texts", words > _LONG_WORDS, sentence, advice)
    markup = "markup: tags or character references of HTML, BBCode or Markdown"
    sentence = f"text holds {markup}", f"texts hold {markup}"
    yield from found_in(examples, "markup", text_checks.with_markup(examples), sentence, "strip the markup before training")
    sentence = "row repeats the header line of a file", "rows repeat the header line of a file"
    header_lines = text_checks.like_the_header(examples, columns)
    advice = "remove each such row: files were joined with their headers"
    yield from found_in(examples, "header lines", header_lines, sentence, advice)
    how = "read with a wrong encoding somewhere on the way"
    sentence = f"text was {how}", f"texts were {how}"
    advice = "export the file again as UTF-8, or repair what is damaged with ftfy"
    damaged = text_checks.damaged(raw)[np.isin(raw.records, examples.records)]
    yield from found_in(examples, "damaged characters", damaged, sentence, advice)
    yield from _boilerplate_findings(examples)
    yield from _language_findings(examples)
    yield from _label_findings(examples)
    for kind, rows in zip(KINDS, rows_with_personal_data(examples), strict=True):
        sentence = f"text holds {kind.plural}", f"texts hold {kind.plural}"
        yield from found_in(examples, "personal data", rows, sentence, _PERSONAL_ADVICE, kind)


def _boilerplate_findings(examples: Examples) -> Iterator[Finding]:
    least = max(_LEAST_FRAMED, round(_FRAMED_SHARE * len(examples)))
    for where, rows in text_checks.framed(examples, least):
        others = "with many others and not the rest"
        sentence = f"text shares its {where} {others}", f"texts share their {where} {others}"
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
    letters = f"not written in {text_checks.SCRIPTS[usual]} letters, as most are, but in {names}"
    sentence = f"text is {letters}", f"texts are {letters}"
    yield from found_in(examples, "other scripts", others, sentence, advice)
    # Of texts in the usual script, since the others are told of already.
    rows = np.flatnonzero(scripts == usual)
    languages = languages_of(examples.take(rows))
    if languages is None:
        return
    foreign = np.zeros(len(examples), dtype=np.bool_)
    foreign[rows[languages.others]] = True
    names = ", ".join(f"{name} {count:,}" for name, count in list(languages.counts.items())[:_CLASSES_NAMED])
    looked = f"of {languages.judged:,} long enough to tell, or a sample of them"
    another = f"to be in another language than most, which are in {languages.usual}: {names} ({looked})"
    sentence = f"text seems {another}", f"texts seem {another}"
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
    hardly = f"own class, which texts of others hardly do: {shown}"
    sentence = f"text holds the name of its {hardly}", f"texts hold the name of their {hardly}"
    advice = "if labels were derived from the texts or written into them, figures on such rows mean little: mask the names"
    yield from found_in(examples, "label in the text", giving_away, sentence, advice)
