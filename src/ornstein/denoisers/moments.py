r"""A variance of x_0 for each coordinate and state, from a second output: SN- and NPR-DPM."""

from __future__ import annotations

from typing import Literal, final

from torch import Tensor

from ornstein.core.distributions import Gaussian
from ornstein.core.errors import UsageError
from ornstein.core.shapes import cast
from ornstein.denoisers.analytic import largest_variance
from ornstein.denoisers.parametrizations import Eps, Parametrization
from ornstein.processes.base import Affine, GaussianProcess

Moment = Literal["noise", "residual"]


@final
class LearnedMoment(Parametrization):
    r"""Twice the channels: another parametrisation's output, and h, a second moment of the noise for each coordinate.

    Var[x_0 | x_t] = sigma_t^2/alpha_t^2 v, and by ``moment``:

    - ``"noise"`` (SN): h = E[eps^2 | x_t], v = h - eps_theta^2. The exact covariance's diagonal when the mean is exact.
    - ``"residual"`` (NPR): h = E[(eps - eps_theta)^2 | x_t], v = h. With a mean that is off, its squared error is in v: the
      diagonal that is best for the bound, whatever the mean.

    A v below 0, which a learned h may give, counts as 0; data in ``data_range`` bound the variance above. Bao et al. 2022,
    2206.07309, theorems 1 and 2 and section 4.
    """

    needs = GaussianProcess

    def __init__(
        self,
        base: Parametrization | None = None,
        moment: Moment = "noise",
        data_range: tuple[float, float] | None = None,
    ):
        if moment not in ("noise", "residual"):
            raise UsageError(f"moment must be 'noise' (SN) or 'residual' (NPR), got '{moment}'")
        self.base = Eps() if base is None else base
        self.moment, self.bound = moment, largest_variance(data_range)

    @staticmethod
    def split(out: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean's half and the moment's half, each of x's shape, along the first dimension after the batch."""
        if out.shape[1] != 2 * x.shape[1] or out.shape[2:] != x.shape[2:]:
            raise UsageError(
                f"a second moment for each value needs an output with twice the channels of the data: {tuple(x.shape)} goes with "
                f"{(x.shape[0], 2 * x.shape[1], *x.shape[2:])}, got {tuple(out.shape)}"
            )
        mean, moment = out.chunk(2, dim=1)
        return mean, moment

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.base.inputs(process, x_t, t)

    def noise(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """eps_theta, from the mean's half of the output."""
        return process.eps(x_t, t, self.base.posterior(process, out, x_t, t).mean)

    def moment_target(self, process: Affine, out: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """What the moment's half should have been, given the mean's half; no gradient reaches the mean."""
        eps = process.eps(x_t, t, x_0)
        if self.moment == "noise":
            return eps**2
        return (eps - self.noise(process, out, x_t, t).detach()) ** 2

    def posterior(self, process: Affine, out: Tensor, x_t: Tensor, t: Tensor) -> Gaussian:
        mean_out, h = self.split(out, x_t)
        mean = self.base.posterior(process, mean_out, x_t, t).mean
        v = h - process.eps(x_t, t, mean) ** 2 if self.moment == "noise" else h
        (scale,) = cast(x_t, (-process.log_snr(t)).exp())
        return Gaussian(mean, (scale * v).clamp(0, self.bound))

    def target(self, process: Affine, x_0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return self.base.target(process, x_0, x_t, t)

    def gain(self, process: Affine, t: Tensor) -> Tensor:
        return self.base.gain(process, t)
