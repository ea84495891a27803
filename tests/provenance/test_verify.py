"""Files that are marked and signed, and what is read from them; the commands that do it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.shell import Outcome, picture
from ornstein.cli import main
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.provenance import Signer, SpreadMark, get_mark, mark_picture, marks, seal, verify
from ornstein.provenance.files import payload_of
from ornstein.provenance.manifest import CERTIFICATE, KEY, read_manifest
from ornstein.recipes.samples import to_image, write_picture
from provenance import certificates
from provenance.pictures import ABOUT, photograph

Call = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys and no weights of this machine."""
    for name in (marks.KEY, CERTIFICATE, KEY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORNSTEIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def ornstein(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*words: object) -> Outcome:
        capsys.readouterr()
        return Outcome(main([str(word) for word in words]), *capsys.readouterr())

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    write_picture(to_image(photograph(2)), path, dict(ABOUT))
    return path


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(*certificates.make(tmp_path_factory.mktemp("keys")))


def test_mark_and_settings_belong_together(file: Path) -> None:
    seal(file, SpreadMark(), None)
    origin = verify(file)
    assert origin.settings is not None and origin.marked and origin.agrees and origin.manifest is None
    assert not origin.secret and origin.size == (256, 256) and origin.looked_for == ["spread"]
    assert origin.settings.values["mark"] == {"method": "spread", "payload": payload_of(ABOUT)}
    assert {k: v for k, v in origin.settings.values.items() if k != "mark"} == ABOUT
    # Someone writes other settings beside the same picture.
    write_picture(picture(file), file, origin.settings.values | {"seed": 42})
    assert verify(file).agrees is False
    # Someone takes the settings out.
    picture(file).save(file)
    bare = Image.fromarray(np.asarray(picture(file)))
    bare.save(file)
    origin = verify(file)
    assert origin.settings is None and origin.marked and origin.agrees is None


def test_secret_keys(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(marks.KEY, "mine alone")
    seal(file, get_mark(), None)
    origin = verify(file)
    assert origin.marked and origin.secret
    monkeypatch.delenv(marks.KEY)
    assert not verify(file).marked and verify(file, ["mine alone"]).secret


def test_small_pictures_say_that_they_hold_no_mark() -> None:
    image, about = mark_picture(Image.new("L", (28, 28)), ABOUT, SpreadMark())
    assert about["mark"] == {"method": None, "reason": "smaller than 128 pixels"} and image.size == (28, 28)
    assert mark_picture(image, ABOUT, None) == (image, ABOUT)
    with pytest.raises(CapabilityError, match="mode P is not marked"):
        mark_picture(Image.new("P", (200, 200)), ABOUT, SpreadMark())


def test_only_our_pictures_are_sealed(tmp_path: Path) -> None:
    Image.new("L", (200, 200)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png carries no settings of ours"):
        seal(tmp_path / "b.png", SpreadMark(), None)
    assert [p.name for p in tmp_path.glob("*.png")] == ["b.png"]


@pytest.mark.parametrize("format", ["png", "jpg", "webp"])
def test_a_signature_says_who_and_notices_changes(format: str, tmp_path: Path, signer: Signer) -> None:
    path = tmp_path / f"a.{format}"
    write_picture(to_image(photograph(3)), path, {**ABOUT, "prompt": "secret words"})
    seal(path, SpreadMark(), signer)
    origin = verify(path)
    assert origin.manifest is not None and origin.marked and origin.agrees
    assert origin.manifest.state == "Valid" and origin.manifest.issuer == "Test makers" and origin.manifest.generated
    assert origin.manifest.told["recipe"] == "edm" and origin.manifest.told["weights"] == "a" * 64
    assert "secret" not in json.dumps(origin.manifest.told) and "runs/mine" not in json.dumps(origin.manifest.told)
    content = bytearray(path.read_bytes())
    content[-len(content) // 4] ^= 1  # one bit of a pixel
    path.write_bytes(content)
    try:
        after = read_manifest(path)
    except DataError:
        return
    assert after is None or after.state == "Invalid"


def test_keys_that_cannot_sign(file: Path, signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    (tmp_path / "x.key").write_text("not a key")
    with pytest.raises(UsageError, match=r"x\.key with .*signer\.pem cannot sign"):
        seal(file, None, Signer(signer.certificate, tmp_path / "x.key"))
    assert file.read_bytes() == before and [p.name for p in tmp_path.glob(".*")] == []
    with pytest.raises(UsageError, match=r"no file .*none\.key; signing needs"):
        Signer(signer.certificate, tmp_path / "none.key")
    with pytest.raises(UsageError, match="unknown signing algorithm 'es25': did you mean 'es256'"):
        Signer(signer.certificate, signer.key, "es25")
    assert Signer.configured() is None
    monkeypatch.setenv(KEY, str(signer.key))
    with pytest.raises(UsageError, match=f"signing needs both {CERTIFICATE} and {KEY}"):
        Signer.configured()


def test_the_command_reads_files(ornstein: Call, file: Path, tmp_path: Path) -> None:
    seal(file, SpreadMark(), None)
    Image.new("RGB", (20, 20)).save(tmp_path / "b.jpg")
    done = ornstein("env", "--verify", file, tmp_path / "b.jpg")
    assert done.code == 0, done.err
    for text in ("a.png: 256 x 256 pixels", "seed 41", "spread: found with the public key", "fits the settings",
                 "settings  none in the file", "spread: not found", "manifest  none"):  # fmt: skip
        assert text in done.out, done.out
    about = json.loads(ornstein("env", "--verify", file, "--json").out)
    assert about[0]["settings"]["values"]["seed"] == 41 and about[0]["marks"][0]["found"] and about[0]["agrees"]
    assert "not found" in ornstein("env", "--verify", file, "--key", "another").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--verify", "none.png"), "no picture at none.png"),
        (("--fetch", "nothing"), "unknown weights 'nothing': known: open-nsfw, rivagan"),
        (("--verify", "{file}", "--key", ""), "key of a mark is empty"),
    ],
)
def test_wrong_words(ornstein: Call, words: tuple[str, ...], message: str, file: Path) -> None:
    done = ornstein("env", *(w.format(file=file) for w in words))
    assert done.code in (1, 2) and message in done.err and "Traceback" not in done.err


def test_samples_are_marked_and_signed(
    ornstein: Call, tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ornstein sample --mark`` with a key; the bundled model's pictures are taken to be large enough."""
    monkeypatch.setattr(SpreadMark, "smallest", 28)
    monkeypatch.setenv(CERTIFICATE, str(signer.certificate))
    monkeypatch.setenv(KEY, str(signer.key))
    words = ("sample", "fashion-mnist", "-n", 1, "--steps", 1, "--label", "bag", "-o", tmp_path / "out")
    done = ornstein(*words, "--mark")
    assert done.code == 0, done.err
    for name in ("000000-bag.png", "grid.png"):
        origin = verify(tmp_path / "out" / name)
        assert origin.settings is not None and origin.settings.values["mark"]["method"] == "spread"
        assert (
            origin.manifest is not None and origin.manifest.state == "Valid" and origin.manifest.told["recipe"] == "edm"
        )
    marked = np.asarray(picture(tmp_path / "out" / "000000-bag.png"), dtype=int)
    assert ornstein(*words).code == 0
    plain = np.asarray(picture(tmp_path / "out" / "000000-bag.png"), dtype=int)
    assert 0 < np.abs(marked - plain).max() <= 24
    done = ornstein(*words, "--mark", "spred")
    assert done.code == 2 and "unknown mark 'spred': did you mean 'spread'" in done.err


def test_small_samples_are_not_marked(ornstein: Call, tmp_path: Path) -> None:
    done = ornstein("sample", "fashion-mnist", "-n", 1, "--steps", 1, "--mark", "-o", tmp_path / "out")
    assert (
        done.code == 1
        and "shape (1, 28, 28) cannot hold a spread mark" in done.err
        and "at least 128 x 128" in done.err
    )
