"""What is this machine? Its parts, its rates, how steady its clock is, and a table of times to predict others from."""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autocomp.artifact.runtime import open_session
from autocomp.artifact.runtimes import runtimes
from autocomp.devices.predicting import fit, fit_error, left_out_errors
from autocomp.devices.samples import SMALL, Sample, random_text, samples
from autocomp.devices.work import COUNTED, work
from autocomp.environment import Machine, __version__, processor
from autocomp.inspection.speed import gemm_rates
from autocomp.measures.latency import ATTEMPTS
from autocomp.spec import DeviceProfile, LatencyTable, Recorded
from autocomp.timing import CLOCK, Clock, time_interleaved

Progress = Callable[[str, float], None]
Run = Callable[[int], object]
FILES, LEAST_FILES, LEAST_ROUNDS, REPEATS = 30, 6, 5, 3
NOISE_TOKENS, NOISE_ROUNDS, NOISE_REPEATS = 25, 40, 10
BUSY = 0.2
"""Spread of one file's single times over which the machine is not quiet enough; the profile is then marked."""


class MachineParts(Machine):
    """A machine with its memory, 10^9 bytes (None where the system does not say), and versions of its runtimes."""

    memory_gb: float | None
    versions: dict[str, str]


@dataclass(frozen=True)
class Timed:
    """One file at one length: place of the file, tokens, milliseconds and their interquartile range, work done."""

    file: int
    tokens: int
    ms: float
    spread_ms: float
    work: np.ndarray


def probe(
    name: str, threads: int = 1, seconds: float = 60.0, files: int = FILES, progress: Progress | None = None
) -> DeviceProfile:
    """A profile of this machine as a device.

    Args:
        name: of the device.
        threads: of the engine, in all times but the rates of products, which are one thread's.
        seconds: how long the random files are timed; each is timed five times at least.
        files: how many.
        tell: is told what is done and which fraction of all is done.
    """
    progress = progress or (lambda text, fraction: None)
    progress("rates of products", 0.0)
    rates = gemm_rates()
    progress("noise", 0.05)
    spread, between = steady_noise(lambda: noise(threads))
    chosen = samples(files)
    times = timed(chosen, threads, seconds, lambda text, part: progress(text, 0.1 + 0.85 * part))
    progress("fitting", 0.95)
    table = latency_table(chosen, times)
    progress("done", 1.0)
    facts = machine()
    recorded = Recorded(
        at=datetime.date.today().isoformat(),
        autocomp=__version__,
        int8_macs_per_ms=_short(rates.int8),
        fp32_macs_per_ms=_short(rates.fp32),
        noise_spread=_short(spread),
        noise_between_sessions=_short(between),
        disturbed=spread > BUSY,
        latency=table,
        cpu=facts["cpu"],
        instruction_sets=tuple(facts["instruction_sets"]),
        cores=facts["cores"],
        memory_gb=facts["memory_gb"],
        system=facts["system"],
        versions=facts["versions"],
    )
    many = "one thread" if threads == 1 else f"{threads} threads"
    engine = f"ONNX Runtime {facts['versions']['onnxruntime']}"
    summary = f"{facts['cpu']}, {facts['cores']} cores, {engine}, {many}, batch 1."
    return DeviceProfile(name=name, summary=summary, threads=threads, recorded=recorded)


def machine() -> MachineParts:
    """Processor, cores free to us, memory, system, and versions of what runs files here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    engines = {name: runtimes[name].version() for name in runtimes}
    return {
        **processor(),
        "cores": cores,
        "memory_gb": memory_gb(),
        "system": platform.platform(),
        "versions": {"python": platform.python_version(), **{k: v for k, v in engines.items() if v is not None}},
    }


def memory_gb() -> float | None:
    """Memory of the machine, 10^9 bytes; None where the system does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, others may lack a name
        return None


def noise(threads: int) -> tuple[float, float]:
    """How far one and the same file is from itself.

    Returns:
        Interquartile range of its times over their median, and the difference of two sessions' medians over their mean.
    """
    model, inputs = SMALL.write().SerializeToString(), random_text(NOISE_TOKENS)
    sessions = {name: _runner(open_session(model, threads), inputs) for name in ("a", "b")}
    times = time_interleaved(sessions, rounds=NOISE_ROUNDS, inputs=NOISE_REPEATS)
    first, second = (float(np.median(times[name])) for name in ("a", "b"))
    low, high = np.percentile(times["a"], [25, 75])
    return float(high - low) / first, abs(first - second) / (0.5 * (first + second))


def steady_noise(measure: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """The smallest spread of up to `ATTEMPTS` measurements of noise; more than one where something disturbs them."""
    sessions = [measure()]
    while sessions[-1][0] > BUSY and len(sessions) < ATTEMPTS:
        sessions.append(measure())
    return min(sessions)


def latency_table(chosen: Sequence[Sample], times: Sequence[Timed]) -> LatencyTable:
    """The times of files, and what their work costs by them."""
    counted, ms = np.array([t.work for t in times]), np.array([t.ms for t in times])
    errors = left_out_errors(counted, ms, [t.file for t in times])
    return LatencyTable(
        work=COUNTED,
        costs_ms=tuple(_short(cost) for cost in fit(counted, ms)),
        error={k: _short(v) for k, v in fit_error(errors).model_dump().items()},  # type: ignore[arg-type]
        files=tuple(str(sample) for sample in chosen),
        rows=tuple((t.file, t.tokens, _short(t.ms), _short(t.spread_ms), *t.work.tolist()) for t in times),
    )


def timed(
    chosen: Sequence[Sample], threads: int, seconds: float, progress: Progress, clock: Clock = CLOCK
) -> list[Timed]:
    """Times of each file at each of its lengths, in turns, and the work that it does.

    Args:
        clock: seconds; another one than the wall's is for comparisons on a machine that others use too.
    """
    runs: dict[tuple[int, int], Run] = {}
    counted: dict[tuple[int, int], np.ndarray] = {}
    for place, sample in enumerate(chosen):
        progress(f"writing files, {place + 1} of {len(chosen)}", 0.3 * place / len(chosen))
        model, texts = sample.write(), [random_text(tokens) for tokens in sample.lengths]
        session = open_session(model.SerializeToString(), threads)
        for tokens, inputs, done in zip(sample.lengths, texts, work(model, texts), strict=True):
            runs[place, tokens], counted[place, tokens] = _runner(session, inputs), done
    taken = _rounds({f"{place} {tokens}": run for (place, tokens), run in runs.items()}, seconds, progress, clock)
    low, middle, high = np.percentile(taken, [25, 50, 75], axis=0)
    spreads = (high - low).tolist()
    return [
        Timed(*key, ms, spread, counted[key]) for key, ms, spread in zip(counted, middle.tolist(), spreads, strict=True)
    ]


def _rounds(runs: Mapping[str, Run], seconds: float, progress: Progress, clock: Clock) -> np.ndarray:
    """Milliseconds `[rounds, runs]`, in another order each round: what runs before another leaves the caches warm."""
    rng, names, started = np.random.default_rng(0), list(runs), time.monotonic()
    rounds: list[list[float]] = []
    while len(rounds) < LEAST_ROUNDS or time.monotonic() - started < seconds:
        part = max(min(1.0, (time.monotonic() - started) / max(seconds, 1e-9)), 0.0)
        progress(f"timing them, round {len(rounds) + 1}", 0.3 + 0.7 * min(part, (len(rounds) + 1) / LEAST_ROUNDS))
        order = [names[i] for i in rng.permutation(len(names))]
        turn = {name: runs[name] for name in order}
        times = time_interleaved(turn, rounds=1, warmup=0, inputs=REPEATS, clock=clock)
        rounds.append([float(np.median(times[name])) for name in names])
    return np.array(rounds)


def _runner(session: Any, inputs: Mapping[str, np.ndarray]) -> Run:
    return lambda index: session.run(None, inputs)


def _short(value: float) -> float:
    """The value in five digits: more would be noise in a file that people read."""
    return float(f"{value:.5g}")
