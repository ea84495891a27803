"""The ledger: rows belong to the code that is here, the page belongs to the rows, and neither can be made up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from house.tree import ROOT
from ornstein.core.errors import CheckpointError, DataError, OrnsteinError, UsageError
from ornstein.recipes import bundled, fingerprint, ledger, registry, reproduce
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.fingerprint import code_hash
from ornstein.recipes.ledger import judge

RESULTS = ROOT / "src" / "ornstein" / "results"
CHECKED = reproduce.check_names()
PENDING: frozenset[str] = frozenset()
"""Recipes whose check is written and whose row is still to be measured; the page names them."""


def test_what_is_pending_has_no_row() -> None:
    rows = {p.stem for p in RESULTS.glob("*.json")}
    assert set(CHECKED) - rows == PENDING, "measure them, or take measured ones off the list"


@pytest.mark.parametrize("name", [n for n in CHECKED if n not in PENDING])
def test_rows_are_of_this_code(name: str) -> None:
    path = RESULTS / f"{name}.json"
    assert path.is_file(), f"no row: run `ornstein reproduce {name}`"
    row, check = ledger.read(path), reproduce.get_check(name)
    assert row.code == code_hash(registry.card(name), check), (
        f"the code of recipe '{name}' or of its check changed after {name}.json was written: "
        f"run `ornstein reproduce {name}`"
    )
    assert len(row.seeds) >= 3, "a row stands on three seeds or more"
    assert (row.paper_claim, row.claim) == (check.paper, check.claim)
    assert row.conditions == judge(check.conditions, row.measured), "the verdicts do not follow from the figures"
    assert row.holds == all(c.holds for c in row.conditions)


@pytest.mark.parametrize("name", ["ddpm", "ddim", "edm", "flow-matching"])
def test_the_first_recipes_hold(name: str) -> None:
    row = ledger.read(RESULTS / f"{name}.json")
    assert row.holds and row.conditions


def test_no_row_without_a_check() -> None:
    assert {p.stem for p in RESULTS.glob("*.json")} <= set(CHECKED)


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / ledger.PAGE).read_text(encoding="utf-8")
    assert page == ledger.page(ledger.rows(RESULTS), bundled.bundled(), CHECKED), (
        "run `python -m ornstein.recipes.ledger`"
    )


@pytest.mark.parametrize("name", CHECKED)
def test_every_condition_has_a_reason_of_its_own(name: str) -> None:
    check = reproduce.get_check(name)
    assert check.recipe == name and check.conditions
    for condition in check.conditions:
        assert len(condition.reason.split()) >= 4, condition


def _with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, old: str, new: str) -> None:
    """Let one module's source read differently."""
    real = fingerprint._source
    text = real(module).read_text(encoding="utf-8")
    assert old in text
    changed = tmp_path / "changed.py"
    changed.write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(fingerprint, "_source", lambda name: changed if name == module else real(name))


@pytest.mark.parametrize(
    ("module", "old", "new", "same"),
    [
        ("recipes.images.ddim", "eta: float = 0.0", "eta: float = 0.5", False),
        ("recipes.images.ddpm", 'grid="uniform"', 'grid="karras"', False),  # ddim is built from it
        ("recipes.checks.ddim", "20_000", "10_000", False),
        ("recipes.checks.ddim", "0.025", "0.25", False),
        ("recipes.checks.toys", "radius: float = 1.2", "radius: float = 1.3", False),
        ("recipes.checks.ddim", "    process = VP", "    # a comment\n\n    process  =  VP", True),
        ("recipes.checks.ddim", '"""Sliced', '"""The sliced', True),
        ("recipes.checks.ddim", "20_000", "20000", True),
        ("recipes.checks.edm", "2000", "1000", True),  # another recipe's check
    ],
)
def test_what_makes_a_row_old(
    module: str, old: str, new: str, same: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    card, check = registry.card("ddim"), reproduce.get_check("ddim")
    before = code_hash(card, check)
    _with(monkeypatch, tmp_path, f"ornstein.{module}", old, new)
    assert (code_hash(card, check) == before) is same


def test_the_hash_does_not_depend_on_the_version_of_python() -> None:
    """Fields that newer versions add to the tree are empty where they are not used, and empty fields do not count."""
    import ast

    tree = ast.parse("def f(x: int = 1) -> int:\n    '''Doc.'''\n    return x\n")
    before = fingerprint.canonical(tree)
    function = tree.body[0]
    function.type_params = []  # type: ignore[attr-defined]
    function._fields = (*function._fields, "type_params")  # type: ignore[misc]
    assert fingerprint.canonical(tree) == before
    assert "Doc" not in before and "Constant(value=1)" in before


A, B = {"x": 1.0, "y": 3.0}, {"x": 2.0, "y": 3.0}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (Condition("x", "<", 2.5, ""), True),
        (Condition("x", "<", 2.0, ""), False),  # one seed fails
        (Condition("x", "<", 2.0, "", on="mean"), True),
        (Condition("x", "<", "y", ""), True),
        (Condition("x", "<", "y", "", 0.5), False),
        (Condition("y", ">", 3.0, ""), False),
        (Condition("y", "==", 3.0, ""), True),
    ],
)
def test_conditions(condition: Condition, holds: bool) -> None:
    assert condition.holds([A, B]) is holds
    (verdict,) = judge([condition], [A, B])
    assert verdict.holds is holds and len(verdict.measured) == len(verdict.bound) == 2


def test_what_is_not_a_number_never_holds() -> None:
    nan = {"x": float("nan"), "y": 3.0}
    assert not any(Condition("x", op, "y", "").holds([nan]) for op in ("<", ">", "=="))  # type: ignore[arg-type]


def test_conditions_read_well() -> None:
    assert str(Condition("swd_1", "<", "swd_2", "", 0.5)) == "swd_1 < 0.5 x swd_2"
    assert str(Condition("loss", "<", 1 / 3, "")) == "loss < 0.333333"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of no cost in the place of DDIM's."""
    check = Check(
        "ddim", "a figure", "a claim", (Condition("x", "<", 2.0, "because two"),), lambda seed: {"x": 1.0 + seed}
    )
    monkeypatch.setattr(reproduce, "get_check", lambda name: check)
    monkeypatch.setattr(reproduce, "code_hash", lambda card, check: "0" * 16)


@pytest.mark.usefixtures("toy")
def test_reproduce_writes_what_it_returns(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    row = reproduce.reproduce("ddim", seeds=1, on_progress=lambda f, s: told.append((f, s)), out=tmp_path / "r")
    assert row.holds and row.measured == [{"x": 1.0}] and row.seeds == [0]
    assert told == [(0.0, "seed 1 of 1"), (1.0, "seed 1 of 1")]
    assert ledger.read(tmp_path / "r" / "ddim.json") == row
    assert [p.name for p in (tmp_path / "r").iterdir()] == ["ddim.json"]
    for word in ("a figure", "a claim", "x < 2", "core"):
        assert word in str(row)


@pytest.mark.usefixtures("toy")
def test_a_claim_that_fails_is_written_as_failed(tmp_path: Path) -> None:
    row = reproduce.reproduce("ddim", seeds=3, out=tmp_path)
    assert not row.holds and "FAILS" in str(row) and "DOES NOT HOLD" in str(row)
    assert not ledger.read(tmp_path / "ddim.json").holds
    assert "**no**" in ledger.page(ledger.rows(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "ddimm"}, "unknown recipe 'ddimm': did you mean 'ddim'"),
        ({"name": "ddim", "seeds": 0}, "seeds must be at least 1, got 0"),
    ],
)
def test_arguments_that_cannot_be_meant(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        reproduce.reproduce(**arguments, out=tmp_path)


def test_a_recipe_without_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce, "check_names", lambda: ["edm"])
    with pytest.raises(UsageError, match="recipe 'ddim' has no check to reproduce; those that have: edm"):
        reproduce.get_check("ddim")


def test_outside_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not inside a checkout of ornstein.*\(--out\)"):
        reproduce.results_folder(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    with pytest.raises(UsageError, match="not inside a checkout"):
        reproduce.results_folder(tmp_path)
    assert reproduce.results_folder(ROOT / "src") == RESULTS


def test_a_folder_that_cannot_be_written_is_found_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OrnsteinError, match=r"cannot write to .*Choose another --out"):
        reproduce.reproduce("ddim", out=tmp_path / "file")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"recipe": "edm"}', '{"conditions": [{"odd": 1}]}'])
def test_a_file_that_is_no_row(text: str, tmp_path: Path) -> None:
    (tmp_path / "edm.json").write_text(text)
    with pytest.raises(DataError, match=r"edm.json is no row of the ledger .*ornstein reproduce edm"):
        ledger.rows(tmp_path)


def test_page_escapes_and_names_everything(tmp_path: Path) -> None:
    row = ledger.read(RESULTS / "edm.json")
    text = ledger.page([dataclasses.replace(row, claim="a | b.")])
    assert "A \\| b." in text and row.title in text and row.code in text
    for c in row.conditions:
        assert c.text in text


def test_bundled_weights_say_where_they_come_from(tmp_path: Path) -> None:
    models = bundled.bundled()
    assert models
    for model in models:
        assert model.about["command"].startswith("ornstein train ")
        assert {"data", "licence", "seed", "step", "seen", "machine"} <= set(model.about)
        assert model.sha256[:16] in ledger.page([], [model])
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "manifest.json").write_bytes((bundled.WEIGHTS / models[0].name / "manifest.json").read_bytes())
    (folder / bundled.QUALITY).write_text('{"sha256": "0", "rows": []}')
    with pytest.raises(CheckpointError, match="measured on other weights"):
        bundled.read(folder)
