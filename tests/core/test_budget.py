import pytest

from autocomp.budget import POST_TRAINING, Budget, Charge, Cost, Fidelity, held, parse_budget
from autocomp.errors import BudgetError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8gpu-hours", Budget(gpu_s=8 * 3600)),
        ("20cpu-minutes", Budget(cpu_s=1200)),
        ("20 CPU-Minutes", Budget(cpu_s=1200)),
        ("1.5cpuh", Budget(cpu_s=5400)),
        ("45m", Budget(wall_s=2700)),
        ("45 min", Budget(wall_s=2700)),
        ("45mins", Budget(wall_s=2700)),
        ("2h", Budget(wall_s=7200)),
        ("90s", Budget(wall_s=90)),
        ("90secs", Budget(wall_s=90)),
        ("1day", Budget(wall_s=86400)),
        ("40trials", Budget(trials=40)),
        ("1trial", Budget(trials=1)),
        ("8gpu-hours, 40trials,2d", Budget(gpu_s=28800, trials=40, wall_s=172800)),
    ],
)
def test_every_form_of_a_budget(text, expected):
    assert parse_budget(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "like 8gpu-hours"),
        ("45", "like 8gpu-hours"),
        ("-5m", "like 8gpu-hours"),
        ("soon", "like 8gpu-hours"),
        ("5fortnights", "like 8gpu-hours"),
        ("5ms", "like 8gpu-hours"),
        ("5 m 3 s", "like 8gpu-hours"),
        ("8tpu-hours", "like 8gpu-hours"),
        ("5gpu-trials", "like 8gpu-hours"),
        ("5m,,3trials", "like 8gpu-hours"),
        ("0m", "more than nothing"),
        ("0trials", "more than nothing"),
        ("2.5trials", "must be whole"),
        ("5m,1h", "twice"),
        ("5trials,6trials", "twice"),
    ],
)
def test_what_is_not_a_budget_says_why_and_what_was_given(text, why):
    with pytest.raises(BudgetError, match=why) as caught:
        parse_budget(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["8gpu-hours,40trials", "90s", "20cpu-minutes,2h"])
def test_a_budget_reads_back_what_it_shows(text):
    assert parse_budget(str(parse_budget(text))) == parse_budget(text)


def test_costs_add_and_say_what_is_left():
    spent = Cost(wall_s=10, cpu_s=20) + Cost(wall_s=5, trials=1) + held(5, cores=1, gpus=1.4)
    assert spent == Cost(15, 25, 7, 1)
    assert spent.left(Budget(wall_s=60, trials=3)) == {"wall_s": 45, "trials": 2}
    assert spent.left(Budget(gpu_s=5, cpu_s=25)) == {"gpu_s": 0, "cpu_s": 0}
    assert spent.left(Budget()) == {}


def test_a_charge_is_a_purpose_and_a_cost_in_one_flat_object():
    charge = Charge("trial", Cost(wall_s=1.23456, cpu_s=2.0, trials=1).rounded())
    assert charge.to_json() == {"what": "trial", "wall_s": 1.235, "cpu_s": 2.0, "gpu_s": 0.0, "trials": 1}
    assert Charge.from_json(charge.to_json()) == charge
    assert Charge.from_json({"what": "trial", "cpu_s": 2.0, "energy_j": 9}) == Charge("trial", Cost(cpu_s=2.0))


def test_fidelity_is_plain_and_post_training_trains_nothing():
    assert Fidelity(**Fidelity(1, 400).to_json()) == Fidelity(1, 400, 32)
    assert (POST_TRAINING.rung, POST_TRAINING.steps) == (-1, 0)
    assert Budget(**Budget(wall_s=3).to_json()) == Budget(wall_s=3)
