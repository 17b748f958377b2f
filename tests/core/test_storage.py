"""Files and folders that are whole or not there, whatever goes wrong and whoever else writes them."""

import os
import threading

import pytest

from autocomp.storage import atomic_file, atomic_folder, first_folder, write_atomically


class Stop(Exception):
    """What goes wrong."""


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize(("content", "written"), [("süß\n", "süß\n".encode()), (b"\x00\xff", b"\x00\xff")])
def test_a_file_is_written_or_replaced(tmp_path, content, written):
    for _ in range(2):
        write_atomically(tmp_path / "a.json", content)
    assert (tmp_path / "a.json").read_bytes() == written and names(tmp_path) == ["a.json"]


def test_a_file_stays_as_it_was_when_writing_fails(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(Stop), atomic_file(tmp_path / "a") as scratch:
        scratch.write_text("half")
        raise Stop
    assert (tmp_path / "a").read_text() == "old" and names(tmp_path) == ["a"]


def test_a_file_needs_its_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "none" / "a", "text")


def test_a_reader_of_a_file_that_many_write_sees_one_whole(tmp_path):
    file, texts = tmp_path / "a", [letter * 50_000 for letter in "abcd"]
    write_atomically(file, texts[0])
    threads = [threading.Thread(target=lambda t=t: [write_atomically(file, t) for _ in range(20)]) for t in texts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert file.read_text() in texts
    assert names(tmp_path) == ["a"]


def filled(folder, text):
    folder.mkdir()
    (folder / "file").write_text(text)


def test_a_folder_appears_with_its_parents_when_it_is_complete(tmp_path):
    folder = tmp_path / "deep" / "one"
    with atomic_folder(folder) as new:
        filled(new, "new")
        assert not folder.exists() and new.parent.parent == folder.parent
    assert (folder / "file").read_text() == "new" and names(folder.parent) == ["one"]
    (tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode, "open to whom a new folder is"


def test_an_older_folder_makes_way_only_if_it_is_said(tmp_path):
    filled(tmp_path / "one", "old")
    with pytest.raises(OSError), atomic_folder(tmp_path / "one") as new:
        filled(new, "new")
    assert (tmp_path / "one" / "file").read_text() == "old"
    with atomic_folder(tmp_path / "one", replace=True) as new:
        filled(new, "new")
    assert (tmp_path / "one" / "file").read_text() == "new" and names(tmp_path) == ["one"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_fails_leaves_nothing(tmp_path, replace):
    filled(tmp_path / "old", "old")
    with pytest.raises(Stop), atomic_folder(tmp_path / "old", replace) as new:
        filled(new, "half")
        raise Stop
    assert names(tmp_path) == ["old"] and (tmp_path / "old" / "file").read_text() == "old"


def test_the_first_of_several_folders_is_kept(tmp_path):
    def write(scratch):
        (scratch / "file").write_text("ours")

    assert first_folder(tmp_path / "one", write) is True

    def write_second(scratch):
        (scratch / "file").write_text("second")

    assert first_folder(tmp_path / "one", write_second, "file") is False
    assert (tmp_path / "one" / "file").read_text() == "ours" and names(tmp_path) == ["one"]


def test_a_folder_that_is_not_complete_is_not_taken_for_the_first(tmp_path):
    filled(tmp_path / "one", "of somebody else")
    with pytest.raises(OSError):
        first_folder(tmp_path / "one", lambda scratch: (scratch / "stage.json").touch(), "stage.json")
    assert names(tmp_path) == ["one"]


def test_only_its_user_may_open_a_folder_that_is_shared_by_hash(tmp_path):
    first_folder(tmp_path / "one", lambda scratch: (scratch / "file").touch())
    assert (tmp_path / "one").stat().st_mode & 0o077 == 0 or os.name == "nt"
