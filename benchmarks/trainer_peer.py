"""The peer: Hugging Face's Trainer, set up as its documentation does for text classification."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from benchmarks.cells import Recipe
from benchmarks.corpora import Corpus


def fine_tune_and_predict(splits: Mapping[str, Corpus], model: Path, recipe: Recipe, folder: Path) -> list[str]:
    """Fine-tunes a pretrained model with the Trainer and answers the test rows.

    Args:
        splits: "train", "validation" and "test".
        model: directory of the pretrained model.
        recipe: the settings.
        folder: where the Trainer may write its checkpoints.

    Returns:
        Class name for each test row, in order.
    """
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # a new head is no news here
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    names = sorted({label for split in splits.values() for label in split.labels})
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = {name: _encode(split, tokenizer, names, recipe.max_length) for name, split in splits.items()}
    set_seed(recipe.seed)
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(names)),
        args=_arguments(recipe, folder),
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=_macro_f1,
    )
    with contextlib.suppress(ValueError):
        trainer.remove_callback(PrinterCallback)
    trainer.train()
    logits = trainer.predict(rows["test"]).predictions
    return [names[class_id] for class_id in np.asarray(logits).argmax(axis=1)]


def _encode(split: Corpus, tokenizer: PreTrainedTokenizerBase, names: Sequence[str], max_length: int) -> Any:
    """One dictionary a row; padding is left to the collator, so that a batch is as long as its longest row."""
    encoded = tokenizer(list(split.texts), truncation=True, max_length=max_length, padding=False)
    label2id = {name: class_id for class_id, name in enumerate(names)}
    return [
        {key: values[row] for key, values in encoded.items()} | {"labels": label2id[label]}
        for row, label in enumerate(split.labels)
    ]


def _arguments(recipe: Recipe, folder: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=recipe.warmup_share,  # below 1 it is a share of the steps
        weight_decay=recipe.weight_decay,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=64,
        bf16=recipe.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        save_only_model=True,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        greater_is_better=True,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=recipe.seed,
    )


def _macro_f1(evaluation: EvalPrediction) -> dict[str, float]:
    predicted = np.asarray(evaluation.predictions).argmax(axis=1)
    return {"macro_f1": float(f1_score(evaluation.label_ids, predicted, average="macro", zero_division=0.0))}
