"""Metrics of texts against hand-worked cases and exact laws, and what they refuse."""

from __future__ import annotations

import itertools
import math
import random
from functools import cache
from typing import Any

import pytest
import torch

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation import Texts, TextSettings, measure
from ornstein.evaluation.text import (
    KneserNey,
    bleu,
    causal_perplexity,
    distinct,
    exact_match,
    mauve,
    mauve_in,
    mbr,
    rouge,
    self_bleu,
    sentence_bleu,
)
from ornstein.evaluation.text.bleu import statistics
from ornstein.evaluation.text.kneser_ney import END, UNKNOWN
from ornstein.evaluation.text.mauve import mauve_of_histograms
from ornstein.evaluation.text.perplexity import word_entropy
from ornstein.evaluation.text.rouge import common_subsequence
from ornstein.evaluation.text.selection import oracle
from ornstein.evaluation.text.tokenise import mteval_13a, rouge_tokens

MAT = "the cat is on the mat"


def test_bleu_by_hand() -> None:
    # Papineni et al. 2002: seven times "the" is matched twice, not seven times.
    assert statistics(["the"] * 7, [MAT.split()]) == [7, 6, 2, 0, 0, 0, 7, 6, 5, 4]
    assert bleu([MAT], [[MAT]]) == 1 and sentence_bleu(MAT, [MAT]) == 1
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 and 1 of 3; no shorter than the reference.
    hypothesis, reference = "the cat is on a mat", MAT
    wanted = (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert bleu([hypothesis], [[reference]]) == pytest.approx(wanted)
    # Five words of six: brevity exp(1 - 6/5), all matched.
    assert bleu(["the cat is on the"], [[MAT]]) == pytest.approx(math.exp(-1 / 5))
    # Sums over texts before dividing, so the corpus is not the mean of its sentences.
    both = bleu([hypothesis, MAT], [[reference], [MAT]])
    assert both == pytest.approx((11 / 12 * 8 / 10 * 6 / 8 * 4 / 6) ** 0.25)


def test_zero_matches_are_smoothed_as_named() -> None:
    hypothesis = "the dog is by the mat"  # 4 of 6 words, 1 of 5 pairs ("the mat"), nothing longer
    assert bleu([hypothesis], [[MAT]]) == pytest.approx((4 / 6 * 1 / 5 * 1 / (2 * 4) * 1 / (4 * 3)) ** 0.25)
    ln = math.log(6) / 5
    assert sentence_bleu(hypothesis, [MAT]) == pytest.approx((4 / 6 * 1 / 5 * ln / 2 / 4 * ln / 4 / 3) ** 0.25)
    assert bleu(["a dog"], [[MAT]]) == sentence_bleu("a dog", [MAT]) == sentence_bleu("", [MAT]) == 0


def test_of_several_references_the_nearest_length_counts() -> None:
    assert statistics(["a", "b", "c"], [["a", "b", "c", "d"], ["b", "c"]])[:2] == [3, 2]  # both one away: the shorter
    assert statistics(["a", "a", "a"], [["a"], ["a", "a", "b"]])[2] == 2  # the most in one, not the sum


def test_rouge_by_hand() -> None:
    hypothesis, reference = "police kill the gunman", "police killed the gunman"  # Lin 2004
    assert rouge(hypothesis, [reference], "1") == pytest.approx(3 / 4)
    assert rouge(hypothesis, [reference], "2") == pytest.approx(1 / 3)
    assert rouge(hypothesis, [reference], "L") == pytest.approx(3 / 4)
    assert rouge("the gunman police killed", [reference], "L") == pytest.approx(1 / 2)
    assert rouge("the gunman", ["x", reference], "L") == pytest.approx(2 / 3)  # P = 1, R = 1/2, of the better reference
    assert rouge("", [reference], "1") == rouge("", [reference], "L") == 0
    assert rouge_tokens("It's 3.5%, né?") == ["it", "s", "3", "5", "n"]


def test_common_subsequence_is_the_recursion() -> None:
    def brute(a: str, b: str) -> int:
        @cache
        def length(i: int, j: int) -> int:
            if i == len(a) or j == len(b):
                return 0
            return 1 + length(i + 1, j + 1) if a[i] == b[j] else max(length(i + 1, j), length(i, j + 1))

        return length(0, 0)

    r = random.Random(0)
    for _ in range(60):
        a, b = ("".join(r.choices("abc", k=r.randint(0, 12))) for _ in "ab")
        assert common_subsequence(a, b) == brute(a, b)


def test_13a_keeps_numbers_whole() -> None:
    assert mteval_13a("He paid $1,000.50 (cash).") == ["He", "paid", "$", "1,000.50", "(", "cash", ")", "."]


def test_self_bleu_is_of_each_against_the_others() -> None:
    r = random.Random(1)
    texts = [r.choices("abcde", k=r.randint(1, 9)) for _ in range(12)]
    slow = [
        sentence_bleu(" ".join(t), [" ".join(o) for o in texts[:i] + texts[i + 1 :]], str.split)
        for i, t in enumerate(texts)
    ]
    assert self_bleu(texts) == pytest.approx(sum(slow) / 12)
    assert self_bleu([list("abcd")] * 3) == 1
    with pytest.raises(DataError, match="needs at least 2, got 1"):
        self_bleu([["a"]])


def test_distinct_and_exact() -> None:
    texts = [["a", "b", "a", "b"], ["a", "b"]]
    assert distinct(texts, 1) == pytest.approx(2 / 6) and distinct(texts, 2) == pytest.approx(2 / 4)
    assert distinct([["a"]], 2) == 0
    assert exact_match("a  b ", ["x", "a b"]) and not exact_match("A b", ["a b"])


def test_kneser_ney_is_a_law_and_the_formula() -> None:
    texts = [t.split() for t in ("a b a c", "a b b", "c a b", "b a", "a b a c d")]
    for order in (1, 2, 3):
        model = KneserNey(texts, order)
        for history in itertools.product(["a", "d", "<s>", "never seen"], repeat=2):
            assert sum(model.prob(w, history) for w in model.words) == pytest.approx(1)
    # Bigrams of "x y" and "x z": three kinds counted once (xy, xz, y., z.: four) and one twice (<s> x): D = 4 / (4 + 2).
    model = KneserNey([["x", "y"], ["x", "z"]], 2)
    words, d = 5, 4 / 6  # x, y, z, the end, the unknown one
    # Unigrams by what comes before: x 1, y 1, z 1, end 2: n_1 = 3, n_2 = 1, D = 3/5.
    below = (1 - 0.6) / 5 + 0.6 * 4 / 5 / words
    assert model.prob("y", ["x"]) == pytest.approx((1 - d) / 2 + d * 2 / 2 * below)
    assert model.prob("q", ["x"]) == model.prob(UNKNOWN, ["x"]) == pytest.approx(d * 0.6 * 4 / 5 / words)
    end = (2 - 0.6) / 5 + 0.6 * 4 / 5 / words
    wanted = math.log(((2 - d) / 2 + d / 2 * below) * ((1 - d) / 2 + d * below) * ((1 - d) + d * end))
    assert model.log_prob(["x", "y"]) == pytest.approx(wanted)
    assert END in model.words


def test_perplexity_prefers_its_own_language() -> None:
    r = random.Random(0)

    def chain(n: int, jump: int) -> list[str]:
        out = []
        for _ in range(n):
            words = [r.randrange(10)]
            for _ in range(8):
                words.append((words[-1] + (jump if r.random() < 0.9 else r.randrange(10))) % 10)
            out.append(" ".join(map(str, words)))
        return out

    train, real = Texts(chain(80, 1)), Texts(chain(60, 1))
    own, other = (measure(Texts(chain(60, j)), real, metrics=["ngram_perplexity"], train=train) for j in (1, 3))
    assert own.values["ngram_perplexity"] == pytest.approx(own.values["ngram_perplexity_reference"], rel=0.15)
    assert other.values["ngram_perplexity"] > 2 * own.values["ngram_perplexity"]
    assert own.values["word_entropy"] == pytest.approx(math.log(10), abs=0.1)
    one = Texts([real.flat[0]] * 60)
    low, high = (
        measure(t, real, metrics=["reverse_perplexity"], draws=0).values["reverse_perplexity"] for t in (train, one)
    )
    assert high > 2 * low


def test_perplexity_of_a_causal_model_is_its_law() -> None:
    """A Markov chain as a model: the perplexity is exp of the mean negative log of the transitions that were taken."""
    transition = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])
    judge = causal_perplexity(lambda ids: transition.log()[ids], lambda text: [int(c) for c in text.split()], "a chain")
    made = measure(Texts(["0 1 2", "2 2 0 1"]), metrics=[judge])
    wanted = math.exp(-math.log(0.6 * 0.25 * 0.6 * 0.2 * 0.6) / 5)
    assert made.values["perplexity"] == pytest.approx(wanted, rel=1e-6)
    assert made.protocol["settings"]["perplexity_judge"] == "a chain"
    with pytest.raises(DataError, match="text 1 has 1 tokens"):
        measure(Texts(["0 1", "2"]), metrics=[judge])
    with pytest.raises(DataError, match=r"must give logits \[1, 2, V\], got \(1, 2\)"):
        measure(Texts(["0 1"]), metrics=[causal_perplexity(lambda ids: ids.double(), lambda t: [0, 1], "wrong")])
    never = causal_perplexity(lambda ids: torch.tensor([[0.0, 1.0]]).log()[ids * 0], lambda t: [0, 0], "never")
    with pytest.raises(DataError, match="gives text 0 the probability 0"):
        measure(Texts(["a"]), metrics=[never])


def test_mauve_of_known_histograms() -> None:
    p = torch.tensor([0.2, 0.5, 0.3])
    assert mauve_of_histograms(p, p) == pytest.approx(1)
    apart = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    # R = (w, 1 - w): the frontier is ((1 - w)^5, w^5), under which lies 5 B(6, 5) = 5 * 5! 4! / 10!.
    assert mauve_of_histograms(*apart, points=4000) == pytest.approx(5 * 120 * 24 / 3628800, rel=1e-3)
    q = torch.tensor([0.6, 0.1, 0.3])
    assert mauve_of_histograms(p, q) == pytest.approx(mauve_of_histograms(q, p))
    near = 0.9 * p + 0.1 * q
    assert mauve_of_histograms(p, q) < mauve_of_histograms(p, near) < 1


def test_mauve_of_vectors() -> None:
    g = torch.Generator().manual_seed(0)
    base = torch.randn(8, 20, generator=g) * 4
    a, b = (base[torch.randint(8, (120,), generator=g)] + torch.randn(120, 20, generator=g) for _ in "ab")
    half = base[torch.randint(4, (120,), generator=g)] + torch.randn(120, 20, generator=g)
    assert mauve(a, b) > 0.9 > 0.75 > mauve(half, b) > mauve(a + 100, b - 100)
    assert mauve(a + 100, b - 100) < 0.01


def test_selections_are_named_and_ordered() -> None:
    candidates = [
        ["the cat is on a mat", "the cat is on the mat", "dogs"],
        ["red", "a blue house here", "a blue house there"],
    ]
    references = ["the cat is on the mat", "a blue house there"]
    made = measure(
        Texts(candidates), Texts(references), metrics=["bleu", "sentence_bleu", "rouge", "exact_match", "self_bleu"]
    )
    v = made.values
    assert v["exact_match_mean"] == pytest.approx(1 / 3) and v["exact_match_oracle"] == 1
    assert v["exact_match_mbr"] == 0  # the two that agree tie in neither place for the reference: the first of them
    for name in ("sentence_bleu", "rouge_1", "rouge_2", "rouge_L"):
        assert v[f"{name}_oracle"] >= max(v[f"{name}_mbr"], v[f"{name}_mean"]) and name not in v
    assert v["bleu_oracle"] == 1 > v["bleu_mbr"] and "self_bleu_of_candidates" in v and "bleu" not in v
    assert made.protocol["candidates"] == 3
    assert mbr([c.split() for c in candidates[0]]) == 0 and oracle([0.1, 0.7, 0.7]) == 1
    with pytest.raises(DataError, match="at least 2 candidates, got 1"):
        mbr([["a"]])


def test_a_candidate_does_not_vote_for_itself() -> None:
    r = random.Random(0)
    for _ in range(200):
        texts = [r.choices("abc", k=r.randint(1, 4)) for _ in range(3)]
        words = [" ".join(t) for t in texts]
        gains = [sum(sentence_bleu(w, [o], str.split) for o in words[:i] + words[i + 1 :]) for i, w in enumerate(words)]
        assert gains[mbr(texts)] == pytest.approx(max(gains))


def test_word_entropy() -> None:
    assert word_entropy([["a", "b"], ["c", "d"]]) == pytest.approx(math.log(4))


def test_empty_texts_score_nothing_and_are_told() -> None:
    made = measure(Texts(["", MAT]), Texts([MAT, MAT]), metrics=["sentence_bleu", "rouge"])
    assert made.values["sentence_bleu"] == 0.5 and made.values["rouge_L"] == 0.5
    assert made.warnings == ("1 of 2 texts are empty and score 0",)


def test_texts_that_rouge_cannot_see_are_told() -> None:
    made = measure(
        Texts(["你好 世界"]), Texts(["你好 世界"]), metrics=["rouge", "bleu"], settings=TextSettings("characters")
    )
    assert made.values["rouge_1"] == 0 and made.values["bleu"] == 1
    assert "rouge: 2 texts have no letter a to z" in made.warnings[0]


def test_the_tokeniser_is_part_of_the_protocol() -> None:
    made = [measure(Texts([MAT]), Texts([MAT]), metrics=["bleu"], settings=TextSettings(t)) for t in ("13a", "words")]  # type: ignore[arg-type]
    assert [m.protocol["settings"] for m in made] == [{"tokeniser": "13a"}, {"tokeniser": "words"}]
    with pytest.raises(UsageError, match="unknown tokeniser 'word': did you mean 'words'"):
        measure(Texts([MAT]), Texts([MAT]), metrics=["bleu"], settings=TextSettings("word"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Texts([]), "there are no texts"),
        (lambda: Texts(["", " "]), "all texts are empty"),
        (lambda: Texts("abc"), "as a list"),
        (lambda: Texts([["a"], []]), "place 1 has no text"),
        (lambda: Texts([1]), "int"),
        (lambda: Texts([["a", 1]]), "place 0 holds something else than texts"),
        (lambda: measure(Texts(["a"]), Texts(["a", "b"])), "there are 1 and 2"),
        (lambda: measure(Texts([["a"], ["a", "b"]]), Texts(["a", "b"])), "from 1 to 2"),
        (lambda: measure(Texts(["a"]), metrics=["ngram_perplexity"]), "ngram_perplexity needs the training data"),
        (lambda: measure(Texts(["a"] * 9), Texts(["a"] * 20), metrics=["mauve"]), "mauve needs at least 10 samples, got 9"),
        (lambda: bleu(["a"], []), "1 hypotheses for 0 references"),
        (lambda: KneserNey([[]]), "at least one token"),
    ],
)  # fmt: skip
def test_bad_texts(make: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_own_vectors_are_named_in_the_record() -> None:
    texts = Texts([f"{a} {b}" for a in "abcd" for b in "wxyz"])
    row = mauve_in(lambda t: torch.tensor([[ord(s[0]) - 95.0, ord(s[-1]) - 117.0] for s in t]), "letters")
    made = measure(texts, texts, metrics=[row])
    assert made.values["mauve"] == pytest.approx(1) and made.protocol["settings"]["mauve_features"] == "letters"
