"""UniPC's claim with the exact noise prediction of GMM-8: the corrector raises the order by one."""

from __future__ import annotations

from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.flow_error import Flow, log_snr, order


def measure(seed: int) -> dict[str, float]:
    """Errors at 10 to 80 evaluations on equal steps of log-SNR; DPM-Solver++ 2M is UniP-2 without the corrector."""
    flow = Flow(seed)
    found = {}
    for steps in (10, 20, 40, 80):
        found[f"dpmpp_2m_{steps}"] = flow.error("dpmpp_2m", log_snr, steps)
        for p in (1, 2, 3):
            found[f"unipc{p}_{steps}"] = flow.error("unipc", log_snr, steps, {"p": p})
    for p in (1, 2, 3):
        found[f"order_unipc{p}"] = order(found[f"unipc{p}_40"], found[f"unipc{p}_80"])
    return found


_RAISED = "one above the predictor's order, less what second terms take from it"

CHECK = Check(
    recipe="unipc",
    paper="CIFAR-10 FID 3.87 and ImageNet-256 FID 7.51 at 10 evaluations; the corrector raises the order by one",
    claim="with exact noise prediction on GMM-8 and equal steps of log-SNR, UniPC-p converges at order p + 1; from 20 "
    "evaluations on UniPC-2 is nearer the exact flow than DPM-Solver++ 2M, its predictor alone, at the same price",
    conditions=(
        Condition("order_unipc1", ">", 1.7, _RAISED),
        Condition("order_unipc2", ">", 2.7, _RAISED),
        Condition("order_unipc3", ">", 3.5, _RAISED),
        Condition("unipc2_20", "<", "dpmpp_2m_20", "the claim: the corrector costs nothing and helps"),
        Condition("unipc2_40", "<", "dpmpp_2m_40", "the claim, where errors are small: a third", 1 / 3),
        Condition("unipc3_40", "<", "unipc2_40", "the higher order, at the same price"),
    ),
    measure=measure,
)
