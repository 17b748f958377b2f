"""How can a model shrink? One file each; a file's stem is the technique's name."""

from typing import Any

from autocomp.registry import Registry
from autocomp.techniques._base import Context, Options, PlannedModel, Stage, Technique

techniques: Registry[Technique[Any]] = Registry("technique", "autocomp.techniques", "technique")

__all__ = ["Context", "Options", "PlannedModel", "Stage", "Technique", "techniques"]
