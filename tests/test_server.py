"""A server process: awaited, explained when it dies, and never left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from moot.agents.errors import EngineError, Fault
from moot.agents.serving.server import Server

# A server with a child, and a grandchild that left its session; it tells when it is ready.
FAMILY = """
setsid sh -c 'echo $$ >> {pids}; sleep 1000' &
sh -c '{trap} echo $$ >> {pids}; sleep 1000 & wait; sleep 1000' &
echo $$ >> {pids}
wait
"""
PARENT = """
import asyncio, sys
from pathlib import Path
from moot.agents.serving.server import Server

async def main():
    folder = Path(sys.argv[1])
    server = Server("toy", ["sh", str(folder / "run.sh")], {}, folder / "log", grace_s=1)
    await server.start(lambda: asyncio.sleep(0), 20)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def family(folder: Path, trap: str = "") -> Path:
    """Return a script that starts three processes, which write their ids to `folder/pids`."""
    script = folder / "run.sh"
    script.write_text(FAMILY.format(pids=folder / "pids", trap=trap))
    return script


def pids(folder: Path) -> list[int]:
    path = folder / "pids"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def living(numbers: Sequence[int]) -> list[int]:
    """Return which of these processes run; one that only waits to be reaped does not."""

    def runs(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return [pid for pid in numbers if runs(pid)]


def eventually_gone(numbers: Sequence[int]) -> bool:
    until = time.monotonic() + 20
    while living(numbers) and time.monotonic() < until:
        time.sleep(0.02)
    return not living(numbers)


def toy(folder: Path, *command: str, grace_s: float = 5.0) -> Server:
    return Server("toy", command, dict(os.environ), folder / "log", grace_s)


async def three(folder: Path) -> None:
    """Go through once three processes have written their ids."""
    if len(pids(folder)) < 3:
        raise Fault("not yet")


def test_a_server_is_ready_when_its_probe_goes_through_and_leaves_nothing(tmp_path: Path) -> None:
    async def scene() -> list[bool]:
        server = toy(tmp_path, "sh", str(family(tmp_path)))
        await server.start(lambda: three(tmp_path), within_s=20)
        seen = [server.alive, len(living(pids(tmp_path))) == 3]
        await server.stop()
        return [*seen, server.alive, living(pids(tmp_path)) == []]

    assert asyncio.run(scene()) == [True, True, False, True]


def test_what_ignores_being_told_to_end_is_killed(tmp_path: Path) -> None:
    async def scene() -> None:
        server = toy(tmp_path, "sh", str(family(tmp_path, 'trap "" TERM;')), grace_s=0.3)
        await server.start(lambda: three(tmp_path), within_s=20)
        await server.stop()

    asyncio.run(scene())
    assert living(pids(tmp_path)) == []


def test_killing_its_owner_leaves_no_orphan(tmp_path: Path) -> None:
    family(tmp_path)
    owner = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    until = time.monotonic() + 20
    while len(pids(tmp_path)) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    assert len(living(pids(tmp_path))) == 3
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert eventually_gone(pids(tmp_path))


def test_killing_the_supervisor_leaves_no_group(tmp_path: Path) -> None:
    async def scene() -> bool:
        server = toy(tmp_path, "sh", "-c", f"echo $$ > {tmp_path}/pids; sleep 1000 & wait")

        async def one() -> None:
            if not pids(tmp_path):
                raise Fault("not yet")

        await server.start(one, within_s=20)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await server.stop()
        return server.alive

    assert asyncio.run(scene()) is False
    assert eventually_gone(pids(tmp_path))


def test_a_supervisor_told_to_end_ends_its_command(tmp_path: Path) -> None:
    async def scene() -> None:
        server = toy(tmp_path, "sh", str(family(tmp_path)))
        await server.start(lambda: three(tmp_path), within_s=20)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGTERM)
        async with asyncio.timeout(20):
            while server.alive:  # noqa: ASYNC110 (the process tells no event)
                await asyncio.sleep(0.02)

    asyncio.run(scene())
    assert living(pids(tmp_path)) == []


async def never() -> None:
    raise Fault("not yet")


def death(folder: Path, script: str) -> str:
    """Return what is said of a server that runs `script` and ends."""
    with pytest.raises(EngineError) as caught:
        asyncio.run(toy(folder, "sh", "-c", script).start(never, within_s=20))
    return str(caught.value)


def test_a_server_that_dies_at_start_is_explained_by_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("ValueError: of an earlier run\n")
    assert death(tmp_path, "echo starting; exit 3") == (
        f"the toy ended (exit code 3): starting (log: {log})"
    )
    script = r"""
        echo '(EngineCore pid=7) ERROR 11-24 02:19:05 [core.py:12] ValueError: no room for keys'
        echo '(APIServer pid=6) RuntimeError: Engine core failed. See root cause above.'
        echo 'UserWarning: leaked'
        exit 1"""
    assert death(tmp_path, script) == (
        f"the toy ended (exit code 1): ValueError: no room for keys (log: {log})"
    )
    script = r"""
        echo '(APIServer pid=6) pydantic_core.ValidationError: 1 validation error for ModelConfig'
        echo '(APIServer pid=6)   Value error, too long. [type=value_error, input_value=(1, [2])]'
        echo '(APIServer pid=6)     For further information visit https://errors.pydantic.dev'
        exit 1"""
    assert ": 1 validation error for ModelConfig: Value error, too long. (log:" in death(
        tmp_path, script
    )
    script = r"""
        echo '(Core pid=6) ERROR 11-24 02:19 [a.py:1] ValidationError: 2 validation errors for C'
        echo '(Core pid=6) ERROR 11-24 02:19 [a.py:1] max_num_seqs'
        echo '(Core pid=6) ERROR 11-24 02:19 [a.py:1]   Input should be 1 or more [type=ge, x=0]'
        exit 1"""
    assert ": 2 validation errors for C: max_num_seqs Input should be 1 or more (log:" in death(
        tmp_path, script
    )
    assert death(tmp_path, "kill -9 $$").startswith("the toy was killed, perhaps for want of mem")
    assert "exit code 127" in death(tmp_path, "no-such-program")


def test_a_server_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"the toy wasn't ready within 0.5 s \(log: .*log\)"):
        asyncio.run(toy(tmp_path, "sh", str(family(tmp_path))).start(never, within_s=0.5))
    assert living(pids(tmp_path)) == []


def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        server = toy(tmp_path, "sh", str(family(tmp_path)))
        starting = asyncio.create_task(server.start(never, within_s=20))
        while len(pids(tmp_path)) < 3:  # noqa: ASYNC110 (the process tells no event)
            await asyncio.sleep(0.02)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(scene())
    assert living(pids(tmp_path)) == []


def test_a_server_may_be_started_again(tmp_path: Path) -> None:
    async def up(times: int) -> None:
        if (tmp_path / "log").read_text().count("up") < times:
            raise Fault("not yet")

    async def scene() -> str:
        server = toy(tmp_path, "sh", "-c", "echo up; sleep 1000")
        for times in (1, 2):
            await server.start(lambda times=times: up(times), within_s=20)
        await server.stop()
        await server.stop()
        return server.obituary()

    assert "the toy ended (exit code 143): up" in asyncio.run(scene())
