"""The `autocomp` command: one verb a file, found by its name.

A verb module has SUMMARY, EXAMPLES, `add_arguments(parser)` and `run(args) -> int`; modules that start with `_` are
not verbs. A package is a verb of verbs, as in `autocomp device probe`: its modules are verbs by the same rules, and it
has only SUMMARY and EXAMPLES. Exit status: 0 success, 1 failure, 2 wrong input, 130 interrupted; all that is not a
result goes to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from autocomp.errors import AutocompError, InputError, short_repr


def verbs(package: ModuleType | None = None) -> dict[str, ModuleType]:
    """The verb modules by name, in alphabetical order; of a verb of verbs, its own."""
    package = package or sys.modules[__name__]
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
    return {name.rstrip("_"): importlib.import_module(f"{package.__name__}.{name}") for name in sorted(names)}


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from autocomp.environment import __version__

        print(f"autocomp {__version__}")
        parser.exit()


class _Verb(argparse.ArgumentParser):
    """Takes words after an option too: argparse alone refuses the text of `predict DIR --json TEXT`."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        self._lists: list[argparse.Action] = []
        super().__init__(*args, **keys)

    def add_argument(self, *names: Any, **keys: Any) -> argparse.Action:
        action = super().add_argument(*names, **keys)
        if not action.option_strings and action.nargs in ("*", "+"):
            self._lists.append(action)
        return action

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = super().parse_known_args(args, namespace)
        lists = self._lists
        if lists and unknown:
            split = unknown.index("--") if "--" in unknown else len(unknown)
            words = [w for w in unknown[:split] if not w.startswith("-")] + unknown[split + 1 :]
            unknown = [w for w in unknown[:split] if w.startswith("-")]
            kind = lists[-1].type if callable(lists[-1].type) else str
            getattr(found, lists[-1].dest).extend(kind(word) for word in words)
        return found, unknown


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="autocomp",
        description="Compress a BERT-like encoder for a task and a device: a Pareto front of files you can ship.",
        epilog="Start with `autocomp search demo --budget 9m`. `autocomp VERB --help` has examples.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.add_argument("--debug", action="store_true", help="show tracebacks (also: AUTOCOMP_DEBUG=1)")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Verb)
    for name, module in verbs().items():
        _add_verb(subparsers.add_parser, name, module)
    return parser


def _add_verb(add: Callable[..., argparse.ArgumentParser], name: str, module: ModuleType) -> None:
    verb = add(
        name,
        help=module.SUMMARY,
        description=module.SUMMARY,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in module.EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if hasattr(module, "__path__"):
        deeper = verb.add_subparsers(dest=f"{name}_verb", metavar="VERB", required=True, parser_class=_Verb)
        for inner, inner_module in verbs(module).items():
            _add_verb(deeper.add_parser, inner, inner_module)
        return
    verb.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    module.add_arguments(verb)
    verb.set_defaults(run=module.run)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status and never raises for what a person did."""
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as end:  # argparse has spoken: --help, --version or a usage error
        return int(end.code or 0)
    debug = args.debug or bool(os.environ.get("AUTOCOMP_DEBUG"))
    try:
        _check_utf8(sys.argv[1:] if argv is None else argv)
        return int(args.run(args))
    except KeyboardInterrupt:
        return _fail("interrupted", 130, debug=False)
    except BrokenPipeError:  # `autocomp show RUN | head`: nobody reads on, and that is no failure of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except InputError as error:
        return _fail(str(error), 2, debug)
    except AutocompError as error:
        return _fail(str(error), 1, debug)
    except Exception as error:
        return _fail(f"{type(error).__name__}: {error} (--debug shows where)", 1, debug)


def _check_utf8(words: Sequence[str]) -> None:
    """Python keeps bytes of arguments that are not UTF-8 as half characters, which no file or terminal takes."""
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in str(word)):
            way_out = "type it in a UTF-8 terminal, rename the file, or give texts in a file (--file)"
            raise InputError(f"an argument must be UTF-8 text, got {short_repr(str(word))}; {way_out}")


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"autocomp: {message}", file=sys.stderr)
    return status
