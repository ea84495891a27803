"""Feature extractors: what a distance between images is measured in. Each has a name and a hash."""

from ornstein.evaluation.features.efficientnet import EfficientNetFeatures as EfficientNetFeatures
from ornstein.evaluation.features.extractors import ClassifierFeatures as ClassifierFeatures
from ornstein.evaluation.features.extractors import Extractor as Extractor
from ornstein.evaluation.features.extractors import Features as Features
from ornstein.evaluation.features.extractors import PixelFeatures as PixelFeatures
from ornstein.evaluation.features.extractors import extractor_for as extractor_for
from ornstein.evaluation.features.files import extractor_from_file as extractor_from_file
