"""`autocomp status RUN`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autocomp import strict_json

if TYPE_CHECKING:
    from autocomp.report.status import Look, Node, Status
    from autocomp.report.summary import BudgetSummary

SUMMARY = "say what a run does right now: nodes, jobs, budget, failures, and the front so far"
EXAMPLES = (
    "autocomp status runs/demo",
    "autocomp status runs/demo --watch",
    "autocomp status runs/demo --watch 30 --json",
)
EVERY_S, EVERY_S_IN_A_LOG = 2.0, 30.0
MOST_ROWS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="a run directory, finished or not")
    parser.add_argument(
        "--json", action="store_true", help="as JSON (keys: docs/command-line.md); a line a look with --watch"
    )
    parser.add_argument(
        "--watch",
        type=_seconds,
        nargs="?",
        const=0.0,
        metavar="SECONDS",
        help="look again every SECONDS until the run ends (default: 2 on a terminal, 30 elsewhere)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"takes seconds between two looks; {text!r} is none (RUN comes first)"
        ) from error
    if not 0.1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"takes 0.1 to 86400 seconds between two looks; got {text}")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Print one look, or look until the run ends."""
    from autocomp.cli._say import print_json
    from autocomp.report.status import Look

    look = Look(args.run_folder)
    if args.watch is None:
        found = look.now()
        print_json(found) if args.json else print(describe(found))
        return 0
    is_live = sys.stdout.isatty() and not args.json
    every = args.watch or (EVERY_S if sys.stdout.isatty() else EVERY_S_IN_A_LOG)
    show = _live if is_live else _lines if args.json else _blocks
    try:
        show(_looks(look, every))
    except KeyboardInterrupt:  # how a person ends a watch: nothing was interrupted
        return 0
    return 0


def _looks(look: Look, every: float) -> Iterator[Status]:
    """Looks until the run is no longer at work; the last one shows how it ended."""
    while True:
        found = look.now()
        yield found
        if found["status"] != "running":
            return
        time.sleep(every)


def _lines(looks: Iterator[Status]) -> None:
    for found in looks:
        print(strict_json.dumps(found), flush=True)


def _blocks(looks: Iterator[Status]) -> None:
    for found in looks:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{describe(found)}\n", flush=True)


def _live(looks: Iterator[Status]) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        for found in looks:
            live.update(Text(describe(found), no_wrap=True, overflow="ellipsis"), refresh=True)


def describe(found: Status) -> str:
    """The status for people."""
    from autocomp.cli._front import front_text, next_steps

    parts = [_title(found), _budget(found), _nodes(found), _jobs(found), _troubles(found)]
    return "\n".join([*filter(None, parts), _front_title(found), front_text(found, 12), *next_steps(found)])


def _title(found: Status) -> str:
    from autocomp.cli._say import duration, short_path

    how = {"running": "for", "interrupted": "after", "finished": "after"}[found["status"]]
    seconds = "" if found["seconds"] is None else f" {how} {duration(found['seconds'])}"
    reason = f" ({found['reason']})" if found["reason"] else ""
    return f"{short_path(found['run'])}: {found['status']}{seconds}{reason} · {found['model']} on {found['task']}"


def _budget(found: Status) -> str:
    from autocomp.cli._front import counts_text
    from autocomp.cli._say import amounts

    budget = found["budget"]
    left = f"; left: {amounts(budget['left'])}" if budget["left"] else ""
    held = " and ".join(f"{found['held'][kind]:g} {kind}" for kind in ("CPU", "GPU") if found["held"][kind])
    lines = [
        f"budget: {budget['text'] or 'none'}; spent: {amounts(_worth_saying(budget))}{left}",
        f"trials: {counts_text(found['trials'])}",
    ]
    return "\n".join([*lines, *([f"held now: {held}"] if held else [])])


def _worth_saying(budget: BudgetSummary) -> dict[str, float]:
    return {k: v for k, v in budget["spent"].items() if v or k == "wall_s" or budget["given"].get(k) is not None}


def _nodes(found: Status) -> str:
    from autocomp.cli._say import duration, text_table

    nodes, saying = found["nodes"], {one["job"]: one["text"] or one["kind"] for one in found["jobs"]}
    order = sorted(nodes, key=lambda n: (not n["alive"], not n["jobs"]))
    rows = [_node_row(node, saying) for node in order[:MOST_ROWS]]
    lost = [f"lost: node {n['node']} ({n['host']})" for n in found["lost_nodes"][-MOST_ROWS:]]
    if not rows:
        return "\n".join(lost)
    age = found["nodes_age_s"] or 0.0
    stale = [f"(as they were {duration(age)} ago)"] if age > 30 else []
    hidden = [f"… and {len(nodes) - len(rows)} more nodes"] if len(nodes) > len(rows) else []
    head = ["node", "host", "CPU", "GPU", "device", "at work on"]
    table = text_table(head, rows, ("node", "host", "device", "at work on"))
    return "\n".join(["", *stale, table, *hidden, *lost])


def _node_row(node: Node, saying: dict[str, str]) -> list[str]:
    resources, used = node["resources"], node["used"]
    shares = [f"{used.get(k, 0):g}/{resources[k]:g}" if resources.get(k) else "–" for k in ("CPU", "GPU")]
    work = ", ".join(f"{job} ({saying[job].replace('_', ' ')})" if saying.get(job) else job for job in node["jobs"])
    # A cluster's ids are 56 digits; twelve tell nodes apart.
    return [node["node"][:12], node["host"], *shares, node["device"] or "–", work if node["alive"] else "(not alive)"]


def _jobs(found: Status) -> str:
    from autocomp.cli._say import duration, text_table

    jobs = found["jobs"]
    if not jobs:
        return ""
    if found["status"] == "interrupted":
        return "cut off, done again by `resume`: " + ", ".join(job["job"] for job in jobs)
    rows = [
        [
            job["job"],
            (job["text"] or job["kind"]).replace("_", " "),
            "–" if not job["fraction"] else f"{100 * job['fraction']:.0f} %",
            "–" if job["left_s"] is None else duration(job["left_s"]),
            duration(job["running_s"]),
            str(job["attempt"]),
            job["describe"],
        ]
        for job in jobs[:MOST_ROWS]
    ]
    hidden = [f"… and {len(jobs) - len(rows)} more jobs"] if len(jobs) > len(rows) else []
    head = ["job", "does", "done", "left", "for", "attempt", "plan"]
    return "\n".join(["", text_table(head, rows, ("job", "does", "plan")), *hidden])


def _troubles(found: Status) -> str:
    from autocomp.cli._say import duration

    retried, failures = found["retried"], found["failures"]
    lines = []
    if retried:
        last = retried[-1]
        where = f" on node {last['node'][:12]}" if last["node"] else ""
        lines.append(
            f"started again: {len(retried)}, {duration(found['lost_s'])} lost; the last: {last['job']},"
            f" attempt {last['attempt']}{where}: {last['error']}"
        )
    lines += [f"failed {failure['id']}: {failure['error']}" for failure in failures]
    return "\n".join(["", *lines]) if lines else ""


def _front_title(found: Status) -> str:
    if found["final"]:
        return "\nfinal front, scored on the held-out split:"
    return "\nfront so far, on the search split:"
