"""One job as a worker does it: records, and failures that are records too."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autocomp.budget import Cost, Fidelity
from autocomp.errors import ExportMismatch
from autocomp.heads import heads
from autocomp.measures import OF_RECORDS
from autocomp.pipeline import export as exporting
from autocomp.pipeline import fake_quantize as simulate
from autocomp.pipeline.jobs import GPU_TRIALS, TRIALS, Job, JobResult, RecoveredStudent, run_job, train_job
from autocomp.pipeline.plans import plan_of
from autocomp.record import TrialRecord
from autocomp.study.plan_preview import prepared as prepared_plan
from autocomp.study.schedule import Schedule
from autocomp.study.time_model import TimeModel, block_weights
from autocomp.techniques import techniques
from autocomp.training import loop, recovery

RUNGS = (Fidelity(0, 6), Fidelity(1, 12))
MEASURES = OF_RECORDS


@pytest.fixture
def job(prepared):
    """`job(**changes)` on the prepared run: one layer, 4 bits."""
    space = prepared.checked.space
    (prepared.run / "work").mkdir(exist_ok=True)

    def make(rungs=RUNGS[:1], **changes):
        point = space.nearest(
            {"depth.layers": 1, "feed_forward.kept": 0.5, "linear_bits.bits": 4, **changes.pop("point", {})}
        )
        knobs = {name: knob.values for name, knob in space.knobs.items()}
        plan = plan_of(point)
        return Job("t0001", str(prepared.run), plan, rungs, knobs, space.techniques, MEASURES, sweep=3, **changes)

    return make


def run(job):
    """The job's result after a trip through JSON, as between processes."""
    data = json.loads(json.dumps(job.to_json()))
    assert Job.from_json(data) == job
    result = json.loads(json.dumps(run_job(data)))
    return result, [TrialRecord.from_json(r) for r in result["records"]]


def test_a_job_gives_records_of_distinct_plans(job):
    result, records = run(job())
    assert result["error"] is None and result["facts"]["trained"] == 6
    assert [r.id for r in records] == [f"t0001-{i}" for i in range(len(records))] and len(records) >= 2
    assert all(r.status == "complete" and set(r.measurements) == set(MEASURES) for r in records)
    assert len({r.plan.fingerprint for r in records}) == len(records)
    assert sum(r.seconds for r in records) == pytest.approx(result["seconds"], abs=0.05)
    kept = [simulate._rounded, simulate._sizes, simulate._stored, simulate._work]
    assert not any(cache.cache_info().currsize for cache in kept), "a worker keeps nothing of a student that is done"


@pytest.fixture
def schedule(prepared):
    """A schedule that has learnt nothing yet, with no limit."""
    times = TimeModel(per_weight_s=1e-9, teacher_weights=10_000, latency_s=1e-3, search_rows=10)
    return Schedule(prepared.run, None, times)


def test_later_jobs_are_expected_to_take_what_this_one_took(job, schedule):
    made, times = job(point={"feed_forward.kept": 0.25}), schedule.times
    data, records = run(made)
    result = JobResult.from_json(data)
    schedule.learn(made, replace(result, recovered=replace(result.recovered, was_cached=False)))
    shape, _ = prepared_plan(Path(made.run), made.plan)
    expected = times.job_s(block_weights(shape), result.recovered.trained, 32, len(records))
    assert expected == pytest.approx(result.seconds, rel=0.01)
    [training], [rest] = times.training.ratios, times.rest.ratios
    assert training != pytest.approx(rest, rel=0.01), "each part by itself"


@pytest.mark.parametrize(("was_cached", "learnt"), [(False, 1), (True, 0)])
def test_a_student_of_the_cache_neither_teaches_the_clock_nor_costs_its_training(job, schedule, was_cached, learnt):
    """What it took when it was trained is no fact of this study: charged is what the job held now."""
    made = job()
    student = RecoveredStudent("student-1", made.plan, was_cached=was_cached, trained=9, train_s=999.0)
    result = JobResult(made.id, recovered=student, seconds=2.0)
    schedule.learn(made, result)
    assert len(schedule.times.training.ratios) == learnt
    assert result.cost(made) == Cost(cpu_s=2.0 * made.threads)


def test_what_a_part_was_charged_for_is_not_charged_again(job):
    made = job(gpu_share=0.5, threads=2)
    part = JobResult(made.id, seconds=10.0, at_gpu_s=10.0)
    assert part.cost(made) == Cost(cpu_s=20.0, gpu_s=5.0)
    assert JobResult(made.id, seconds=14.0, charged_s=10.0).cost(made) == Cost(cpu_s=8.0)


def test_a_result_comes_through_json_as_it_was(job):
    made = job()
    student = RecoveredStudent("student-1", made.plan, trained=9, train_s=1.5, loss=0.25, more={"stopped_after": 7})
    dead = JobResult.of_dead_worker(made, "it was killed")
    for result in (JobResult(made.id, dead.records, student, 3.0, 1.0, 2.0, "why"), dead):
        assert JobResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert [(r.status, r.error, r.plan) for r in dead.records] == [("failed", "it was killed", made.plan)]


def test_the_same_job_again_finds_its_stages(job):
    first, second = run(job()), run(job())
    assert second[0]["facts"]["was_cached"] is True
    assert [r.artifact for r in first[1]] == [r.artifact for r in second[1]]


def in_two_parts(job):
    """As a job with a share of a GPU, but that the share is of none here."""
    then, data = GPU_TRIALS.then, json.loads(json.dumps(job.to_json()))
    trained = json.loads(json.dumps(train_job(data)))
    second = then.job({**data, "gpu_share": 0.5}, trained)
    scored = json.loads(json.dumps(run_job(second))) if second else None
    return trained, second, scored


def test_a_job_in_two_parts_gives_the_same_files(job):
    whole, records = run(job(point={"depth.layers": 2}))
    trained, second, scored = in_two_parts(job(point={"depth.layers": 2}))
    assert (trained["records"], trained["error"]) == ([], None)
    assert second["gpu_share"] == 0.0 and trained["facts"]["student"] in GPU_TRIALS.then.work.needs(second)
    assert trained["facts"]["student"] in GPU_TRIALS.made(second, trained)
    both = GPU_TRIALS.then.merge(trained, scored)
    kept = [(r["id"], r["artifact"], r["plan"]) for r in both["records"]]
    assert kept == [(r.id, r.artifact, r.plan.to_json()) for r in records]
    assert both["facts"]["student"] == whole["facts"]["student"]
    assert both["seconds"] == trained["seconds"] + scored["seconds"] and both["charged_s"] == trained["seconds"]
    assert sum(r["seconds"] for r in both["records"]) == pytest.approx(both["seconds"], abs=0.05)


@pytest.fixture
def in_good_time(monkeypatch):
    """Deadlines count from when training begins: on a busy machine, what comes before it takes as long as they last."""
    whole, made = recovery.train, time.time()

    def later(*args, deadline=math.inf, **options):
        return whole(*args, deadline=deadline + time.time() - made, **options)

    monkeypatch.setattr(recovery, "train", later)


@pytest.mark.usefixtures("in_good_time")
def test_what_was_cut_short_on_a_gpu_is_not_trained_again(job):
    slow = job((Fidelity(0, 100_000),), train_until=time.time() + 1.0, point={"depth.layers": 2})
    trained, _, scored = in_two_parts(slow)
    assert 0 < trained["facts"]["trained"] < 100_000 and scored["facts"] == trained["facts"]
    assert {r["status"] for r in scored["records"]} == {"complete"}


def test_a_recovery_that_fails_has_no_second_part(job):
    bad = job()
    bad = replace(bad, plan=bad.plan.replacing([type(bad.plan.steps[0])("depth", {"kept": [8]})]))
    trained, second, _ = in_two_parts(bad)
    assert second is None and trained["records"][0]["error"].startswith("InfeasiblePlan: ")


def test_a_second_part_that_died_leaves_no_result():
    assert GPU_TRIALS.then.merge({"seconds": 3.0}, "its worker died") is None


def test_a_charge_for_the_device_leaves_out_what_was_charged_before():
    merge, trial = TRIALS.then.merge, {"seconds": 5.0, "at_gpu_s": 0.0, "records": []}
    for seen, seconds in (({"seconds": 2.0, "errors": {}, "measured": {}}, 7.0), ("no device", 5.0)):
        merged = merge(trial, seen)
        assert (merged["seconds"], merged["charged_s"], merged["at_gpu_s"]) == (seconds, 5.0, 0.0)
    assert TRIALS.then.at_device and GPU_TRIALS.then.work.then is TRIALS.then


def test_a_higher_rung_goes_on_where_the_lower_ended(job, context):
    low, _ = run(job())
    high, _ = run(job(RUNGS))
    assert (high["facts"]["steps"], high["facts"]["trained"]) == (12, 6)
    assert high["facts"]["student"] != low["facts"]["student"]


def test_no_rungs_means_no_training(job):
    result, records = run(job(()))
    assert (result["facts"]["steps"], result["facts"]["trained"], result["facts"]["loss"]) == (0, 0, None)
    assert records[0].fidelity.rung == -1


@pytest.mark.usefixtures("in_good_time")
def test_recovery_that_is_cut_short_is_never_taken_for_a_whole_one(job, context, monkeypatch):
    slow = (Fidelity(0, 100_000),)
    started = time.time()
    result, records = run(job(slow, train_until=started + 1.5, point={"depth.layers": 2}))
    trained = result["facts"]["trained"]
    assert time.time() - started < 90 and records[0].status == "complete" and 0 < trained < 100_000
    student = json.loads((context.store.folder(result["facts"]["student"]) / "stage.json").read_text())
    assert student["inputs"]["stopped_after"] == trained
    monkeypatch.setattr(recovery, "train", lambda given, losses, steps, **_: loop.train(given, losses, trained + 1))
    second, _ = run(job(slow, train_until=time.time() + 1.0, point={"depth.layers": 2}))
    assert (second["facts"]["was_cached"], second["facts"]["trained"]) == (False, trained + 1)


def test_when_time_is_up_the_asked_plan_is_still_measured(job):
    _, records = run(job(until=time.time() - 1))
    assert len(records) == 1 and records[0].status == "complete"


def test_a_technique_that_raises_is_a_record(job, monkeypatch):
    def fail(*_):
        raise RuntimeError("no such block")

    monkeypatch.setattr(type(techniques["feed_forward"]), "prepare", fail)
    result, records = run(job())
    [failed] = records
    assert (failed.id, failed.status, failed.measurements) == ("t0001-0", "failed", {})
    assert failed.error == result["error"] and "RuntimeError: no such block (test_jobs.py:" in failed.error


def test_a_plan_that_leaves_nothing_is_a_record(job):
    bad = job()
    bad = replace(bad, plan=bad.plan.replacing([type(bad.plan.steps[0])("depth", {"kept": [8]})]))
    _, [failed] = run(bad)
    assert failed.status == "failed" and failed.error.startswith("InfeasiblePlan: ")


def test_a_loss_that_is_not_a_number_is_a_record(job, monkeypatch, context):
    monkeypatch.setattr(heads["classification"], "distance", lambda outputs, *_: outputs.sum() * math.nan)
    before = {p.name for p in context.store.root.iterdir()}
    _, [failed] = run(job((Fidelity(0, 7),)))
    assert failed.status == "failed" and failed.error.startswith("TrainingDiverged: ")
    assert {p.name for p in context.store.root.iterdir()} == before
    monkeypatch.undo()
    assert run(job((Fidelity(0, 7),)))[1][0].status == "complete"


def test_a_file_that_answers_differently_fails_alone(job, monkeypatch):
    real, calls = exporting.check, []

    def check(context, student, folder):
        calls.append(folder)
        if len(calls) == 1:
            raise ExportMismatch("10% of labels equal the student's")
        return real(context, student, folder)

    monkeypatch.setattr(exporting, "check", check)
    result, records = run(job((Fidelity(0, 8),)))
    assert [r.status for r in records][:2] == ["failed", "complete"]
    assert records[0].error == "ExportMismatch: 10% of labels equal the student's"
    assert result["error"] is None and len({r.id for r in records}) == len(records)


def test_a_file_with_logits_that_are_no_numbers_is_refused(job, monkeypatch):
    real = exporting.export

    def export(context, student, plan, folder):
        with torch.no_grad():
            student.encoder.head.classifier.bias.fill_(math.nan)
        real(context, student, plan, folder)

    monkeypatch.setattr(exporting, "export", export)
    _, records = run(job((Fidelity(0, 9),)))
    assert {r.status for r in records} == {"failed"}
    assert all("nan% away from the PyTorch student" in r.error for r in records)


@pytest.mark.parametrize("place", ["recovery", "file"])
def test_what_the_machine_refuses_is_let_out_and_no_record(job, monkeypatch, place):
    def full(*_, **__):
        raise ExportMismatch("it cannot be written") from OSError(28, "No space left on device", "/cache")

    if place == "recovery":
        monkeypatch.setattr(type(techniques["feed_forward"]), "prepare", full)
    else:
        monkeypatch.setattr(exporting, "artifact_stage", full)
    with pytest.raises(OSError, match="No space left on device: '/cache'"):
        run_job(job(point={"feed_forward.kept": 0.25}).to_json())
