import asyncio

from moot.agents.engine import Queue
from moot.agents.limits.knee import LEAST
from moot.agents.limits.places import Places


def numbers(places: Places, *seen: Queue) -> list[int]:
    """Return how many places there are after each look."""
    found: list[int] = []
    for now, queue in enumerate(seen):
        places.seen(queue, now)
        found.append(int(places.number))
    return found


def test_the_longest_that_waits_is_let_in_first_and_equals_in_order() -> None:
    order: list[str] = []

    async def come(places: Places, name: str, rank: int) -> None:
        await places.take(rank)
        order.append(name)
        await asyncio.sleep(0)
        places.leave()

    async def scene() -> None:
        places, ranks = Places(1), {"first": 1, "short": 1, "long": 9, "short too": 1, "longer": 10}
        await asyncio.gather(*(come(places, name, rank) for name, rank in ranks.items()))
        assert places.taken == 0

    asyncio.run(scene())
    assert order == ["first", "longer", "long", "short", "short too"]


def test_who_goes_away_while_waiting_or_just_let_in_leaves_no_place_taken() -> None:
    async def scene() -> None:
        places = Places(1)
        await places.take(0)
        waits, let_in = (asyncio.create_task(places.take(0)) for _ in range(2))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.sleep(0)
        places.leave()  # lets the other in, which is cancelled before it runs
        let_in.cancel()
        await asyncio.gather(waits, let_in, return_exceptions=True)
        assert places.taken == 0
        await asyncio.wait_for(places.take(0), 1)

    asyncio.run(scene())


def test_there_are_as_many_places_as_a_full_engine_runs_and_a_few() -> None:
    full, idle = Queue(running=64, waiting=192, preempted=0), Queue(64, 4, 0)
    assert numbers(Places(256), full, full, idle) == [256, 72, 72]


def test_an_engine_that_still_takes_up_more_is_let_do_so() -> None:
    looks = [Queue(running, 250 - running, 0) for running in (6, 30, 64, 64)]
    assert numbers(Places(250), *looks) == [250, 250, 250, 72]


def test_what_was_preempted_makes_room() -> None:
    looks = Queue(100, 0, 3), Queue(100, 0, 4), Queue(75, 0, 4)
    assert numbers(Places(256), *looks) == [256, 75, 75]  # three were before our time


def test_an_engine_where_nothing_waits_is_given_more_as_long_as_all_places_are_taken() -> None:
    async def scene() -> list[int]:
        places = Places(100)
        for _ in range(2):
            places.seen(Queue(16, 84, 0), 0)
        for _ in range(18):
            await places.take(0)
        return numbers(places, Queue(18, 0, 0), Queue(18, 0, 0))

    assert asyncio.run(scene()) == [27, 27]


def test_an_engine_that_answers_no_more_and_only_later_is_given_less() -> None:
    async def scene() -> list[int]:
        places, under_way, found = Places(64), 0.0, list[int]()
        for now in range(500):
            while places.taken < places.number:
                await places.take(0)
            while places.taken > places.number:
                places.leave()
            places.seen(Queue(places.taken, 0, 0, 5 * now, 50 * now, under_way), now)
            under_way += places.taken  # latencies add up to that (Little)
            found.append(int(places.number))
        assert min(found) == LEAST
        places.idle()
        places.seen(Queue(LEAST, 0, 0), 500)
        places.seen(Queue(LEAST, 0, 0), 501)
        return [found[100], found[-1], int(places.number)]

    assert asyncio.run(scene()) == [64, 4, 6]  # another load may gain from more


def test_refusals_take_places_away_at_once_and_answers_bring_them_back_one_by_one() -> None:
    places = Places(16)
    places.taken = 16
    for began, now in ((0.0, 1.0), (0.5, 1.1), (0.9, 1.2), (2.0, 3.0)):
        places.refused(began, now)
    assert places.number == 9  # the three of one burst are one
    for _ in range(10):
        places.served()
    assert 10 <= places.number <= 10.2
    for _ in range(1000):
        places.served()
    assert places.number == 16
    for i in range(100):
        places.refused(3.0 + i, 3.0 + i)
    assert places.number == 1


def test_fewer_than_now_are_let_in_and_half_where_work_was_lost() -> None:
    places = Places(1024)
    places.taken = 64
    places.refused(0.0, 1.0, lost=True)
    assert places.number == 32
    places.refused(1.0, 2.0)
    assert places.number == 24


def test_a_straggler_that_is_refused_takes_no_places_for_long() -> None:
    places = Places(256)
    places.taken = 1
    places.refused(0.0, 1.0)
    assert places.number == 1
    for _ in range(191):
        places.served()
    assert places.number == 192
    places.served()
    assert 192 < places.number < 193


def test_who_tries_again_queues_where_there_are_fewer_places_by_then() -> None:
    async def scene() -> list[tuple[int, int]]:
        places, found = Places(4), list[tuple[int, int]]()
        for _ in range(4):
            await places.take(0)
        places.refused(0.0, 1.0)
        places.refused(1.0, 2.0)
        assert places.number == 2.25  # a third is let in, whether it comes or comes again
        again = [asyncio.create_task(places.again(0)) for _ in range(4)]

        async def look() -> None:
            await asyncio.wait(again, timeout=0.01)
            found.append((places.taken, sum(task.done() for task in again)))

        await look()
        next(task for task in again if not task.done()).cancel()
        await look()
        for _ in range(4):  # each of the four, who was cancelled too
            places.leave()
        await look()
        return found

    assert asyncio.run(scene()) == [(3, 3), (4, 4), (0, 4)]
