"""What the events of a journal hold that is plain JSON with known keys: members of a front, and facts of a study.

Every key may be missing: older versions wrote fewer, and a running study does not know all of them yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, cast

if TYPE_CHECKING:
    from autocomp.environment import Machine
    from autocomp.strict_json import JsonView


class Member(TypedDict, total=False):
    """A member of a front, the teacher or plain int8: who it is, where its files lie, and its figures.

    Figures stand under the keys that their measures declare. Those of the usual measures are listed here, a plug-in's
    measure adds its own (`with_figures`). None is a figure that was not measured, or not yet.

    Attributes:
        id: `m03`, `teacher` or `plain_int8`; of a candidate of a running study its record's name.
        record: `t0007-3`, the record that it was measured by; landmarks have none.
        describe: the plan in words.
        plan: as `CompressionPlan.to_json` writes it; landmarks have none.
        fidelity: `rung`, `steps` and texts a `batch` of its training.
        path: its folder: in the journal relative to the run, in a summary absolute.
        student: the folder of its FP32 student, written alike.
        bytes: of all files of the artifact.
        gzip_bytes: of all files, each compressed by gzip at level 6.
        latency_ms: milliseconds of one request at batch 1, the mean over texts.
        latency_p50_ms: milliseconds, the median over texts.
        latency_p95_ms: milliseconds, the 95th percentile over texts.
        latency_spread_ms: milliseconds, how far `latency_ms` moves between rounds.
        latency_predicted: whether latencies follow from what was recorded of the device, on which it never ran.
        latency_disturbed: whether something else ran each time that it was timed.
        load_ms: milliseconds from files to a ready session.
        resident_mb: 10^6 bytes of memory that loading it and one run add to a fresh process.
        parameters: numbers of the model, shared ones once.
        survey_size_pct: parameters x bits / 32, in per cent of those of BERT-base.
        survey_size_without_embeddings_pct: the same figure without word embeddings, in per cent of BERT-base without.
        search_score: the task's metric on the search split; 1 is perfect, and some metrics may be negative.
        search_score_se: standard error of `search_score`.
        score: the task's metric on the held-out split; 1 is perfect, and some metrics may be negative.
        score_se: standard error of `score`.
        score_difference: `score` minus the teacher's, paired by text.
        score_difference_se: standard error of `score_difference`.
        agreement: fraction of texts of the search split with the teacher's answer, as the head counts it.
        held_out_agreement: the same of the held-out split.
        student_agreement: fraction of checked texts on which the file and the PyTorch student give one answer.
        times_smaller: the teacher's bytes over its own, a ratio.
        times_faster: the teacher's latency over its own, a ratio.
        times_faster_spread: how far `times_faster` moves between rounds, a ratio.
        times_score: its score over the teacher's, a ratio; None where one is negative; in summaries only.
        dominates_plain_int8: whether nothing of size, latency and score is worse than plain int8's and something is
            better; in summaries only.
    """

    id: str
    record: str
    describe: str
    plan: JsonView
    fidelity: dict[str, int]
    path: str | None
    student: str | None
    bytes: int | None
    gzip_bytes: int | None
    latency_ms: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_spread_ms: float | None
    latency_predicted: bool
    latency_disturbed: bool
    load_ms: float | None
    resident_mb: float | None
    parameters: int | None
    survey_size_pct: float | None
    survey_size_without_embeddings_pct: float | None
    search_score: float | None
    search_score_se: float | None
    score: float | None
    score_se: float | None
    score_difference: float | None
    score_difference_se: float | None
    agreement: float | None
    held_out_agreement: float | None
    student_agreement: float | None
    times_smaller: float | None
    times_faster: float | None
    times_faster_spread: float | None
    times_score: float | None
    dominates_plain_int8: bool


Figures = Mapping[str, float | bool | None]
"""Numbers and marks of a member by the keys that measures declare; a plug-in's measure may add any."""


def with_figures(member: Member, figures: Figures) -> Member:
    """A member with figures added, or replaced where it has them already."""
    return cast(Member, {**member, **figures})


def read_figure(member: Member | None, key: str) -> float | None:
    """A member's figure by its key; None while it is not measured, and of no member."""
    return cast(Figures, member or {}).get(key)


class DataFacts(TypedDict, total=False):
    """What a run says of its data set.

    Attributes:
        name: how it is called.
        kind: what is asked of a model, a name of `autocomp.heads`; older runs, which lack it, are classifications.
        labels: names of the classes, by number; of a number, the one name that it has.
        metric: the name of its score.
        positive: the label that the metric is about; None where it is about all of them.
        train: number of rows that students are trained on.
        search: number of rows by which the search chooses.
        held_out: number of rows by which nothing is chosen.
        notes: sentences on what was decided while it was read.
        fingerprint: hash of all rows.
    """

    name: str
    kind: str
    labels: list[str]
    metric: str
    positive: str | None
    train: int
    search: int
    held_out: int
    notes: list[str]
    fingerprint: str


class MadeOf(TypedDict, total=False):
    """All that decides a study's results, as `study/pins.py` writes and compares it.

    Attributes:
        data: rows of each split by number and hash, and what else is known of the data.
        model: hashes of weights and tokenizer, and the sizes of the encoder.
        objectives: each in full.
        space: techniques, the grid of each knob, and the plans tried first.
        device: the profile.
        settings: of the study, those that decide results.
        versions: of the libraries that compute.
        code: hash of the code that makes each kind of stage.
        machine: the machine that the study began on.
    """

    data: JsonView
    model: JsonView
    objectives: Sequence[JsonView]
    space: JsonView
    device: JsonView
    settings: JsonView
    versions: Mapping[str, str]
    code: Mapping[str, str]
    machine: Machine


class StudentFacts(TypedDict):
    """Sizes of a plan's student before it has files.

    Attributes:
        shape: of its encoder, as `EncoderShape.to_json` writes it.
        origin: the teacher's layer that each of its layers descends from, from 0.
    """

    shape: JsonView
    origin: list[int]


class RankAgreement(TypedDict, total=False):
    """How well the search's figures of members foretold the final ones.

    Attributes:
        search_vs_held_out: Spearman's rank correlation of scores on the two splits; None where it has no value.
        members: how many were compared.
    """

    search_vs_held_out: float | None
    members: int


class EvidenceFile(TypedDict):
    """The file with what is behind the figures of a front: its name in the run folder, and its SHA-256."""

    file: str
    sha256: str
