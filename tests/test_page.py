"""The live page of a real run, in a real browser.

Screenshots of it are kept in runs/page/, for a person to look at.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from robo import config
from robo.config import ROOT
from robo.runs import CONFIG
from tests.running import Run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES = ROOT / "runs" / "page"
CARS = ("robo1", "robo2", "robo3", "robo-eval1")
WIDTHS = {390: 844, 1280: 900, 2560: 1440}
LIMIT_MS = 60_000
"""Several times what anything here takes on two busy cores."""
SETS = (
    "simulator.clock=realtime",
    "monitor.enabled=true",
    "monitor.control=true",
    "cars.explorers=3",
    "replay.random_transitions=200",
    "learner.log_seconds=0.5",
    "supervision.backoff_seconds=1.5",  # so that a process that has ended is seen so
    "supervision.realtime_priority=false",  # other tests' runs want their share of the machine
    "learner.own_cores=false",
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    sets = [word for item in SETS for word in ("--set", item)]
    run = Run("scripts.train", "configs/ddpg.yml", *sets, runs=tmp_path_factory.mktemp("runs"), name="page")
    try:
        run.wait(lambda: run.pid("monitor"), what="serving the page")
        yield run
    finally:
        run.end()


@pytest.fixture(scope="module")
def url(run: Run) -> str:
    return f"http://127.0.0.1:{config.read(run.folder / CONFIG).monitor.port}/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console was told that is no good news."""
    return []


@pytest.fixture
def page(browser: Browser, url: str, complaints: list[str]) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(LIMIT_MS)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    yield page
    page.close()
    assert complaints == []


def card(page: Page, car: str) -> Locator:
    return page.locator(f"[data-car='{car}']").first


def wait(page: Page, done: Callable[[], object], what: str) -> None:
    """Let the page live until something is so."""
    for _ in range(LIMIT_MS // 50):
        if done():
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not {what} in {LIMIT_MS / 1000:g} s")


def changes(page: Page, read: Callable[[], str | None], times: int, what: str) -> None:
    """Wait until something has been so many different things."""
    seen: set[str | None] = set()

    def enough() -> bool:
        seen.add(read())
        return len(seen) > times

    wait(page, enough, what)


def test_pictures_change_the_map_moves_and_the_curves_grow(page: Page) -> None:
    camera = card(page, "robo1").locator("canvas.camera")
    changes(page, lambda: camera.get_attribute("data-number"), 10, "shown: ten pictures")
    changes(page, lambda: page.locator("#map").get_attribute("data-cars"), 5, "moved: the cars on the map")
    curve = page.locator("[data-curve='env_steps_per_s']")
    before = points(curve)
    wait(page, lambda: points(curve) > before + 3, "grown: the curve")


def points(curve: Locator) -> int:
    return int(curve.get_attribute("data-points") or 0)


def test_a_picture_is_what_the_camera_sees(page: Page) -> None:
    """Its canvas is not of one colour: there is sky, floor and a track on it."""
    camera = card(page, "robo1").locator("canvas.camera")
    wait(page, lambda: camera.get_attribute("data-number"), "shown: a picture")
    colours = camera.evaluate(
        """canvas => {
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const seen = new Set();
            for (let i = 0; i < data.length; i += 4)
                seen.add(data.slice(i, i + 3).map(part => part >> 5).join());
            return seen.size;
        }"""
    )
    assert colours >= 4


def hue(row: Locator) -> str:
    """Whether a process's state is shown green, red, or neither."""
    colour = row.locator(".state").evaluate("element => getComputedStyle(element).color")
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    if green > red and green > blue:
        return "green"
    return "red" if red > 1.5 * green else "neither"


def test_a_killed_process_turns_red_and_then_green(page: Page, run: Run) -> None:
    row = page.locator("tr[data-process='spectator_reader']")
    wait(page, lambda: row.count() and hue(row) == "green", "green")
    os.kill(run.pid("spectator_reader"), signal.SIGKILL)
    wait(page, lambda: hue(row) == "red", "red")
    wait(page, lambda: hue(row) == "green", "green again")
    assert row.get_attribute("data-state") == "running"


def test_a_lost_redis_is_said_and_what_was_known_stays(page: Page, run: Run) -> None:
    banner = page.locator("#banner")

    def said() -> bool:
        return banner.is_visible() and "Redis" in banner.inner_text()

    wait(page, lambda: card(page, "robo1").count(), "there: a card")
    redis = run.pid("redis")
    os.kill(redis, signal.SIGSTOP)
    try:
        wait(page, said, "said: Redis is lost")
        assert card(page, "robo1").is_visible()
    finally:
        os.kill(redis, signal.SIGCONT)
    wait(page, lambda: not said(), "recovered")
    camera = card(page, "robo1").locator("canvas.camera")
    changes(page, lambda: camera.get_attribute("data-number"), 3, "shown: pictures again")


def test_the_page_comes_back_with_its_server(page: Page, run: Run, complaints: list[str]) -> None:
    camera = card(page, "robo1").locator("canvas.camera")
    wait(page, lambda: camera.get_attribute("data-number"), "shown: a picture")
    pid = run.pid("monitor")
    os.kill(pid, signal.SIGKILL)
    run.wait_for_another("monitor", pid)
    changes(page, lambda: camera.get_attribute("data-number"), 3, "shown: pictures again")
    # What the browser itself says while nobody listens is no fault of the page.
    complaints[:] = [text for text in complaints if not text.startswith("WebSocket connection to")]


def test_a_car_is_driven_by_hand_and_given_back(page: Page, run: Run) -> None:
    """All cars stand still but the one that somebody drives."""
    page.get_by_role("button", name="Pause").click()
    wait(page, lambda: all(car.driven_by == "paused" for car in run.telemetry().values()), "paused")
    card(page, "robo2").get_by_role("button", name="Drive").click()
    wait(page, lambda: run.telemetry()["robo2"].driven_by == "hand", "in our hands")
    began = place(run, "robo2")
    page.keyboard.down("ArrowUp")
    wait(page, lambda: math.dist(place(run, "robo2"), began) > 0.2, "driven 20 cm")
    assert run.telemetry()["robo2"].throttle > 0.0
    assert run.telemetry()["robo1"].driven_by == "paused"
    page.keyboard.down("Control")
    page.keyboard.up("ArrowUp")  # lets go, whatever else is held
    wait(page, lambda: run.telemetry()["robo2"].throttle == 0.0, "let go of: the gas")
    assert run.telemetry()["robo2"].driven_by == "hand"
    page.keyboard.up("Control")
    page.keyboard.press("Escape")
    wait(page, lambda: run.telemetry()["robo2"].driven_by == "paused", "given back")
    page.get_by_role("button", name="Resume").click()
    wait(page, lambda: all(car.driven_by == "" for car in run.telemetry().values()), "going on")


def place(run: Run, car: str) -> tuple[float, float, float]:
    (state,) = run.cache.cars([car])
    return state.position


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_usable_at_every_width(
    browser: Browser, url: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_page(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme)
    page.goto(url)
    camera = card(page, "robo1").locator("canvas.camera")
    camera.scroll_into_view_if_needed()
    wait(page, lambda: int(camera.get_attribute("data-frames") or 0) > 3, "shown: pictures")
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing is out at the side
    page.evaluate("scrollTo(0, 0)")
    wait(page, lambda: page.locator("#map").get_attribute("data-cars"), "drawn: the map")
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{width}-{scheme}.png")
    page.screenshot(path=PICTURES / f"{width}-{scheme}-whole.png", full_page=True)
    page.close()


def test_it_can_be_used_by_the_keyboard_alone(page: Page) -> None:
    wait(page, lambda: card(page, "robo1").count(), "there: a card")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Skip to the cars", "Pause", "Save now", "Drive"} <= reached


def test_a_tab_in_the_background_costs_nothing(page: Page, run: Run) -> None:
    wait(page, lambda: run.cache.watched(["robo1"]), "watched")
    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", { get: () => true });
            Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    wait(page, lambda: not run.cache.watched(CARS), "no longer watched")
