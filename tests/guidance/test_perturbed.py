"""Perturbed views of networks, and the guidance that compares them with the network."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.perturb import layers, perturbed
from ornstein.denoisers import EDMScaling, Preconditioned
from ornstein.guidance import Perturbed
from ornstein.networks.dit import DiT
from ornstein.networks.layers.attention import attend
from ornstein.networks.mlp import MLP
from ornstein.networks.mp_unet import MPUNet
from ornstein.networks.unet import UNet
from ornstein.processes import EDM


def lively(network: nn.Module) -> nn.Module:
    """Zero layers filled in, so that every layer moves the output."""
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            if not bool(p.any()):
                p.copy_(torch.randn(p.shape, generator=g) * 0.2)
    return network.eval()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "dit": lambda: DiT(channels=1, patch=2, width=64, depth=3, head=32),
    "unet": lambda: UNet(channels=1, widths=(32, 64), blocks=1, head=32),
    "mp_unet": lambda: MPUNet(channels=1, widths=(64,), blocks=1, attention=(0,)),
}
X, T = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([0.3, 0.7])


@pytest.mark.parametrize("kind", ["identity", "skip"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_view_differs_and_shares_everything(name: str, kind: str) -> None:
    network = lively(NETWORKS[name]())
    before = network(X, T)
    for layer in layers(network, kind):  # type: ignore[arg-type]
        view = perturbed(network, kind, [layer])  # type: ignore[arg-type]
        assert not torch.allclose(view(X, T), before, atol=1e-4), layer
        assert [id(p) for p in view.parameters()] == [id(p) for p in network.parameters()]
    assert torch.equal(network(X, T), before)  # the network itself is as it was
    assert list(network.state_dict()) == list(perturbed(network, kind).state_dict())  # type: ignore[arg-type]


def test_identity_attention_attends_to_itself_alone() -> None:
    """A softmax over one place only: with a single token the perturbation changes nothing."""
    network = lively(NETWORKS["dit"]())
    one = torch.randn(2, 1, 2, 2)
    view = perturbed(network, "identity", layers(network, "identity"))
    torch.testing.assert_close(view(one, T), network(one, T))
    q = torch.eye(5)[None, None] * 1e4
    v = torch.randn(1, 1, 5, 3)
    torch.testing.assert_close(
        attend(q, q, v), v
    )  # what the perturbation stands for: the attention map is the identity


def test_a_skipped_block_hands_on_what_it_got() -> None:
    network = lively(NETWORKS["dit"]())
    seen: list[Tensor] = []
    view = perturbed(network, "skip", ["blocks.1"])
    hook = network.blocks[2].register_forward_pre_hook(lambda m, a: seen.append(a[0]))
    hook0 = network.blocks[0].register_forward_hook(lambda m, a, out: seen.append(out))
    view(X, T)
    hook.remove(), hook0.remove()
    assert torch.equal(seen[0], seen[1])


def denoiser() -> Preconditioned:
    return Preconditioned(lively(NETWORKS["mp_unet"]()), EDM(), EDMScaling())


@pytest.mark.parametrize("kind", ["identity", "skip"])
def test_guidance_moves_away_from_the_perturbed_network(kind: str) -> None:
    strong = denoiser()
    t = torch.tensor(0.01, dtype=torch.float64)
    weak = Preconditioned(perturbed(strong.network, kind), strong.process, strong.parametrization)  # type: ignore[arg-type]
    d, p = strong(X, t).mean, weak(X, t).mean
    found = Perturbed(strong, 3.0, kind)(X, t).mean  # type: ignore[arg-type]
    torch.testing.assert_close(found, p + 3 * (d - p))
    assert torch.equal(Perturbed(strong, 1.0, kind)(X, t).mean, d)  # type: ignore[arg-type]


def test_threads_may_use_both_at_once() -> None:
    strong = denoiser()
    guided, t = Perturbed(strong, 3.0), torch.tensor(0.01, dtype=torch.float64)
    wanted = [strong(X, t).mean, guided(X, t).mean]
    wrong: list[int] = []

    def use(which: int) -> None:
        for _ in range(10):
            if not torch.equal((strong, guided)[which](X, t).mean, wanted[which]):
                wrong.append(which)

    threads = [Thread(target=use, args=(i % 2,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_systems_take_the_methods_by_name() -> None:
    settings = {"size": 8, "channels": 1, "widths": (64,), "blocks": 1, "classes": ("a", "b")}
    system, weak, bare = (ornstein.build("edm", settings=s) for s in (settings, settings, {**settings, "classes": ()}))
    for s in (system, weak, bare):
        lively(s.denoiser)
    with torch.no_grad():
        for p in weak.denoiser.parameters():
            p.mul_(0.8)
    plain = system.sample(2, steps=3, guidance=1.0).tensor
    for method in ("cfg", "rescale", "apg", "cfgpp", "zero", "pag", "slg", "autoguidance"):
        scale = 0.5 if method == "cfgpp" else 3.0
        out = system.sample(2, steps=3, guidance=scale, guidance_method=method, weak=weak)
        assert bool(out.tensor.isfinite().all()) and not torch.equal(out.tensor, plain), method
        assert out.provenance["guidance_method"] == method
    assert torch.equal(system.sample(2, steps=3, guidance=1.0, guidance_method="apg").tensor, plain)
    assert bool(bare.sample(2, steps=2, guidance=2.0, guidance_method="pag").tensor.isfinite().all())
    with pytest.raises(
        UsageError, match=r"guidance=2 by 'apg' needs a conditional system; this one \('edm'\).*skip_layer"
    ):
        bare.sample(1, guidance=2.0, guidance_method="apg")
    with pytest.raises(UsageError, match="unknown guidance method 'cgf'"):
        system.sample(1, guidance=2.0, guidance_method="cgf")
    with pytest.raises(UsageError, match="needs a weaker model"):
        system.sample(1, guidance=2.0, guidance_method="autoguidance")


def test_misuse_is_named() -> None:
    network = NETWORKS["dit"]()
    with pytest.raises(UsageError, match=r"no layer 'blocks.7' for 'skip': did you mean 'blocks"):
        perturbed(network, "skip", ["blocks.7"])
    with pytest.raises(UsageError, match="name at least one layer"):
        perturbed(network, "skip", [])
    with pytest.raises(
        CapabilityError, match="MLP has no layer for the perturbation 'identity': it needs self-attention"
    ):
        perturbed(MLP(size=2), "identity")
