"""Builds Examples by hand for the tests of the data stages."""

import numpy as np
import pyarrow as pa

from surefit.types import LABELS_TYPE, TEXT_TYPE, Examples


def labelled_rows(texts, labels=None, text_pairs=None, groups=None, times=None):
    """Rows of a file with a header line; a label is one class name or a list of them."""
    n = len(texts)
    names = None if labels is None else [[label] if isinstance(label, str) else label for label in labels]
    return Examples(
        ids=pa.array([f"id{number}" for number in range(1, n + 1)], TEXT_TYPE),
        texts=pa.array(texts, TEXT_TYPE),
        text_pairs=None if text_pairs is None else pa.array(text_pairs, TEXT_TYPE),
        labels=None if names is None else pa.array(names, LABELS_TYPE),
        records=np.arange(1, n + 1),
        lines=np.arange(2, n + 2),
        groups=None if groups is None else pa.array(groups, TEXT_TYPE),
        times=None if times is None else pa.array(times, TEXT_TYPE),
    )
