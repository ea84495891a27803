"""What all tabs share: the models, the engine that serves them, the folder that results go to."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.recipes.bundled import WEIGHTS

if TYPE_CHECKING:
    from ornstein.recipes.samples import Samples
    from ornstein.recipes.system import System
    from ornstein.serving import Engine, Job, Request
    from ornstein.serving.request import Task

RUNS = Path("runs")
"""Where ``ornstein train`` puts runs by default; those that lie there are offered."""


class Studio:
    """Models by name, loaded when first asked for and kept; an engine on the same weights; a folder for results.

    Args:
        models: what to offer beside the bundled models and the runs in ``runs/``: anything that ``ornstein.load`` reads.
        folder: where pictures go; by default a temporary folder that goes with the studio.
        device: where to compute.
        max_batch: rows of one network call, as :class:`ornstein.serving.Engine` takes it.
    """

    def __init__(
        self,
        models: Iterable[str | Path] = (),
        *,
        folder: Path | None = None,
        device: str = "cpu",
        max_batch: int = 32,
    ):
        self.device, self.max_batch = device, max_batch
        self._temporary = tempfile.TemporaryDirectory(prefix="ornstein-studio-") if folder is None else None
        self.folder = Path(self._temporary.name) if self._temporary is not None else Path(folder or "")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._what: dict[str, str | Path] = {}
        self._systems: dict[str, System] = {}
        self._lock = threading.RLock()
        self._engine: Engine | None = None
        self._closed = False
        self.program: tuple[str, ...] | None = None
        """what runs the commands of training and evaluation; None is this interpreter's own ``ornstein``"""
        self.closers: list[Callable[[], None]] = []
        """what else is to be ended when the studio is"""
        offered: list[str | Path] = [*models, *bundled(), *runs()]
        for what in offered:
            self._what.setdefault(str(what), what)

    @property
    def models(self) -> list[str]:
        """The names that are offered; runs that were made since are among them."""
        with self._lock:
            for run in runs():
                self._what.setdefault(str(run), run)
            return list(self._what)

    def system(self, name: str) -> System:
        """A model by its name, or by the path of a run or a folder, which is then offered too.

        Raises:
            UsageError, CheckpointError, CapabilityError: as :func:`ornstein.load`.
        """
        if not name or not name.strip():
            raise UsageError("choose a model first")
        name = name.strip()
        with self._lock:
            if name not in self._systems:
                from ornstein.interop.load import load

                system = load(self._what.get(name, name)).to(self.device)
                system.modules.eval()
                self._systems[name] = system
                self._what.setdefault(name, name)
            return self._systems[name]

    def refresh(self, name: str) -> None:
        """Forget a model's weights: a run has gone on, and what is asked for next is loaded anew."""
        with self._lock:
            self._systems.pop(name, None)
            if self._engine is not None and name in self._engine.models:
                self._retire()

    def submit(self, request: Request) -> Job:
        """Put a request in the engine's line."""
        self.system(request.model)  # what is wrong with it is said at once
        return self._serving(request.model).submit(request)

    def run(self, model: str, task: Task, n: int = 1) -> Samples:
        """Anything else that draws with a model, in the engine's line; waits for it."""
        from ornstein.serving import Request

        return self.submit(Request(model, n=n, task=task)).result()

    def _serving(self, model: str) -> Engine:
        """The engine, with this model among those that it serves."""
        with self._lock:
            if self._closed:
                raise UsageError("the studio is closed")
            if self._engine is None or model not in self._engine.models:
                from ornstein.serving import Engine

                self._retire()
                # Loaders give what is loaded already: one copy of the weights serves the engine and the explanations.
                loaders = {name: partial(self.system, name) for name in self._what}
                self._engine = Engine(loaders, max_batch=self.max_batch, device=self.device).start()
            return self._engine

    def _retire(self) -> None:
        """Let the engine end what it has begun; a new one starts when it is needed."""
        if self._engine is not None:
            threading.Thread(target=self._engine.close, daemon=True).start()
            self._engine = None

    def warm(self) -> None:
        """Read what the first request needs: the first model, then the parts that do the work of the tabs."""
        from ornstein.studio import parts

        try:
            if names := self.models:
                parts.models.facts_of(self.system(names[0]))
        except OrnsteinError:
            pass  # the page asks for the model as well, and tells what is wrong with it where the user looks
        for name in parts.NAMES:
            getattr(parts, name)

    def close(self) -> None:
        """Stop the engine and remove a temporary folder."""
        with self._lock:
            self._closed = True
            engine, self._engine = self._engine, None
        for end in self.closers:
            end()
        if engine is not None:
            engine.close(drain=False)
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Studio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def bundled(folder: Path = WEIGHTS) -> list[str]:
    """The models that come with the package, without reading any."""
    return sorted(path.parent.name for path in folder.glob("*/manifest.json"))


def runs(folder: Path = RUNS) -> list[Path]:
    """The runs that lie in a folder, those with a checkpoint."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if (p / "checkpoints").is_dir() and any((p / "checkpoints").iterdir()))
