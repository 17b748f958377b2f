"""MLflow: an experiment in an SQLite file, with a run for the study and one for each member, whose files are linked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from autocomp.errors import InputError, MissingExtra
from autocomp.publishing import Published, PublishedRun, Target
from autocomp.report.state import Member

BEGAN, RECORD, RECORDS = "autocomp.began_at", "autocomp.record", "autocomp.records"
NAME, PARENT, NOTE = "mlflow.runName", "mlflow.parentRunId", "mlflow.note.content"
AT_ONCE = 1000
"""MLflow takes no more numbers in one call."""


def publish(run: PublishedRun, file: Path) -> Published:
    """Write a run's objectives over time and its members; what is there already stays.

    Raises:
        InputError: the file cannot be used, or has an experiment of another run of that name.
        MissingExtra: mlflow-skinny (or mlflow) is not installed.
    """
    client = _client(file)
    experiment = _experiment(client, run, file)
    study = _study(client, experiment, run)
    there = {r.data.tags.get(RECORD) for r in client.search_runs([experiment], max_results=10_000)}
    members = [member for member in run.state.members if run.state.final and member.get("record") not in there]
    for member in members:
        _member(client, experiment, study, run, member)
    total = len(there - {None}) + len(members)
    return Published(
        file, run.name, len(members), total, "members", ("mlflow", "ui", "--backend-store-uri", _uri(file))
    )


target = Target("mlflow.db", publish)


def _client(file: Path) -> Any:
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise MissingExtra("mlflow", "publishing to MLflow") from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=_uri(file))
    except (OSError, MlflowException) as error:
        raise InputError(f"{file}: cannot be used by MLflow ({error}); choose another --out") from error


def _uri(file: Path) -> str:
    return f"sqlite:///{file}"


def _experiment(client: Any, run: PublishedRun, file: Path) -> str:
    known, began = client.get_experiment_by_name(run.name), str(run.state.began_at)
    if known is None:
        folder = file.with_name(f"{file.stem}_artifacts") / run.name
        return str(client.create_experiment(run.name, artifact_location=folder.as_uri(), tags={BEGAN: began}))
    if known.tags.get(BEGAN) != began:
        raise InputError(f"{file}: has an experiment {run.name!r} of another run; choose another --out")
    return str(known.experiment_id)


def _study(client: Any, experiment: str, run: PublishedRun) -> str:
    """The run of the whole study, with the objectives of all trials that it has not got yet."""
    from mlflow.entities import Metric

    found = client.search_runs([experiment], filter_string=f"tags.`{RECORDS}` != ''", max_results=1)
    if not found:
        told = {NAME: run.name, RECORDS: "0", "run": str(run.folder), "model": str(run.state.spec.get("model"))}
        found = [client.create_run(experiment, start_time=_ms(run.state.began_at or 0), tags=told)]
    study, there = found[0].info.run_id, int(found[0].data.tags[RECORDS])
    numbers = _numbers(run, there)
    while batch := list(islice(numbers, AT_ONCE)):
        client.log_batch(study, metrics=[Metric(key, value, _ms(at), step) for key, value, at, step in batch])
    client.set_tag(study, RECORDS, str(len(run.rows)))
    if run.state.reason:
        client.set_terminated(study, end_time=_ms(run.state.ended_at or 0))
    return str(study)


def _numbers(run: PublishedRun, first: int) -> Iterator[tuple[str, float, float, int]]:
    for step, row in enumerate(run.rows[first:], first):
        for key, value in zip(run.keys, row.values or (), strict=False):
            yield key, value, row.ended_at, step


def _member(client: Any, experiment: str, study: str, run: PublishedRun, member: Member) -> None:
    row = run.row_of(member)
    at = _ms(row.began_at if row else run.state.ended_at or 0)
    told = {NAME: member["id"], PARENT: study, RECORD: str(member.get("record")), NOTE: member["describe"]}
    made = client.create_run(experiment, start_time=at, tags=told)
    for name, value in (row.point if row else {}).items():
        client.log_param(made.info.run_id, name, value)
    for name, value in member.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            client.log_metric(made.info.run_id, name, value, timestamp=_ms(run.state.ended_at or 0))
    path = member.get("path")
    if path and (run.folder / path).is_dir():
        _link(run.folder / path, Path(url2pathname(urlsplit(made.info.artifact_uri).path), member["id"]))
    client.set_terminated(made.info.run_id, end_time=_ms(row.ended_at if row else run.state.ended_at or 0))


def _link(source: Path, folder: Path) -> None:
    """The artifact's files under MLflow's folder without a copy; MLflow follows no links that point out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        try:
            (folder / file.name).hardlink_to(file)
        except OSError:  # another file system
            (folder / file.name).symlink_to(file)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
