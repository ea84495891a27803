"""Measurements: what is known of an image that is sought, as operators with adjoints and singular values."""

from ornstein.core.enlarge import enlarged as enlarged
from ornstein.core.measurement import SVD as SVD
from ornstein.core.measurement import Linear as Linear
from ornstein.core.measurement import Measurement as Measurement
from ornstein.core.measurement import Operator as Operator
from ornstein.measurements.blur import Blur as Blur
from ornstein.measurements.blur import motion as motion
from ornstein.measurements.colours import Grey as Grey
from ornstein.measurements.direct import Direct as Direct
from ornstein.measurements.fourier import Fourier as Fourier
from ornstein.measurements.fourier import lines as lines
from ornstein.measurements.mask import Mask as Mask
from ornstein.measurements.matrix import Matrix as Matrix
from ornstein.measurements.matrix import projections as projections
from ornstein.measurements.matrix import radon as radon
from ornstein.measurements.nonlinear import JPEG as JPEG
from ornstein.measurements.nonlinear import ClippedExposure as ClippedExposure
from ornstein.measurements.nonlinear import PhaseRetrieval as PhaseRetrieval
from ornstein.measurements.nonlinear import Quantise as Quantise
from ornstein.measurements.separable import Separable as Separable
from ornstein.measurements.separable import average_pooling as average_pooling
from ornstein.measurements.separable import bicubic as bicubic
from ornstein.measurements.separable import gaussian_blur as gaussian_blur
from ornstein.measurements.separable import separable_blur as separable_blur
