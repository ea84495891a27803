"""Denoisers: a network, a process and what the network's output means."""

from ornstein.denoisers.analytic import AnalyticVariance as AnalyticVariance
from ornstein.denoisers.analytic import VarianceWarning as VarianceWarning
from ornstein.denoisers.denoiser import Denoiser as Denoiser
from ornstein.denoisers.denoiser import Preconditioned as Preconditioned
from ornstein.denoisers.moments import LearnedMoment as LearnedMoment
from ornstein.denoisers.parametrizations import X0 as X0
from ornstein.denoisers.parametrizations import Clocked as Clocked
from ornstein.denoisers.parametrizations import EDMScaling as EDMScaling
from ornstein.denoisers.parametrizations import Eps as Eps
from ornstein.denoisers.parametrizations import LearnedRange as LearnedRange
from ornstein.denoisers.parametrizations import Parametrization as Parametrization
from ornstein.denoisers.parametrizations import ScoreOut as ScoreOut
from ornstein.denoisers.parametrizations import V as V
from ornstein.denoisers.parametrizations import Velocity as Velocity
from ornstein.denoisers.windows import Windows as Windows
from ornstein.denoisers.wrappers import Clip as Clip
from ornstein.denoisers.wrappers import DynamicThreshold as DynamicThreshold
