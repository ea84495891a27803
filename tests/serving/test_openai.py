"""OpenAI's image API, asked by OpenAI's own client."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator

import numpy as np
import openai
import pytest
from PIL import Image

from serving.server import Running, running
from serving.tiny import CLASSES, tiny


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as it:
        yield it


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as it:
        yield it


def picture(b64: str | None) -> Image.Image:
    assert b64 is not None
    return Image.open(io.BytesIO(base64.b64decode(b64)))


def png(size: tuple[int, int], colour: object, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG")
    return out.getvalue()


def test_models(client: openai.OpenAI) -> None:
    assert [m.id for m in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").model_dump()["ornstein"]["classes"] == list(CLASSES)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("large")


def test_generations_are_the_models_samples(client: openai.OpenAI) -> None:
    """The same bytes as System.sample, with all settings inside."""
    made = client.images.generate(
        model="tiny", prompt="a photo of a Dog", n=3, extra_body={"seed": 5, "steps": 3, "sampler": "DPM++ 2M Karras"}
    )
    assert made.data is not None and made.size == "8x8"
    wanted = tiny().sample(3, steps=3, seed=5, sampler="DPM++ 2M Karras", label="dog")
    for got, image, seed in zip(made.data, wanted.images, wanted.seeds, strict=True):
        shown = picture(got.b64_json)
        assert np.abs(np.asarray(shown).astype(int) - np.asarray(image)).max() <= 1
        about = json.loads(shown.text["ornstein"])
        assert (about["seed"], about["label"], about["sampler"], about["steps"]) == (seed, "dog", "dpmpp_2m", 3)


def test_files_and_formats(client: openai.OpenAI, server: Running) -> None:
    made = client.images.generate(model="tiny", prompt="owl", response_format="url", extra_body={"steps": 2})
    assert made.data and made.data[0].url
    file = server.http.get(made.data[0].url)
    assert file.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(file.content)).size == (8, 8)
    for format in ("jpeg", "webp"):
        made = client.images.generate(model="tiny", prompt="owl", output_format=format, extra_body={"steps": 2})
        assert made.data and picture(made.data[0].b64_json).format == format.upper()


def test_streams_unfinished_pictures(client: openai.OpenAI) -> None:
    events = list(
        client.images.generate(
            model="tiny",
            prompt="cat",
            stream=True,
            partial_images=3,
            extra_body={"steps": 8, "seed": 1, "sampler": "ddim"},
        )
    )
    assert [e.type for e in events] == ["image_generation.partial_image"] * 3 + ["image_generation.completed"]
    assert [e.partial_image_index for e in events[:3]] == [0, 1, 2]
    pictures = [np.asarray(picture(e.b64_json)).astype(float) for e in events]
    far = [np.abs(p - pictures[-1]).mean() for p in pictures]
    assert far[0] > far[2] > 0, far


def test_edits(client: openai.OpenAI) -> None:
    """With a mask what it covers stays; without one the picture leads."""
    grey = png((16, 16), (200, 200, 200))
    mask = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 8, 4))
    out = io.BytesIO()
    mask.save(out, "PNG")
    made = client.images.edit(
        model="tiny", image=grey, mask=out.getvalue(), prompt="dog", n=2, extra_body={"steps": 4, "seed": 3}
    )
    assert made.data
    for each in made.data:
        shown = np.asarray(picture(each.b64_json)).astype(int)
        assert np.abs(shown[5:] - 200).max() <= 4 and np.abs(shown[:3] - 200).max() > 4
    near, far = (
        client.images.edit(model="tiny", image=grey, prompt="", extra_body={"steps": 4, "seed": 3, "strength": s})
        for s in (0.02, 1.0)
    )
    assert near.data and far.data
    distance = [np.abs(np.asarray(picture(d.data[0].b64_json)).astype(int) - 200).mean() for d in (near, far)]
    assert distance[0] < distance[1]
    events = list(
        client.images.edit(
            model="tiny", image=grey, prompt="cat", stream=True, partial_images=1, extra_body={"steps": 4, "seed": 3}
        )
    )
    assert [e.type for e in events] == ["image_edit.partial_image", "image_edit.completed"]


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        ({"model": "../../etc/passwd"}, openai.NotFoundError, "unknown model"),
        ({"prompt": "a fish"}, openai.BadRequestError, "names none of its classes: cat, dog, owl"),
        ({"prompt": "a dog and a cat"}, openai.BadRequestError, "names cat and dog"),
        ({"prompt": "d" * 10_000}, openai.BadRequestError, "10000 characters"),
        ({"n": 65}, openai.BadRequestError, "limit of 64"),
        ({"n": -1}, openai.BadRequestError, "n: Input should be greater"),
        ({"size": "1024x1024"}, openai.BadRequestError, "makes pictures of 8x8"),
        ({"extra_body": {"steps": 10**30}}, openai.BadRequestError, "limit of 1000"),
        ({"extra_body": {"steps": -3}}, openai.BadRequestError, "steps"),
        ({"extra_body": {"seed": 2**80}}, openai.BadRequestError, "seed must lie in"),
        ({"extra_body": {"sampler": "ddmi"}}, openai.BadRequestError, "did you mean 'ddim'"),
        ({"extra_body": {"colour": "red"}}, openai.BadRequestError, "colour: Extra inputs"),
        ({"extra_body": {"label": "²"}}, openai.BadRequestError, "unknown label"),
    ],
)
def test_what_cannot_be_meant(client: openai.OpenAI, words: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        client.images.generate(**{"model": "tiny", "prompt": "cat", **words})


def bomb() -> bytes:
    """A PNG of 6,000 x 6,000 pixels in a few hundred bytes: only its head says so."""
    whole = bytearray(png((4, 4), 0, "L"))
    whole[16:24] = (6_000).to_bytes(4, "big") * 2
    whole[29:33] = zlib.crc32(bytes(whole[12:29])).to_bytes(4, "big")
    return bytes(whole)


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"image": bomb()}, "6000 x 6000 pixels; this server takes at most"),
        ({"image": b"GIF89a nonsense"}, "no picture in a format that is taken (PNG, JPEG, WEBP)"),
        ({"image": b""}, "empty"),
        ({"image": png((8, 8), 0, "L")[:40]}, "damaged"),
        ({"image": png((8, 8), 0, "L"), "mask": png((8, 8), (0, 0, 0, 255), "RGBA")}, "nothing to change"),
    ],
    ids=["bomb", "no picture", "empty", "torn", "nothing to do"],
)
def test_pictures_that_are_refused(server: Running, files: dict[str, bytes], match: str) -> None:
    answer = server.http.post("/v1/images/edits", files=files, data={"prompt": "cat", "steps": "2"})
    assert answer.status_code == 400 and match in answer.json()["error"]["message"], answer.text
