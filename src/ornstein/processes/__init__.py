"""Forward processes q(x_t | x_0): t = 0 is data, t = 1 is the prior."""

from ornstein.processes.base import SDE as SDE
from ornstein.processes.base import Affine as Affine
from ornstein.processes.base import GaussianProcess as GaussianProcess
from ornstein.processes.base import Process as Process
from ornstein.processes.base import Rate as Rate
from ornstein.processes.base import Reversible as Reversible
from ornstein.processes.categorical import CategoricalProcess as CategoricalProcess
from ornstein.processes.categorical import LinearKeep as LinearKeep
from ornstein.processes.cld import CLD as CLD
from ornstein.processes.gaussian import EDM as EDM
from ornstein.processes.gaussian import VE as VE
from ornstein.processes.gaussian import VP as VP
from ornstein.processes.gaussian import FlowMatching as FlowMatching
from ornstein.processes.gaussian import SubVP as SubVP
from ornstein.processes.interpolant import Interpolant as Interpolant
from ornstein.processes.linear import LinearProcess as LinearProcess
from ornstein.processes.torus import Torus as Torus
