"""Metrics of protein backbones: angles, clashes, bond lengths, agreement of folds."""

from ornstein.evaluation.proteins.chains import Chain as Chain
from ornstein.evaluation.proteins.chains import Chains as Chains
from ornstein.evaluation.proteins.clashes import clashes as clashes
from ornstein.evaluation.proteins.covalent import covalent as covalent
from ornstein.evaluation.proteins.files import read_chains as read_chains
from ornstein.evaluation.proteins.ramachandran import divergence as divergence
from ornstein.evaluation.proteins.ramachandran import torsions as torsions
from ornstein.evaluation.proteins.table import ProteinSettings as ProteinSettings
from ornstein.evaluation.proteins.tm_score import kabsch as kabsch
from ornstein.evaluation.proteins.tm_score import tm_score as tm_score
