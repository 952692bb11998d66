"""How fast SureFit trains, beside the Hugging Face Trainer in the same run.

    python -m benchmarks.training

All sides fine-tune the same weights on the same encoded rows, batch 32, in turns of so many steps, so
that the machine's drifting speed meets all of them; each is a process of its own. A step's time runs
from the end of the step before it, so that batches are made within the timing; encoding the rows,
building the model and compiling it are outside it, on all sides. Figures are medians of the turns. The
share of the peak is that of a plain model's multiply-adds on true tokens (what SureFit skips is not
credited to it) per second, over a bf16 product of 2,048-square matrices timed in the same turns. Peak
memory is that of the side's process.

What the Trainer's settings are stands in `benchmarks/training_sides.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.comparison import SUREFIT, Comparison, add_limit, median_ratio
from benchmarks.lengths import PROFILES, multiply_adds, rows_like
from benchmarks.records import markdown, on_what, parser, run_cells
from benchmarks.training_sides import (
    BATCH,
    GROUP,
    SureFitSide,
    TrainerSide,
    batches_of_turn,
    load_model,
    missing_compiler,
)
from surefit.types import Encoding

__all__ = ["BATCH", "SIDES", "SureFitSide", "TrainerSide", "main"]

BEST, COMPILED = "trainer best", "trainer best compiled"
# Each side, and what the table calls it.
SIDES = {
    SUREFIT: "SureFit",
    "surefit plain fp32": "SureFit's plain twin",
    BEST: "Trainer, best",
    COMPILED: "Trainer, best, compiled",
    "trainer tutorial": "Trainer, tutorial",
}
# They make fewer steps: their rates need no more.
_SLOW = ("surefit plain fp32", "trainer tutorial")
# Steps of a turn: some seconds to half a minute of the other sides on two cores.
STEPS = {"sst2": 50, "ag_news": 25, "imdb": 10}


def measure(cell: dict[str, Any], limit: float) -> dict[str, Any]:
    """Times all sides of a cell in turns.

    Args:
        cell: `profile`, `model`, `steps`, `turns` and `sides`.
        limit: seconds that a side may take to get ready, and for each turn.
    """
    profile, turns = cell["profile"], cell["turns"]
    pretrained = load_model(cell["model"])
    rows = rows_like(profile, (turns + 1) * GROUP * BATCH, pretrained.tokenizer)
    taken = [row for turn in range(turns) for batch in batches_of_turn(rows, cell["steps"], turn + 1) for row in batch]
    config = pretrained.classifier.config
    sizes = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
    flops_per_row = 2 * 3 * multiply_adds(taken, *sizes) / len(taken)
    steps = {name: max(4, cell["steps"] // 4) if name in _SLOW else cell["steps"] for name in cell["sides"]}
    graphs = []
    with Comparison(limit) as comparison:
        known = {name: _start(comparison, name, cell, rows) for name in cell["sides"]}

        def work(name: str, turn: int) -> float:
            side = comparison.sides[name]
            seconds = side.ask("take_steps", steps[name], turn)
            if name == COMPILED:
                graphs.append(side.ask("graphs"))
            return float(len(seconds) * BATCH / sum(seconds))

        figures = comparison.take_turns(turns, work, flops_per_row)
    for name, side in figures["sides"].items():
        side |= {"steps": steps[name], "step_ms": round(1000 * BATCH / side["rows_per_second"], 2), **known[name]}
    if COMPILED in figures["sides"]:
        figures["sides"][COMPILED]["graphs_within_timing"] = graphs[-1] - graphs[0]
    tokens = round(float(np.mean([len(row) for row in taken])), 1)
    return {"tokens_per_row": tokens, **figures, "left_out": comparison.left_out}


def _start(comparison: Comparison, name: str, cell: dict[str, Any], rows: list[Encoding]) -> dict[str, Any]:
    """Starts a side, has the Trainer at its best choose its attention and compile; what is known of it then."""
    if name == COMPILED and (compiler := missing_compiler()):
        comparison.leave_out(name, f"needs {compiler}, which is not on this machine")
        return {}
    known = {}
    pad_to = PROFILES[cell["profile"]].most
    side = comparison.start(name, "benchmarks.training_sides:build_side", name, cell["model"], rows, pad_to)
    with comparison.leaving_out(name):
        if side:
            known["precision"] = side.ask("precision")
            if name in (BEST, COMPILED):
                known |= side.ask("warm_up", cell["steps"])
    return known


def in_words(line: dict[str, Any]) -> str:
    """The table of one profile, in Markdown."""
    cell, sides = line["cell"], line["sides"]
    rows = [
        (
            SIDES[name],
            side["precision"],
            f"{side['step_ms']:,.1f}",
            f"{side['rows_per_second']:,.1f}",
            f"{side['share_of_peak']:.1%}",
            f"{side['peak_memory_mib']:,} MiB",
            f"{side['surefit_is_faster_by']:.2f}" if name != SUREFIT else "",
        )
        for name, side in sides.items()
    ]
    head = ("side", "precision", "ms a step", "rows/s", "of the peak", "peak memory", "SureFit is faster by")
    remarks = [f"{SIDES[name]}: left out, since it {reason}." for name, reason in line["left_out"].items()]
    return "\n".join(
        [
            f"{cell['profile']}, {cell['model']}, batch {cell['batch']}: {line['tokens_per_row']} tokens a row, "
            f"peak {line['peak_tflops']:.2f} TFLOP/s ({on_what(line)})",
            "",
            markdown(head, rows, words=2),
            *([""] if remarks or {BEST, COMPILED} & sides.keys() else []),
            *remarks,
            *(_of_attention(SIDES[name], sides[name]) for name in (BEST, COMPILED) if name in sides),
            *([_of_compiling(sides)] if COMPILED in sides else []),
        ]
    )


def _of_attention(name: str, side: dict[str, Any]) -> str:
    """Which attention a trial found faster."""
    tried = ", ".join(f"{attention} {step_ms:,.1f} ms" for attention, step_ms in side["attention_ms"].items())
    return f"{name}: attention {side['attention']}, the faster in a trial ({tried} a step)."


def _of_compiling(sides: dict[str, Any]) -> str:
    """Whether it helps the Trainer that its model is compiled."""
    compiled = sides[COMPILED]
    sentence = f"Compiling and warming up took {compiled['warm_up_seconds']:.0f} s, outside the timing"
    if compiled["graphs_within_timing"]:
        sentence += f"; {compiled['graphs_within_timing']} more graphs were compiled within it"
    if BEST in sides:
        times = median_ratio(*(side["rows_per_second_of_turns"] for side in (compiled, sides[BEST])))
        sentence += f"; compiled the Trainer is {times:.2f} times as fast: it {'helps' if times > 1 else 'does not help'}"
    return sentence + "."


def main(arguments: Sequence[str] | None = None) -> None:
    flags = parser("training", "SureFit's training against the Trainer's")
    flags.add_argument("--profiles", nargs="+", choices=tuple(PROFILES), default=list(PROFILES))
    flags.add_argument("--sides", nargs="+", choices=tuple(SIDES), default=list(SIDES), help="surefit is always among them")
    flags.add_argument("--model", default="minilm-l6", help="what is fine-tuned (default: %(default)s)")
    flags.add_argument("--steps", type=int, help=f"steps of a side in a turn (default: {STEPS})")
    flags.add_argument("--turns", type=int, default=3, help="turns, besides one to warm up (default: %(default)s)")
    add_limit(flags)
    options = flags.parse_args(arguments)
    run_cells(options, _cells(options), lambda cell: measure(cell, options.limit), in_words)


def _cells(options: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        {
            "profile": profile,
            "model": options.model,
            "batch": BATCH,
            "steps": options.steps or STEPS[profile],
            "turns": options.turns,
            "sides": [name for name in SIDES if name in {SUREFIT, *options.sides}],
        }
        for profile in options.profiles
    ]


if __name__ == "__main__":
    main()
