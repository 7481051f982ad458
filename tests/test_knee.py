import random
from collections.abc import Callable, Iterator

import pytest

from moot.agents.engine import Queue
from moot.agents.limits.knee import BLOCK, LEAST, REST, SETTLING, Knee, Turnover, costs_nothing

MOST = 64
WORDS = 10
"""Tokens of a request, on the average."""

Throughput = Callable[[int], float]
"""Answers a second, by how many are under way."""


class Server:
    """A server that shares itself out among what is under way, as the knee's bound lets in."""

    def __init__(self, throughput: Throughput, noise: float = 0.0, seed: int = 0) -> None:
        """Begin idle; from second to second its throughput goes up and down by `noise`, a share."""
        self.knee = Knee(MOST)
        self.throughput = throughput
        self.limit = float(MOST)
        """The most places by other rules than the knee's."""
        self._noise = noise
        self._numbers = random.Random(seed)
        self.restart()

    def restart(self) -> None:
        """Lose what is under way, and count from nothing."""
        self._left: list[float] = []
        self._since: list[int] = []
        self._answered, self._tokens, self._latencies = 0, 0.0, 0.0
        self.words = WORDS

    def seconds(self, first: int, last: int) -> Iterator[float]:
        """Work and be looked at once a second; yield the bound."""
        for now in range(first, last):
            number = min(self.limit, self.knee.bound)
            while len(self._left) < number:
                self._left.append(self._request())
                self._since.append(now)
            self._work(now)
            queue = Queue(0, 0, 0, self._answered, int(self._tokens), self._latencies)
            self.knee.seen(queue, now, number, full=True)
            yield self.knee.bound

    def _request(self) -> float:
        return self._numbers.uniform(0.5, 1.5) * self.words

    def _work(self, now: int) -> None:
        """Work for a second at what lies in each place; what is done makes room for the next."""
        running = len(self._left)
        work = self.throughput(running) * self._numbers.uniform(1 - self._noise, 1 + self._noise)
        self._tokens += work * WORDS
        for i in reversed(range(running)):
            self._left[i] -= work * WORDS / running
            while self._left[i] <= 0:
                self._answered += 1
                self._latencies += now + 1 - self._since[i]
                self._since[i] = now + 1
                if len(self._left) > min(self.limit, self.knee.bound):
                    del self._left[i], self._since[i]
                    break
                self._left[i] += self._request()

    @property
    def rate(self) -> float:
        """Answers' worth of work, all in all."""
        return self._tokens / WORDS


def flat(_: int) -> float:
    """A server that gives as much to one as to many."""
    return 5.0


def linear(number: int) -> float:
    """A server that each one more gets one more answer from."""
    return number / 10


def curved(number: int) -> float:
    """A server that each one more gets a little more from."""
    return number / (1 + number / 8)


def creeping(number: int) -> float:
    """A server that twice as many always get a little more from."""
    return number**0.06


def after(seconds: int, throughput: Throughput, noise: float) -> list[float]:
    """Return the bounds at which several servers are after so many seconds, the least first."""
    servers = (Server(throughput, noise, seed) for seed in range(9))
    return sorted(list(server.seconds(0, seconds))[-1] for server in servers)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_an_engine_that_more_requests_get_no_more_from_is_asked_fewer_at_once(noise: float) -> None:
    assert after(2500, flat, noise)[4] <= 2 * LEAST


def test_an_engine_that_gives_the_more_the_more_it_is_asked_is_soon_left_alone() -> None:
    server = Server(linear)
    bounds = list(server.seconds(0, 3000))
    assert {bounds[-1], *bounds} == {MOST, MOST / 2}
    assert 0 < bounds.count(MOST / 2) < 250
    assert server.rate > 0.95 * linear(MOST) * 3000


def test_half_is_half_of_the_places_that_there_are() -> None:
    server = Server(flat, noise=0.3, seed=5)
    server.limit = 47.3
    bounds = list(server.seconds(0, 4000))
    assert set(bounds) <= {MOST, 47.3, 23.65, 11.825, 5.9125}
    assert bounds[-1] < 12


def test_places_are_halved_down_to_the_knee_and_no_further() -> None:
    ends = after(2500, lambda number: min(number, 16) / 4, 0.1)
    assert ends[0] >= 8
    assert ends[4] <= 32


def test_small_losses_do_not_add_up() -> None:
    bounds = list(Server(creeping).seconds(0, 6000))
    assert min(bounds) >= MOST / 4  # half gives .96 of all, and a quarter .92
    assert bounds.count(MOST / 4) < 0.1 * len(bounds)


@pytest.mark.parametrize("noise", [0.3, 1.0])
@pytest.mark.parametrize("throughput", [linear, curved, creeping])
def test_noise_costs_hardly_any_throughput(throughput: Throughput, noise: float) -> None:
    rates: list[float] = []
    for seed in range(4):
        server = Server(throughput, noise, seed)
        list(server.seconds(0, 5000))
        rates.append(server.rate / 5000)
    assert sum(rates) / len(rates) > 0.95 * throughput(MOST)


def test_a_trial_waits_for_turnovers_in_which_all_places_are_taken() -> None:
    server, knee = Server(flat), Knee(MOST)
    before = (SETTLING + BLOCK) * MOST / 5
    assert set(server.seconds(0, int(before))) == {MOST}
    assert MOST / 2 in server.seconds(int(before), int(1.1 * before) + 5)
    for now in range(1000):
        knee.seen(Queue(0, 0, 0, 5 * now, now, 64.0 * now), now, MOST, full=now % 12 > 0)
    assert knee.bound == MOST


def lowered() -> Server:
    """Return a server that is asked few at once after a quarter of an hour."""
    server = Server(flat, seed=2)
    assert list(server.seconds(0, 900))[-1] == LEAST
    return server


def test_another_load_gets_its_places_back() -> None:
    server = lowered()
    server.throughput = linear
    back = list(server.seconds(900, 900 + 10 * (REST + 6 * BLOCK)))
    assert back[-1] == MOST


def test_requests_of_another_length_are_another_load() -> None:
    server = lowered()
    server.words = 3 * WORDS
    assert MOST in server.seconds(900, 960)


def test_requests_that_grow_shorter_in_a_trial_do_not_end_it_well() -> None:
    server = Server(linear)
    for bound in server.seconds(0, 300):
        server.words = WORDS if bound == MOST else WORDS // 2
    assert server.knee.bound == MOST


def test_what_was_found_is_forgotten_where_a_server_is_started_again() -> None:
    server = lowered()
    server.restart()
    assert next(server.seconds(900, 901)) == MOST


def test_what_is_sure_is_told_from_what_is_not() -> None:
    def some(*rates: float, latency: float = 1.0, words: float = 10) -> list[Turnover]:
        return [Turnover(rate, rate * words, latency + 0.001 * i) for i, rate in enumerate(rates)]

    more = some(10, 10.1, 9.9, 10, latency=2)
    assert costs_nothing(some(10, 9.9, 10.1), more) is True
    assert costs_nothing(some(9.1, 9, 9.2), more) is False
    assert costs_nothing(some(12, 8, 10), more) is None
    assert costs_nothing(some(10, 9.9, 10.1, latency=2.1), more) is None  # as many, and no sooner
    assert costs_nothing(some(14, 13.9, 14.1, words=6), more) is False  # more, and shorter
    assert costs_nothing(some(8, 7.9, 8.1, words=14), more) is False
