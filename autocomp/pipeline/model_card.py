"""README.md of an exported checkpoint: what it is, how to load it, and how it differs from the ONNX file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autocomp.exit_rules import exit_rules
from autocomp.measures import headline

if TYPE_CHECKING:
    from autocomp.formats import WeightFormat
    from autocomp.models.student import Student

_HUGGING_FACE = """\
---
library_name: transformers
pipeline_tag: text-classification
---
"""
_LOAD = {
    True: "`transformers.AutoModelForSequenceClassification.from_pretrained(DIR)` and `AutoTokenizer` load it.",
    False: "`autocomp.load(DIR)` loads it: `.encoder` is a torch module, `.tokenizer` a `tokenizers.Tokenizer`.",
}


def card(member: Mapping[str, Any], student: Student, irregular: str | None) -> str:
    """The text.

    Args:
        member: of a run's summary.
        student: with the values that the file stores.
        irregular: why it is no Hugging Face checkpoint, None if it is one.
    """
    lines = [
        f"# {member['id']}: {member.get('describe') or 'as it is'}",
        "",
        f"A text classifier compressed by autocomp. Labels: {', '.join(student.labels)}. Texts are "
        f"{'pairs' if student.pairs else 'single texts'}, cut to {student.max_length} tokens.",
        "",
        _LOAD[irregular is None],
        *([f"It is no Hugging Face model: {irregular}."] if irregular else []),
        "",
        "## Beside the ONNX file",
        "",
        *_measured(member),
        "* The weights here are FP32 and have the values that the ONNX file stores, after rounding and zeroing. The",
        "  file also rounds activations to 8 bits while it runs, so logits differ a little.",
        f"* The file stores: {_stored(student)}.",
        *_exits(student, irregular is None),
        "* Training further moves the weights off these values, and zeros away from zero, unless you keep them there.",
        "",
    ]
    return (_HUGGING_FACE if irregular is None else "") + "\n".join(lines)


def _measured(member: Mapping[str, Any]) -> list[str]:
    if member.get("score") is None:
        return []
    size, time, _ = headline()
    how = " (predicted)" if time.is_marked(member, "predicted") else ""
    how = " (disturbed: something else ran meanwhile)" if time.is_marked(member, "disturbed") else how
    measured = f"score {member['score']:.4f}, {time.read(member):.3g} ms a text{how}, {size.read(member):,} bytes"
    return [f"* Measured of the file, not of this checkpoint: {measured}."]


def _stored(student: Student) -> str:
    kinds = Counter(_kind(format) for format in student.formats.values() if format.bits < 32)
    return "; ".join(f"{count} matrices at {kind}" for kind, count in kinds.items()) or "all weights in FP32"


def _kind(format: WeightFormat) -> str:
    """`4 bits, sparse`; number systems other than plain integers are named."""
    named = [] if format.numbers == "integer" else [format.numbers]
    return ", ".join([f"{format.bits} bits", *named, *(["sparse"] if format.sparse else [])])


def _exits(student: Student, hugging_face: bool) -> list[str]:
    if student.exit_threshold is None or not student.encoder.shape.exits:
        return []
    depths = ", ".join(map(str, student.encoder.shape.exits))
    where = "this checkpoint has no exit heads" if hugging_face else "its exit heads are `encoder.exits`"
    rule = exit_rules[student.exit_rule].describe(student.exit_threshold)
    sure = f"The file may answer after layer {depths} where it is sure ({rule})"
    return [f"* {sure}; {where}, and all layers run."]
