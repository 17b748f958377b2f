"""What was measured of a candidate or landmark, under the names that reports use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autocomp.measurement import Measurement


def figures(measured: Mapping[str, Measurement]) -> dict[str, Any]:
    """Measurements on the search split under the names that reports use."""
    latency, score, loading = measured["latency"], measured["task_score"], measured.get("load_time")
    return {
        "bytes": int(measured["artifact_size"].value),
        "gzip_bytes": int(measured["compressed_size"].value),
        "latency_ms": latency.value,
        "latency_p50_ms": latency.details["p50"],
        "latency_p95_ms": latency.details["p95"],
        "latency_spread_ms": latency.spread,
        "latency_predicted": latency.predicted,
        "latency_disturbed": latency.disturbed,
        "search_score": score.value,
        "search_score_se": score.spread,
        "agreement": measured["agreement"].value,
        "load_ms": loading.value if loading else None,
        **_sizes(measured),
    }


def _sizes(measured: Mapping[str, Measurement]) -> dict[str, Any]:
    """Sizes that records of older runs do not have; memory is measured of landmarks and of the final front only."""
    parameters, survey, memory = (measured.get(name) for name in ("parameters", "survey_size", "resident_memory"))
    return {
        "parameters": int(parameters.value) if parameters else None,
        "survey_size_pct": survey.value if survey else None,
        "survey_size_without_embeddings_pct": survey.details["without_embeddings"] if survey else None,
        "resident_mb": memory.value if memory else None,
    }
