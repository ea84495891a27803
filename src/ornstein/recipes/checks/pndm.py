"""PNDM's claim with the exact noise prediction of GMM-8: far less error than DDIM for the same evaluations."""

from __future__ import annotations

from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.flow_error import Flow, order, uniform


def measure(seed: int) -> dict[str, float]:
    """Errors at 50 evaluations and of DDIM at 1000; the Runge-Kutta start costs 9 evaluations more than steps, Heun's 1."""
    flow = Flow(seed, std=0.3)
    found = {
        "ddim_50": flow.error("ddim", uniform, 50),
        "ddim_1000": flow.error("ddim", uniform, 1000),
        "pndm_50": flow.error("pndm", uniform, 41),
        "pndm_heun_50": flow.error("pndm", uniform, 49, {"start": "heun"}),
    }
    coarse, fine = (flow.error("pndm", uniform, n) for n in (640, 1280))
    return found | {"order": order(coarse, fine)}


CHECK = Check(
    recipe="pndm",
    paper="CIFAR-10 FID: 50 steps are better than 1000 of DDIM; second-order convergence",
    claim="with exact noise prediction on GMM-8, 50 evaluations of PNDM are nearer the exact flow than 50 of DDIM by a factor of "
    "10, and nearer than 1000 of DDIM; started with one step of Heun by a factor of 3; the order is at least 2",
    conditions=(
        Condition("pndm_50", "<", "ddim_50", "the claim: an order of magnitude at the paper's 50 evaluations", 0.1),
        Condition("pndm_50", "<", "ddim_1000", "the claim itself: 50 against 1000"),
        Condition("pndm_heun_50", "<", "ddim_50", "a start of order 2 keeps most of the gain: a third", 1 / 3),
        Condition("order", ">", 1.7, "order 2, with what second terms take from it at 1280 steps"),
    ),
    measure=measure,
)
