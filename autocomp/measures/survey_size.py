"""Size as surveys state it: parameters times bits over 32, in per cent of BERT-base.

The convention of Ganesh et al. 2021, "Compressing Large-Scale Transformer-Based Models: A Case Study on BERT" (TACL 9,
arXiv:2002.11985), reproduced from its table: masks, scales, codebooks and the classifier are not counted. The bytes of
the file are the honest size; this one compares with the literature.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp.measurement import Measurement
from autocomp.measures import Figure, Subject

FIGURES = (
    Figure("survey_size_pct", "survey's size", "% of BERT-base"),
    Figure(
        "survey_size_without_embeddings_pct",
        "survey's size without embeddings",
        "% of BERT-base",
        statistic="without_embeddings",
        is_drawn=False,
    ),
)

if TYPE_CHECKING:
    from autocomp.inspection.stored import StoredWeight

BERT_BASE, WITHOUT_EMBEDDINGS = 109_482_240, 86_041_344
"""Parameters of BERT-base uncased without a classifier, and the same without its word embedding."""

_NOT_COUNTED = ("head.classifier.", "exits.")
_EMBEDDINGS = "embeddings.word."


def survey_size(folder: str | Path) -> Measurement:
    """Per cent of BERT-base; `details.without_embeddings` leaves out both word embeddings.

    Zeros are left out only where the file stores them sparse.
    """
    import onnx

    from autocomp.artifact.files import MODEL
    from autocomp.inspection.stored import stored_weights

    return of_weights(stored_weights(onnx.load(Path(folder) / MODEL)))


def of_weights(weights: Iterable[StoredWeight]) -> Measurement:
    """Per cent of BERT-base from weights that are known already."""
    counted = [w for w in weights if not w.name.startswith(_NOT_COUNTED)]
    whole = sum(w.values * w.bits / 32 for w in counted)
    rest = sum(w.values * w.bits / 32 for w in counted if not w.name.startswith(_EMBEDDINGS))
    details = {"without_embeddings": 100 * rest / WITHOUT_EMBEDDINGS}
    return Measurement(100 * whole / BERT_BASE, "% of BERT-base", details=details)


of_files = survey_size


def measure(subject: Subject) -> Measurement:
    """Size of the subject's file in per cent of BERT-base."""
    return survey_size(subject.folder)
