"""Training: stages of updates on streams of batches. Knows nothing of diffusion."""

from ornstein.training.checkpoint import Checkpoint as Checkpoint
from ornstein.training.checkpoint import latest_checkpoint as latest_checkpoint
from ornstein.training.checkpoint import load_checkpoint as load_checkpoint
from ornstein.training.checkpoint import save_checkpoint as save_checkpoint
from ornstein.training.ema import EMA as EMA
from ornstein.training.fit import Engine as Engine
from ornstein.training.fit import Progress as Progress
from ornstein.training.fit import Result as Result
from ornstein.training.fit import Stage as Stage
from ornstein.training.fit import Update as Update
from ornstein.training.fit import fit as fit
from ornstein.training.optim import OptimizerSpec as OptimizerSpec
