"""What a server does with every picture before it leaves: filter, mark, sign, log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, final

from ornstein.provenance.audit import AuditLog
from ornstein.provenance.files import MARKED, mark_picture
from ornstein.provenance.filters import Blocked, Filter, Verdict
from ornstein.provenance.manifest import Signer
from ornstein.provenance.mark import Mark
from ornstein.serving.errors import Refused
from ornstein.serving.hooks import Hook, Served
from ornstein.serving.request import Request

FILTERED = "filter"
"""Under which name the settings say what the filter said, where it did not refuse."""


@final
class Safeguards(Hook):
    """One hook for all of them, so that the log tells what the others did.

    Args:
        reads_text: whether the model of that name is told in words what to make.
        content: the filter; None switches it off.
        everything: whether the filter sees the pictures of all models, or of those that read text only.
        required: whether a model that reads text may not be served without a filter: fails closed where none was made.
        mark: pictures that are too small for it leave with a note of that in their settings.
        signer: signs finished pictures, not previews.
        audit: gets a line for each request, each finished picture and each one that was held back.
    """

    def __init__(
        self,
        reads_text: Callable[[str], bool],
        *,
        content: Filter | None = None,
        everything: bool = False,
        required: bool = True,
        mark: Mark | None = None,
        signer: Signer | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        self.reads_text, self.content, self.everything, self.required = reads_text, content, everything, required
        self.mark, self.signer, self.audit = mark, signer, audit

    def before(self, request: Request, client: str) -> None:
        """Log it."""
        if self.audit is not None:
            asked = {
                k: getattr(request, k) for k in ("n", "seed", "steps", "sampler", "grid", "guidance", "label", "prompt")
            }
            self._log("request", request, client, asked | dict(request.conditions))

    def after(self, request: Request, served: Served, client: str) -> Served:
        """Filter, mark, sign and log one picture; previews are filtered and marked."""
        preview = bool(served.about.get("preview"))
        image, verdict = served.image, None
        if self.everything or self.reads_text(request.model):
            if self.content is not None:
                try:
                    image, verdict = self.content(image)
                except Blocked as e:
                    self._log("blocked", request, client, {"seed": served.about.get("seed"), "preview": preview})
                    raise Refused(str(e)) from e
            elif self.required:
                raise Refused(
                    "this server has no content filter, and none was switched off: its pictures are held back"
                )
        about = dict(served.about)
        if verdict is not None and verdict.action is not None:
            about[FILTERED] = asdict(verdict)
        image, about = mark_picture(image, about, self.mark)
        if not preview:
            self._log("picture", request, client, _told(about, verdict))
        finish = served.finish
        if self.signer is not None and not preview:
            signer = self.signer
            finish = lambda content, format: signer.sign(content, format.upper(), about)  # noqa: E731
        return replace(served, image=image, about=about, finish=finish)

    def _log(self, event: str, request: Request, client: str, fields: dict[str, Any]) -> None:
        if self.audit is not None:
            self.audit.write(event, {"client": client, "model": request.model, **fields})


def _told(about: dict[str, Any], verdict: Verdict | None) -> dict[str, Any]:
    """Of a picture: what finds it again, and what the filter said."""
    told = {k: about.get(k) for k in ("seed", "sampler", "steps", "prompt", "negative")}
    payload = (about.get(MARKED) or {}).get("payload")
    return {**told, "payload": payload, "filter": None if verdict is None else asdict(verdict)}
