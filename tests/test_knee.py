import random
from collections.abc import Callable, Iterator
from statistics import median

import pytest

from moot.agents.engine import Queue
from moot.agents.knee import LEAST, REST, Knee, Turnover, costs_nothing

MOST = 64


def steady(
    knee: Knee, throughput: Callable[[float], float], noise: float = 0.0, seed: int = 0
) -> Iterator[Queue]:
    """Serve what the places let in, and yield what a server's metrics say after each second.

    Args:
        knee: says how many are under way.
        throughput: answers a second, by how many these are.
        noise: how far that goes up and down from second to second, at most, as a share.
        seed: of the noise.
    """
    numbers, answered, latencies = random.Random(seed), 0.0, 0.0
    while True:
        queue = Queue(int(knee.bound), 0, 0, int(answered), latencies)
        yield queue
        answered += throughput(knee.bound) * numbers.uniform(1 - noise, 1 + noise)
        latencies += knee.bound  # Little: so many seconds are spent there in each


def watched(
    throughput: Callable[[float], float], looks: int, noise: float = 0.0, seed: int = 0
) -> tuple[list[float], float]:
    """Return the bound at each look, and the answers a second over all of them."""
    knee = Knee(MOST)
    server, bounds = steady(knee, throughput, noise, seed), list[float]()
    for now in range(looks):
        knee.seen(next(server), now, knee.bound, full=True)
        bounds.append(knee.bound)
    return bounds, next(server).answered / looks


def flat(_: float) -> float:
    """A server that gives as much to one as to many."""
    return 5.0


def linear(number: float) -> float:
    """A server that each one more gets one more answer from."""
    return number / 10


def curved(number: float) -> float:
    """A server that each one more gets a little more from."""
    return number / (1 + number / 8)


def test_an_engine_that_more_requests_get_no_more_from_is_asked_fewer_at_once() -> None:
    bounds, rate = watched(flat, 2500)
    assert bounds.index(LEAST) < 400
    assert max(bounds[400:]) == 2 * LEAST  # later twice as many are tried again
    assert rate == pytest.approx(5, rel=0.01)


def test_an_engine_that_gives_the_more_the_more_it_is_asked_is_soon_left_alone() -> None:
    bounds, rate = watched(linear, 3000)
    assert bounds[-1] == MOST
    assert 0 < bounds.count(MOST / 2) < 100
    assert rate > 0.98 * linear(MOST)


def test_places_are_halved_down_to_the_knee_and_no_further() -> None:
    bounds, rate = watched(lambda number: min(number, 16) / 4, 2000)
    assert median(bounds[400:]) == 16
    assert set(bounds[400:]) == {8, 16, 32}
    assert rate > 0.98 * 4


@pytest.mark.parametrize("noise", [0.3, 1.0])
@pytest.mark.parametrize("throughput", [flat, linear, curved])
def test_noise_costs_hardly_any_throughput_however_the_engine_is(
    throughput: Callable[[float], float], noise: float
) -> None:
    rates = [watched(throughput, 6000, noise, seed)[1] for seed in range(5)]
    assert sum(rates) / len(rates) > 0.97 * throughput(MOST)


def test_few_seconds_tell_nothing_and_neither_do_places_that_are_free() -> None:
    knee = Knee(MOST)
    server = steady(knee, flat)
    for now in range(80):  # eight turnovers take 102 seconds, and one more comes first
        knee.seen(next(server), now, MOST, full=True)
    assert knee.bound == MOST
    for now in range(80, 1000):
        knee.seen(next(server), now, MOST, full=now % 10 > 0)
    assert knee.bound == MOST


def test_another_load_gets_its_places_back() -> None:
    knee = Knee(MOST)
    loads = [flat, linear]
    server = steady(knee, lambda number: loads[0](number))
    for now in range(300):
        knee.seen(next(server), now, knee.bound, full=True)
    assert knee.bound == LEAST
    del loads[0]
    for now in range(300, 300 + 6 * REST * 10):  # a turnover takes ten seconds
        knee.seen(next(server), now, knee.bound, full=True)
    assert knee.bound == MOST


def test_a_server_that_was_started_again_is_not_taken_for_a_slow_one() -> None:
    knee = Knee(MOST)
    server = steady(knee, flat)
    for now in range(60):
        knee.seen(next(server), now, MOST, full=True)
    server = steady(knee, flat)
    for now in range(60, 360):
        knee.seen(next(server), now, knee.bound, full=True)
    assert knee.bound == LEAST


def test_what_is_sure_is_told_from_what_is_not() -> None:
    def some(*rates: float, latency: float = 1.0) -> list[Turnover]:
        return [Turnover(rate, latency + 0.001 * i) for i, rate in enumerate(rates)]

    more = some(10, 10.1, 9.9, 10, latency=2)
    assert costs_nothing(some(10, 9.9, 10.1), more) is True
    assert costs_nothing(some(9.1, 9, 9.2), more) is False
    assert costs_nothing(some(12, 7, 10), more) is None
    assert costs_nothing(some(10, 9.9, 10.1, latency=2.1), more) is None  # as many, and no sooner
