import subprocess
import sys

import pytest

from autocomp.cli import build_parser, main, verbs
from autocomp.environment import __version__
from autocomp.errors import TrialError

VERBS = "benchmark doctor export list predict profile report resume search show validate".split()


def test_every_verb_is_found():
    assert set(VERBS) <= set(verbs())


@pytest.mark.parametrize("verb", VERBS)
def test_help(autocomp, verb):
    status, out, _ = autocomp(verb, "--help")
    assert status == 0 and "examples:" in out
    assert all(line in out for line in verbs()[verb].EXAMPLES)


def test_version(autocomp):
    assert autocomp("--version") == (0, f"autocomp {__version__}\n", "")


@pytest.mark.parametrize("words", [[], ["serach"], ["show"], ["list", "things"], ["search", "--seed", "x"]])
def test_wrong_usage_exits_2(autocomp, words):
    status, out, err = autocomp(*words)
    assert (status, out) == (2, "") and "usage:" in err


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (TrialError("no trial was left"), 1, "autocomp: no trial was left\n"),
        (ZeroDivisionError("oh"), 1, "autocomp: ZeroDivisionError: oh (--debug shows where)\n"),
        (KeyboardInterrupt(), 130, "autocomp: interrupted\n"),
    ],
)
def test_failures_speak_on_stderr(autocomp, monkeypatch, error, status, words):
    monkeypatch.delenv("AUTOCOMP_DEBUG", raising=False)

    def fail(args):
        raise error

    monkeypatch.setattr(verbs()["doctor"], "run", fail)
    assert autocomp("doctor") == (status, "", words)


@pytest.mark.parametrize("place", ["before", "after", "environment"])
def test_debug_shows_the_traceback(autocomp, monkeypatch, place, tmp_path):
    monkeypatch.setenv("AUTOCOMP_DEBUG", "1" if place == "environment" else "")
    words = {"before": ["--debug", "show", tmp_path], "after": ["show", tmp_path, "--debug"]}
    status, _, err = autocomp(*words.get(place, ["show", tmp_path]))
    assert status == 2 and "Traceback" in err


def test_as_a_module_into_a_closed_pipe():
    code = f"{sys.executable} -m autocomp list studies | true"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_parser_is_complete():
    assert build_parser().parse_args(["show", "x"]).run is verbs()["show"].run
    assert main(["show", "/nowhere"]) == 2


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["d", "a", "b"], ["a", "b"]),
        (["d", "--json", "a"], ["a"]),
        (["d", "a", "--json", "b", "c"], ["a", "b", "c"]),
        (["--json", "d", "a"], ["a"]),
        (["d", "--json", "--", "-a", "b"], ["-a", "b"]),
        (["d", "--", "-a"], ["-a"]),
    ],
)
def test_texts_may_stand_anywhere(words, texts):
    args = build_parser().parse_args(["predict", *words])
    assert (str(args.folder), args.texts) == ("d", texts)


def test_unknown_flags_are_refused_beside_texts(autocomp):
    assert "unrecognized arguments: --jsn" in autocomp("predict", "d", "--jsn", "a")[2]
