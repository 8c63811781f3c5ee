"""The parts between the stages: bounded, closed when nothing more comes, broken when another thread has failed."""

import threading
import time
from uuid import uuid4

import pytest

from app.models import FeatureSet
from tests.conftest import FakeExtractor
from tests.waiting import PATIENCE
from workers.channel import Broken, Channel
from workers.crew import Crew
from workers.roster import PATIENT_ON_CPU, Served
from workers.stages import Meter


def test_a_channel_holds_no_more_than_its_bound_and_gives_what_came_first() -> None:
    channel: Channel[int] = Channel(2)
    put = threading.Thread(target=lambda: [channel.put(n) for n in range(5)])
    put.start()
    while len(channel) < 2:
        time.sleep(0.001)
    assert put.is_alive()
    assert [channel.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    put.join()


def test_a_closed_channel_gives_what_it_has_and_then_nothing() -> None:
    channel: Channel[str] = Channel(2)
    channel.put("last")
    channel.close()
    assert [channel.get(), channel.get(), channel.get()] == ["last", None, None]


def test_a_broken_channel_frees_those_who_wait_on_either_side() -> None:
    full, empty = Channel[int](1), Channel[int](1)
    full.put(0)
    freed: list[str] = []

    def waiting(action: object, name: str) -> None:
        with pytest.raises(Broken):
            action()  # type: ignore[operator]
        freed.append(name)

    threads = [
        threading.Thread(target=waiting, args=(lambda: full.put(1), "put")),
        threading.Thread(target=waiting, args=(empty.get, "get")),
    ]
    for thread in threads:
        thread.start()
    full.break_off()
    empty.break_off()
    for thread in threads:
        thread.join(timeout=PATIENCE)
    assert sorted(freed) == ["get", "put"]


def test_the_first_failure_ends_the_whole_crew_and_is_what_is_raised() -> None:
    channel: Channel[int] = Channel(1)
    crew = Crew(channel.break_off)

    def wait() -> None:
        channel.get()

    def fail() -> None:
        raise RuntimeError("the first")

    crew.start("waits", wait)
    crew.start("fails", fail)
    with pytest.raises(RuntimeError, match="the first"):
        crew.join()


def test_a_crew_that_ends_by_itself_raises_nothing() -> None:
    done: list[str] = []
    crew = Crew(lambda: done.append("failure"))
    crew.start("one", lambda: done.append(str(uuid4())))
    crew.join()
    assert len(done) == 1


def test_the_engines_idle_share_is_of_the_time_since_the_last_report() -> None:
    meter = Meter()
    with meter.forward.at_work(3):
        first = meter.report()
        while meter.report()["engine"]["busy_seconds"] < 0.01:
            pass
    assert first["stages"]["forward"]["items"] == 0
    meter.report()
    time.sleep(0.01)
    after = meter.report()
    assert after["engine"]["idle_ratio"] == 1.0
    assert after["stages"]["forward"]["items"] == 3
    assert after["engine"]["busy_seconds"] >= 0.01


def test_a_stage_counts_what_a_block_says_it_has_done() -> None:
    meter = Meter(decode=lambda: 7)
    with meter.claim.at_work() as done:
        done.items = 5
    told = meter.report()["stages"]
    assert (told["claim"]["items"], told["decode"]["queue"]) == (5, 7)


def test_a_batch_that_nobody_waits_for_is_small_on_a_processor_alone(extractor: FakeExtractor) -> None:
    served = Served(FeatureSet(), extractor, 64)
    assert (served.most(urgent=True), served.most(urgent=False)) == (64, PATIENT_ON_CPU)
    assert Served(FeatureSet(), extractor, 4).most(urgent=False) == 4
    extractor.engine = "jax/bf16/gpu"
    assert served.most(urgent=False) == 64
