"""Is the teacher worth compressing? What a study says of one that is not, or not yet; it goes on all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autocomp.heads import DEFAULT, heads
from autocomp.pipeline.evaluate import thresholds_of
from autocomp.tasks import paired_difference, score, score_with_error

if TYPE_CHECKING:
    from autocomp.pipeline.context import StudyContext
    from autocomp.spec import StudySpec
    from autocomp.tasks import TaskData

ERRORS = 2.0
"""Standard errors by which a teacher has to be better than always giving the same answer."""
SURE, FAR = 3.0, 0.1
"""Standard errors, and part of all rows, by which another order of the labels has to be better to be spoken of."""
_MEND_OURS = (
    "train it longer (--teacher-epochs, --budget), give more rows, or bring a model that is fine-tuned for this task"
)
_MEND_GIVEN = "look whether its labels mean what the data's do (--label-names) and whether it was trained for this task"
Indices = NDArray[np.integer]


def concerns_of(context: StudyContext, spec: StudySpec) -> list[str]:
    """What is wrong with a study's teacher, judged by its file's answers on the search split, with what to do.

    Returns:
        Sentences for people, none if all is well.
    """
    facts = context.store.facts(context.teacher_key)
    truth, head = context.data.targets("search"), heads[context.data.kind]
    answers = head.answers(context.knowledge.search_logits, thresholds_of(context.teacher_artifact))
    concerns = [
        cut_short(facts.get("steps"), facts.get("of_steps"), spec.budget),
        no_better_than_one_answer(context.data, truth, answers, facts["fine_tuned_by"] == "autocomp"),
    ]
    if context.data.kind == DEFAULT:
        concerns.append(better_in_another_order(context.data.labels, truth, answers))
    return [text for text in concerns if text]


def cut_short(steps: int | None, wanted: int | None, budget: str) -> str | None:
    """Whether the budget ended the fine-tuning."""
    if steps is None or wanted is None or steps >= wanted:
        return None
    return (
        f"the teacher was fine-tuned for {steps:,} of {wanted:,} steps, all that half of the budget {budget} had room "
        "for; a longer budget, fewer --teacher-epochs or a model that is fine-tuned already give a better one"
    )


def no_better_than_one_answer(data: TaskData, truth: Indices, answers: Indices, ours: bool) -> str | None:
    """Whether the teacher is not better, by two standard errors, than the best of all answers that never change.

    The error is the larger of the score's own and of the paired difference: a teacher that nearly always says the same
    is surely better on the few rows where it does not, and still no good.

    Args:
        truth, answers: `[rows]`, indices of labels.
        ours: whether autocomp fine-tuned the teacher.
    """
    metric, classes = data.metric, len(data.labels)
    constants = heads[data.kind].constants(truth, data.labels)
    always = max(constants, key=lambda name: _score(data, truth, constants[name]))
    constant = constants[always]
    gain, paired_error = paired_difference(metric, truth, answers, constant, classes, data.positive)
    reached, error = score_with_error(metric, truth, answers, classes, data.positive)
    if gain > 0 and gain >= ERRORS * max(error, paired_error):
        return None
    return (
        f"the teacher is no better than always answering {always}: {metric} {reached:.4f} ± {error:.4f} "
        f"against {_score(data, truth, constant):.4f} on {len(truth):,} rows, and nothing compressed from it will be; "
        f"{_MEND_OURS if ours else _MEND_GIVEN}"
    )


def _score(data: TaskData, truth: Indices, answers: Indices) -> float:
    return score(data.metric, truth, answers, len(data.labels), data.positive)


def better_in_another_order(names: tuple[str, ...], truth: Indices, answers: Indices) -> str | None:
    """Whether the teacher would be right far more often if its labels had other names.

    The order is chosen on every other row and judged on the rest, so that chance does not choose it.
    """
    order = best_order(truth[::2], answers[::2], len(names))
    rest, given = truth[1::2], answers[1::2]
    if not len(rest) or (order == np.arange(len(names))).all():
        return None
    gain, error = paired_difference("accuracy", rest, order[given], given, len(names))
    if gain < max(FAR, SURE * error):
        return None
    now, then = (float((a == rest).mean()) for a in (given, order[given]))
    moved = [f"{names[i]} is {names[j]}" for i, j in enumerate(order.tolist()) if i != j]
    renamed = ", ".join(moved[:5]) + (f" and {len(moved) - 5} more" if len(moved) > 5 else "")
    whole = ",".join(names[j] for j in order.tolist())
    flag = f" --label-names {whole}" if len(whole) <= 200 else " --label-names"
    return (
        f"the teacher's labels seem to be in another order: it is right on {now:.1%} of the rows, and on {then:.1%} if "
        f"what it calls {renamed}; give the names in the model's order ({flag.strip()}), or mend the labels of the data"
    )


def best_order(truth: Indices, answers: Indices, classes: int) -> NDArray[np.int64]:
    """The label that each of the teacher's labels should stand for, so that most rows are right, `[classes]`.

    An assignment of labels to labels (Kuhn 1955); a label that no row decides keeps its name where it can.
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.zeros((classes, classes))
    np.add.at(counts, (answers, truth), 1.0)
    _, order = linear_sum_assignment(counts + 1e-6 * np.eye(classes), maximize=True)
    return np.asarray(order, np.int64)
