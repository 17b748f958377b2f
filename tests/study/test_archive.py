"""The front of a growing study is the front of all its records, without comparing all of them again."""

import numpy as np
import pytest

from autocomp import pareto
from autocomp.spec import read_objective
from autocomp.study.archive import ParetoArchive
from autocomp.study.losses import LossScale


@pytest.fixture
def judge():
    objectives = [read_objective(n) for n in ("artifact_size", "latency", "task_score")]
    objectives[1] = objectives[1].model_copy(update={"limit": 7.0})
    return LossScale(tuple(objectives), (10_000.0, 8.0, 0.9))


def drawn(records, rng, count, plans):
    """Records in any order of steps, many of one plan, some failed, some beyond the limit, with ties."""
    for number in range(count):
        status = "failed" if rng.random() < 0.1 else "complete"
        size, ms = (float(rng.integers(1, 8)) for _ in range(2))
        made = {"nbytes": 1000 * size, "ms": ms, "score": 0.8 + 0.02 * int(rng.integers(1, 6))}
        steps = int(rng.choice([20, 60, 180]))
        yield records(f"t{number:04d}-0", **made, steps=steps, layers=int(rng.integers(plans)), status=status)


def front(judge, records):
    """The rule as it is said: of each plan the best-trained feasible record, and of these what nothing beats."""
    by_depth = sorted(filter(judge.is_feasible, records), key=lambda r: r.fidelity.steps)
    usable = list({r.plan.fingerprint: r for r in by_depth}.values())
    return [usable[i] for i in np.flatnonzero(pareto.is_non_dominated(judge.of(usable)))] if usable else []


@pytest.mark.parametrize("seed", range(6))
def test_after_every_record_the_front_is_that_of_all_records(judge, records, seed):
    rng = np.random.default_rng(seed)
    found, all_of_them = ParetoArchive(judge), []
    for record in drawn(records, rng, 120, plans=[4, 40][seed % 2]):
        found.add(record)
        all_of_them.append(record)
        assert found.front() == front(judge, all_of_them)
    assert found.seen == 120 and len(found.front()) > 1


def test_what_only_a_replaced_record_had_beaten_comes_back(judge, records):
    found = ParetoArchive(judge)
    found.add(records("beaten", nbytes=2000, score=0.85, layers=2))
    found.add(records("early", nbytes=1000, score=0.9, steps=20, layers=1))
    assert [r.id for r in found.front()] == ["early"]
    found.add(records("late", nbytes=4000, score=0.9, steps=60, layers=1))
    assert [r.id for r in found.front()] == ["late", "beaten"]
    assert found.changes > 2


def test_a_record_off_the_front_changes_nothing(judge, records):
    found = ParetoArchive(judge)
    found.add(records("good", nbytes=1000, score=0.9, layers=1))
    changes = found.changes
    found.add(records("worse", nbytes=2000, score=0.85, layers=2))
    found.add(records("failed", layers=3, status="failed"))
    assert found.changes == changes == 1


def test_a_new_record_is_compared_with_the_front_alone(judge, records, monkeypatch):
    """Looking through all records for each new one would make a study of thousands of jobs slower and slower."""
    found = ParetoArchive(judge)
    judged, compared = [], []
    monkeypatch.setattr(LossScale, "of", lambda self, rs, of=LossScale.of: judged.append(len(rs)) or of(self, rs))
    monkeypatch.setattr(pareto, "is_non_dominated", lambda losses: pytest.fail("the whole front computed anew"))
    monkeypatch.setattr(
        ParetoArchive, "_enter", lambda self, row, of=ParetoArchive._enter: compared.append(row) or of(self, row)
    )
    rng = np.random.default_rng(0)
    for number in range(600):
        made = {"nbytes": float(rng.uniform(1e3, 1e4)), "ms": float(rng.uniform(1, 7)), "score": rng.uniform(0.8, 0.9)}
        found.add(records(f"t{number}", layers=number, **made))
    assert judged == [1] * 600
    assert compared == list(range(600))
