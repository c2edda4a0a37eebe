"""What capture must keep on every model. Subclass, and give a ``case`` fixture, of a small one with random weights."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch

from napari_what_where.activations.capture import AttentionCall, capture_attention

Project = Callable[[torch.nn.Module, torch.Tensor, tuple[Any, ...], dict[str, Any]], Any]


def project(module: torch.nn.Module, merged: torch.Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a module of self-attention makes of (batch, tokens, channels) merged heads, by its own projection.

    Knows transformers' modules, diffusers' ``Attention`` of images alone, and ``torch.nn.MultiheadAttention``. A
    family whose modules end differently gives its own; a tuple stands for the first outputs of a module with several.
    """
    if hasattr(module, "to_out"):
        hidden = args[0] if args else kwargs["hidden_states"]
        projected = module.to_out[0](merged)
        if hidden.ndim == 4:
            projected = projected.transpose(1, 2).reshape(hidden.shape)
        projected = projected + hidden if module.residual_connection else projected
        return projected / module.rescale_output_factor
    last = next(getattr(module, name) for name in ("o_proj", "out_proj", "proj", "dense") if hasattr(module, name))
    projected = last(merged)
    turned = isinstance(module, torch.nn.MultiheadAttention) and not module.batch_first
    return projected.transpose(0, 1) if turned else projected


@dataclass(frozen=True)
class CaptureCase:
    """A model, how it is run, and on what.

    ``pictures``: of two sizes and aspects at least, each (2, channels, rows, columns); ``run`` takes the model and
    some of them; ``attention``: regular expression of the modules of self-attention; ``layers``: how many there are;
    ``fused``: whether a fused kernel runs where nothing is captured, so that outputs are equal to rounding only.
    """

    model: torch.nn.Module
    run: Callable[[torch.nn.Module, torch.Tensor], Any]
    pictures: tuple[torch.Tensor, ...]
    attention: str
    layers: int
    project: Project = project
    fused: bool = False

    def wanted(self, name: str) -> bool:
        return re.fullmatch(self.attention, name) is not None

    def captured(self, pictures: torch.Tensor) -> tuple[list[AttentionCall], Any]:
        """The calls, and what the model gave back."""
        calls: list[AttentionCall] = []
        with torch.no_grad(), capture_attention(self.model, calls.append, wanted=self.wanted):
            given = self.run(self.model, pictures)
        return calls, given

    def plain(self, pictures: torch.Tensor) -> Any:
        with torch.no_grad():
            return self.run(self.model, pictures)


class Ran(NamedTuple):
    """One call of a module."""

    module: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any


def tensors(given: Any) -> Iterator[torch.Tensor]:
    """All tensors in what a model gave back."""
    if isinstance(given, torch.Tensor):
        yield given
    elif isinstance(given, Mapping):
        for each in given.values():
            yield from tensors(each)
    elif isinstance(given, list | tuple):
        for each in given:
            yield from tensors(each)


def assert_rounding(seen: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal to float32 rounding, relative to the largest number."""
    assert seen.shape == expected.shape
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5 * float(expected.abs().max()) + 1e-8)


def product(call: AttentionCall) -> torch.Tensor:
    """softmax(query keyᵀ / √head_dim) value by its definition, in float64; merged: (batch, tokens, channels)."""
    query, key, value = call.query.double(), call.key.double(), call.value.double()
    weights = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1)
    return (weights @ value).transpose(1, 2).flatten(2).float()


def relative_difference(seen: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest, relative to the largest number that is expected."""
    assert seen.shape == expected.shape
    return float((seen - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def projected_and_own(
    case: CaptureCase, pictures: torch.Tensor
) -> Iterator[tuple[AttentionCall, list[tuple[Any, Any]]]]:
    """Of every call: what the captured q, k, v give, projected, beside what the module itself gave back."""
    ran: dict[str, list[Ran]] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda *given: ran.setdefault(name, []).append(Ran(*given))

    modules = [(name, module) for name, module in case.model.named_modules() if case.wanted(name)]
    hooks = [module.register_forward_hook(note(name), with_kwargs=True) for name, module in modules]
    try:
        calls, _ = case.captured(pictures)
    finally:
        for hook in hooks:
            hook.remove()
    for call in calls:
        one = ran[call.name].pop(0)
        with torch.no_grad():
            seen = list(tensors(case.project(one.module, product(call), one.args, one.kwargs)))
        yield call, list(zip(seen, tensors(one.output), strict=False))


def left_behind(model: torch.nn.Module) -> list[str]:
    """Hooks on any module, and modes of torch functions in this thread."""
    kinds = [name for name in vars(torch.nn.Module()) if "hook" in name]
    assert "_forward_pre_hooks" in kinds
    assert "_forward_hooks_always_called" in kinds
    hooks = [f"{name}: {kind}" for name, each in model.named_modules() for kind in kinds if getattr(each, kind)]
    return hooks + ["mode"] * torch._C._len_torch_function_stack()


class CaptureConformance:
    """Tests of capture on one model."""

    @pytest.fixture
    def case(self) -> CaptureCase:
        raise NotImplementedError

    def test_products_projected_are_the_modules_output(self, case):
        for pictures in case.pictures:
            compared = list(projected_and_own(case, pictures[:1]))
            assert len(compared) == case.layers
            for call, pairs in compared:
                assert not call.obstacle
                assert pairs
                for mine, own in pairs:
                    assert_rounding(mine, own)

    def test_pictures_are_of_two_sizes_and_aspects(self, case):
        shapes = [tuple(pictures.shape[2:]) for pictures in case.pictures]
        assert len(set(shapes)) > 1
        assert len({rows / columns for rows, columns in shapes}) > 1
        assert all(len(pictures) == 2 for pictures in case.pictures)

    def test_the_output_is_unchanged(self, case):
        for pictures in case.pictures:
            _, given = case.captured(pictures)
            expected = list(tensors(case.plain(pictures)))
            assert expected
            for one, other in zip(tensors(given), expected, strict=True):
                if case.fused:
                    assert_rounding(one, other)
                else:
                    assert torch.equal(one, other)

    def test_a_batch_and_singles_agree(self, case):
        for pictures in case.pictures:
            together, given = case.captured(pictures)
            for number in range(len(pictures)):
                alone, single = case.captured(pictures[number : number + 1])
                assert [call.name for call in alone] == [call.name for call in together]
                for one, both in zip(alone, together, strict=True):
                    assert one.plane == both.plane
                    for role in ("query", "key", "value"):
                        assert_rounding(getattr(both, role)[number : number + 1], getattr(one, role))
                for one, both in zip(tensors(single), tensors(given), strict=True):
                    assert_rounding(both[number : number + 1], one)

    def test_nothing_is_left_behind(self, case):
        pictures = case.pictures[0][:1]
        before = left_behind(case.model)
        entered: list[str] = []
        with torch.no_grad(), capture_attention(case.model, lambda call: None, on_enter=entered.append):
            assert len(left_behind(case.model)) > len(before)
            case.run(case.model, pictures)
        assert left_behind(case.model) == before
        expected = list(tensors(case.plain(pictures)))
        for last in {1, case.layers}:
            self.interrupted(case, pictures, calls=last)
            assert left_behind(case.model) == before
        for last in {1, len(entered) // 2, len(entered)}:
            self.interrupted(case, pictures, modules=last)
            assert left_behind(case.model) == before
        again = list(tensors(case.plain(pictures)))
        assert all(torch.equal(one, other) for one, other in zip(again, expected, strict=True))

    def interrupted(self, case: CaptureCase, pictures: torch.Tensor, calls: int = 0, modules: int = 0) -> None:
        """Run into an exception of the receiver, or on entering a module."""

        class Interrupted(Exception):
            pass

        class Countdown:
            def __init__(self, left: int) -> None:
                self.left = left

            def __call__(self, _: Any) -> None:
                self.left -= 1
                if self.left == 0:
                    raise Interrupted

        receive, enter = Countdown(calls), Countdown(modules)
        seen = capture_attention(case.model, receive, wanted=case.wanted, on_enter=enter)
        with torch.no_grad(), pytest.raises(Interrupted), seen:
            case.run(case.model, pictures)
        assert receive.left == 0 or enter.left == 0

    def test_another_thread_is_not_seen(self, case):
        calls: list[AttentionCall] = []
        entered: list[str] = []
        given: list[Any] = []
        pictures = case.pictures[0][:1]
        with capture_attention(case.model, calls.append, on_enter=entered.append):
            thread = threading.Thread(target=lambda: given.append(case.plain(pictures)))
            thread.start()
            thread.join()
        assert len(given) == 1
        assert calls == []
        assert entered == []
