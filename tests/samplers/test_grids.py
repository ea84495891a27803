"""Grids: where their points lie, what they refuse, and the names by which other tools know them."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import beta as beta_law

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng
from ornstein.processes import EDM, VP, Affine
from ornstein.samplers import DDIM, get, simulate
from ornstein.samplers.grids import GRIDS, get_grid
from ornstein.testing import exact
from testing.tables import AFFINE, TABLES, PerCoordinate

LEVELS = ("log_snr", "karras", "leap", "exponential", "cosine", "kl_optimal", "align_your_steps", "even_karras")
OPEN = ("sgm_uniform", "trailing", "even", "even_karras")
"""Those that leave out t_min."""


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("process", [*AFFINE.values(), *TABLES.values()], ids=[*AFFINE, *TABLES])
@pytest.mark.parametrize("steps", [1, 2, 10, 75])
def test_every_grid_is_one(grid: str, process: Affine, steps: int) -> None:
    times = get_grid(grid)(process, steps, None, None)
    assert times.shape == (steps + 1,) and times.dtype == torch.float64
    assert float(times[0]) == process.t_max and float(times[-1]) == 0
    assert bool((times[1:] < times[:-1]).all())
    if steps > 1 and grid not in OPEN:
        assert abs(float(times[-2]) - process.t_min) < 1e-6 * max(1.0, process.t_min / 1e-6)


def test_beta_has_the_quantiles_of_the_law() -> None:
    process = EDM()
    times = get_grid("beta")(process, 21, None, None)[:-1]
    wanted = beta_law.ppf(torch.linspace(1, 0, 21, dtype=torch.float64).numpy(), 0.6, 0.6)
    got = (times - process.t_min) / (1 - process.t_min)
    assert torch.allclose(got, torch.from_numpy(wanted), atol=1e-10)


def test_cosine_has_equal_angles() -> None:
    process = VP()
    times = get_grid("cosine")(process, 12, None, None)[:-1]
    angles = torch.atan2(process.sigma(times), process.alpha(times))
    assert torch.allclose(angles.diff(), angles.diff().mean().expand(11), atol=1e-9)


def test_leap_goes_to_twice_the_data_and_on_as_karras() -> None:
    process = EDM(0.02, 40.0)
    times = get_grid("leap")(process, 6, None, None)
    assert float(process.sigma(times[1])) == pytest.approx(2.0)
    rest = get_grid("karras")(EDM(0.02, 2.0), 5, None, None)
    torch.testing.assert_close(process.sigma(times[1:]), 2.0 * rest)
    low = EDM(0.02, 1.5)
    assert torch.equal(get_grid("leap")(low, 6, None, None), get_grid("karras")(low, 6, None, None))


def test_sgm_uniform_leaves_out_the_last_level() -> None:
    times = get_grid("sgm_uniform")(EDM(), 4, 1.0, 0.2)
    assert torch.allclose(times, torch.tensor([1.0, 0.8, 0.6, 0.4, 0.0], dtype=torch.float64))


@pytest.mark.parametrize("grid", LEVELS)
def test_a_level_of_each_coordinate_has_no_time(grid: str) -> None:
    with pytest.raises(
        CapabilityError, match=r"PerCoordinate has one for each coordinate \[3\].* take a grid in t: uniform"
    ):
        get_grid(grid)(PerCoordinate(), 8, None, None)


@pytest.mark.parametrize("grid", sorted(set(GRIDS) - set(LEVELS)))
def test_grids_in_time_serve_every_process(grid: str) -> None:
    times = get_grid(grid)(PerCoordinate(), 12, None, None)
    problem = exact.gaussian(PerCoordinate(), torch.zeros(3), 1.0)
    x = simulate(DDIM(problem.denoiser), torch.ones(2, 3), times, Rng(range(2)))
    assert bool(torch.isfinite(x).all())


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([1.0, 0.5, 0.5, 0.0], "must decrease strictly"),
        ([0.2, 0.5], "must decrease strictly"),
        ([1.5, 0.5], r"must lie in \[0, 1\]; got 0.5 .. 1.5"),
        ([1.0, -0.1], r"must lie in \[0, 1\]"),
        ([1.0], "at least two times"),
    ],
)
def test_bad_grids_are_refused(times: list[float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        simulate(DDIM(exact.gaussian(VP()).denoiser), torch.zeros(1, 1), torch.tensor(times), Rng([0]))


@pytest.mark.parametrize("grid", GRIDS)
def test_no_steps_are_refused(grid: str) -> None:
    with pytest.raises(UsageError, match="steps must be at least 1, got 0"):
        get_grid(grid)(VP(), 0, None, None)
    with pytest.raises(UsageError, match="0 < t_min < t_max"):
        get_grid(grid)(VP(), 5, 0.2, 0.4)


NAMES: dict[str, tuple[str, str | None, dict[str, object]]] = {
    # A1111
    "Euler": ("euler", None, {}),
    "LMS": ("lms", None, {}),
    "LMS Karras": ("lms", "karras", {}),
    "Heun": ("heun", None, {}),
    "DPM2": ("dpm_solver_2", None, {}),
    "DPM2 Karras": ("dpm_solver_2", "karras", {}),
    "DPM++ 2M Karras": ("dpmpp_2m", "karras", {}),
    "DPM++ 2M Exponential": ("dpmpp_2m", "exponential", {}),
    "DPM++ 2M Beta": ("dpmpp_2m", "beta", {}),
    "DPM++ 2M SGM Uniform": ("dpmpp_2m", "sgm_uniform", {}),
    "DPM++ 2M KL Optimal": ("dpmpp_2m", "kl_optimal", {}),
    "DPM++ 2M Align Your Steps": ("dpmpp_2m", "align_your_steps", {}),
    "DPM fast": ("dpm_solver_3", None, {}),
    "DPM adaptive": ("dpm_adaptive", None, {}),
    "DDIM": ("ddim", None, {}),
    "PLMS": ("pndm", None, {"start": "heun"}),
    "UniPC": ("unipc", None, {}),
    # ComfyUI
    "dpm_2": ("dpm_solver_2", None, {}),
    "dpm_adaptive": ("dpm_adaptive", None, {}),
    "ipndm": ("ipndm", None, {}),
    "ipndm_v": ("lms", None, {}),
    "uni_pc": ("unipc", None, {}),
    "uni_pc_bh2": ("unipc", None, {"variant": "bh2"}),
    "deis": ("deis", None, {}),
    "dpmpp_2m_sgm_uniform": ("dpmpp_2m", "sgm_uniform", {}),
    # diffusers
    "DDIMScheduler": ("ddim", None, {}),
    "DDIMInverseScheduler": ("ddim_inversion", None, {}),
    "EulerDiscreteScheduler": ("ddim", None, {}),
    "PNDMScheduler": ("pndm", None, {}),
    "IPNDMScheduler": ("ipndm", None, {}),
    "LMSDiscreteScheduler": ("lms", None, {}),
    "DEISMultistepScheduler": ("deis", None, {}),
    "UniPCMultistepScheduler": ("unipc", None, {}),
    "KDPM2DiscreteScheduler": ("dpm_solver_2", None, {}),
    "HeunDiscreteScheduler": ("edm_heun", None, {}),
    "DPMSolverMultistepScheduler": ("dpmpp_2m", None, {}),
    "DPMSolverSinglestepScheduler": ("dpmpp_2s", None, {}),
    "EDMDPMSolverMultistepScheduler": ("dpmpp_2m", None, {}),
    "EDMEulerScheduler": ("ddim", None, {}),
}


@pytest.mark.parametrize("spelling", NAMES)
def test_names_of_other_tools_resolve(spelling: str) -> None:
    name, grid, options = NAMES[spelling]
    assert get(spelling) == get(name, grid=grid, options=options)
    get(spelling)(exact.gaussian(VP()).denoiser)


def test_options_given_win_over_those_of_a_name() -> None:
    assert dict(get("PLMS", options={"start": "runge_kutta"}).options) == {"start": "runge_kutta"}
    with pytest.raises(UsageError, match="sampler 'unipc' has no option 'order'"):
        get("UniPC", options={"order": 2})
    with pytest.raises(UsageError, match="unknown sampler 'DPM--'"):
        get("DPM--")
