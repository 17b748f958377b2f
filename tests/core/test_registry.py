import sys
from importlib.metadata import EntryPoint

import pytest

from autocomp.errors import UnknownName
from autocomp.registry import Registry


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A package `room_of_things` with the things `red`, `green` and one that fails to import."""
    folder = tmp_path / "room_of_things"
    folder.mkdir()
    for name, text in {
        "__init__": "",
        "_base": "raise AssertionError('private modules are no members')",
        "red": "thing = 'RED'",
        "green": "thing = 'GREEN'",
        "broken": "import no_such_module_anywhere",
        "empty": "",
    }.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry("thing", "room_of_things", "thing")
    for name in [n for n in sys.modules if n.startswith("room_of_things")]:
        del sys.modules[name]


def plug_in(monkeypatch, *points: tuple[str, str]) -> None:
    found = [EntryPoint(name, value, "autocomp.room_of_things") for name, value in points]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [p for p in found if p.group == group])


def test_names_come_from_files_and_import_none(room):
    assert room.names() == list(room) == ["broken", "empty", "green", "red"]
    assert "red" in room and "_base" not in room and "blue" not in room
    assert not {"room_of_things.red", "room_of_things.broken"} & set(sys.modules)


def test_a_look_up_imports_that_member_alone(room):
    assert room["red"] == "RED"
    assert "room_of_things.green" not in sys.modules
    assert room.origin("red") == "room_of_things.red"


def test_an_unknown_name_lists_near_matches_and_all(room):
    with pytest.raises(UnknownName, match=r"no thing 'gren'; did you mean 'green', .*\(4 known: broken, emp") as caught:
        room["gren"]
    assert caught.value.near[0] == "green"
    with pytest.raises(UnknownName, match="4 known"):
        room["_base"]


def test_a_module_that_fails_raises_its_own_error(room):
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        room["broken"]
    with pytest.raises(AttributeError, match="thing"):
        room["empty"]


def test_entry_points_add_names(room, monkeypatch):
    plug_in(monkeypatch, ("blue", "room_of_things.red:thing"))
    assert room.names() == ["blue", "broken", "empty", "green", "red"]
    assert room["blue"] == "RED"
    assert room.origin("blue") == "room_of_things.red:thing"


def test_one_name_in_two_packages_is_an_error_that_names_both(room, monkeypatch):
    plug_in(monkeypatch, ("red", "elsewhere:thing"))
    with pytest.raises(ValueError, match=r"thing 'red' is defined twice: room_of_things.red and elsewhere:thing"):
        room["red"]
    assert room["green"] == "GREEN"


def test_two_plug_ins_of_one_name_are_an_error_but_one_installed_twice_is_not(room, monkeypatch):
    plug_in(monkeypatch, ("blue", "a:thing"), ("blue", "b:thing"))
    for _ in range(2):
        with pytest.raises(ValueError, match="thing 'blue' is defined twice: a:thing and b:thing"):
            room.names()
    plug_in(monkeypatch, ("blue", "room_of_things.red:thing"), ("blue", "room_of_things.red:thing"))
    assert room["blue"] == "RED"
