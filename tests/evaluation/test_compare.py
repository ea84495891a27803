"""Tables and plots of several records."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET

import pytest

from ornstein.core.errors import DataError
from ornstein.evaluation.compare import Comparison
from ornstein.evaluation.plot import Line, line_plot, ticks
from ornstein.evaluation.record import Record

PROTOCOL = {"samples": 10, "extractor": "pixels"}


def row(fd: float, coverage: float, evaluations: float | None = None, protocol: dict | None = None) -> Record:
    subject = {"what": "edm"} if evaluations is None else {"what": "edm", "sampler": "heun", "evaluations": evaluations}
    return Record({"fd": fd, "coverage": coverage}, {"fd": 0.1}, protocol or PROTOCOL, subject)


def comparison() -> Comparison:
    return Comparison({"data": row(0.5, 0.9), "edm 5": row(4.0, 0.95, 9), "edm 10": row(2.0, 0.8, 19)})


def test_the_best_is_the_best() -> None:
    made = comparison()
    assert made.best("fd") == {"data"} and made.best("coverage") == {"edm 5"}
    text = made.markdown()
    assert "| data |  |  | **0.5 ± 0.2** | 0.9 |" in text
    assert "| edm 5 | heun | 9 | 4 ± 0.2 | **0.95** |" in text
    assert "fd ↓" in text and "coverage ↑" in text
    assert "Protocol: samples 10; extractor pixels" in text


def test_other_forms_hold_the_same() -> None:
    made = comparison()
    rows = list(csv.DictReader(io.StringIO(made.csv())))
    assert [r["name"] for r in rows] == ["data", "edm 5", "edm 10"]
    assert float(rows[1]["fd"]) == 4 and float(rows[1]["fd_half_width"]) == pytest.approx(0.196)
    assert json.loads(made.json())["edm 10"]["values"] == {"fd": 2.0, "coverage": 0.8}


def test_other_protocols_are_refused() -> None:
    with pytest.raises(DataError, match=r"'a' and 'b' were measured under different protocols.*samples: 10 and 20"):
        Comparison({"a": row(1, 1), "b": row(1, 1, protocol={**PROTOCOL, "samples": 20})})


def test_the_plot_is_drawn_to_scale() -> None:
    svg = ET.fromstring(comparison().plot("fd"))
    space = {"s": "http://www.w3.org/2000/svg"}
    line = svg.find("s:polyline", space)
    assert line is not None
    (x_a, y_a), (x_b, y_b) = (map(float, p.split(",")) for p in line.attrib["points"].split())
    assert x_a < x_b and y_a < y_b  # fewer evaluations to the left, the larger distance above
    texts = [t.text for t in svg.findall("s:text", space)]
    assert {"edm, heun", "data", "9", "19", "fd"} <= set(texts)
    dashes = [e for e in svg.findall("s:line", space) if "stroke-dasharray" in e.attrib]
    assert len(dashes) == 1 and float(dashes[0].attrib["y1"]) > y_b
    with pytest.raises(DataError, match="nothing to draw: no record has fd"):
        Comparison({"data": row(1, 1)}).plot("fd")


def test_markup_in_names_is_escaped() -> None:
    svg = line_plot([Line("<a> & b", [(1, 2, 0)])], x_label="x", y_label="y")
    assert "&lt;a&gt; &amp; b" in svg
    ET.fromstring(svg)


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0, 7, [0, 1, 2, 3, 4, 5, 6, 7]), (12, 47, [15, 20, 25, 30, 35, 40, 45])],
)
def test_ticks_are_round(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(wanted)
