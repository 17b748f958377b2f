"""Stages: built once, whole or not at all, whoever else builds them."""

import ast
import threading
from pathlib import Path

import pytest

from autocomp import result_cache as stages
from autocomp.result_cache import CODE, ResultCache, default_store
from autocomp.sources import PACKAGE


@pytest.fixture
def store(tmp_path):
    return ResultCache(tmp_path / "stages")


def write(text, **facts):
    def build(folder: Path):
        (folder / "file").write_text(text)
        return facts

    return build


def never(folder):
    raise AssertionError("built again")


def test_a_stage_is_built_once_and_found_ever_after(store):
    made = store.make("data", {"a": 1}, write("x", rows=3))
    assert (made.was_cached, made.facts, (made.folder / "file").read_text()) == (False, {"rows": 3}, "x")
    again = ResultCache(store.root).make("data", {"a": 1}, never)
    assert (again.was_cached, again.key, again.facts) == (True, made.key, made.facts)
    assert store.find(made.key) == again


@pytest.mark.parametrize(
    ("kind", "inputs"), [("data", {"a": 2}), ("data", {"b": 1}), ("data", {"a": 1, "b": 1}), ("teacher", {"a": 1})]
)
def test_other_inputs_and_kinds_have_other_keys(store, kind, inputs):
    assert store.key(kind, inputs) != store.key("data", {"a": 1})


def test_the_order_of_inputs_does_not_matter(store):
    assert store.key("data", {"a": 1, "b": {"c": 1, "d": 2}}) == store.key("data", {"b": {"d": 2, "c": 1}, "a": 1})


@pytest.mark.parametrize("kind", CODE)
def test_a_key_names_the_code_that_makes_the_stage(store, monkeypatch, kind):
    found = []
    for code in ("a", "b", "a"):
        monkeypatch.setattr(stages, "code_version", lambda asked: f"{asked} {code}")  # noqa: B023 - called at once
        found.append(store.key(kind, {}))
    assert found[0] == found[2] != found[1]


def test_every_kind_is_made_by_the_module_that_its_key_names():
    made = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "make":
                name = ".".join(["autocomp", *file.relative_to(PACKAGE).with_suffix("").parts])
                made.setdefault(ast.literal_eval(node.args[0]), set()).add(name)
    assert made == {kind: {module} for kind, module in CODE.items()}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing(store, error):
    def build(folder):
        (folder / "half").write_text("x")
        raise error

    with pytest.raises(type(error)):
        store.make("data", {}, build)
    assert list(store.root.iterdir()) == []
    assert store.make("data", {}, write("whole")).was_cached is False


def test_nothing_has_its_name_before_it_is_complete(store):
    def build(folder):
        assert store.find(store.key("data", {})) is None
        assert not store.folder(store.key("data", {})).exists()
        return {}

    assert store.find(store.make("data", {}, build).key)


def test_of_two_builders_the_first_wins_and_both_get_its_result(store):
    here, results = threading.Barrier(2), {}

    def make(name):
        def build(folder):
            here.wait(10)
            (folder / "file").write_text(name)
            return {"by": name}

        results[name] = store.make("data", {}, build)

    threads = [threading.Thread(target=make, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    written = (store.folder(store.key("data", {})) / "file").read_text()
    assert {r.facts["by"] for r in results.values()} == {written}
    assert {name: r.was_cached for name, r in results.items()} == {name: name != written for name in "ab"}
    assert len(list(store.root.iterdir())) == 1


def test_a_folder_that_cannot_take_its_name_is_an_error(store):
    store.folder(store.key("data", {})).mkdir()
    (store.folder(store.key("data", {})) / "foreign").write_text("x")
    with pytest.raises(OSError, match="not empty"):
        store.make("data", {}, write("x"))
    assert [p.name for p in store.root.iterdir()] == [store.key("data", {})]


def test_the_store_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("AUTOCOMP_CACHE", str(tmp_path / "a"))
    assert default_store() == tmp_path / "a" / "stages"
    monkeypatch.delenv("AUTOCOMP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert default_store() == tmp_path / "b" / "autocomp" / "stages"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_store() == Path.home() / ".cache" / "autocomp" / "stages"
