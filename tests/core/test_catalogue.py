import pytest

from autocomp.catalogue import find, find_all, folders, read_yaml, shipped
from autocomp.errors import SpecError, UnknownName

KINDS = ["search_spaces", "objectives", "studies", "devices"]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's folder with one objective and one of a sub-folder."""
    monkeypatch.delenv("AUTOCOMP_PATH", raising=False)
    for name in ("objectives/energy.yaml", "objectives/recipes/tail.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("measure: latency\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_ships_files(kind):
    found = find_all(kind)
    assert shipped(kind).is_dir() and found
    assert all(read_yaml(file) for file in found.values())


def test_included_folders_add_names(mine):
    assert "energy" not in find_all("objectives")
    found = find_all("objectives", [mine])
    assert found["energy"] == mine / "objectives/energy.yaml"
    assert "recipes/tail" in found and "latency" in found
    assert folders("devices", [mine]) == [shipped("devices")], "a folder counts only for the kinds it has"


def test_the_path_variable_adds_folders(mine, monkeypatch):
    monkeypatch.setenv("AUTOCOMP_PATH", f"/nowhere:{mine}")
    assert find("objectives", "energy") == mine / "objectives/energy.yaml"
    assert "energy" in find_all("objectives", [mine]), "the same file twice is no clash"


def test_one_name_in_two_files_is_an_error_that_names_both(mine):
    clash = mine / "objectives/latency.yaml"
    clash.write_text("measure: latency\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        find_all("objectives", [mine])
    assert str(clash) in str(caught.value)
    assert str(shipped("objectives") / "latency.yaml") in str(caught.value)


def test_find_takes_names_and_files(mine):
    assert find("objectives", "latency") == shipped("objectives") / "latency.yaml"
    assert find("objectives", str(mine / "objectives/energy.yaml")) == mine / "objectives/energy.yaml"


@pytest.mark.parametrize(
    ("kind", "word"),
    [("search_spaces", "search space"), ("objectives", "objective"), ("studies", "study"), ("devices", "device")],
)
def test_an_unknown_name_says_of_which_kind(kind, word):
    with pytest.raises(UnknownName, match=rf"^no {word} 'absent.yaml';"):
        find(kind, "absent.yaml")
    near = sorted(find_all(kind))[0]
    with pytest.raises(UnknownName, match=f"did you mean .*'{near}'"):
        find(kind, near + "x")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a: [1", "line 1"),
        (b"- 1\n- 2\n", "'list'"),
        (b"", "'NoneType'"),
        (b"\xff\xff", "readable YAML"),
        (b"7", "'int'"),
    ],
)
def test_yaml_that_cannot_be_read_names_the_file_and_why(tmp_path, content, why):
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(SpecError, match=why) as caught:
        read_yaml(file)
    assert str(caught.value).startswith(str(file))


def test_yaml_never_builds_objects(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("a: !!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(SpecError, match="constructor"):
        read_yaml(file)
    with pytest.raises(SpecError, match="readable YAML"):
        read_yaml(tmp_path / "absent.yaml")
