"""Restoration without retraining: draws of p(x_0 | y) from a denoiser of p(x_0) and a measurement y = A(x_0) + noise."""

from ornstein.restoration.consistent import Consistent as Consistent
from ornstein.restoration.ddnm import DDNM as DDNM
from ornstein.restoration.ddrm import DDRM as DDRM
from ornstein.restoration.diffpir import DiffPIR as DiffPIR
from ornstein.restoration.dps import DPS as DPS
from ornstein.restoration.mmps import MMPS as MMPS
from ornstein.restoration.particles import Particles as Particles
from ornstein.restoration.pigdm import PiGDM as PiGDM
from ornstein.restoration.purify import Purify as Purify
from ornstein.restoration.red_diff import REDDiff as REDDiff
from ornstein.restoration.repaint import RePaint as RePaint
from ornstein.restoration.table import METHODS as METHODS
from ornstein.restoration.table import Restoring as Restoring
from ornstein.restoration.table import get_method as get_method
