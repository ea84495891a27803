"""Samplers: what moves a state from time t to an earlier time s; one file each, one loop for all."""

from ornstein.samplers.ancestral import Ancestral as Ancestral
from ornstein.samplers.base import DenoisingSampler as DenoisingSampler
from ornstein.samplers.base import Sampler as Sampler
from ornstein.samplers.base import Step as Step
from ornstein.samplers.base import Transition as Transition
from ornstein.samplers.base import simulate as simulate
from ornstein.samplers.ddim import DDIM as DDIM
from ornstein.samplers.dpm_solver import DPMSolverPP2M as DPMSolverPP2M
from ornstein.samplers.euler import Euler as Euler
from ornstein.samplers.euler_maruyama import EulerMaruyama as EulerMaruyama
from ornstein.samplers.flow_map import FlowMap as FlowMap
from ornstein.samplers.flow_sde import FlowSDE as FlowSDE
from ornstein.samplers.heun import EDMHeun as EDMHeun
from ornstein.samplers.heun import Heun as Heun
from ornstein.samplers.renoise import Renoise as Renoise
from ornstein.samplers.table import LEARNED as LEARNED
from ornstein.samplers.table import SAMPLERS as SAMPLERS
from ornstein.samplers.table import Choice as Choice
from ornstein.samplers.table import get as get
from ornstein.samplers.table import names as names
