"""Every tab in a browser: one start of the studio and of the browser for all."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys

from ornstein.studio.core import Studio
from studio import browser
from studio.browser import Visit

pytestmark = [
    pytest.mark.slow,  # half a minute of a browser that draws without a graphics card: make test ARGS="-m slow tests/studio"
    pytest.mark.filterwarnings("ignore"),  # what gradio and uvicorn warn of in their threads is not ours
]


@pytest.fixture(scope="module")
def visit(studio: Studio) -> Iterator[Visit]:
    """The page in a browser; where there is none, an error says what to install."""
    program, driver = browser.programs()
    if program is None or driver is None:
        missing = "Chromium" if program is None else "chromedriver"
        pytest.fail(
            f"{missing} is not installed, and the studio's page is tested in it: apt install chromium chromium-driver"
        )
    from ornstein.studio.server import Server

    studio.program = (sys.executable, str(Path(__file__).parent / "stand_in.py"))
    with Server(studio, port=0) as server:
        opened = browser.start(program, driver)
        try:
            page = Visit(opened, server.url)
            page.open()
            yield page
        finally:
            opened.quit()


@pytest.fixture(autouse=True)
def nothing_leaves_this_machine(visit: Visit) -> Iterator[None]:
    """No tab asks any other machine for anything. A test begins without the complaints of the one before."""
    visit.driver.execute_script("document.querySelectorAll('.toast-close').forEach((e) => e.click())")
    yield
    elsewhere = {url for url in visit.requests() if not url.startswith(visit.url)}
    assert not elsewhere


def test_generate_and_restore(visit: Visit, studio: Studio, tmp_path: Path) -> None:
    visit.tab("Generate")
    visit.choose("Label", "square")
    visit.choose("Sampler", "heun")
    visit.write("#o-tab-generate .o-seed", "41")
    visit.keys(Keys.CONTROL, Keys.ENTER)  # as the keyboard does it
    visit.until(lambda: visit.all("#o-live img"))
    visit.until(lambda: "samples in" in visit.text("o-progress"))
    visit.until(lambda: len(visit.seen("#o-gallery .thumbnail-item img")) == 8)
    drawn = studio.system(studio.models[0]).sample(1, seed=41, sampler="heun", steps=18, label="square")
    (path,) = drawn.save(tmp_path)
    visit.press(".o-dice")
    seed = "#o-tab-generate .o-seed input"
    visit.until(lambda: visit.seen(seed)[0].get_attribute("value") != "41")
    visit.choose("Label", "circle")
    visit.give("#o-dropped", path)
    visit.until(lambda: visit.seen(seed)[0].get_attribute("value") == "41")
    assert [e.get_attribute("value") for e in visit.seen("#o-tab-generate input[aria-label=Label]")] == ["square"]


def test_a_mistake_is_told(visit: Visit) -> None:
    visit.tab("Explain")
    visit.press(".o-go")
    deadline = time.monotonic() + browser.PATIENCE
    while not visit.errors() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert any("choose one label" in e for e in visit.errors())
    visit.driver.execute_script("document.querySelector('.toast-close').click()")
    while visit.errors() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not visit.errors()


def test_edit_with_the_brush(visit: Visit, tmp_path: Path) -> None:
    picture = tmp_path / "given.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(picture)
    visit.tab("Edit")
    visit.give("#o-given", picture)
    canvas = visit.until(lambda: visit.seen("#o-editor canvas"))[0]
    visit.until(lambda: visit.seen("#o-given img"))
    visit.press("#o-editor button[aria-label*='rush']")
    from selenium.webdriver.common.action_chains import ActionChains

    chain = ActionChains(visit.driver).move_to_element_with_offset(canvas, -60, -40).click_and_hold()
    for _ in range(4):
        chain = chain.move_by_offset(30, 10)
    chain.release().perform()
    time.sleep(0.5)  # the editor sends what was drawn a moment later
    visit.press(".o-go")
    visit.until(lambda: "samples in" in visit.text("o-edited"))
    visit.until(lambda: visit.seen("#o-edits .thumbnail-item img"))
    visit.open()  # without a graphics card the editor's canvas would slow down whatever follows


def test_compare(visit: Visit) -> None:
    visit.tab("Compare")
    visit.press(".o-go")
    visit.until(lambda: "12 pictures" in visit.text("o-compared"))
    assert len(visit.all("#o-cells img")) == 12
    assert len(visit.all("#o-cells .o-best")) >= 1


def test_trajectory(visit: Visit) -> None:
    visit.tab("Trajectory")
    visit.press(".o-go")
    visit.until(lambda: "x_t at t" in visit.text("o-frame"))
    before = visit.text("o-frame")
    visit.write("#o-scrub", "2")
    visit.until(lambda: visit.text("o-frame") not in ("", before))
    assert len(visit.all("#o-frame img")) == 2 and len(visit.all("#o-curves svg")) == 2


def test_explain(visit: Visit) -> None:
    visit.tab("Explain")
    visit.choose("Label", "circle")
    visit.press(".o-go")
    visit.until(lambda: "without" in visit.text("o-explained"))
    assert len(visit.all("#o-explained img")) == 3


def test_train_watch_and_stop(visit: Visit, tmp_path: Path) -> None:
    """The run is a stand-in's, which writes what a run writes; the command itself is tested without a browser."""
    visit.tab("Train")
    visit.write("#o-out", str(tmp_path / "run"))
    visit.write("#o-settings", "widths=8")
    visit.press(".o-go")
    visit.until(lambda: visit.all("#o-loss polyline") and visit.all("#o-strips img"))
    visit.press(".o-stop")
    visit.until(lambda: "stopped after" in visit.text("o-training"))
    visit.until(lambda: "checks" in visit.text("o-doctor"))
    assert (tmp_path / "run" / "checkpoints" / "step-0000050").is_dir()  # it was let to save what it had


def test_evaluate(visit: Visit) -> None:
    visit.tab("Evaluate")
    visit.press(".o-go")
    visit.until(lambda: visit.all("#o-evaluation iframe"))
    frame = visit.all("#o-evaluation iframe")[0]
    assert "<h1>50 samples</h1>" in frame.get_attribute("srcdoc")
    visit.write("#o-what", "no-such-model")
    visit.press(".o-go")
    visit.until(lambda: "error: nothing of that name" in visit.text("o-evaluating"))


def test_series(visit: Visit, tmp_path: Path) -> None:
    known = np.sin(np.arange(24.0) / 4)[None, :, None].repeat(2, 2)
    known[:, 8:14] = np.nan
    np.savez(tmp_path / "draws.npz", samples=np.random.default_rng(0).normal(size=(1, 20, 24, 2)), observed=known)
    visit.tab("Series")
    visit.give("#o-draws", tmp_path / "draws.npz")
    visit.until(lambda: "draws.npz" in visit.unbroken("o-draws"))
    visit.press(".o-go")
    visit.until(lambda: len(visit.all("#o-series polygon")) == 4)
    assert "observed" in visit.text("o-series")


def test_systems(visit: Visit) -> None:
    visit.tab("Systems")
    rows = visit.until(lambda: len(visit.all("#o-listing tbody tr")))
    assert rows > 40
    visit.write("#o-find", "rectified")
    visit.until(lambda: 0 < len(visit.all("#o-listing tbody tr")) < rows / 4)
    visit.choose("Open", "rectified-flow")
    visit.until(lambda: "arxiv" in visit.text("o-detail"))


def test_keys_open_tabs_and_the_dark_is_kept(visit: Visit) -> None:
    visit.keys(Keys.ALT, "3")
    visit.until(lambda: visit.seen("#o-tab-compare"))
    dark = "return document.body.classList.contains('dark')"
    before = visit.driver.execute_script(dark)
    visit.press("#o-theme")
    visit.until(lambda: visit.driver.execute_script(dark) != before)
    visit.open()
    visit.until(lambda: visit.driver.execute_script(dark) != before)
    visit.press("#o-theme")
