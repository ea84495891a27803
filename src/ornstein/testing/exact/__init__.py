r"""Problems whose posterior, score, density and (for a Gaussian) probability flow are known in closed form.

>>> import torch
>>> from ornstein.core.rng import Rng
>>> from ornstein.processes import VP
>>> from ornstein.testing import exact
>>> problem = exact.gmm8(VP())
>>> x_0 = problem.sample(Rng(range(4)), 4)
>>> problem.denoiser(x_0, torch.tensor(0.5)).mean.shape
torch.Size([4, 2])
"""

from ornstein.testing.exact.categorical import CategoricalProblem as CategoricalProblem
from ornstein.testing.exact.categorical import categorical as categorical
from ornstein.testing.exact.conditioned import conditioned as conditioned
from ornstein.testing.exact.gaussian import GaussianProblem as GaussianProblem
from ornstein.testing.exact.gaussian import gaussian as gaussian
from ornstein.testing.exact.hitting import BitsProblem as BitsProblem
from ornstein.testing.exact.hitting import SphereProblem as SphereProblem
from ornstein.testing.exact.hitting import bits as bits
from ornstein.testing.exact.hitting import sphere as sphere
from ornstein.testing.exact.linear import CoupledProblem as CoupledProblem
from ornstein.testing.exact.linear import coupled as coupled
from ornstein.testing.exact.mixture import MixtureProblem as MixtureProblem
from ornstein.testing.exact.mixture import gmm8 as gmm8
from ornstein.testing.exact.mixture import mixture as mixture
from ornstein.testing.exact.problem import ExactDenoiser as ExactDenoiser
from ornstein.testing.exact.problem import MeanOnly as MeanOnly
from ornstein.testing.exact.problem import Problem as Problem
from ornstein.testing.exact.torus import WrappedNormalProblem as WrappedNormalProblem
from ornstein.testing.exact.torus import wrapped_normal as wrapped_normal
