"""The metrics of texts by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor

from ornstein.evaluation.modality import Better, Given, Measure, Modality, Need, table_of
from ornstein.evaluation.text.bleu import all_statistics, corpus_score, sentence_score
from ornstein.evaluation.text.collection import Texts, TextSettings, require_texts
from ornstein.evaluation.text.distinct import distinct, distinct_within
from ornstein.evaluation.text.embedding import NAME as HASHED
from ornstein.evaluation.text.embedding import Embed, hashed_words
from ornstein.evaluation.text.exact_match import exact_match
from ornstein.evaluation.text.kneser_ney import KneserNey
from ornstein.evaluation.text.mauve import common_clusters, histogram, mauve_of_histograms
from ornstein.evaluation.text.perplexity import (
    CausalModel,
    causal_log_probs,
    ngram_log_probs,
    perplexity,
    word_entropy,
)
from ornstein.evaluation.text.rouge import KINDS, Kind, rouge
from ornstein.evaluation.text.selection import mbr
from ornstein.evaluation.text.self_bleu import self_bleu, self_bleu_each
from ornstein.evaluation.text.tokenise import rouge_tokens, tokeniser

Inputs = Given[Texts]
_PAIRS: frozenset[Need] = frozenset({"reference", "pairs"})
_TOKENS = ("tokeniser",)
SELECTIONS = ("mean", "mbr", "oracle")


def _settings(x: Inputs) -> TextSettings:
    return cast(TextSettings, x.settings)


def _split(x: Inputs) -> Callable[[str], list[str]]:
    return tokeniser(_settings(x).tokeniser)


def selected(name: str) -> dict[str, Better]:
    """A metric's values: its name for one candidate, else with how the candidate was selected."""
    values: dict[str, Better] = {name: "higher"}
    return values | {f"{name}_{how}": "higher" for how in SELECTIONS}


def _chosen_by_mbr(x: Inputs) -> Tensor:
    """Which candidate of each place agrees best with the others, ``[N]``."""
    split = _split(x)

    def choose(texts: Texts) -> Tensor:
        return torch.tensor([mbr([split(t) for t in several]) for several in texts.texts])

    return x.column("mbr", choose)


def _pick(column: Tensor, place: Tensor) -> Tensor:
    return column[torch.arange(len(column)), place]


def _means(name: str, scores: Tensor, x: Inputs) -> dict[str, float]:
    """Of each text's scores ``[N, M]``: the mean, or under each selection."""
    if scores.shape[1] == 1:
        return {name: float(scores.mean())}
    picked = {"mean": scores, "mbr": _pick(scores, _chosen_by_mbr(x)), "oracle": scores.amax(1)}
    return {f"{name}_{how}": float(v.mean()) for how, v in picked.items()}


def _empties(x: Inputs) -> None:
    if empty := sum(not t.strip() for t in x.every_sample.flat):
        x.warn(f"{empty} of {len(x.every_sample.flat)} texts are empty and score 0")


def _statistics(x: Inputs) -> Tensor:
    _empties(x)

    def make(mine: Texts, theirs: Texts) -> Tensor:
        _ = mine.candidates  # refuses what differs from place to place
        return all_statistics(mine.texts, theirs.texts, _split(x))

    return x.pair_column("bleu", make)


def _sentence_scores(x: Inputs) -> Tensor:
    rows = _statistics(x)
    flat = [sentence_score(row) for row in rows.flatten(0, 1).tolist()]
    return torch.tensor(flat, dtype=torch.float64).reshape(rows.shape[:2])


def _bleu(x: Inputs) -> dict[str, float]:
    rows = _statistics(x)
    draws = [corpus_score(rows[:, j].sum(0).tolist()) for j in range(rows.shape[1])]
    if len(draws) == 1:
        return {"bleu": draws[0]}
    best = _sentence_scores(x).argmax(1)
    chosen = {"mbr": _pick(rows, _chosen_by_mbr(x)), "oracle": _pick(rows, best)}
    found = {f"bleu_{how}": corpus_score(v.sum(0).tolist()) for how, v in chosen.items()}
    return {"bleu_mean": sum(draws) / len(draws)} | found


def _sentence_bleu(x: Inputs) -> dict[str, float]:
    return _means("sentence_bleu", _sentence_scores(x), x)


def _each(score: Callable[[str, Sequence[str]], float], mine: Texts, theirs: Texts) -> Tensor:
    _ = mine.candidates
    found = [[float(score(h, r)) for h in several] for several, r in zip(mine.texts, theirs.texts, strict=True)]
    return torch.tensor(found, dtype=torch.float64)


def _rouge(x: Inputs) -> dict[str, float]:
    _empties(x)
    out: dict[str, float] = {}
    for kind in KINDS:
        column = x.pair_column(f"rouge {kind}", partial(_each, partial(_rouge_of, kind)))
        out |= _means(f"rouge_{kind}", column, x)
    if x.index is None:
        lost = [t for t in [*x.every_sample.flat, *x.reference.flat] if t.strip() and not rouge_tokens(t)]
        if lost:
            x.warn(
                f"rouge: {len(lost)} texts have no letter a to z and no digit, and score 0; take bleu with characters"
            )
    return out


def _rouge_of(kind: Kind, hypothesis: str, references: Sequence[str]) -> float:
    return rouge(hypothesis, references, kind)


def _exact(x: Inputs) -> dict[str, float]:
    return _means("exact_match", x.pair_column("exact", partial(_each, exact_match)), x)


def _self_bleu(x: Inputs) -> dict[str, float]:
    _empties(x)
    split = _split(x)
    if x.every_sample.candidates == 1:
        return {"self_bleu": self_bleu([split(t) for t in x.samples.flat])}

    def within(texts: Texts) -> Tensor:
        each = [self_bleu_each([split(t) for t in several]) for several in texts.texts]
        return torch.tensor(each, dtype=torch.float64).mean(1)

    return {"self_bleu_of_candidates": float(x.column("self_bleu", within).mean())}


def _distinct(x: Inputs) -> dict[str, float]:
    split = _split(x)
    texts = [[split(t) for t in several] for several in x.samples.texts]
    flat = [t for several in texts for t in several]
    out = {f"dist_{n}": distinct(flat, n) for n in (1, 2, 3)}
    out["dist_1_within"] = sum(distinct_within(t, 1) for t in flat) / len(flat)
    if len(texts[0]) > 1:
        out["div_4_of_candidates"] = sum(distinct(several, 4) for several in texts) / len(texts)
    return out


def _ngram(x: Inputs) -> dict[str, float]:
    s, split = _settings(x), _split(x)
    judge = x.once("judge", lambda: KneserNey([split(t) for t in x.train.flat], s.order))

    def of(texts: Texts) -> Tensor:
        # Of several candidates the tokens of all count.
        return torch.stack([ngram_log_probs(judge, [split(t) for t in several]).sum(0) for several in texts.texts])

    out = {
        "ngram_perplexity": perplexity(x.column("ngram", of)),
        "word_entropy": word_entropy([split(t) for t in x.samples.flat]),
    }
    if x.every_reference is not None:
        out["ngram_perplexity_reference"] = perplexity(x.once("ngram reference", lambda: of(x.every_pair)))
    return out


def _reverse(x: Inputs) -> dict[str, float]:
    split = _split(x)
    judge = KneserNey([split(t) for t in x.samples.flat], _settings(x).order)
    return {"reverse_perplexity": perplexity(ngram_log_probs(judge, [split(t) for t in x.reference.flat]))}


def _mauve(embed: Embed, name: str, x: Inputs) -> dict[str, float]:
    s = _settings(x)

    def make(mine: Texts) -> Tensor:
        vectors = embed(mine.flat), embed(x.every_pair.flat)
        a, b, k = common_clusters(*vectors, clusters=s.clusters, seed=s.seed)
        x.kept[f"{name} reference"] = b, k
        return a.reshape(len(mine), mine.candidates)

    places = x.column(name, make).flatten()
    theirs, k = x.kept[f"{name} reference"]
    return {name: mauve_of_histograms(histogram(places, k), histogram(theirs, k))}


def mauve_in(embed: Embed, features: str, name: str = "mauve") -> Measure[Texts]:
    """MAUVE in vectors of your own; ``features`` says what they are, in the record."""
    return Measure(
        name, f"MAUVE in {features}", {name: "higher"}, partial(_mauve, embed, name), uses=("clusters", "seed"), least=10,
        protocol={f"{name}_features": features},
    )  # fmt: skip


def causal_perplexity(
    model: CausalModel, encode: Callable[[str], Sequence[int]], judge: str, name: str = "perplexity"
) -> Measure[Texts]:
    """Perplexity under a causal model of your own; ``judge`` says which, in the record."""

    def compute(x: Inputs) -> dict[str, float]:
        def of(texts: Texts) -> Tensor:
            return causal_log_probs(model, encode, texts.flat).reshape(len(texts), texts.candidates, 2).sum(1)

        split = _split(x)
        return {
            name: perplexity(x.column(name, of)), "word_entropy": word_entropy([split(t) for t in x.samples.flat])
        }  # fmt: skip

    return Measure(
        name, f"perplexity under {judge}, beside the entropy of the words", {name: "", "word_entropy": ""}, compute,
        frozenset(), _TOKENS, protocol={f"{name}_judge": judge},
    )  # fmt: skip


METRICS = table_of(
    (
        Measure(
            "bleu", "corpus BLEU-4, 0 to 1; of several candidates mean, MBR and oracle", selected("bleu"), _bleu, _PAIRS,
            _TOKENS,
        ),
        Measure(
            "sentence_bleu", "mean sentence BLEU-4 (smoothing method 4)", selected("sentence_bleu"), _sentence_bleu, _PAIRS,
            _TOKENS,
        ),
        Measure(
            "rouge", "F1 of ROUGE-1, ROUGE-2 and ROUGE-L", {k: v for n in KINDS for k, v in selected(f"rouge_{n}").items()},
            _rouge, _PAIRS, _TOKENS,
        ),
        Measure(
            "exact_match", "share of texts that equal a reference up to white space", selected("exact_match"), _exact, _PAIRS,
            _TOKENS,
        ),
        Measure(
            "self_bleu", "BLEU of each text against the others, or among the candidates of each place: high values repeat",
            {"self_bleu": "", "self_bleu_of_candidates": ""}, _self_bleu, frozenset(), _TOKENS, least=1,
        ),
        Measure(
            "dist", "different n-grams over all n-grams, and words within each text",
            {"dist_1": "", "dist_2": "", "dist_3": "", "dist_1_within": "", "div_4_of_candidates": ""}, _distinct, frozenset(),
            _TOKENS,
        ),
        Measure(
            "ngram_perplexity", "perplexity under a Kneser-Ney model of the training texts, and word entropy",
            {"ngram_perplexity": "", "word_entropy": "", "ngram_perplexity_reference": ""}, _ngram, frozenset({"train"}),
            ("order", *_TOKENS), fixed=("ngram_perplexity_reference",),
        ),
        Measure(
            "reverse_perplexity", "perplexity of the reference under a Kneser-Ney model of the samples: high without variety",
            {"reverse_perplexity": "lower"}, _reverse, uses=("order", *_TOKENS), resampled=False,
        ),
        mauve_in(hashed_words, HASHED),
    )
)  # fmt: skip

TEXT = Modality(
    "text", "texts, with one or several candidates", Texts, METRICS, ("bleu", "rouge"), TextSettings, require_texts
)
