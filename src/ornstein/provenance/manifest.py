"""Content Credentials: a signed C2PA manifest which says that a picture was made by a generative model, and by which.

https://spec.c2pa.org. Unlike the invisible mark it is lost when the file is stored anew, and unlike it it proves who signed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from ornstein.core.errors import DataError, UsageError, unknown

CERTIFICATE, KEY = "ORNSTEIN_C2PA_CERT", "ORNSTEIN_C2PA_KEY"
"""Environment variables: a file with the chain of certificates and one with the private key, both PEM."""

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}

_TOLD = ("recipe", "sampler", "steps", "seed", "software")  # neither what people wrote nor where files lie


@final
@dataclass(frozen=True)
class Manifest:
    """What a picture's manifest says. ``state``: "Trusted", "Valid" (intact, its signer unknown here) or "Invalid"."""

    state: str
    issuer: str | None
    generator: str | None
    generated: bool
    """whether it declares the picture to be the work of a generative model"""
    told: dict[str, Any]


@final
@dataclass(frozen=True)
class Signer:
    """A key that signs. ``timestamps``: the URL of a time-stamping authority, which signing then asks over the network."""

    certificate: Path
    key: Path
    algorithm: str = "es256"
    timestamps: str | None = None

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise unknown("signing algorithm", self.algorithm, ALGORITHMS)
        for file in (self.certificate, self.key):
            if not file.is_file():
                raise UsageError(f"no file {file}; signing needs a chain of certificates and a private key, both PEM")

    @staticmethod
    def configured() -> Signer | None:
        """From :data:`CERTIFICATE` and :data:`KEY`; None if neither is set.

        Raises:
            UsageError: only one of them is.
        """
        found = [os.environ.get(name) or None for name in (CERTIFICATE, KEY)]
        if found == [None, None]:
            return None
        if None in found:
            raise UsageError(f"signing needs both {CERTIFICATE} and {KEY}; only one of them is set")
        certificate, key = (Path(str(f)).expanduser() for f in found)
        return Signer(certificate, key)

    def sign(self, picture: bytes, format: str, about: Mapping[str, Any]) -> bytes:
        """The same file with a manifest; ``format`` is Pillow's name of it, PNG, JPEG or WEBP.

        Raises:
            UsageError: another format, no c2pa-python, or a key that cannot sign.
        """
        c2pa = _library()
        if format not in FORMATS:
            raise unknown("format to sign", format, FORMATS)
        try:
            info = c2pa.C2paSignerInfo(
                self.algorithm.encode(),
                self.certificate.read_bytes(),
                self.key.read_bytes(),
                self.timestamps.encode() if self.timestamps else None,
            )
            out = io.BytesIO()
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(describe(about)) as builder:
                builder.sign(signer, FORMATS[format], io.BytesIO(picture), out)
        except c2pa.C2paError as e:
            raise UsageError(
                f"{self.key} with {self.certificate} cannot sign: {e}. Needed: a key for {self.algorithm}, and its certificate "
                "first in a chain up to, but without, the root"
            ) from e
        return out.getvalue()


def describe(about: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest before it is signed: made by a trained algorithm, by which recipe and weights. No prompts."""
    software = str(about.get("software", "ornstein"))
    name, _, version = software.partition(" ")
    told = {k: about[k] for k in _TOLD if about.get(k) is not None}
    if weights := (about.get("weights") or {}).get("hash"):
        told["weights"] = weights
    return {
        "claim_generator_info": [{"name": name, "version": version}],
        "title": "generated picture",
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {"action": "c2pa.created", "digitalSourceType": SOURCE, "softwareAgent": {"name": software}}
                    ]
                },
            },
            {"label": "org.ornstein.sample", "data": told},
        ],
    }


def read_manifest(path: Path) -> Manifest | None:
    """The manifest of a file, checked; None if it has none.

    Raises:
        UsageError: c2pa-python is not installed. DataError: the manifest is damaged.
    """
    c2pa = _library()
    try:
        reader = c2pa.Reader.try_create(path)
        if reader is None:
            return None
        with reader:
            active, state = reader.get_active_manifest(), reader.get_validation_state()
    except c2pa.C2paError as e:
        raise DataError(f"the manifest in {path} cannot be read: {e}") from e
    if active is None:
        return None
    told = {a["label"]: a.get("data", {}) for a in active.get("assertions", ())}
    actions: list[dict[str, Any]] = next(
        (v.get("actions", []) for k, v in told.items() if k.startswith("c2pa.actions")), []
    )
    generators = active.get("claim_generator_info") or [{}]
    return Manifest(
        str(state),
        (active.get("signature_info") or {}).get("issuer"),
        " ".join(str(generators[0][k]) for k in ("name", "version") if generators[0].get(k)) or None,
        any(a.get("digitalSourceType") == SOURCE for a in actions),
        dict(told.get("org.ornstein.sample", {})),
    )


def present() -> bool:
    """Whether c2pa-python is installed."""
    from importlib.util import find_spec

    return find_spec("c2pa") is not None


def _library() -> Any:
    try:
        import c2pa
    except ImportError as e:
        raise UsageError(
            "manifests need c2pa-python, which is not installed: pip install 'ornstein[provenance]'"
        ) from e
    return c2pa
