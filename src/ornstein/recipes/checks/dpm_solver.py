"""DPM-Solver's claim with the exact noise prediction of GMM-8: the orders of the methods, on equal steps of log-SNR."""

from __future__ import annotations

from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.flow_error import Flow, log_snr, order

CALLS = {"ddim": 1, "dpm_solver_2": 2, "dpm_solver_3": 3, "dpmpp_2m": 1, "dpmpp_2s": 2}


def measure(seed: int) -> dict[str, float]:
    """Errors at 20, 40 and 80 evaluations (as many whole steps as these pay for), and the order from 40 steps to 80."""
    flow = Flow(seed)
    found = {
        f"{name}_{budget}": flow.error(name, log_snr, budget // calls)
        for name, calls in CALLS.items()
        for budget in (20, 40, 80)
    }
    for name in CALLS:
        coarse, fine = (flow.error(name, log_snr, steps) for steps in (40, 80))
        found[f"order_{name}"] = order(coarse, fine)
    return found


_NEAR = "the declared order, less what second terms take from it"

CHECK = Check(
    recipe="dpm-solver",
    paper="CIFAR-10 FID 4.70 at 10 evaluations and 2.87 at 20; orders 1, 2 and 3",
    claim="with exact noise prediction on GMM-8 and equal steps of log-SNR, DDIM, DPM-Solver-2, -3 and DPM-Solver++ 2S and 2M "
    "converge at their orders; at 40 evaluations -3 is nearer the exact flow than -2, and all are nearer than DDIM",
    conditions=(
        Condition("order_ddim", ">", 0.8, _NEAR),
        Condition("order_ddim", "<", 1.2, "no more than first order"),
        Condition("order_dpm_solver_2", ">", 1.7, _NEAR),
        Condition("order_dpm_solver_3", ">", 2.7, _NEAR),
        Condition("order_dpmpp_2m", ">", 1.7, _NEAR),
        Condition("order_dpmpp_2s", ">", 1.7, _NEAR),
        Condition("dpm_solver_3_40", "<", "dpm_solver_2_40", "the higher order, at the same price"),
        Condition("dpm_solver_2_40", "<", "ddim_40", "the higher order, at the same price"),
        Condition("dpmpp_2m_20", "<", "ddim_20", "the claim at the paper's 20 evaluations: half the error", 0.5),
        Condition("dpmpp_2m_20", "<", "dpm_solver_2_20", "one evaluation a step, so twice the steps"),
    ),
    measure=measure,
)
