"""Metrics of molecules: whether they are some, whether they differ, whether they are new."""

from ornstein.evaluation.molecules.canonical import canonical as canonical
from ornstein.evaluation.molecules.collection import Molecules as Molecules
from ornstein.evaluation.molecules.collection import read_molecules as read_molecules
from ornstein.evaluation.molecules.molecule import Molecule as Molecule
from ornstein.evaluation.molecules.molecule import molecule as molecule
from ornstein.evaluation.molecules.smiles import SmilesError as SmilesError
from ornstein.evaluation.molecules.table import identity as identity
