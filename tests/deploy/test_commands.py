"""Every command in a recipe is one that the real program takes."""

import re
import shlex
from pathlib import Path

import pytest
from ray.scripts.scripts import cli as ray

from autocomp import cli

DEPLOY = Path(__file__).parents[2] / "deploy"
RECIPES = ("ray-local.yaml", "ray-aws.yaml", "kuberay.yaml", "slurm.sh")
#: Where a command may begin: a line, a comment's example, after a shell word, or in backticks.
BEGINS = r"(?:^\s*(?:#   \s*|- )?|`|; |&& |\bthen |\belse |\bexec |\buntil |\bon \S+ |-- )(?:~/autocomp-env/bin/)?"
ENDS = r"(?=`|;|&&| &$|\s{3,}|'$| 2>|$)"
#: What stands for a value that only the running shell knows.
KNOWN = {
    "$RAY_HEAD_IP": "10.0.0.1",
    '"$address"': "10.0.0.1:6379",
    '"$(cat ~/.autocomp-device)"': "cpu_1_thread",
    '"${AUTOCOMP_DEVICE:-cpu_1_thread}"': "cpu_1_thread",
    '"$@"': "demo --budget 1h",
    '"$cores"': "8",
    '"$port"': "6379",
}
OPTIONS = {parameter.opts[0] for name in ("start", "stop") for parameter in ray.commands[name].params}


def commands(recipe, program):
    """The words of every command line of a program in a recipe, comments included."""
    text = (DEPLOY / recipe).read_text(encoding="utf-8")
    for name, value in KNOWN.items():
        text = text.replace(name, value)
    return [shlex.split(words) for words in re.findall(rf"{BEGINS}{program} (.+?){ENDS}", text, re.M)]


def refused(words):
    """Whether autocomp's parser refuses a command; one of a single word in prose names a verb and no more."""
    if len(words) == 1:
        return words[0] not in cli.verbs()
    try:
        cli.build_parser().parse_args(words)
    except SystemExit:
        return True
    return False


@pytest.mark.parametrize("recipe", RECIPES)
def test_autocomp_takes_what_a_recipe_says(recipe):
    found = commands(recipe, "autocomp")
    verbs = {words[0] for words in found}
    assert {"search", "device"} <= verbs and any("--ray" in words for words in found)
    assert [words for words in found if words[:2] != ["device", "probe"] and refused(words)] == []


def test_recipes_that_survive_their_driver_go_on():
    for recipe in ("kuberay.yaml", "slurm.sh"):
        (resume,) = [words for words in commands(recipe, "autocomp") if words[0] == "resume"]
        (search,) = [words for words in commands(recipe, "autocomp") if words[0] == "search" and len(words) > 1]
        assert resume[1] == search[search.index("--out") + 1]
        assert resume[resume.index("--ray") + 1] == search[search.index("--ray") + 1]


@pytest.mark.parametrize("recipe", ["ray-local.yaml", "ray-aws.yaml", "slurm.sh"])
def test_ray_takes_what_a_recipe_says(recipe):
    found = commands(recipe, "ray")
    assert {words[0] for words in found} <= set(ray.commands) | {"health-check"}
    starts = [words for words in found if words[0] == "start"]
    assert len(starts) == 2 and sum("--head" in words for words in starts) == 1
    given = {word.split("=")[0] for words in starts for word in words[1:] if word.startswith("--")}
    assert given <= OPTIONS
    head, worker = sorted(starts, key=lambda words: "--head" not in words)
    (port,) = [word.removeprefix("--port=") for word in head if word.startswith("--port=")]
    assert any(word.startswith("--address=") and word.endswith(f":{port}") for word in worker)


def test_a_wrong_command_is_found():
    assert refused(["serach"]) and refused(["search", "--no-such-flag", "x"])
