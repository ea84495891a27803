"""The doctor of trained systems: every failure is caused, named and given a remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ornstein.codecs.base import Scale
from ornstein.core.errors import DataError
from ornstein.core.finding import Finding
from ornstein.data import Images
from ornstein.evaluation.copies import copies
from ornstein.recipes.doctor import examine_data, examine_run, is_run, scale
from ornstein.recipes.doctor.case import Case
from ornstein.recipes.house import build, train
from ornstein.recipes.saved import load
from ornstein.training import load_checkpoint, save_checkpoint

SMALL = {"widths": "16", "blocks": 1, "batch": 8, "lr": 1e-2, "warmup": 0}


def pictures() -> Images:
    """Grey pictures of 8 x 8 in two classes."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = (rng.integers(0, 96, (40, 1, 8, 8)) + 159 * y[:, None, None, None]).astype(np.uint8)
    return Images(x, y, ("dark", "light"), "pictures")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run; for reading only."""
    run = tmp_path_factory.mktemp("doctor") / "run"
    train("edm", data=pictures(), out=run, settings=SMALL, steps=6)
    return run


@pytest.fixture
def run(healthy: Path, tmp_path: Path) -> Path:
    """One to spoil."""
    return shutil.copytree(healthy, tmp_path / "run")


def the(findings: list[Finding], check: str) -> Finding:
    """The only finding of a check."""
    (found,) = [f for f in findings if f.check == check]
    assert found.good or found.remedy
    return found


def test_a_healthy_run_passes(healthy: Path) -> None:
    found = list(examine_run(healthy, pictures()))
    assert [f for f in found if not f.good] == []
    assert {"configuration", "scale of the data", "one repeated batch", "memorisation", "duplicates"} <= {
        f.check for f in found
    }


def test_quick_trains_and_samples_nothing(healthy: Path) -> None:
    found = {f.check for f in examine_run(healthy, pictures(), quick=True)}
    assert "scale of the data" in found and not {"one repeated batch", "memorisation"} & found


def test_sigma_data_far_off(tmp_path: Path) -> None:
    """The images are rescaled as if their standard deviation were 0.1; it is about 0.65."""
    train("edm", data=pictures(), out=tmp_path / "run", settings={**SMALL, "data_std": 0.1}, steps=1)
    found = the(list(examine_run(tmp_path / "run", pictures(), quick=True)), "scale of the data")
    true = float(torch.from_numpy(pictures().x).float().div(127.5).sub(1).std())
    assert found.level == "error"
    assert (
        f"deviation {5 * true:.3g}, sigma_data is 0.5" in found.what
        and f"data_std to the images' own, {true:.3g}" in found.remedy
    )


def test_data_out_of_the_codecs_range(healthy: Path) -> None:
    """A system without sigma_data, whose codec makes something else than [-1, 1] of the images."""
    system = build("flow-matching", data=pictures(), settings={"widths": "16", "blocks": 1})
    assert scale.check(Case(healthy, {}, system, pictures())).good
    system.codec = Scale(3.0)
    found = scale.check(Case(healthy, {}, system, pictures()))
    assert (found.level, "from -3 to 2.98, not from -1 to 1" in found.what) == ("error", True)


def test_a_configuration_that_was_edited(run: Path) -> None:
    path = run / "config.json"
    text = json.loads(path.read_text())
    text["config"]["blocks"] = 3
    path.write_text(json.dumps(text))
    found = the(list(examine_run(run, pictures())), "configuration")
    assert found.level == "error"
    assert "blocks is 3, the weights have 1" in found.what and "start a new run" in found.remedy
    path.write_text("{")
    assert "it cannot be read" in the(list(examine_run(run, pictures())), "configuration").what


def test_weights_of_another_configuration(run: Path) -> None:
    (path,) = (run / "checkpoints").iterdir()
    found = load_checkpoint(path)
    found.meta["config"]["widths"] = [32]
    save_checkpoint(path, found.parts, found.meta)
    (run / "config.json").unlink()
    finding = the(list(examine_run(run, pictures())), "configuration")
    assert finding.level == "error"
    assert "do not fit recipe 'edm'" in finding.what and "denoiser.network" in finding.what


def test_other_data_than_the_runs(healthy: Path) -> None:
    x = pictures().x.copy()
    x[0, 0, 0, 0] ^= 1
    other = Images(x, pictures().labels, ("dark", "light"), "pictures")
    found = the(list(examine_run(healthy, other, quick=True)), "data of the run")
    assert (found.level, "their content differs" in found.what) == ("warning", True)


def test_data_that_are_not_here(healthy: Path) -> None:
    found = the(list(examine_run(healthy)), "opens")
    assert (found.level, found.remedy) == ("warning", "say where they are: --data")


def test_a_network_that_learns_nothing(tmp_path: Path) -> None:
    train("edm", data=pictures(), out=tmp_path / "run", settings={**SMALL, "lr": 1e-9}, steps=1)
    found = the(list(examine_run(tmp_path / "run", pictures())), "one repeated batch")
    assert (found.level, "raise lr" in found.remedy) == ("error", True)


def test_a_model_that_knows_its_four_images_by_heart(tmp_path: Path) -> None:
    x = np.zeros((5, 1, 8, 8), np.uint8)
    x[0, :, :4] = x[1, :, :, :4] = x[2, :, 2:6, 2:6] = x[3, :, ::2] = 255
    x[4] = x[0]  # a duplicate must not hide that its original is copied
    settings = {**SMALL, "widths": "32", "batch": 4, "lr": 3e-2, "warmup": 10, "ema_half_life": 100, "patch": 1}
    train("edm", data=Images(x, name="four"), out=tmp_path / "run", settings=settings, steps=200)
    found = the(list(examine_run(tmp_path / "run", Images(x, name="four"))), "memorisation")
    assert not found.good
    assert "samples are copies of training images (seed " in found.what and "flip=true" in found.remedy


def test_copies_are_told_from_samples_of_the_same_law() -> None:
    torch.manual_seed(0)
    training = torch.randn(200, 48)
    near = training[[5, 9]] + 0.02 * torch.randn(2, 48)
    found = copies(torch.cat([near, torch.randn(50, 48)]), training)
    assert found.memorised.tolist() == [True, True] + [False] * 50
    assert found.index[:2].tolist() == [5, 9]
    exact = torch.linalg.vector_norm(near[0] - training, dim=1).sort()
    torch.testing.assert_close(torch.stack([found.first[0], found.second[0]]), exact.values[:2], atol=1e-3, rtol=1e-3)
    with pytest.raises(DataError, match="at least 2 vectors are needed, got 1"):
        copies(near, training[:1])


def test_runs_are_told_from_data(healthy: Path, tmp_path: Path) -> None:
    assert is_run(healthy)
    assert not is_run(tmp_path) and not is_run("digits")
    assert [f.level for f in examine_data(tmp_path / "nothing")] == ["error"]


def test_the_doctor_changes_nothing(healthy: Path) -> None:
    before = torch.get_rng_state()
    weights = {k: v.clone() for k, v in load(healthy).modules.state_dict().items()}
    files = {p: p.stat().st_mtime_ns for p in healthy.rglob("*")}
    list(examine_run(healthy, pictures()))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(v, weights[k]) for k, v in load(healthy).modules.state_dict().items())
    assert {p: p.stat().st_mtime_ns for p in healthy.rglob("*")} == files
