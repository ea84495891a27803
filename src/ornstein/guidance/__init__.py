"""Guidance: what changes the posterior. Each method is a Denoiser that wraps a Denoiser."""

from ornstein.guidance.apg import APG as APG
from ornstein.guidance.autoguidance import Autoguidance as Autoguidance
from ornstein.guidance.cfg import CFG as CFG
from ornstein.guidance.cfgpp import CFGPP as CFGPP
from ornstein.guidance.classifier import Classifier as Classifier
from ornstein.guidance.classifier import label_log_prob as label_log_prob
from ornstein.guidance.composition import Composition as Composition
from ornstein.guidance.composition import Given as Given
from ornstein.guidance.composition import Without as Without
from ornstein.guidance.energy import Reward as Reward
from ornstein.guidance.low_density import LowDensity as LowDensity
from ornstein.guidance.perturbed import Perturbed as Perturbed
from ornstein.guidance.rescale import RescaledCFG as RescaledCFG
from ornstein.guidance.table import GUIDANCE as GUIDANCE
from ornstein.guidance.zero import CFGZero as CFGZero
