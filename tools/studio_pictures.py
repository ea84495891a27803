"""Pictures of the studio for its guide: ``python tools/studio_pictures.py [--run RUN] [TAB...]``, into docs/pictures.

Needs Chromium with its driver, and for the tab of training a run (``ornstein train``) to look at.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from ornstein.studio.core import Studio  # noqa: E402
from ornstein.studio.server import Server  # noqa: E402
from studio import browser  # noqa: E402
from studio.browser import Visit, programs, start  # noqa: E402

browser.PATIENCE = 900  # real models take their time
SIZE = (1280, 900)
TALL = {"edit": 1180, "trajectory": 1060, "dark": 1060, "evaluate": 1000}
"""Heights of pages whose end would be cut."""
WIDTH = 960
MODEL = "fashion-mnist"


def keep(visit: Visit, name: str) -> None:
    """The page as a small picture."""
    visit.driver.execute_script("window.scrollTo(0, 0)")
    time.sleep(0.8)
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        visit.driver.save_screenshot(str(shot))
        with Image.open(shot) as file:
            small = file.convert("RGB").resize(
                (WIDTH, round(file.height * WIDTH / file.width)), Image.Resampling.LANCZOS
            )
    path = ROOT / "docs" / "pictures" / f"studio-{name}.png"
    small.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB")


def generate(visit: Visit, folder: Path, run: str | None) -> None:
    visit.tab("Generate")
    visit.write("#o-tab-generate .o-samples", "24")
    visit.press(".o-go")
    visit.until(lambda: "samples in" in visit.text("o-progress"))
    visit.until(lambda: len(visit.seen("#o-gallery .thumbnail-item img")) == 24)


def edit(visit: Visit, folder: Path, run: str | None) -> None:
    given = folder / "given.png"
    import ornstein

    ornstein.load(MODEL).sample(1, seed=7, label="sneaker", steps=12).images[0].save(given)
    visit.tab("Edit")
    visit.give("#o-given", given)
    canvas = visit.until(lambda: visit.seen("#o-editor canvas"))[0]
    visit.until(lambda: visit.seen("#o-given img"))
    time.sleep(2)
    visit.press("#o-editor button[aria-label*='rush']")
    chain = ActionChains(visit.driver, duration=20).move_to_element_with_offset(canvas, -70, 0).click_and_hold()
    for _ in range(5):
        chain = chain.move_by_offset(28, 5)
    chain.release().perform()
    time.sleep(1)
    visit.press(".o-go")
    visit.until(lambda: visit.seen("#o-edits .thumbnail-item img"))


def compare(visit: Visit, folder: Path, run: str | None) -> None:
    visit.tab("Compare")
    visit.choose("Label", "coat")
    visit.press(".o-go")
    visit.until(lambda: "12 pictures" in visit.text("o-compared"))


def trajectory(visit: Visit, folder: Path, run: str | None) -> None:
    visit.tab("Trajectory")
    visit.choose("Label", "sandal")
    visit.press(".o-go")
    visit.until(lambda: "x_t at t" in visit.text("o-frame"))


def explain(visit: Visit, folder: Path, run: str | None) -> None:
    visit.tab("Explain")
    visit.choose("Label", "sneaker")
    visit.press(".o-go")
    visit.until(lambda: "without" in visit.text("o-explained"))


def train(visit: Visit, folder: Path, run: str | None) -> None:
    visit.tab("Train")
    if run is not None:
        visit.write("#o-out", run)
        visit.seen("#o-out textarea, #o-out input")[0].send_keys(Keys.ENTER)
        visit.until(lambda: visit.all("#o-loss polyline") and "checks" in visit.text("o-doctor"))


def evaluate(visit: Visit, folder: Path, run: str | None) -> None:
    visit.tab("Evaluate")
    if run is not None:
        visit.write("#o-what", run)  # of the digits, as they are chosen when the page opens
    visit.write("#o-evaluated", "24")
    visit.write("#o-evaluated-steps", "6")
    visit.write("#o-metrics", "kid")
    visit.press(".o-go")
    visit.until(lambda: visit.all("#o-evaluation iframe"))
    time.sleep(2)


def series(visit: Visit, folder: Path, run: str | None) -> None:
    t = np.arange(96)
    truth = np.stack([np.sin(t / 9) + 0.3 * np.sin(t / 2.5), np.cos(t / 14) * 1.5 + 0.01 * t], -1)
    known, rng = truth.copy(), np.random.default_rng(0)
    for first, last, k in ((30, 52, 0), (70, 96, 0), (15, 25, 1), (60, 80, 1)):
        known[first:last, k] = np.nan
    draws = truth + 0.06 * np.cumsum(rng.normal(size=(60, 96, 2)), 1)
    names = np.array(["temperature", "load"])
    np.savez(folder / "draws.npz", samples=draws[None], observed=known[None], channels=names)
    visit.tab("Series")
    visit.give("#o-draws", folder / "draws.npz")
    visit.until(lambda: "draws.npz" in visit.unbroken("o-draws"))
    visit.press(".o-go")
    visit.until(lambda: "observed" in visit.text("o-series"))


def systems(visit: Visit, folder: Path, run: str | None) -> None:
    visit.tab("Systems")
    visit.write("#o-find", "flow")
    time.sleep(1)
    visit.choose("Open", "rectified-flow")
    visit.until(lambda: "arxiv" in visit.text("o-detail"))


TABS: dict[str, Callable[[Visit, Path, str | None], None]] = {
    t.__name__: t for t in (generate, edit, compare, trajectory, explain, train, evaluate, series, systems)
}


def main() -> None:
    """Draw what is asked for, all by default; then the first tab in the dark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tabs", nargs="*", help=", ".join([*TABS, "dark"]))
    parser.add_argument("--run", help="the run that the tab of training shows")
    args = parser.parse_args()
    program, driver = programs()
    if program is None or driver is None:
        raise SystemExit("install Chromium and its driver: apt install chromium chromium-driver")
    wanted = args.tabs or [*TABS, "dark"]
    with Studio() as studio, Server(studio, port=0) as server, tempfile.TemporaryDirectory() as folder:
        opened = start(program, driver)
        try:
            visit = Visit(opened, server.url)
            visit.open()
            for name in wanted:
                opened.set_window_size(SIZE[0], TALL.get(name, SIZE[1]))
                if name == "dark":
                    visit.open("/?__theme=dark")
                    trajectory(visit, Path(folder), args.run)
                else:
                    TABS[name](visit, Path(folder), args.run)
                keep(visit, name)
        finally:
            opened.quit()


if __name__ == "__main__":
    main()
