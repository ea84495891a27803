"""Our metrics of texts beside the implementations that the field trusts."""

from __future__ import annotations

import random
import warnings
from functools import partial

import numpy as np
import scipy.special
import torch
from nltk.translate.bleu_score import SmoothingFunction
from nltk.translate.bleu_score import corpus_bleu as nltk_corpus
from nltk.translate.bleu_score import sentence_bleu as nltk_sentence
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU
from sklearn.cluster import KMeans
from sklearn.metrics import auc

from evaluation.trusted import Numbers, Row
from ornstein.evaluation.text import bleu, rouge, sentence_bleu
from ornstein.evaluation.text.k_means import k_means
from ornstein.evaluation.text.mauve import mauve_of_histograms
from ornstein.evaluation.text.rouge import KINDS
from ornstein.evaluation.text.self_bleu import self_bleu

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat,",
    "ran.",
    "over",
    "under",
    '"mat"',
    "$3.50",
    "state-of-the-art",
    "1,000",
    "it's",
    "U.S.",
    "(yes)",
    "&amp;",
    "no:",
    "7-8",
    "--",
    "x",
]


def sentences(n: int, seed: int, least: int = 1) -> list[str]:
    """Texts of words with punctuation and numbers, many of them repeated."""
    r = random.Random(seed)
    return [" ".join(r.choices(WORDS, k=r.randint(least, 14))) for _ in range(n)]


def related(n: int, seed: int, least: int = 3) -> tuple[list[str], list[list[str]]]:
    """Hypotheses, and two references of each that share words with it."""
    r, hypotheses = random.Random(seed), sentences(n, seed, least)
    changed = [
        [" ".join(w if r.random() < 0.7 else r.choice(WORDS) for w in h.split()) for _ in "ab"] for h in hypotheses
    ]
    return hypotheses, changed


def of_corpus(references: int) -> tuple[Numbers, Numbers]:
    hypotheses, several = related(60, 1)
    known = [r[:references] for r in several]
    theirs = BLEU().corpus_score(hypotheses, [list(column) for column in zip(*known, strict=True)]).score / 100
    return [bleu(hypotheses, known)], [theirs]


def of_smoothed() -> tuple[Numbers, Numbers]:
    """One short text without a common trigram."""
    hypothesis, reference = "the cat sat on a mat here", "a cat sat under the mat there now"
    theirs = BLEU().corpus_score([hypothesis], [[reference]]).score / 100
    return [bleu([hypothesis], [[reference]])], [theirs]


def of_words() -> tuple[Numbers, Numbers]:
    # Of a text without n-grams NLTK counts one all the same; the original scorer and sacreBLEU count none, and so do we.
    hypotheses, references = related(60, 2, least=4)
    theirs = nltk_corpus([[r.split() for r in several] for several in references], [h.split() for h in hypotheses])
    return [bleu(hypotheses, references, str.split)], [float(theirs)]


def of_sentences() -> tuple[Numbers, Numbers]:
    hypotheses, references = related(60, 3)
    smooth = SmoothingFunction().method4
    theirs = [
        nltk_sentence([r.split() for r in several], h.split(), smoothing_function=smooth)
        for h, several in zip(hypotheses, references, strict=True)
    ]
    ours = [sentence_bleu(h, several, str.split) for h, several in zip(hypotheses, references, strict=True)]
    return [v + 1 for v in ours], [float(v) + 1 for v in theirs]


def of_self() -> tuple[Numbers, Numbers]:
    texts = [t.split() for t in sentences(25, 4)]
    smooth = SmoothingFunction().method4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        each = [nltk_sentence(texts[:i] + texts[i + 1 :], t, smoothing_function=smooth) for i, t in enumerate(texts)]
    return [self_bleu(texts)], [float(np.mean(each))]


def of_rouge() -> tuple[Numbers, Numbers]:
    hypotheses, references = related(40, 5)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    ours, theirs = [], []
    for h, several in zip(hypotheses, references, strict=True):
        ours += [rouge(h, several, kind) + 1 for kind in KINDS]
        found = scorer.score_multi(several, h)
        theirs += [found[f"rouge{kind}"].fmeasure + 1 for kind in KINDS]
    return ours, theirs


def of_mauve() -> tuple[Numbers, Numbers]:
    """The frontier and its area as the authors' package computes them, in SciPy and scikit-learn."""
    g = np.random.default_rng(0)
    p, q = g.dirichlet(np.full(30, 0.3)), g.dirichlet(np.full(30, 0.3))
    p[:5], p = 0, p / p[5:].sum()
    q[-7:], q = 0, q / q[:-7].sum()
    curve = [[0.0, np.inf]]
    for w in np.linspace(1e-6, 1 - 1e-6, 25):
        r = w * p + (1 - w) * q
        curve.append([scipy.special.rel_entr(q, r).sum(), scipy.special.rel_entr(p, r).sum()])
    x, y = np.exp(-5 * np.array([*curve, [np.inf, 0.0]])).T
    one, two = np.argsort(x), np.argsort(y)
    theirs = 0.5 * (auc(x[one], y[one]) + auc(y[two], x[two]))
    return [mauve_of_histograms(torch.from_numpy(p), torch.from_numpy(q))], [theirs]


def of_k_means() -> tuple[Numbers, Numbers]:
    """Groups that lie apart, of which both must find the best partition."""
    g = torch.Generator().manual_seed(1)
    x = torch.randn(200, 4, generator=g).double() + 12 * torch.randn(6, 4, generator=g).double()[torch.arange(200) % 6]
    place = k_means(x, 6)
    centres = torch.stack([x[place == i].mean(0) for i in range(6)])
    return [float((x - centres[place]).square().sum())], [
        float(KMeans(6, n_init=10, random_state=0).fit(x.numpy()).inertia_)
    ]


SACRE = "sacreBLEU `BLEU`"
ROWS = (
    Row("corpus BLEU, 1 reference", SACRE, partial(of_corpus, 1)),
    Row("corpus BLEU, 2 references", SACRE, partial(of_corpus, 2)),
    Row("corpus BLEU, smoothed", SACRE, of_smoothed),
    Row("corpus BLEU of words", "NLTK `corpus_bleu`", of_words),
    Row("sentence BLEU", "NLTK `sentence_bleu`, `method4`", of_sentences),
    Row("self-BLEU", "NLTK `sentence_bleu`, `method4`", of_self),
    Row("ROUGE-1, ROUGE-2, ROUGE-L", "rouge-score `RougeScorer`", of_rouge),
    Row("MAUVE's area", "scipy `rel_entr`, scikit-learn `auc`", of_mauve),
    Row("k-means of MAUVE", "scikit-learn `KMeans`", of_k_means),
)
