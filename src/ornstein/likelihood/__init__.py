"""Likelihood: log p(x) of a denoiser, exact or as a bound, in nats and bits per dimension.

Each method is an :class:`Estimator` built on a denoiser; :func:`measure` runs one and says how sure it is.
"""

from ornstein.likelihood.base import Estimator as Estimator
from ornstein.likelihood.base import measure as measure
from ornstein.likelihood.chain import ChainBound as ChainBound
from ornstein.likelihood.dequantise import Dequantised as Dequantised
from ornstein.likelihood.dequantise import Uniform as Uniform
from ornstein.likelihood.jumps import JumpBound as JumpBound
from ornstein.likelihood.ode import ProbabilityFlow as ProbabilityFlow
from ornstein.likelihood.paths import PathWeights as PathWeights
from ornstein.likelihood.result import Likelihood as Likelihood
from ornstein.likelihood.variational import LogitNormal as LogitNormal
from ornstein.likelihood.variational import fit_dequantisation as fit_dequantisation
from ornstein.likelihood.vlb import VariationalBound as VariationalBound
