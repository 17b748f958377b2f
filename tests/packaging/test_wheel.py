"""What pip installs is whole: built, installed into an environment of its own, run from an empty folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KINDS = ["search_spaces", "objectives", "dashboards", "studies", "devices"]


def run(*command: object, cwd: Path) -> str:
    """Run a command without the checkout on its path; its output, or a failure that shows it."""
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "AUTOCOMP_PATH"}}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_of_checkout(folder: Path) -> Path:
    """The files that git has or would take, so that no build output of another run gets in."""
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return copy_of_checkout(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    """A wheel from the checkout, an sdist, and a wheel from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation"]
    run(*build, "--sdist", "--outdir", folder, ".", cwd=source)
    run(*build, "--wheel", "--outdir", folder / "direct", ".", cwd=source)
    sdist = next(folder.glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    run(*build, "--wheel", "--outdir", folder / "from_sdist", ".", cwd=next((folder / "unpacked").iterdir()))
    return {kind: next((folder / kind).glob("*.whl")) for kind in ("direct", "from_sdist")}


def environment_with(target: list[object], folder: Path) -> Path:
    """A new environment that sees this one's libraries (not its autocomp) and has `target` installed."""
    venv.create(folder / "env", with_pip=False)
    paths = {"base": str(folder / "env"), "platbase": str(folder / "env")}
    own = Path(sysconfig.get_path("purelib", vars=paths))
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    python = folder / "env" / "bin" / "python"
    # --ignore-installed: whatever autocomp the libraries' environment has is another's and stays.
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", "--quiet"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, *target, cwd=folder)
    return python.parent


def check_whole(binaries: Path, folder: Path, inside: Path) -> None:
    """The installed program finds its code and every shipped file from an empty folder."""
    empty = folder / "empty"
    empty.mkdir()
    code = "import autocomp, autocomp.catalogue as c; print(c.__file__, *(len(c.find_all(k)) for k in {!r}))"
    file, *found = run(binaries / "python", "-c", code.format(KINDS), cwd=empty).split()
    assert inside.resolve() in Path(file).resolve().parents
    assert found == [str(len(list((ROOT / kind).rglob("*.yaml")))) for kind in KINDS]
    assert "prompt" in run(binaries / "autocomp", "list", "tasks", cwd=empty)
    for line in run(binaries / "autocomp", "list", "spaces", cwd=empty).splitlines():
        assert str(ROOT) not in line
    run(binaries / "autocomp", "--help", cwd=empty)


@pytest.mark.parametrize("kind", ["direct", "from_sdist"])
def test_a_wheel_is_whole(built, kind, tmp_path):
    binaries = environment_with([built[kind]], tmp_path)
    check_whole(binaries, tmp_path, tmp_path / "env")
    templates = tmp_path.glob("env/lib/python*/site-packages/autocomp/_catalogue/dashboards/*")
    assert {p.name for p in templates} == {p.name for p in (ROOT / "dashboards").iterdir()}


def test_an_editable_install_is_whole(source, tmp_path):
    binaries = environment_with(["-e", source], tmp_path)
    check_whole(binaries, tmp_path, source)
