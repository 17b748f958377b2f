"""How do other tools see a run? One file each: a `target` that writes it for that tool; `_run.py` is what they get."""

from autocomp.publishing._run import Published, PublishedRun, Row, Target, read_run
from autocomp.registry import Registry

targets: Registry[Target] = Registry("target", "autocomp.publishing", "target")

__all__ = ["Published", "PublishedRun", "Row", "Target", "read_run", "targets"]
