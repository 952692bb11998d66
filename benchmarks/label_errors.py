"""How many of the labels that were made wrong on purpose are found, and how many that are named are wrong.

    python -m benchmarks.label_errors --data FOLDER

In each corpus a tenth of the labels are replaced by another class at random. Prints, and appends to
`benchmarks/results/label_errors.jsonl`, the share of them among the label issues, and the share of the issues that
are among them, for three seeds. Labels that were wrong before count as mistakes of the method.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpora import NAMES, Corpus, CorpusAbsentError, data_folder, load
from benchmarks.machine import record
from benchmarks.records import markdown
from surefit.config import MachineSettings, ModelSettings
from surefit.evaluation.label_errors import find_label_issues
from surefit.inference.embeddings import embed
from surefit.model.hardware import choose_hardware
from surefit.model.pretrained import load_pretrained
from surefit.types import SINGLE_LABEL, FloatArray, LabelSchema

RESULTS = Path(__file__).parent / "results" / "label_errors.jsonl"
SEEDS = (0, 1, 2)
_FLIPPED = 0.1


def embedded(corpus: Corpus, schema: LabelSchema) -> FloatArray:
    """The rows as the default model sees them before it is fine-tuned."""
    settings = ModelSettings()
    pretrained = load_pretrained(settings.model, schema, settings, seed=0)
    pretrained.classifier.prepare(choose_hardware(MachineSettings(device="cpu")))
    return embed(pretrained.classifier, pretrained.tokenizer.encode(corpus.texts))


def measure(corpus: Corpus) -> list[dict[str, Any]]:
    """Makes labels wrong and looks for them, for each seed."""
    names, truth = np.unique(corpus.labels, return_inverse=True)
    groups = np.unique([" ".join(text.split()) for text in corpus.texts], return_inverse=True)[1]
    schema = LabelSchema(SINGLE_LABEL, tuple(names.tolist()))
    embeddings = embedded(corpus, schema)
    figures = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        wrong = np.zeros(len(truth), dtype=np.bool_)
        wrong[rng.permutation(len(truth))[: round(_FLIPPED * len(truth))]] = True
        given = np.where(wrong, (truth + rng.integers(1, len(names), len(truth))) % len(names), truth)
        issues = find_label_issues(embeddings, given, schema, groups, seed)
        hits = np.count_nonzero(wrong[issues.positions])
        figures.append(
            {
                "seed": seed,
                "wrong": int(wrong.sum()),
                "named": len(issues),
                "found": hits / int(wrong.sum()),
                "precision": hits / max(len(issues), 1),
            }
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", help="folder with the corpora (SUREFIT_DATA when not given)")
    parser.add_argument("--corpora", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to (default: %(default)s)")
    options = parser.parse_args()
    lines = []
    for name in options.corpora:
        try:
            corpus = load(name, data_folder(options.data))
        except CorpusAbsentError as absent:
            print(absent)
            continue
        figures = measure(corpus)
        record(options.results, {"corpus": name, "rows": len(corpus), "seeds": figures})
        spans = [[of[share] for of in figures] for share in ("found", "precision")]
        lines.append((name, f"{len(corpus):,}", *(f"{min(span):.1%} to {max(span):.1%}" for span in spans)))
    print(markdown(("corpus", "rows", "wrong labels found", "of those named, wrong"), lines))


if __name__ == "__main__":
    main()
