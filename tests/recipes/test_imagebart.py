"""Chains that are learned token by token: their law, their training, how they are sampled and filled, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import ornstein
from ornstein.codecs.base import Codec
from ornstein.codecs.tokens import VQTokens
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Random, Rng, Stream
from ornstein.denoisers.token_by_token import TokenByToken
from ornstein.networks.encoder_decoder import EncoderDecoder
from ornstein.networks.layers.conditioning import ClassCondition
from ornstein.objectives.token_chain import TokenChain
from ornstein.processes.categorical import CategoricalProcess
from ornstein.recipes import house
from ornstein.recipes.images.imagebart import inpaint, refilled
from ornstein.recipes.system import System
from ornstein.samplers.base import simulate
from ornstein.samplers.table import get

K, LENGTH, STEPS = 3, 4, 3
TINY: dict[str, Any] = {
    **{"size": 8, "channels": 1, "codec_widths": (8, 8), "codes": 8, "autoencoder_steps": 1, "steps": 2},
    **{"width": 16, "head": 8, "encoder_depth": 1, "decoder_depth": 1, "precision": "fp32"},
}


class Tokens(Codec):
    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return x

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return state


def chain(label: ClassCondition | None = None, steps: int = STEPS) -> TokenByToken:
    torch.manual_seed(0)
    nets = [EncoderDecoder(K, LENGTH, width=16, head=8, encoder=1, decoder=1, label=label) for _ in range(steps)]
    for net in nets:
        torch.nn.init.normal_(net.out.weight, std=1.0)  # far from uniform
    return TokenByToken(nets, CategoricalProcess.uniform(K)).requires_grad_(False)


def every() -> Tensor:
    """All sequences, ``[K^L, L]``."""
    return torch.cartesian_prod(*[torch.arange(K)] * LENGTH)


def test_the_law_is_one_and_draws_follow_it() -> None:
    x_t = torch.tensor([[0, 2, 1, 1]])
    all_ = every()
    law = chain().law(x_t.expand(len(all_), -1), torch.full((len(all_),), 2))
    probs = law.log_prob(all_).exp()
    assert abs(float(probs.sum()) - 1) < 1e-6
    n = 4000
    drawn = chain().law(x_t.expand(n, -1), torch.full((n,), 2)).sample(Stream(0))
    number = (drawn * K ** torch.arange(LENGTH - 1, -1, -1)).sum(1)
    share = torch.bincount(number, minlength=len(all_)) / n
    assert float((share - probs).abs().sum()) < 0.25  # about sqrt(2/pi) sum sqrt(p/n) = 0.1


def test_a_token_sees_those_before_it_and_all_of_the_noisier_state() -> None:
    net = chain().net(1)
    made, given = torch.zeros(1, LENGTH, dtype=torch.int64), torch.zeros(1, LENGTH, dtype=torch.int64)
    base = net.decode(made[:, :-1], net.encode(given))
    for i in range(LENGTH - 1):
        other = made.clone()
        other[0, i] = 2
        moved = (net.decode(other[:, :-1], net.encode(given)) - base).abs().amax((0, 2)) > 1e-6
        assert moved.tolist() == [j > i for j in range(LENGTH)]
    last = given.clone()
    last[0, -1] = 2
    assert bool(((net.decode(made[:, :-1], net.encode(last)) - base).abs().amax((0, 2)) > 1e-6).all())


def test_rows_of_different_steps_share_a_batch() -> None:
    x_t, n = torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0], [1, 0, 0, 2]]), torch.tensor([3, 1, 3])
    together = chain().law(x_t, n).sample(Rng(range(3)))
    for i in range(3):
        alone = chain().law(x_t[i : i + 1], n[i : i + 1]).sample(Rng([i]))
        assert torch.equal(alone[0], together[i])
    x = every()[:3]
    each = torch.cat([chain().law(x_t[i : i + 1], n[i : i + 1]).log_prob(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(chain().law(x_t, n).log_prob(x), each, rtol=1e-6, atol=0)  # float32


def test_labels_and_their_absence_are_told() -> None:
    told = chain(ClassCondition("label", 2))
    x_t, n = torch.zeros(3, LENGTH, dtype=torch.int64), torch.ones(3, dtype=torch.int64)
    x = torch.zeros(3, LENGTH, dtype=torch.int64)
    p = told.law(x_t, n, {"label": torch.tensor([0, 1, -1])}).log_prob(x)
    assert len(p.unique()) == 3
    torch.testing.assert_close(told.law(x_t, n).log_prob(x), p[2:].expand(3))


def test_training_walks_one_path_of_the_forward_chain() -> None:
    objective = TokenChain(chain(), Tokens())
    n = 20_000
    x_0 = torch.full((n, 1), 2)
    for k in range(1, STEPS + 1):
        x_s, x_t = objective.path(x_0, torch.full((n,), k), Stream(k))
        keep_s, keep_t = 1 - (k - 1) / STEPS, 1 - k / STEPS
        assert abs(float((x_s == 2).float().mean()) - (keep_s + (1 - keep_s) / K)) < 0.015
        assert abs(float((x_t == 2).float().mean()) - (keep_t + (1 - keep_t) / K)) < 0.015
        stay = keep_t / keep_s
        assert abs(float((x_t == x_s).float().mean()) - (stay + (1 - stay) / K)) < 0.015


def test_both_targets_have_the_same_expectation() -> None:
    batch = Batch(torch.tensor([[0, 1, 2, 1]]).expand(9000, -1))
    hard, soft = (TokenChain(chain(), Tokens(), t)(batch, Stream(5)) for t in ("hard", "soft"))  # type: ignore[arg-type]
    assert hard.levels is not None and soft.levels is not None
    assert sorted(set(hard.levels[0].tolist())) == [1 / 3, 2 / 3, 1.0]
    assert abs(float(hard.value - soft.value)) < 0.03 * float(hard.value)
    last = soft.levels[0] < 0.5  # x_0 itself: the law is a point
    torch.testing.assert_close(hard.levels[1][last], soft.levels[1][last])
    assert float(soft.levels[1].var()) < float(hard.levels[1].var())


def test_a_chain_learns_what_its_tokens_have_to_do_with_each_other() -> None:
    """Tokens that are all equal: independent draws of a posterior could not give that in so few steps."""
    torch.manual_seed(0)
    nets = [EncoderDecoder(K, LENGTH, width=16, head=8, encoder=1, decoder=1) for _ in range(2)]
    denoiser = TokenByToken(nets, CategoricalProcess.uniform(K))
    objective = TokenChain(denoiser, Tokens())
    optimizer, rng = torch.optim.Adam(denoiser.parameters(), lr=5e-3), Stream(0)
    for _ in range(100):
        x = rng.integers(K, (32, 1)).expand(-1, LENGTH)
        optimizer.zero_grad()
        objective(Batch(x), rng).value.backward()
        optimizer.step()
    grid = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    sampler = get("autoregressive")(denoiser)
    drawn = simulate(sampler, rng.integers(K, (200, LENGTH)), grid, rng)
    assert float((drawn == drawn[:, :1]).all(1).float().mean()) > 0.9 and len(drawn[:, 0].unique()) == K


def test_steps_that_were_not_learned_are_refused() -> None:
    sampler = get("autoregressive")(chain())
    x = torch.zeros(2, LENGTH, dtype=torch.int64)
    for grid, words in (([1.0, 0.5, 0.0], "from t = 1 to 0.5 was not learned"), ([0.9, 0.5], "t = 0.9 is no time")):
        with pytest.raises(UsageError, match=words):
            simulate(sampler, x, torch.tensor(grid, dtype=torch.float64), Stream(0))
    with pytest.raises(CapabilityError, match="token by token knows its next step"):
        chain()(x, torch.tensor(0.5))
    with pytest.raises(CapabilityError, match="no posterior over x_0"):
        simulate(get("ancestral")(chain()), x, torch.tensor([1.0, 0.5], dtype=torch.float64), Stream(0))
    with pytest.raises(DataError, match=r"token 3 is out of range: there are 0 .. 2"):
        chain().law(x + 3, torch.ones(2, dtype=torch.int64))
    with pytest.raises(UsageError, match="every step takes 4 tokens of 5 values, one 4 of 3"):
        TokenByToken([chain().net(1)], CategoricalProcess.uniform(5))


def test_known_tokens_stay_and_hidden_ones_do_not_leak() -> None:
    x = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 0]])
    known = torch.tensor([True, False, True, False])
    made = refilled(chain(), x, known, Rng([3, 4]))
    assert torch.equal(made[:, known], x[:, known])
    # The law of the hole is that of the chain: p(x_0 | known) of a path whose hidden tokens are drawn.
    other = torch.where(known, x, (x + 1) % K)
    assert torch.equal(refilled(chain(), other, known, Rng([3, 4])), made)


def built(**settings: Any) -> System:
    return house.build("imagebart", settings={**TINY, **settings})


def test_pictures_go_there_and_back_by_their_codes() -> None:
    codec = built().codec
    assert isinstance(codec, VQTokens)
    x = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tokens = codec.encode(x, Stream(0))
    assert tokens.shape == (3, 16) and tokens.dtype == torch.int64
    z = codec.autoencoder.summary(codec.autoencoder.floats(x, Stream(0)))
    torch.testing.assert_close(codec.decode(tokens), codec.autoencoder.image(z).clamp(-1, 1))
    again = VQTokens(codec.autoencoder, 8, summaries=True)
    assert torch.equal(again.encode(z, Stream(0)), tokens)


def test_filling_pictures() -> None:
    system = built(classes=("a", "b"))
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    known = torch.ones(8, 8)
    known[:3] = 0  # hides the upper two rows of tokens: the second holds a hidden row of pixels
    made = inpaint(system, x, known, seed=5)
    assert made.tensor.shape == (2, 1, 8, 8) and made.seeds == [5, 6] and made.provenance["known_tokens"] == 8
    torch.testing.assert_close(inpaint(system, x[1:], known, seed=6).tensor, made.tensor[1:], atol=1e-5, rtol=0)
    with pytest.raises(DataError, match=r"the mask is \(4, 4\), the pictures are \(8, 8\)"):
        inpaint(system, x, torch.ones(4, 4))
    with pytest.raises(DataError, match="1 at known pixels and 0 in the hole"):
        inpaint(system, x, 0.5 * known)
    with pytest.raises(DataError, match="hides nothing"):
        inpaint(system, x, torch.ones(8, 8))
    with pytest.raises(DataError, match=r"pictures are \[n, 1, 8, 8\], got \(1, 8, 8\)"):
        inpaint(system, x[0], known)
    with pytest.raises(UsageError, match="'d3pm' is no chain of tokens"):
        inpaint(ornstein.build("d3pm", size=8), x, known)
    with pytest.raises(CapabilityError, match="leave guidance at 1"):
        system.sample(1, guidance=2.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chain": 0}, "chain must be at least 1"),
        ({"codes": 1}, "codes must be at least 2"),
        ({"size": 9}, "does not divide by 2"),
        ({"autoencoder_steps": 2}, "must be fewer than steps"),
        ({"encoder_depth": 0}, "a layer on either side"),
        ({"head": 5}, "not a multiple of head"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        built(**settings)
