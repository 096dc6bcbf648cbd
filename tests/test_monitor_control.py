"""What can be asked of a run from a page: by whom, how, and what comes of it; and driving by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import RedisServer
from monitoring import CARS, LIMIT_SECONDS, RUN, FakeRun, Page, in_loop, site, until

from monitor.asking import Asker
from monitor.control import WRONG_SECONDS
from monitor.hands import Hands
from monitor.hub import Hub
from monitor.messages import HandWish
from monitor.settings import Settings
from robo.cache import HAND_SECONDS, Cache
from robo.cache_values import Answer, Hand, Request
from robo.errors import UserError

TOKEN = "correct horse"
COMMANDS = [
    ("/api/control/pause", {}, ("pause", "", 0.0)),
    ("/api/control/resume", {}, ("resume", "", 0.0)),
    ("/api/control/save", {}, ("save", "", 0.0)),
    ("/api/control/stop", {}, ("stop", "", 0.0)),
    ("/api/control/cut", {}, ("cut", "", 0.0)),
    ("/api/control/processes/explorer0/restart", {}, ("restart", "explorer0", 0.0)),
    ("/api/control/policy", {"policy": "policies/tracks"}, ("policy", "policies/tracks", 0.0)),
    ("/api/control/policy", {"policy": ""}, ("policy", "", 0.0)),
    ("/api/cars/robo1/film", {"seconds": 30}, ("film", "robo1", 30.0)),
    ("/api/cars/robo1/film", {"seconds": 0}, ("film", "robo1", 0.0)),
]


@contextlib.contextmanager
def answering(cache: Cache, answer: Callable[[Request], Answer | None]) -> Iterator[list[Request]]:
    """A run that does what it is asked to. What it was asked."""
    asked: list[Request] = []
    ended = threading.Event()

    def serve() -> None:
        while not ended.wait(0.02):
            for request in cache.requests():
                asked.append(request)
                if (made := answer(request)) is not None:
                    cache.put_answer(request.id, made)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(("path", "body", "asked_for"), COMMANDS)
@in_loop
async def test_a_run_is_asked_and_its_answer_is_handed_on(
    redis_url: str, path: str, body: dict[str, Any], asked_for: tuple[str, str, float]
) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True) as monitor:
        with answering(run.cache, lambda request: Answer(True, f"{request.what}: done")) as asked:
            async with monitor.post(path, body) as response:
                assert response.status == 200
                assert await response.json() == {"text": f"{asked_for[0]}: done"}
        (request,) = asked
        assert (request.what, request.target, request.seconds) == asked_for
        with answering(run.cache, lambda request: Answer(False, "not now")):
            async with monitor.post(path, body) as response:
                assert response.status == 409
                assert await response.json() == {"error": "not now"}


@in_loop
async def test_a_run_that_does_not_answer_is_not_waited_for_long(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True, answer_seconds=0.3) as monitor:
        async with monitor.post("/api/control/pause") as response:
            assert response.status == 504
            assert await response.json() == {"error": "the run does not answer"}
        assert [request.what for request in run.cache.requests()] == ["pause"]


@in_loop
async def test_without_control_nothing_is_asked(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor:
        for path, body, _ in COMMANDS:
            async with monitor.post(path, body) as response:
                assert response.status == 403
                assert await response.json() == {"error": "control is off; set monitor.control=true"}
    run.tell(control=False)
    async with site(redis_url, control=True) as monitor, monitor.post("/api/control/pause") as response:
        assert response.status == 403
        assert "takes no commands" in (await response.json())["error"]
    assert run.cache.requests() == []


@in_loop
async def test_who_does_not_know_the_token_may_look_but_not_touch(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True, token=TOKEN) as monitor:
        await monitor.json("/api/state")
        for given in (
            None,
            "",
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            f"Basic {TOKEN}",
            f"Bearer {TOKEN}x",
            "Bearer \xe4",
        ):
            headers = {} if given is None else {"Authorization": given}
            began = asyncio.get_running_loop().time()
            async with monitor.post("/api/control/pause", headers=headers) as response:
                assert response.status == 401
                waited = asyncio.get_running_loop().time() - began
                assert given is None or waited >= WRONG_SECONDS  # so that guessing is slow
                assert response.headers["WWW-Authenticate"] == "Bearer"
                assert TOKEN not in await response.text()
        assert run.cache.requests() == []
        with answering(run.cache, lambda _: Answer(True, "paused")):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with monitor.post("/api/control/pause", headers=headers) as response:
                assert response.status == 200


def test_from_other_machines_a_token_is_needed(redis_url: str) -> None:
    for host in ("0.0.0.0", "", "::", "192.0.2.7", "box.example"):
        with pytest.raises(UserError, match=r"monitor\.control: on .* a token is needed; set MONITOR_TOKEN"):
            Settings(redis_url, host=host, control=True).check()
        Settings(redis_url, host=host, control=True, token=TOKEN).check()
        Settings(redis_url, host=host).check()
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        Settings(redis_url, host=host, control=True).check()
    assert TOKEN not in repr(Settings("redis://:secret@x", token=TOKEN))
    assert "secret" not in repr(Settings("redis://:secret@x", token=TOKEN))
    with pytest.raises(UserError, match="REDIS_URL: no Redis URL"):
        Settings("nonsense").check()


@in_loop
async def test_other_sites_pages_may_not_ask(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True) as monitor:
        for origin in (
            "http://evil.example",
            "null",
            monitor.url.replace("http", "https"),
            "http://localhost",
        ):
            async with monitor.post("/api/control/pause", headers={"Origin": origin}) as response:
                assert response.status == 403
        assert run.cache.requests() == []
        with answering(run.cache, lambda _: Answer(True, "")):
            async with monitor.post("/api/control/pause", headers={"Origin": monitor.url}) as response:
                assert response.status == 200


@in_loop
async def test_what_is_not_there_is_not_asked_for(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True) as monitor:
        for path, body, status, error in (
            ("/api/control/processes/nobody/restart", {}, 404, "mine has no process nobody"),
            ("/api/cars/nobody/film", {"seconds": 1}, 404, "mine has no car nobody"),
            ("/api/control/policy", {"policy": "none"}, 404, "there is no policy none on the run's machine"),
            (
                "/api/control/policy",
                {"policy": "policies/other"},
                409,
                "policies/other does not fit: sees 8x3",
            ),
            ("/api/control/pause?run=nobody", {}, 404, "there is no run nobody in this Redis"),
        ):
            async with monitor.post(path, body) as response:
                assert (response.status, await response.json()) == (status, {"error": error})
    assert run.cache.requests() == []


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/api/control/pause", b"", "body"),
        ("/api/control/pause", b"{", "body"),
        ("/api/control/pause", b"[]", "object"),
        ("/api/control/pause", b'{"a": 1}', "a"),
        ("/api/control/pause", b"\xff", "body"),
        ("/api/control/pause", b"[" * 60_000, "object"),
        ("/api/control/pause", b'{"a":' + b"[" * 60_000, "a"),
        ("/api/control/policy", b"{}", "policy"),
        ("/api/control/policy", b'{"policy": 1}', "policy"),
        ("/api/cars/robo1/film", b"{}", "seconds"),
        ("/api/cars/robo1/film", b'{"seconds": "30"}', "seconds"),
        ("/api/cars/robo1/film", b'{"seconds": -1}', "seconds"),
        ("/api/cars/robo1/film", b'{"seconds": 1e9}', "seconds"),
        ("/api/cars/robo1/film", b'{"seconds": NaN}', "body"),
    ],
)
@in_loop
async def test_bodies_that_make_no_sense_are_refused_by_name(
    redis_url: str, path: str, body: bytes, names: str
) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True) as monitor:
        headers = {"Content-Type": "application/json"}
        async with monitor.session.post(monitor.url + path, data=body, headers=headers) as response:
            assert response.status == 400
            error = (await response.json())["error"]
            assert names in error
            assert len(error) < 300
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            headers = {"Content-Type": kind}
            async with monitor.session.post(monitor.url + path, data=b"{}", headers=headers) as response:
                assert response.status == 415
    assert run.cache.requests() == []


@in_loop
async def test_without_redis_nothing_can_be_asked(redis_server: RedisServer) -> None:
    FakeRun(redis_server.url).fill()
    async with site(redis_server.url, control=True) as monitor:
        redis_server.stop()
        async with monitor.post("/api/control/pause") as response:
            assert response.status == 503
            assert (await response.json())["error"].startswith("Redis: ")


async def hands(cache: Cache, wanted: dict[str, Hand]) -> None:
    async def so() -> bool:
        return cache.hands(CARS) == wanted

    await until(so)


async def told(page: Page, car: str, ok: bool) -> str:
    await page.until(lambda: [hand for hand in page.hands if hand["car"] == car and hand["ok"] is ok])
    return next(hand["text"] for hand in page.hands if hand["car"] == car and hand["ok"] is ok)


@in_loop
async def test_a_car_is_driven_by_hand_until_it_is_given_back(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True) as monitor, monitor.watching() as page:
        wanted = {"car": "robo1", "throttle": 0.5, "turn": -1, "brake": 0}
        await page.say(hand=wanted)
        assert await told(page, "robo1", True) == "robo1 is driven by hand"
        await page.say(hand={**wanted, "turn": 0.25})
        await hands(run.cache, {"robo1": Hand(0.5, 0.25, 0.0)})
        await page.say(hand={"car": "robo1", "release": True})
        await hands(run.cache, {})
        assert len(page.hands) == 1
        await page.say(hand=wanted)
        await page.until(lambda: len(page.hands) == 2)


@in_loop
async def test_a_car_goes_back_to_its_driver_when_the_page_is_gone(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True) as monitor:
        async with monitor.watching() as page:
            for car in ("robo1", "robo2"):
                await page.say(hand={"car": car, "throttle": 1})
                await told(page, car, True)
            await page.say(hand={"car": "robo1", "throttle": 1})
            await page.say(hand={"car": "robo2", "throttle": 1})
            await hands(run.cache, {"robo1": Hand(1.0), "robo2": Hand(1.0)})
            began = asyncio.get_running_loop().time()
        await hands(run.cache, {})
        assert asyncio.get_running_loop().time() - began < 0.45  # and not only since nobody renews it


@in_loop
async def test_one_car_has_one_driver(redis_url: str) -> None:
    FakeRun(redis_url).fill()
    async with (
        site(redis_url, control=True) as monitor,
        monitor.watching() as first,
        monitor.watching() as second,
    ):
        await first.say(hand={"car": "robo1", "throttle": 1})
        await told(first, "robo1", True)
        await first.say(hand={"car": "robo1", "throttle": 1})
        await second.say(hand={"car": "robo1", "throttle": 0})
        assert await told(second, "robo1", False) == "robo1 is driven by somebody else"
        await second.say(hand={"car": "robo2", "throttle": 0})
        await told(second, "robo2", True)
        await first.say(hand={"car": "robo1", "release": True})
        give_up = asyncio.get_running_loop().time() + LIMIT_SECONDS
        while not [hand for hand in second.hands if hand["car"] == "robo1" and hand["ok"]]:
            assert asyncio.get_running_loop().time() < give_up
            await second.say(hand={"car": "robo1", "throttle": 0})
            await second.read()


@in_loop
async def test_who_may_not_drive_is_told_why(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url) as monitor, monitor.watching() as page:
        await page.say(hand={"car": "robo1", "throttle": 1})
        assert await told(page, "robo1", False) == "control is off; set monitor.control=true"
    async with site(redis_url, control=True, token=TOKEN) as monitor, monitor.watching() as page:
        await page.until(lambda: page.hello)
        assert page.hello["control"] == {"enabled": True, "token": True}
        await page.say(hand={"car": "robo1", "throttle": 1})
        assert "token" in await told(page, "robo1", False)
        assert run.cache.hands(CARS) == {}
        await page.say(token=TOKEN)
        await page.say(hand={"car": "nobody", "throttle": 1})
        assert await told(page, "nobody", False) == "mine has no car nobody"
        await page.say(hand={"car": "robo1", "throttle": 1})
        await told(page, "robo1", True)


@in_loop
async def test_a_wrong_token_ends_the_connection(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True, token=TOKEN) as monitor:
        for wrong in ("wrong", "", f"{TOKEN}x"):
            async with monitor.watching() as page:
                await page.say(token=wrong)
                await page.say(token=TOKEN)
                await page.say(hand={"car": "robo1", "throttle": 1})
                assert await page.end() == 1008
                assert page.hands == []
    assert run.cache.hands(CARS) == {}
    async with site(redis_url, control=True) as monitor, monitor.watching() as page:
        await page.say(token="any, where none is wanted")
        await page.say(hand={"car": "robo1", "throttle": 1})
        await told(page, "robo1", True)


@in_loop
async def test_a_page_that_leaves_gives_back_only_what_it_still_has(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    hub, asker = Hub(RUN), Asker(lambda name: Cache(redis_url, name))
    hub.known.run = run.info
    first, second = (Hands(hub, asker, lambda: "", lambda: None) for _ in range(2))
    for car in ("robo1", "robo2"):
        first.take(HandWish(car, 1.0))
    await hands(run.cache, {"robo1": Hand(1.0), "robo2": Hand(1.0)})
    await asyncio.sleep(HAND_SECONDS)  # it says nothing for so long that others may drive
    second.take(HandWish("robo1", 0.5))
    await hands(run.cache, {"robo1": Hand(0.5)})
    run.cache._redis.persist(f"robo:{RUN}:hand:robo1")  # however long this takes
    first.take(HandWish("robo2", 0.25))
    await hands(run.cache, {"robo1": Hand(0.5), "robo2": Hand(0.25)})
    await first.close()
    assert run.cache.hands(CARS) == {"robo1": Hand(0.5)}
    assert hub.drivers.keys() == {"robo1"}
    await second.close()
    assert run.cache.hands(CARS) == {}
    assert hub.drivers == {}
    asker.close()


@in_loop
async def test_who_drives_again_after_somebody_else_is_told_so(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    hub, asker = Hub(RUN), Asker(lambda name: Cache(redis_url, name))
    hub.known.run = run.info
    first, second = (Hands(hub, asker, lambda: "", lambda: None) for _ in range(2))

    async def answered(page: Hands, wish: HandWish) -> bool:
        page.take(wish)
        answers: list[bool] = []

        async def so() -> bool:
            answers.extend(answer.ok for answer in page.answers())
            return bool(answers)

        await until(so)
        return answers[0]

    wish = HandWish("robo1", 1.0)
    assert await answered(first, wish)
    await asyncio.sleep(HAND_SECONDS)
    assert await answered(second, wish)
    assert not await answered(first, wish)
    await second.close()
    assert await answered(first, wish)
    await first.close()
    asker.close()


@in_loop
async def test_who_drives_is_told_when_redis_is_lost_and_when_it_is_back(redis_server: RedisServer) -> None:
    FakeRun(redis_server.url).fill()
    async with site(redis_server.url, control=True) as monitor, monitor.watching() as page:
        await page.say(hand={"car": "robo1", "throttle": 1})
        await told(page, "robo1", True)
        redis_server.stop()
        await page.say(hand={"car": "robo1", "throttle": 1})
        assert (await told(page, "robo1", False)).startswith("Redis: ")
        redis_server.start()
        seen = len(page.hands)
        await page.say(hand={"car": "robo1", "throttle": 1})
        await page.until(lambda: len(page.hands) > seen)
        assert page.hands[-1]["ok"]


@in_loop
async def test_the_newest_of_many_wishes_is_what_the_run_gets(redis_url: str) -> None:
    run = FakeRun(redis_url).fill()
    async with site(redis_url, control=True) as monitor, monitor.watching() as page:
        for number in range(101):
            await page.socket.send_str(json.dumps({"hand": {"car": "robo1", "throttle": number / 100}}))
        await hands(run.cache, {"robo1": Hand(1.0)})
