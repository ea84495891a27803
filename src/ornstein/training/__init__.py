"""Training: stages of updates on streams of batches. Knows nothing of diffusion."""

from ornstein.training.callbacks import Callback as Callback
from ornstein.training.callbacks import Losses as Losses
from ornstein.training.callbacks import Patience as Patience
from ornstein.training.checkpoint import Checkpoint as Checkpoint
from ornstein.training.checkpoint import latest_checkpoint as latest_checkpoint
from ornstein.training.checkpoint import load_checkpoint as load_checkpoint
from ornstein.training.checkpoint import save_checkpoint as save_checkpoint
from ornstein.training.ema import EMA as EMA
from ornstein.training.ema import PowerEMA as PowerEMA
from ornstein.training.engine import Engine as Engine
from ornstein.training.engine import Result as Result
from ornstein.training.fit import fit as fit
from ornstein.training.optim import OptimizerSpec as OptimizerSpec
from ornstein.training.progress import Progress as Progress
from ornstein.training.snapshots import Snapshots as Snapshots
from ornstein.training.stage import Stage as Stage
from ornstein.training.stage import Update as Update
