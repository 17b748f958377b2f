"""One call on the clock; several subjects in turns are tested in tests/measures/test_latency.py."""

from autocomp.measures import latency
from autocomp.timing import CLOCK, once, time_interleaved


def test_a_call_gives_its_result_and_its_milliseconds():
    ticks = iter([10.0, 10.25])
    assert once(divmod, 7, 2, clock=lambda: next(ticks)) == ((3, 1), 250.0)


def test_the_clock_never_goes_back():
    seen = [CLOCK() for _ in range(100)]
    assert seen == sorted(seen) and once(sum, ())[1] >= 0


def test_measures_give_the_same_function():
    assert latency.time_interleaved is time_interleaved
