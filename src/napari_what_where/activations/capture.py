"""The one capture mechanism: queries, keys and values exactly as they enter a model's attention products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from inspect import signature
from threading import get_ident
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Plane = tuple[int, int]


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """One attention product that a module has asked for.

    ``name``: of the module, in the model; ``query``, ``key``, ``value``: (batch, heads, tokens, head_dim), after any
    normalisation, rotation and fusing, such that the model's attention is softmax(query keyᵀ / √head_dim);
    ``plane``: (rows, columns) of the nearest enclosing module whose input is (batch, channels, rows, columns), if any;
    ``obstacle``: why attention is more than its queries and keys say, or "".
    """

    name: str
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    plane: Plane | None
    obstacle: str


class _Frame(NamedTuple):
    """A module that is at work."""

    name: str
    plane: Plane | None


@contextmanager
def capture_attention(
    model: torch.nn.Module,
    receive: Callable[[AttentionCall], None],
    *,
    wanted: Callable[[str], bool] = lambda name: True,
    on_enter: Callable[[str], None] = lambda name: None,
) -> Iterator[None]:
    """Within the block, hand every attention product of ``model`` to ``receive``, before it is computed.

    Parameters
    ----------
    model
        Runs as ever: nothing of it is replaced, and its output is unchanged. (Where ``torch.nn.MultiheadAttention``
        would take its fused kernel it computes step by step meanwhile, which is equal to rounding.)
    receive
        Called in the thread of the block. What it raises ends the forward pass.
    wanted
        Of a module's name in the model; calls of others are not handed over.
    on_enter
        Called with the name of each module before it runs; what it raises ends the forward pass.

    Notes
    -----
    Sees what goes through ``scaled_dot_product_attention`` or ``torch.nn.MultiheadAttention``, in this thread,
    whatever module calls it; not what a compiled graph has fused, nor products written out by hand. Hooks and mode
    are gone after the block, also after an exception. Cost: microseconds for each module and torch function, and the
    projections of a ``torch.nn.MultiheadAttention`` once more.
    """
    stack: list[_Frame] = []
    thread = get_ident()

    # Hooks, unlike the mode, are of the model and so of all threads that run it.
    def entering(name: str) -> Callable[..., None]:
        def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if get_ident() == thread:
                stack.append(_Frame(name, _plane_of(args, kwargs)))
                on_enter(name)

        return enter

    def leave(*_: Any) -> None:
        if get_ident() == thread:
            stack.pop()

    def see(read: Callable[[], _Product]) -> None:
        frame = stack[-1] if stack else _Frame("", None)
        if wanted(frame.name):
            plane = next((each.plane for each in reversed(stack) if each.plane), None)
            receive(_attention_call(frame.name, plane, read()))

    with ExitStack() as exits:
        for name, module in model.named_modules():
            exits.callback(module.register_forward_pre_hook(entering(name), with_kwargs=True).remove)
            exits.callback(module.register_forward_hook(leave, always_call=True).remove)
        exits.enter_context(_SeesProducts(see))
        yield


class _Product(NamedTuple):
    """The arguments of ``scaled_dot_product_attention``, under its own names and with its own defaults."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    attn_mask: torch.Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False
    strangers: bool = False
    """Whether keys that are of no token are attended to as well."""


class _SeesProducts(TorchFunctionMode):
    def __init__(self, see: Callable[[Callable[[], _Product]], None]) -> None:
        super().__init__()
        self._see = see

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            self._see(lambda: _Product(*args, **kwargs))
        elif func is functional.multi_head_attention_forward:
            # Under a mode torch.nn.MultiheadAttention takes this way; what it calls further in is hidden from the mode.
            self._see(lambda: _multihead_product(**signature(func).bind(*args, **kwargs).arguments))
        return func(*args, **kwargs)


@torch.no_grad()
def _multihead_product(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    num_heads: int,
    in_proj_weight: torch.Tensor | None,
    in_proj_bias: torch.Tensor | None,
    bias_k: torch.Tensor | None,
    add_zero_attn: bool,
    key_padding_mask: torch.Tensor | None = None,
    attn_mask: torch.Tensor | None = None,
    q_proj_weight: torch.Tensor | None = None,
    k_proj_weight: torch.Tensor | None = None,
    v_proj_weight: torch.Tensor | None = None,
    is_causal: bool = False,
    **_: Any,
) -> _Product:
    """The product inside ``torch.nn.functional.multi_head_attention_forward``, whose arguments these are."""
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    weights = separate if in_proj_weight is None else in_proj_weight.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)

    def projected(tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        flat = functional.linear(tokens if tokens.ndim == 3 else tokens[:, None], weight, bias)
        return flat.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3)

    query, key, value = (projected(*each) for each in zip((query, key, value), weights, biases, strict=True))
    # Here True means masked.
    masks = [~mask if mask.dtype == torch.bool else mask for mask in (attn_mask, key_padding_mask) if mask is not None]
    mask = next((mask for mask in masks if _masks(mask)), None)
    return _Product(query, key, value, mask, is_causal=is_causal, strangers=bias_k is not None or add_zero_attn)


def _plane_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plane | None:
    """Rows and columns of a module's input, its first tensor, if that has them."""
    tensors = (each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor))
    first = next(tensors, None)
    return None if first is None or first.ndim != 4 else (first.shape[2], first.shape[3])


def _attention_call(name: str, plane: Plane | None, call: _Product) -> AttentionCall:
    query, key, value = (_with_heads(each.detach()) for each in (call.query, call.key, call.value))
    if call.enable_gqa:
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        value = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
    if call.scale is not None:
        factor = call.scale * query.shape[-1] ** 0.5
        query = query if abs(factor - 1) < 1e-6 else query * factor
    return AttentionCall(name, query, key, value, plane, _obstacle(call))


def _with_heads(tensor: torch.Tensor) -> torch.Tensor:
    """(batch, heads, tokens, head_dim), also of a product without heads."""
    return tensor if tensor.ndim == 4 else tensor[:, None] if tensor.ndim == 3 else tensor[None, None]


def _obstacle(call: _Product) -> str:
    if call.is_causal:
        return "it is causal: a token attends to those before it only"
    if call.strangers:
        return "keys that are of no token are attended to as well"
    mask = call.attn_mask
    if mask is None or not _masks(mask):
        return ""
    if mask.dtype == torch.bool or bool(((mask == 0) | (mask == -torch.inf)).all()):
        return "it is masked: not every token attends to every other"
    return "a bias is added to the similarity of queries and keys"


def _masks(mask: torch.Tensor) -> bool:
    """Whether a mask, True where a token attends or added to its similarity, changes anything."""
    return not bool((mask if mask.dtype == torch.bool else mask == 0).all())
