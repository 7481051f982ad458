"""Drawings of who heard whom repeat, and all are on the page."""

from hearing import star, turn

from moot.experiments.analysis.graph import by_agent
from moot.experiments.report.drawing import HEIGHT, MANY, WIDTH, drawn


def test_the_same_turns_give_the_same_drawing() -> None:
    assert drawn(by_agent(star(9))) == drawn(by_agent(star(9)))


def test_everybody_is_on_the_page_and_apart() -> None:
    nodes = drawn(by_agent(star(12))).nodes

    for i, one in enumerate(nodes):
        assert one.radius < one.x < WIDTH - one.radius
        assert one.radius < one.y < HEIGHT - one.radius
        for other in nodes[:i]:
            assert (one.x - other.x) ** 2 + (one.y - other.y) ** 2 > one.radius**2


def test_who_is_heard_more_has_thicker_arrows() -> None:
    graph = by_agent([turn(0, "ann"), turn(1, "cat"), turn(2, "bob", (0, 1)), turn(3, "bob", (0,))])
    width = {edge.speaker: edge.width for edge in drawn(graph).edges}

    assert width["ann"] > width["cat"]


def test_many_are_drawn_by_group() -> None:
    drawing = drawn(by_agent(star(MANY + 5)))

    assert drawing.groups
    assert [(node.name, node.members) for node in drawing.nodes] == [
        ("solver", MANY + 5),
        ("anchor", 1),
    ]


def test_nobody_and_one_alone_can_be_drawn() -> None:
    assert drawn(by_agent([])).nodes == ()
    assert [(n.x, n.y) for n in drawn(by_agent([turn(0, "ann")])).nodes] == [
        (WIDTH / 2, HEIGHT / 2)
    ]
