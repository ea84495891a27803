"""Objectives: batch -> loss, training one player."""

from ornstein.objectives.bound import Bound as Bound
from ornstein.objectives.bound import chain_bound as chain_bound
from ornstein.objectives.bound import decoder_nll as decoder_nll
from ornstein.objectives.continuous_bound import BoundVariance as BoundVariance
from ornstein.objectives.continuous_bound import ContinuousBound as ContinuousBound
from ornstein.objectives.denoising import Denoising as Denoising
from ornstein.objectives.hybrid import Hybrid as Hybrid
from ornstein.objectives.interpolating import Interpolating as Interpolating
from ornstein.objectives.progressive import ProgressiveDistillation as ProgressiveDistillation
from ornstein.objectives.second_moment import LossSecondMoment as LossSecondMoment
from ornstein.objectives.times import DiscreteTimes as DiscreteTimes
from ornstein.objectives.times import ListedTimes as ListedTimes
from ornstein.objectives.times import LogitNormal as LogitNormal
from ornstein.objectives.times import LogNormalSigma as LogNormalSigma
from ornstein.objectives.times import Times as Times
from ornstein.objectives.times import UniformLogSNR as UniformLogSNR
from ornstein.objectives.times import UniformTimes as UniformTimes
from ornstein.objectives.uncertain import Uncertain as Uncertain
from ornstein.objectives.weights import Weight as Weight
from ornstein.objectives.weights import likelihood as likelihood
from ornstein.objectives.weights import min_snr as min_snr
from ornstein.objectives.weights import p2 as p2
from ornstein.objectives.weights import snr as snr
from ornstein.objectives.weights import uniform as uniform
