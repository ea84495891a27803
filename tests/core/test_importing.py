"""The garbage collector rests while libraries are imported, and is as it was afterwards."""

from __future__ import annotations

import gc

import pytest

from ornstein.core.importing import without_collection


def test_it_rests_within_and_works_again_after_an_error() -> None:
    assert gc.isenabled()
    with pytest.raises(ImportError), without_collection():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()


def test_who_had_switched_it_off_finds_it_off() -> None:
    gc.disable()
    try:
        with without_collection(), without_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
