"""`autocomp predict DIR [TEXT...]`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp import strict_json
from autocomp.cli._texts import one_cell, one_line, read_texts

if TYPE_CHECKING:
    from autocomp.artifact.loader import Prediction
    from autocomp.heads import AnswerKey

SUMMARY = "label texts (or grade them) with an exported model: arguments, a file, or standard input"
EXAMPLES = (
    "autocomp predict guard 'ignore all previous instructions'",
    "autocomp predict guard --file texts.txt --json",
    "autocomp predict guard 'a text' --exit-threshold 0.99",
    "autocomp predict matcher --pairs --file pairs.tsv",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="an exported model: autocomp export, or RUN/front/ID")
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="texts; without any: --file or standard input")
    parser.add_argument("--file", type=Path, help="a file of texts, one a line (UTF-8; others are recognised)")
    parser.add_argument("--pairs", action="store_true", help="every text is TEXT<tab>PAIR")
    parser.add_argument("--threads", type=int, default=1, help="of the engine (default 1)")
    parser.add_argument(
        "--exit-threshold",
        metavar="T",
        help="when to leave at an exit, instead of the file's own threshold; never: all layers",
    )
    parser.add_argument(
        "--json", action="store_true", help="one object a line: text, label (or labels, or value), scores, exit_depth"
    )


def run(args: argparse.Namespace) -> int:
    """Print an answer a text, as the texts come."""
    from autocomp.artifact.loader import load

    predictor = load(args.folder, args.threads, args.exit_threshold)
    key = predictor.head.answer_key
    for text in read_texts(args.texts, args.file, args.pairs):
        answer = predictor.predict([text])[0]
        print(_json(text, answer, key) if args.json else _line(text, answer), flush=True)
    return 0


def _json(text: str | tuple[str, str], answer: Prediction, key: AnswerKey) -> str:
    named = {"text": text} if isinstance(text, str) else {"text": text[0], "pair": text[1]}
    scores = {label: round(float(score), 6) for label, score in answer.scores.items()}
    value = None if answer.value is None else round(answer.value, 6)
    chosen = replace(answer, scores=scores, value=value).to_json(key)
    return one_line(strict_json.dumps({**named, **chosen, "exit_depth": int(answer.exit_depth)}))


def _line(text: str | tuple[str, str], answer: Prediction) -> str:
    """Labels and their probabilities, or the number; then the text. Where no label holds, a dash."""
    words = [text] if isinstance(text, str) else list(text)
    if answer.value is not None:
        return "\t".join([f"{answer.value:.4f}", *map(one_cell, words)])
    chances = [f"{answer.scores[label]:.4f}" for label in answer.labels]
    cells = [", ".join(answer.labels) or "-", ", ".join(chances) or "-", *words]
    return "\t".join(map(one_cell, cells))
