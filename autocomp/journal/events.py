"""What a journal tells: one frozen dataclass for each kind of event, written and read as one JSON object.

The names of fields are the keys of the JSON, in the order in which they are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from autocomp.budget import Charge, Fidelity
from autocomp.journal.line import OPTIONAL, OWN, event_kind
from autocomp.journal.line import Event as Event
from autocomp.journal.member import DataFacts, EvidenceFile, MadeOf, RankAgreement, StudentFacts
from autocomp.journal.member import Member as Member
from autocomp.record import RecordJson, TrialRecord
from autocomp.strict_json import Json, JsonView

if TYPE_CHECKING:
    from autocomp.environment import Machine

VERSION = 1
"""Of the journal's format: the number rises when a reader of the last one would misread the next."""


def _fidelities(told: Sequence[Mapping[str, int]]) -> tuple[Fidelity, ...]:
    return tuple(Fidelity(**one) for one in told)


def _told(rungs: Sequence[Fidelity]) -> list[dict[str, int]]:
    return [rung.to_json() for rung in rungs]


FIDELITY = {"read": lambda told: Fidelity(**told), "write": lambda one: one and one.to_json()}
FIDELITIES = {"read": _fidelities, "write": _told}
CHARGE = {"read": Charge.from_json, "write": Charge.to_json}
"""Of fields that are types of their own here, and plain data in the journal: how they are read and written."""


@event_kind
class StudyBegun(Event):
    """A study begins: always a journal's first event.

    Attributes:
        version: of the journal's format; journals that do not say are of version 1.
        spec: the study's settings, as `study.json` has them.
        data: name, labels, metric, and the number of rows of each split.
        objectives: in full, empty in older journals.
        knobs: the grid of each knob of the search space.
        machine, versions: where it began, and with which libraries.
        out: the run's folder then.
        crew: who works: processes of this machine or a cluster, their number and what each holds.
        made_of: all that decides the results, which must be the same when the study is resumed (`study/pins.py`).
    """

    event: ClassVar[str] = "study"
    version: int = VERSION
    spec: JsonView = field(default_factory=dict)
    data: DataFacts = field(default_factory=DataFacts)
    objectives: Sequence[JsonView] = ()
    knobs: Mapping[str, Sequence[Any]] | None = field(default=None, metadata=OPTIONAL)
    machine: Machine | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    out: str = ""
    crew: JsonView = field(default_factory=dict)
    made_of: MadeOf | None = field(default=None, metadata=OPTIONAL)


@event_kind
class StudyResumed(Event):
    """An interrupted study goes on, perhaps with other workers."""

    event: ClassVar[str] = "resumed"
    crew: JsonView | None = field(default=None, metadata=OPTIONAL)


@event_kind
class GpusShared(Event):
    """How many trainings share a GPU, as it was measured.

    Attributes:
        gpu: its name.
        jobs: trainings that share one.
        share: of a GPU, for each of them.
        third_s, whole_s: seconds of a recovery step of a third of the teacher's layers, and of all, among so many.
        tried: `jobs` and `steps_per_s` of all together, for each number that was tried.
        found: GPUs that there are.
        held: GPUs that all trainings hold together.
    """

    event: ClassVar[str] = "gpus"
    gpu: str
    jobs: int
    share: float
    third_s: float
    whole_s: float
    tried: Sequence[Mapping[str, float]] = ()
    found: float = 0
    held: float = 0.0


@event_kind
class FidelitiesChosen(Event):
    """How long students are recovered: the rungs, the shortest first."""

    event: ClassVar[str] = "fidelities"
    rungs: tuple[Fidelity, ...] = field(metadata=FIDELITIES)


@event_kind
class TeacherMeasured(Event):
    """The teacher and its plain int8 export were measured.

    Attributes:
        name: the model, as the study names it.
        members: the two by name, `teacher` and `plain_int8`.
        values: the teacher's value of each objective, beside which records are judged; empty in older journals.
    """

    event: ClassVar[str] = "teacher"
    name: str = ""
    members: Mapping[str, Member] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)


@event_kind
class WarningGiven(Event):
    """Something is wrong with the study as a whole; a resumed study may say it again."""

    event: ClassVar[str] = "warning"
    text: str


@event_kind
class JobStarted(Event):
    """A job was given to a worker.

    Attributes:
        job: `t0007`.
        kind: `recovery`, `post_training` …
        plan: the candidate, as `CompressionPlan.to_json` writes it.
        describe: the plan in words.
        fidelity: how seriously it is taken; `rungs` are all that it passes, the last one included.
        source: who proposed it: a searcher's name, `start` or `promotion`.
        expected_s: seconds that it should take.
        student: sizes of its student, `shape` and `origin`, as `study.plan_preview.student_facts` gives them; None in
            older journals.
    """

    event: ClassVar[str] = "started"
    job: str
    kind: str = ""
    plan: JsonView | None = None
    describe: str = ""
    fidelity: Fidelity | None = field(default=None, metadata=FIDELITY)
    rungs: tuple[Fidelity, ...] = field(default=(), metadata=FIDELITIES)
    source: str = ""
    expected_s: float | None = None
    student: StudentFacts | None = field(default=None, metadata=OPTIONAL)


_RECORD_KEYS = frozenset(("event", "at", "record"))


@event_kind
class TrialRecorded(Event):
    """A candidate was evaluated, or failed; `record` is plain data, for a page reads tens of thousands of them."""

    event: ClassVar[str] = "record"
    record: RecordJson

    @classmethod
    def from_json(cls, line: JsonView) -> Self:
        """Inverse of `to_json`; a line with the usual keys takes a short way, for there are tens of thousands."""
        record = line.get("record")
        if record is None or line.keys() != _RECORD_KEYS:
            return super().from_json(line)
        return cls(at=line["at"], record=record, keys=tuple(line))

    @property
    def trial(self) -> TrialRecord:
        """The record as its type."""
        return TrialRecord.from_json(self.record)

    @property
    def job(self) -> str:
        """The name of the job that it is a record of."""
        return self.record["id"].rpartition("-")[0]


@event_kind
class JobRetried(Event):
    """An attempt at a job died with its worker, and the job was started again.

    Attributes:
        attempt: the one that died, 1, 2 …
        node: where it ran, as far as known.
        error: why it died.
        lost_s: seconds for which it held a worker.
    """

    event: ClassVar[str] = "retried"
    job: str
    attempt: int
    node: str | None = None
    error: str | None = None
    lost_s: float | None = None


@event_kind
class NodeChanged(Event):
    """A node of the cluster `joined` or was `lost`."""

    event: ClassVar[str] = "node"
    node: str
    host: str | None = None
    state: str | None = None


@event_kind
class ResourcesCharged(Event):
    """Time and resources were spent; with a `job`, that job is over."""

    event: ClassVar[str] = "charge"
    charge: Charge = field(metadata=CHARGE)
    job: str | None = field(default=None, metadata=OPTIONAL)


@event_kind
class CandidatesChanged(Event):
    """The present front on the search split is another one."""

    event: ClassVar[str] = "candidates"
    members: Sequence[Member]


@event_kind
class FrontWritten(Event):
    """The final front stands on disk, scored on the held-out split.

    Attributes:
        teacher, plain_int8: the two landmarks, measured beside the members.
        hypervolume: that the members dominate, on the search split.
        agreement: rank correlations between the figures of the search and the final ones.
        evidence: the name and SHA-256 of the file with what is behind the figures.
    """

    event: ClassVar[str] = "front"
    members: Sequence[Member]
    teacher: Member | None = field(default=None, metadata=OPTIONAL)
    plain_int8: Member | None = field(default=None, metadata=OPTIONAL)
    hypervolume: float | None = None
    agreement: RankAgreement | None = None
    evidence: EvidenceFile | None = None


@event_kind
class StudyFinished(Event):
    """Nothing more will come; `reason` says why the search ended."""

    event: ClassVar[str] = "finished"
    reason: str = "finished"


@event_kind
class JobProgressed(Event):
    """How far a job is; listeners hear of it, and no journal keeps it.

    Attributes:
        text: what it does.
        fraction: of its work that is done, 0 to 1.
        left_s: seconds that the rest should take.
    """

    event: ClassVar[str] = "progress"
    job: str = ""
    text: str = ""
    fraction: float | None = None
    left_s: float | None = field(default=None, metadata=OPTIONAL)


@event_kind
class UnknownEvent(Event):
    """An event of a kind that this version does not know; nothing follows from it."""

    event: ClassVar[str] = ""
    name: str = field(metadata=OWN)

    def to_json(self) -> Json:
        """The line as it was read."""
        return {**super().to_json(), "event": self.name}

    @classmethod
    def from_json(cls, line: JsonView) -> Self:
        """Keep everything of a line aside."""
        more = {k: v for k, v in line.items() if k not in ("event", "at")}
        return cls(name=line["event"], at=line.get("at"), more=more, keys=tuple(line))


KINDS: dict[str, type[Event]] = {
    kind.event: kind
    for kind in (
        *(StudyBegun, StudyResumed, GpusShared, FidelitiesChosen, TeacherMeasured, WarningGiven, JobStarted),
        *(TrialRecorded, JobRetried, NodeChanged, ResourcesCharged, CandidatesChanged, FrontWritten, StudyFinished),
        JobProgressed,
    )
}
"""Every kind of event by its name in the journal."""


def event_of(line: JsonView) -> Event:
    """The event that a line's JSON object is.

    Raises:
        KeyError: the line does not say of which kind it is.
        ValueError: a key is missing without which the event says nothing.
    """
    return KINDS.get(line["event"], UnknownEvent).from_json(line)
