"""DEIS's claim with the exact noise prediction of GMM-8: each degree of the polynomial brings the error down."""

from __future__ import annotations

from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.flow_error import Flow, order, quadratic


def measure(seed: int) -> dict[str, float]:
    """Errors on the paper's quadratic grid; tAB r passes through r + 1 values."""
    flow = Flow(seed)
    found = {f"ddim_{n}": flow.error("ddim", quadratic, n) for n in (10, 20)}
    for points in (2, 4):
        for n in (10, 20, 40, 80):
            found[f"tab{points - 1}_{n}"] = flow.error("deis", quadratic, n, {"points": points})
    found["order_tab3"] = order(found["tab3_20"], found["tab3_40"])
    found["order_tab1"] = order(found["tab1_40"], found["tab1_80"])
    one = flow.run("deis", quadratic(10), {"points": 1})
    found["one_point_difference"] = float((one - flow.run("ddim", quadratic(10))).abs().max())
    return found


CHECK = Check(
    recipe="deis",
    paper="CIFAR-10 FID 4.17 at 10 evaluations, 3.37 at 15; DDIM is the method with a constant polynomial",
    claim="with exact noise prediction on GMM-8 and the quadratic grid, at 10 and 20 evaluations tAB3 is nearer the exact flow "
    "than tAB1 and tAB1 nearer than DDIM; tAB1 converges at order 2, tAB3 at almost 3 or better; one point is DDIM",
    conditions=(
        Condition("tab1_10", "<", "ddim_10", "the claim at the paper's 10 evaluations"),
        Condition("tab3_10", "<", "tab1_10", "the claim: a higher degree is better"),
        Condition("tab1_20", "<", "ddim_20", "the claim at 20"),
        Condition("tab3_20", "<", "tab1_20", "the claim at 20"),
        Condition("order_tab3", ">", 2.7, "order 4, less what its start with lower orders costs"),
        Condition("order_tab1", ">", 1.7, "order 2, with what second terms take from it"),
        Condition("one_point_difference", "<", 1e-9, "the same formula, up to rounding"),
    ),
    measure=measure,
)
