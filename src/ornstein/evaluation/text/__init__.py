"""Metrics of texts."""

from ornstein.evaluation.text.bleu import bleu as bleu
from ornstein.evaluation.text.bleu import sentence_bleu as sentence_bleu
from ornstein.evaluation.text.collection import Texts as Texts
from ornstein.evaluation.text.collection import TextSettings as TextSettings
from ornstein.evaluation.text.distinct import distinct as distinct
from ornstein.evaluation.text.exact_match import exact_match as exact_match
from ornstein.evaluation.text.kneser_ney import KneserNey as KneserNey
from ornstein.evaluation.text.mauve import mauve as mauve
from ornstein.evaluation.text.rouge import rouge as rouge
from ornstein.evaluation.text.selection import mbr as mbr
from ornstein.evaluation.text.selection import oracle as oracle
from ornstein.evaluation.text.self_bleu import self_bleu as self_bleu
from ornstein.evaluation.text.table import causal_perplexity as causal_perplexity
from ornstein.evaluation.text.table import mauve_in as mauve_in
