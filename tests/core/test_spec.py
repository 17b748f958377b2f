import pytest

from autocomp.api import _TASK_KEYS
from autocomp.budget import Budget
from autocomp.catalogue import find_all
from autocomp.errors import BudgetError, SpecError, UnknownName
from autocomp.spec import StudySpec, TaskSpec, read_device, read_objective, read_space, read_study

NEEDED = {"model": "m", "task.source": "t"}


@pytest.fixture
def study(tmp_path):
    """`study(text)` writes a study's YAML and gives its path."""

    def write(text: str) -> str:
        file = tmp_path / "mine.yaml"
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


RECORDED = (
    "recorded: {at: '2026-05-01', autocomp: 0.1.0, cpu: a CPU, cores: 4, int8_macs_per_ms: 2, fp32_macs_per_ms: 1, "
    "noise_spread: 0, noise_between_sessions: 0, latency: {work: [runs, kernels], costs_ms: COSTS, "
    "error: {median: 0, low: 0, high: 0, worst: 0}}}\n"
)


@pytest.mark.parametrize(
    ("costs", "said"),
    [("[1.5]", "must be 2 numbers"), ("[1, -1]", "must be 2 numbers"), ("[1, 2]", None)],
)
def test_a_recorded_table_has_a_cost_for_each_kind_of_work(study, costs, said):
    file = study("summary: mine\n" + RECORDED.replace("COSTS", costs))
    if said is None:
        assert read_device(file).recorded.latency.costs_ms == (1, 2) and read_device(file).name == "mine"
        return
    with pytest.raises(SpecError, match=f"recorded.latency.costs_ms: {said}"):
        read_device(file)


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("studies", lambda name: read_study(name, {})),
        ("search_spaces", read_space),
        ("objectives", read_objective),
        ("devices", read_device),
    ],
)
def test_every_shipped_file_is_valid(kind, read):
    for name in find_all(kind):
        read(name)


def test_flags_are_laid_over_the_file_and_none_means_not_given(study):
    file = study("model: a\ntask: {source: s, text: body, max_length: 64}\nbudget: 1h\nseed: 3\n")
    spec = read_study(file, {"budget": "2h,5trials", "seed": None, "task.text": "title", "task.label": None})
    assert (spec.model, spec.seed, spec.budget) == ("a", 3, "2h,5trials")
    assert spec.task == TaskSpec(source="s", text="title", max_length=64)
    assert spec.parsed_budget == Budget(wall_s=7200, trials=5)


def test_a_task_may_be_just_its_name(study):
    file = study("model: a\ntask: tweets\n")
    assert read_study(file, {}).task == TaskSpec(source="tweets")
    assert read_study(file, {"task.metric": "f1"}).task == TaskSpec(source="tweets", metric="f1")


def test_flags_alone_are_a_study():
    spec = read_study(None, {**NEEDED, "objectives": ["latency"]}, include=["a", "b"])
    assert spec == StudySpec(model="m", task=TaskSpec(source="t"), objectives=("latency",), include=("a", "b"))


def test_included_folders_add_up(study):
    assert read_study(study("model: a\ntask: t\ninclude: [x]\n"), {}, include=["y"]).include == ("x", "y")
    assert read_study(study("model: a\ntask: t\ninclude: x\n"), {}, include=["y"]).include == ("x", "y")


def test_an_unknown_key_names_near_ones_and_all(study):
    file = study("model: a\ntask: t\nbugdet: 1h\n")
    with pytest.raises(
        SpecError, match=r"bugdet: is not a key of StudySpec; did you mean 'budget'\? .*\(known: .*seed"
    ):
        read_study(file, {})
    file = study("model: a\ntask: {source: t, txt: body}\n")
    with pytest.raises(SpecError, match=r"task\.txt: is not a key of TaskSpec; did you mean 'text'\?"):
        read_study(file, {})


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("seed: -1", "seed"),
        ("seed: many", "seed"),
        ("workers: 1.5", "workers"),
        ("members: 4", "members"),
        ("teacher_epochs: 0", "teacher_epochs"),
        ("teacher_learning_rate: .nan", "teacher_learning_rate"),
        ("budget: 45", "budget"),
        ("objectives: latency", "objectives"),
        ("recovery_steps: [a]", "recovery_steps.0"),
        ("model: [a]", "model"),
        ("task: [a, b]", "task"),
        ("task: 3", "task"),
        ("task: {source: t, max_length: 2}", "task.max_length"),
        ("7: x", "7"),
    ],
)
def test_a_wrong_value_names_file_key_and_value(study, line, key):
    written = {"model": "m", "task": "t"}
    kept = [f"{k}: {v}" for k, v in written.items() if not line.startswith(f"{k}:")]
    file = study("\n".join([*kept, line]) + "\n")
    with pytest.raises(SpecError) as caught:
        read_study(file, {})
    assert caught.value.key == key
    assert caught.value.source == file


def test_what_is_missing_is_named():
    with pytest.raises(SpecError, match=r"^command line: model: field required$"):
        read_study(None, {"task.source": "t"})
    with pytest.raises(SpecError, match=r"^command line: task\.source: field required$"):
        read_study(None, {"model": "m", "task.text": "body"})


def test_budget_and_name_errors_pass_through():
    with pytest.raises(BudgetError, match="soon"):
        read_study(None, {**NEEDED, "budget": "soon"})
    with pytest.raises(UnknownName, match="no study"):
        read_study("absent", {})


def test_files_of_a_user_are_named_by_their_stem(tmp_path):
    for kind, text in {
        "objectives": "measure: latency\nlimit: 5\n",
        "devices": "threads: 2\n",
        "search_spaces": "techniques: {depth: {layers: 2}}\n",
    }.items():
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "own.yaml").write_text(text, encoding="utf-8")
    include = [str(tmp_path)]
    assert read_objective("own", include).name == "own"
    assert (read_device("own", include).name, read_device("own", include).threads) == ("own", 2)
    assert read_space("own", include).techniques == {"depth": {"layers": 2}}
    (tmp_path / "search_spaces/none.yaml").write_text("techniques: {}\n", encoding="utf-8")
    with pytest.raises(SpecError, match="techniques"):
        read_space("none", include)


def test_python_takes_every_key_of_a_task_by_itself():
    assert {*_TASK_KEYS, "source"} == set(TaskSpec.model_fields)
