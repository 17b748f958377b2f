import json
import subprocess
import sys

from autocomp.plan import CompressionPlan, Step, canonical, fingerprint

PLAN = CompressionPlan(
    (Step("depth", {"layers": 2, "kept": (0, 1)}), Step("linear_bits", {"bits": 4.0, "per_group": {"é": 4, "a": 3}}))
)


def test_fingerprints_do_not_depend_on_key_order_or_on_tuples():
    again = {"per_group": {"a": 3, "é": 4}, "bits": 4.0}
    other = CompressionPlan((Step("depth", {"kept": [0, 1], "layers": 2}), Step("linear_bits", again)))
    assert other.fingerprint == PLAN.fingerprint
    assert len(PLAN.fingerprint) == 16


def test_fingerprints_are_equal_in_another_process():
    code = (
        "import json, sys; from autocomp.plan import CompressionPlan;"
        "print(CompressionPlan.from_json(json.loads(sys.argv[1])).fingerprint)"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(PLAN.to_json())],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(p for p in sys.path if p), "PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == PLAN.fingerprint


def test_every_difference_changes_the_fingerprint():
    others = [
        CompressionPlan(PLAN.steps[::-1]),
        CompressionPlan(PLAN.steps[:1]),
        PLAN.replacing([Step("depth", {"layers": 2, "kept": (0, 2)})]),
        PLAN.replacing([Step("exits", {})]),
    ]
    assert len({p.fingerprint for p in [PLAN, *others]}) == 5


def test_a_plan_survives_json():
    text = json.dumps(PLAN.to_json())
    assert CompressionPlan.from_json(json.loads(text)).fingerprint == PLAN.fingerprint
    assert json.loads(text)["steps"][0] == {"technique": "depth", "options": {"kept": [0, 1], "layers": 2}}


def test_options_keep_and_replacing():
    assert PLAN.options("depth") == {"layers": 2, "kept": (0, 1)}
    assert PLAN.options("exits") is None
    assert PLAN.keep(["linear_bits", "unknown"]).steps == PLAN.steps[1:]
    changed = PLAN.replacing([Step("exits", {"threshold": 0.9}), Step("depth", {"layers": 1})])
    assert [s.technique for s in changed.steps] == ["depth", "linear_bits", "exits"]
    assert changed.options("depth") == {"layers": 1}
    assert PLAN.options("depth") == {"layers": 2, "kept": (0, 1)}, "a plan is never changed"


def test_canonical_text():
    assert canonical({"b": (1, 2), "a": "é"}) == '{"a":"é","b":[1,2]}'
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
