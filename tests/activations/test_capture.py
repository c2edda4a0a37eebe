"""Capture of attention products, on modules small enough to know their answer."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from napari_what_where.activations.capture import AttentionCall, capture_attention

from .capture_conformance import CaptureCase, CaptureConformance, assert_rounding, left_behind, product


class Attention(torch.nn.Module):
    """Attention among the cells of a feature map, as diffusers' UNets have it."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.mix = torch.nn.Linear(channels, 3 * channels)
        self.proj = torch.nn.Linear(channels, channels)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        batch, count, channels = tokens.shape
        heads = self.mix(tokens).view(batch, count, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(*heads.unbind(0))
        return self.proj(seen.transpose(1, 2).reshape(batch, count, channels))


class Block(torch.nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(channels, heads)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        tokens = features.flatten(2).transpose(1, 2)
        return features + self.attention(tokens).transpose(1, 2).reshape(features.shape)


class Network(torch.nn.Module):
    """Two blocks, the second at half the resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 4, stride=4)
        self.fine = Block(8, 2)
        self.coarse = Block(8, 4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = self.fine(self.stem(pixels))
        return self.coarse(functional.avg_pool2d(features, 2))


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return Network().eval()


class TestNetwork(CaptureConformance):
    @pytest.fixture
    def case(self, network):
        torch.manual_seed(1)
        pictures = (torch.rand(2, 3, 16, 32), torch.rand(2, 3, 40, 24))
        return CaptureCase(network, lambda model, x: model(x), pictures, r".*\.attention", 2)


class Encoder(torch.nn.Module):
    """Patches, a class token, and torch's own transformer, which is fused where nobody looks."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 8, stride=8)
        layer = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=batch_first)
        self.blocks = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.stem(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
        if not self.blocks.layers[0].self_attn.batch_first:
            return self.blocks(tokens.transpose(0, 1)).transpose(0, 1)
        return self.blocks(tokens)


@pytest.mark.parametrize("batch_first", [True, False])
class TestTorchsOwnTransformer(CaptureConformance):
    @pytest.fixture
    def case(self, batch_first):
        torch.manual_seed(2)
        model = Encoder(batch_first).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)  # its own biases are zero
        pictures = (torch.rand(2, 3, 16, 32), torch.rand(2, 3, 40, 24))
        return CaptureCase(model, lambda model, x: model(x), pictures, r".*\.self_attn", 2, fused=True)


def test_names_and_planes_are_those_of_the_modules(network):
    calls: list[AttentionCall] = []
    with capture_attention(network, calls.append):
        network(torch.rand(1, 3, 16, 32))
    assert [(call.name, call.plane) for call in calls] == [("fine.attention", (4, 8)), ("coarse.attention", (2, 4))]


def test_only_what_is_wanted_is_handed_over(network):
    calls: list[AttentionCall] = []
    with capture_attention(network, calls.append, wanted=lambda name: name.startswith("coarse")):
        network(torch.rand(1, 3, 16, 32))
    assert [call.name for call in calls] == ["coarse.attention"]


def test_entering_is_told_in_the_order_of_running(network):
    entered: list[str] = []
    with capture_attention(network, lambda call: None, on_enter=entered.append):
        network(torch.rand(1, 3, 16, 32))
    names = ["attention", "attention.mix", "attention.proj"]
    fine, coarse = (["", *(f".{name}" for name in names)] for _ in range(2))
    assert entered == ["", "stem", *(f"fine{name}" for name in fine), *(f"coarse{name}" for name in coarse)]


def test_captured_tensors_need_no_gradient(network):
    calls: list[AttentionCall] = []
    with capture_attention(network, calls.append):
        output = network(torch.rand(1, 3, 16, 32))
    assert output.requires_grad, "training goes on as ever"
    assert not any(getattr(call, role).requires_grad for call in calls for role in ("query", "key", "value"))


def test_a_module_that_runs_twice_is_seen_twice(network):
    calls: list[AttentionCall] = []
    with capture_attention(network, calls.append):
        network.fine(network.fine(torch.rand(1, 8, 3, 5)))
    assert [(call.name, call.plane) for call in calls] == [("fine.attention", (3, 5))] * 2


def test_two_captures_side_by_side_and_nested(network):
    other = copy.deepcopy(network)
    outer: list[AttentionCall] = []
    inner: list[AttentionCall] = []
    picture = torch.rand(1, 3, 16, 32)
    with capture_attention(network, outer.append):
        with capture_attention(other, inner.append):
            other(picture)
        network(picture)
    assert len(inner) == 2
    assert [call.name for call in outer[-2:]] == ["fine.attention", "coarse.attention"]
    assert left_behind(network) == left_behind(other) == []


def test_a_keyboard_interrupt_leaves_nothing(network):
    def interrupt(_: AttentionCall) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), capture_attention(network, interrupt):
        network(torch.rand(1, 3, 16, 32))
    assert left_behind(network) == []


def test_a_failing_module_is_not_hidden(network):
    with pytest.raises(RuntimeError, match="channels"), capture_attention(network, lambda call: None):
        network(torch.rand(1, 5, 16, 32))
    assert left_behind(network) == []


# The product itself


class Product(torch.nn.Module):
    def forward(self, *args, **kwargs):
        return functional.scaled_dot_product_attention(*args, **kwargs)


def seen(*args, module: torch.nn.Module | None = None, **kwargs) -> tuple[AttentionCall, torch.Tensor]:
    """What capture sees of one product, and what torch makes of it."""
    calls: list[AttentionCall] = []
    module = module or Product()
    with capture_attention(module, calls.append):
        output = module(*args, **kwargs)
    (call,) = calls
    return call, output


def heads(*shape: int) -> list[torch.Tensor]:
    return list(torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)))


@given(
    batch=st.integers(1, 3),
    groups=st.integers(1, 3),
    each=st.integers(1, 3),
    tokens=st.integers(1, 9),
    width=st.sampled_from([1, 2, 3, 8]),
    scale=st.none() | st.floats(-4, 4).filter(lambda scale: abs(scale) > 1e-3),
)
def test_softmax_of_what_is_seen_is_the_product(batch, groups, each, tokens, width, scale):
    # Any scale, and keys and values shared by groups of heads.
    torch.manual_seed(0)
    query = torch.randn(batch, groups * each, tokens, width)
    key, value = torch.randn(2, batch, groups, tokens, width)
    call, output = seen(query, key, value, scale=scale, enable_gqa=each > 1)
    assert call.query.shape == call.key.shape == call.value.shape
    assert_rounding(product(call), output.transpose(1, 2).flatten(2))


def test_the_usual_scale_changes_no_bit():
    query, key, value = heads(1, 2, 6, 5)
    call, _ = seen(query, key, value, scale=5**-0.5)
    assert torch.equal(call.query, query)
    assert torch.equal(call.key, key)
    assert torch.equal(call.value, value)


@pytest.mark.parametrize("shape", [(6, 4), (2, 6, 4)])
def test_products_without_heads_have_one(shape):
    call, output = seen(*heads(*shape))
    batch = shape[0] if len(shape) == 3 else 1
    assert call.query.shape == (batch, 1, 6, 4)
    assert_rounding(product(call), output.reshape(batch, 6, 4))


@pytest.mark.parametrize("mask", [None, torch.ones(6, 6, dtype=torch.bool), torch.zeros(6, 6), torch.zeros(1, 1, 6, 6)])
def test_masks_that_mask_nothing_are_no_obstacle(mask):
    call, output = seen(*heads(1, 2, 6, 4), attn_mask=mask)
    assert call.obstacle == ""
    assert_rounding(product(call), output.transpose(1, 2).flatten(2))


def test_obstacles_are_told_in_words():
    tensors = heads(1, 2, 6, 4)
    masked = torch.ones(6, 6, dtype=torch.bool)
    masked[0, 1] = False
    assert "masked" in seen(*tensors, attn_mask=masked)[0].obstacle
    assert "masked" in seen(*tensors, attn_mask=torch.zeros(6, 6).masked_fill(~masked, -torch.inf))[0].obstacle
    assert "bias is added" in seen(*tensors, attn_mask=masked.float())[0].obstacle
    assert "bias is added" in seen(*tensors, torch.full((6, 6), -1e-3))[0].obstacle
    assert "causal" in seen(*tensors, is_causal=True)[0].obstacle


# torch.nn.MultiheadAttention


def multihead(**options) -> torch.nn.MultiheadAttention:
    torch.manual_seed(0)
    module = torch.nn.MultiheadAttention(12, 3, batch_first=True, **options).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("unbatched", [False, True])
@pytest.mark.parametrize("widths", [{}, {"kdim": 5, "vdim": 7}], ids=["packed", "separate"])
def test_multihead_attention_is_projected_as_torch_does(bias, need_weights, unbatched, widths):
    module = multihead(bias=bias, **widths)
    tokens = [torch.randn(2, 6, width) for width in (12, widths.get("kdim", 12), widths.get("vdim", 12))]
    tokens = [each[0] for each in tokens] if unbatched else tokens
    call, (output, _) = seen(*tokens, need_weights=need_weights, module=module)
    assert call.query.shape == (1 if unbatched else 2, 3, 6, 4)
    assert not call.query.requires_grad
    projected = module.out_proj(product(call))
    assert_rounding(projected[0] if unbatched else projected, output)


def test_obstacles_of_multihead_attention():
    tokens = [torch.randn(2, 6, 12)] * 3
    nothing, last = torch.zeros(2, 6, dtype=torch.bool), torch.zeros(2, 6, dtype=torch.bool)
    last[1, 5] = True
    square = torch.nn.Transformer.generate_square_subsequent_mask(6)
    module = multihead()
    assert seen(*tokens, module=module, key_padding_mask=nothing)[0].obstacle == ""
    assert "masked" in seen(*tokens, module=module, key_padding_mask=last)[0].obstacle
    assert "masked" in seen(*tokens, module=module, attn_mask=square)[0].obstacle
    assert "masked" in seen(*tokens, module=module, attn_mask=square < 0, key_padding_mask=nothing)[0].obstacle
    assert "causal" in seen(*tokens, module=module, attn_mask=square, is_causal=True)[0].obstacle
    assert "bias is added" in seen(*tokens, module=module, attn_mask=torch.ones(6, 6))[0].obstacle
    for option in ("add_bias_kv", "add_zero_attn"):
        assert "no token" in seen(*tokens, module=multihead(**{option: True}))[0].obstacle


def test_boolean_masks_of_the_function_itself_are_true_where_masked():
    # torch.nn.MultiheadAttention makes numbers of them before.
    module = multihead()

    class Direct(torch.nn.Module):
        def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            weights = (module.in_proj_weight, module.in_proj_bias, None, None, False, 0.0)
            out = (module.out_proj.weight, module.out_proj.bias)
            given = (tokens, tokens, tokens, 12, 3, *weights, *out)
            return functional.multi_head_attention_forward(*given, training=False, attn_mask=mask)[0]

    tokens, nothing = torch.randn(6, 2, 12), torch.zeros(6, 6, dtype=torch.bool)
    call, output = seen(tokens, nothing, module=Direct())
    assert call.obstacle == ""
    assert_rounding(module.out_proj(product(call)).transpose(0, 1), output)
    assert "masked" in seen(tokens, nothing.fill_diagonal_(True), module=Direct())[0].obstacle
