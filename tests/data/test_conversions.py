"""The conversion of each named set, on small packages made here in the form of the real ones."""

from __future__ import annotations

import base64
import gzip
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ornstein.core.errors import DataError
from ornstein.data.dataset import Table
from ornstein.data.sets import (
    furniture,
    medical,
    molecules,
    music,
    prose,
    proteins,
    series,
    speech,
    sprites,
    stamps,
    tumours,
    verses,
)


def put(path: Path, contents: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return path


def png(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(x).save(out, "PNG")
    return out.getvalue()


def captions(table: Table) -> list[str]:
    assert table.captions is not None
    return list(table.captions)


def together(tables: dict[str, Table]) -> int:
    return sum(map(len, tables.values()))


@pytest.fixture
def waves(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the decoder: the bytes of a file are its samples."""

    def read(path: Path, rate: int, form: str | None = None) -> np.ndarray:
        return np.frombuffer(path.read_bytes(), np.uint8).astype(np.int16)

    for module in (speech, music, stamps):
        monkeypatch.setattr(module, "read_audio", read)


def test_stamps(tmp_path: Path, waves: None) -> None:
    folder = tmp_path / stamps.FOLDER
    rgba = np.zeros((40, 20, 4), np.uint8)
    rgba[:, :10] = (255, 0, 0, 255)
    for i in range(30):
        put(folder / f"animals/birds/{i}.txt", f"A bird number {i}.\nfr.utf8=Un oiseau.\n")
        put(folder / f"animals/birds/{i}.png", png(rgba))
    put(folder / "food/pie.txt", "A pie.")
    put(folder / "food/pie.svg", "<svg/>")
    put(folder / "food/pie.ogg", bytes([1, 2, 3]))
    tables = stamps.pictures(tmp_path)
    assert together(tables) == 30 and all(len(t) for t in tables.values())
    train = tables["train"]
    assert train.classes == ("animals", "food") and captions(train)[0].startswith("A bird number")
    assert train.x[0, :, 32, 20].tolist() == [255, 0, 0] and train.x[0, :, 32, 40].tolist() == [255] * 3
    assert train.x[0, :, 32, 5].tolist() == [255] * 3  # the margin beside a tall picture
    sounds = stamps.sounds(tmp_path)
    table = next(t for t in sounds.values() if len(t))
    assert table.x.shape == (1, 1, 66_150) and table.x[0, 0, :4].tolist() == [1, 2, 3, 0]
    assert table.conds["length"].tolist() == [3] and captions(table) == ["A pie."]


def test_speech(tmp_path: Path, waves: None) -> None:
    texts = "; comment\n\ndigits/1: one\nletters/a: a\nhello: Hello: there.\nbeep: [a beep]\n"
    put(tmp_path / speech.TEXTS, gzip.compress(texts.encode()))
    for key in ("digits/1", "letters/a", "hello", "beep", "unknown"):
        put(tmp_path / speech.SOUNDS / f"{key}.g722", bytes([len(key)] * 5))
    tables = speech.convert(tmp_path)
    assert together(tables) == 3
    found = {c: speech.CLASSES[i] for t in tables.values() for c, i in zip(captions(t), t.labels, strict=True)}  # type: ignore[arg-type]
    assert found == {"one": "digits", "a": "letters", "Hello: there.": "sentences"}


def test_music(tmp_path: Path, waves: None) -> None:
    for name in ("bd_a", "bd_b", "bd_c", "loop_x"):
        put(tmp_path / music.FOLDER / f"{name}.flac", b"12")
    table = music.convert(tmp_path)["train"]
    assert table.classes == ("bd", "other") and captions(table) == ["bd a", "bd b", "bd c", "loop x"]
    with pytest.raises(FileNotFoundError):
        music.convert(tmp_path / "none")


def test_sprites(tmp_path: Path) -> None:
    def frame(value: int, side: int = 72) -> bytes:
        return png(np.full((side, side, 4), (value, value, value, 255), np.uint8))

    folder = tmp_path / sprites.FOLDER
    for i in range(1, 6):
        put(folder / f"elves/archer-attack-{i}.png", frame(10 * i))
        put(folder / f"elves/small-attack-{i}.png", frame(i, 40))
    for i in range(1, 4):
        put(folder / f"orcs/short{i}.png", frame(i))
    for i in range(1, 20):
        put(folder / f"orcs/grunt-run{i}.png", frame(i))
    tables = sprites.convert(tmp_path)
    found = {
        c: (x, int(n)) for t in tables.values() for c, x, n in zip(captions(t), t.x, t.conds["length"], strict=True)
    }
    assert found.keys() == {"elves archer attack", "orcs grunt run"}
    clip, length = found["elves archer attack"]
    assert clip.shape == (16, 3, 72, 72) and length == 5
    assert clip[:, 0, 0, 0].tolist() == [10, 20, 30, 40, 50] + [50] * 11
    assert found["orcs grunt run"][0][:, 0, 0, 0].tolist() == list(range(1, 17)) and found["orcs grunt run"][1] == 16


def test_prose(tmp_path: Path) -> None:
    def book(lines: list[str]) -> bytes:
        records = b"".join(b"\x00\x04\x00\x09" + struct.pack(">i", len(s.encode())) + s.encode() for s in lines)
        return struct.pack(">I", 9) + zlib.compress(b"header" + records)

    novel = [f"It is line {i}, \u201cquoted\u201d" for i in range(400)]
    put(tmp_path / prose.FILE, book(novel) + book(["The end.", "Fin."] * 100))
    tables = prose.convert(tmp_path)
    train = tables["train"]
    assert train.x.shape[1] == 256 and len(tables["test"])
    texts = [t.text(i) for t in tables.values() for i in range(len(t))]  # type: ignore[attr-defined]
    assert any(text.startswith('It is line 0, "quoted" It is line 1,') for text in texts)
    put(tmp_path / prose.FILE, b"1234 no database")
    with pytest.raises(DataError, match="is no R database that can be read"):
        prose.convert(tmp_path)


def test_verses(tmp_path: Path) -> None:
    def module(name: str, chapters: list[list[str]], shift: int) -> None:
        entries, text = [(0, 0, 0)] * shift, b""
        for c, lines in enumerate(chapters, 1):
            for line in [f'<chapter n="{c}" osisID="Gen.{c}"/>', *lines]:
                entries.append((0, len(text), len(line.encode())))
                text += line.encode()
        packed = zlib.compress(text)
        folder = tmp_path / verses.FOLDER / name
        put(folder / "ot.bzz", packed)
        put(folder / "ot.bzs", struct.pack("<III", 0, len(packed), len(text)))
        put(folder / "ot.bzv", b"".join(struct.pack("<IIH", *e) for e in entries))
        for ending in ("bzz", "bzs", "bzv"):
            put(folder / f"nt.{ending}", b"")

    old = [[f"And <w>it</w> was so {c}.{v}." for v in range(3)] for c in range(40)]
    new = [[f"It<note n='a'>or: that</note>was\u2019nt {c}.{v} ." for v in range(2)] for c in range(40)]
    module(verses.OLD, old, 3)
    module(verses.MODERN, new, 7)
    places = dict(verses.verses(tmp_path / verses.FOLDER / verses.OLD))
    assert (
        places["Gen.1.1"] == "And it was so 0.0." and places["Gen.40.3"] == "And it was so 39.2." and len(places) == 120
    )
    tables = verses.convert(tmp_path)
    assert together(tables) == 80 and len(tables["test"]) % 2 == 0  # whole chapters
    table = tables["train"]
    assert captions(table)[1] == "And it was so 0.1." and table.text(1) == "It was'nt 0.1."  # type: ignore[attr-defined]
    source = "".join(table.symbols[i] for i in table.conds["source"][1])
    assert source == "And it was so 0.1." and table.conds["length"][1] == 14


def test_molecules(tmp_path: Path) -> None:
    for split, text in (
        ("train", "SMILES\nCCO\nc1ccccc1\n"),
        ("test", "SMILES,SPLIT\nCN"),
        ("test_scaffolds", "SMILES\r\nC#N\r\n"),
    ):
        put(tmp_path / molecules.FOLDER / f"{split}.csv.gz", gzip.compress(text.encode()))
    tables = molecules.convert(tmp_path)
    texts = {split: [t.text(i) for i in range(len(t))] for split, t in tables.items()}  # type: ignore[attr-defined]
    assert texts == {"train": ["CCO", "c1ccccc1"], "test": ["CN"], "test_scaffolds": ["C#N"]}
    assert tables["train"].conds["length"].tolist() == [3, 8] and tables["train"].symbols == tables["test"].symbols


def test_beijing(tmp_path: Path) -> None:
    head = "No,year,month,day,hour,pm2.5,DEWP,TEMP,PRES,cbwd,Iws,Is,Ir\n"
    rows = [
        f"{i},{2010 + (i >= 72)},1,{i // 24},{i % 24},{'NA' if i == 30 else i},-21,-11,1021,NW,1.79,0,0"
        for i in range(120)
    ]
    put(tmp_path / series.AIR, head + "\n".join(rows))
    tables = series.beijing(tmp_path)
    assert tables["train"].x[:, 0, 0].tolist() == [0, 48] and tables["test"].x[:, 0, 23].tolist() == [95, 119]
    assert tables["train"].x[0, :, 3].tolist() == pytest.approx([3, -21, -11, 1021, 1.79])


def test_archive_of_series(tmp_path: Path) -> None:
    for split, rows in (("TRAIN", "1,2,3:4,5,6:walk\n7,8,9:1,2,3:run\n"), ("TEST", "0,0,0:1,1,1:sit\n")):
        put(tmp_path / f"aeon/datasets/data/X/X_{split}.ts", f"#note\n@data\n{rows}\n")
    tables = series.archive("X")(tmp_path)
    train = tables["train"]
    assert train.x.tolist() == [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [1, 2, 3]]]
    assert train.classes == ("run", "sit", "walk") and train.labels is not None and train.labels.tolist() == [2, 0]
    put(tmp_path / "bad.ts", "@data\n1,x:2\n")
    with pytest.raises(DataError, match=r"bad\.ts, line 2: could not convert"):
        series.read_ts(tmp_path / "bad.ts")


def test_brain(tmp_path: Path) -> None:
    def nifti(x: np.ndarray, kind: int) -> bytes:
        head = bytearray(352)
        struct.pack_into("<i", head, 0, 348)
        struct.pack_into("<8h", head, 40, 3, *x.shape[::-1], 1, 1, 1, 1)
        struct.pack_into("<h", head, 70, kind)
        struct.pack_into("<f", head, 108, 352)
        return gzip.compress(bytes(head) + x.tobytes())

    scan = np.random.default_rng(0).integers(1, 255, (30, 217, 181), dtype=np.uint8)  # z, y, x
    regions = np.zeros((30, 217, 181), np.int16)
    regions[5:, 50:150, 50:150] = np.arange(25)[:, None, None] + 1
    put(tmp_path / medical.BRAIN / "ch2.nii.gz", nifti(scan, 2))
    put(tmp_path / medical.BRAIN / "aal.nii.gz", nifti(regions, 4))
    tables = medical.brain(tmp_path)
    assert together(tables) == 25
    train = tables["train"]
    assert np.array_equal(train.x[0, 0, 3:220, 5:186], scan[5, ::-1])
    assert np.array_equal(train.conds["regions"][0, 0, 3:220, 5:186], regions[5, ::-1])
    put(tmp_path / medical.BRAIN / "aal.nii.gz", gzip.compress(b"?" * 400))
    with pytest.raises(DataError, match="is no little-endian NIfTI-1 file"):
        medical.brain(tmp_path)


def test_heart(tmp_path: Path) -> None:
    def item(data: bytes) -> bytes:
        return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data

    frames = []
    for value in (40, 200):
        out = io.BytesIO()
        Image.new("RGB", (16, 8), (value, value, value)).save(out, "JPEG")
        frames.append(out.getvalue())
    body = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + item(b"") + b"".join(map(item, frames))
    put(tmp_path / medical.HEART, b"\0" * 128 + b"DICM" + body + b"\xfe\xff\xdd\xe0\0\0\0\0")
    clip = medical.heart(tmp_path)["train"].x
    assert clip.shape == (1, 2, 3, 8, 16) and np.abs(clip[0, :, 0, 0, 0].astype(int) - [40, 200]).max() <= 2
    put(tmp_path / medical.HEART, b"DICM")
    with pytest.raises(DataError, match="has no pixels"):
        medical.heart(tmp_path)


def test_frog(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 30, (40, 70, 33), dtype=np.uint8)
    raw = volume.tobytes()
    parts = [zlib.compress(raw[i : i + 32768]) for i in range(0, len(raw), 32768)]
    head = struct.pack(f"<{3 + len(parts)}I", len(parts), 32768, len(raw) % 32768, *map(len, parts))
    body = (base64.b64encode(head) + base64.b64encode(b"".join(parts))).decode()
    put(
        tmp_path / medical.FROG,
        f'<ImageData WholeExtent="0 32 0 69 0 39"><DataArray type="UInt8">\n{body}\n</DataArray>',
    )
    table = medical.frog(tmp_path)["train"]
    assert np.array_equal(medical.read_vti(tmp_path / medical.FROG), volume)
    assert len(table) == 2 and np.array_equal(table.x[1, 0], volume[:32, 32:64, :32])
    put(tmp_path / medical.FROG, "<VTKFile/>")
    with pytest.raises(DataError, match="is no VTK image"):
        medical.frog(tmp_path)


def test_tumours(tmp_path: Path) -> None:
    def nrrd(x: np.ndarray, kind: str, pack: bool) -> bytes:
        sizes = " ".join(map(str, x.shape[::-1]))
        head = (
            f"NRRD0004\n# note\ntype: {kind}\ndimension: 3\nsizes: {sizes}\nencoding: {'gzip' if pack else 'raw'}\n\n"
        )
        return head.encode() + (gzip.compress(x.tobytes()) if pack else x.tobytes())

    for name in tumours.VOLUMES:
        side = 512 if "lung" in name else 64
        scan = np.full((3, side, side), -300, np.int16)
        scan[0], scan[1] = -1000, 400
        mask = np.zeros((3, side, side), np.uint8)
        mask[1:, 10:20, 10:20] = 1
        put(tmp_path / tumours.FOLDER / f"{name}_image.nrrd", nrrd(scan, "short", True))
        put(tmp_path / tumours.FOLDER / f"{name}_label.nrrd", nrrd(mask, "unsigned char", False))
    tables = tumours.convert(tmp_path)
    assert {k: len(t) for k, t in tables.items()} == {"train": 6, "test": 4}
    train = tables["train"]
    assert train.labels is not None and train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert train.x[[4, 5], 0, 0, 0].tolist() == [255, 128] and train.conds["mask"][4, 0].sum() == 25
    assert train.x[0, 0, 96, 96] == 255 and train.x[0, 0, 95, 95] == 0 and train.conds["mask"][0, 0].sum() == 100


def test_furniture(tmp_path: Path) -> None:
    cube = "".join(f"v {x} {y} {z}\n" for x in (0, 2) for y in (0, 2) for z in (0, 2))
    cube += "f 1 2 4 3\nf 5/1 6/2 8/3 7/4\nf 1 2 6 5\nf 3 4 8 7\nf 1 3 7 5\nf -7 -5 -1 -3\n"
    catalogue = "id=x\nname#1=Caf\\u00e9 table\ncategory#1=Office\nmodel#1=/a/b.obj\n"
    catalogue += "name#2=Lamp\ncategory#2=Lights\nmodel#2=/a/c.dae\n"
    path = tmp_path / furniture.FOLDER / "X.sh3f"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", catalogue)
        archive.writestr("a/b.obj", cube)
    table = next(t for t in furniture.convert(tmp_path).values() if len(t))
    assert len(table) == 1 and captions(table) == ["Café table"] and table.classes == ("Office",)
    points = table.x[0]
    assert np.abs(np.linalg.norm(points, axis=1).max() - 1) < 1e-6
    half = np.abs(points).max()
    faces = np.abs(np.abs(points).max(1) - half) < 1e-3
    assert faces.all()  # every point lies on the surface
    axis = np.abs(points).argmax(1)
    side = 2 * axis + (points[np.arange(len(points)), axis] > 0)
    across = np.abs(points)[np.arange(3) != axis[:, None]] / half
    assert abs(across.mean() - 1 / 2) < 4 * np.sqrt(1 / 12 / 4096)  # and evenly within them
    count = np.bincount(side, minlength=6)
    assert ((count - 2048 / 6) ** 2 / (2048 / 6)).sum() < 25.7  # evenly over the faces: p = 1e-4, 5 degrees of freedom


def test_proteins(tmp_path: Path) -> None:
    sizes = [30, 40, 128, 129, 60]
    toc, offset = b"", 0
    for i, size in enumerate(sizes):
        entry = f"{i}abc".encode()
        toc += (
            struct.pack("<i", 4)
            + entry
            + struct.pack("<i", 1)
            + b"A"
            + struct.pack("<IHH", offset, size, 0)
            + b"\0" * 12
        )
        offset += size
    xyz = np.random.default_rng(0).integers(0, 5000, (offset, 4, 3)).astype("<u2")
    letters = "".join("ACDEFGHIKL"[i % 10] for i in range(offset)).encode()
    body = struct.pack("<q", offset) + letters + b"\0" * 8 + xyz.tobytes()
    put(tmp_path / proteins.FILE, b"\0" * 0x55 + toc + body)
    toc_read, sequence, atoms = proteins.read_structures(tmp_path / proteins.FILE)
    assert [s for _, _, s in toc_read] == sizes and sequence.encode() == letters and np.array_equal(atoms, xyz)
    tables = proteins.convert(tmp_path)
    found = {
        int(n): (x, c) for t in tables.values() for n, x, c in zip(t.conds["length"], t.x, captions(t), strict=True)
    }
    assert sorted(found) == [40, 60, 128]
    x, caption = found[40]
    assert caption.encode() == letters[30:70] and (x[40:] == 0).all()
    expected = xyz[30:70].astype(np.float64) / 100
    assert np.abs(x[:40].reshape(40, 4, 3) - (expected - expected[:, 1].mean(0))).max() < 1e-4
