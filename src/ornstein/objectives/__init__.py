"""Objectives: batch -> loss, training one player."""

from ornstein.objectives.denoising import Denoising as Denoising
from ornstein.objectives.interpolating import Interpolating as Interpolating
from ornstein.objectives.times import DiscreteTimes as DiscreteTimes
from ornstein.objectives.times import LogitNormal as LogitNormal
from ornstein.objectives.times import LogNormalSigma as LogNormalSigma
from ornstein.objectives.times import Times as Times
from ornstein.objectives.times import UniformTimes as UniformTimes
from ornstein.objectives.weights import Weight as Weight
from ornstein.objectives.weights import min_snr as min_snr
from ornstein.objectives.weights import p2 as p2
from ornstein.objectives.weights import uniform as uniform
