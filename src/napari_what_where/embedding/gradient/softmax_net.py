"""The network whose output the gradient solver optimises in place of eigenvectors."""

from __future__ import annotations

import torch
from torch.nn.functional import batch_norm, conv2d

from napari_what_where.activations.types import Grid


class SoftmaxNet(torch.nn.Module):
    """A learnable image of features through 3 × 3 convolutions to a softmax over ``count`` channels.

    As in the official implementation of Zhang, Yunis & Maire 2024: ``width`` channels of normal noise on the finest
    token grid, ``layers`` convolutions, the last to ``count`` channels, and between them batch normalisation by the
    image's own statistics and ReLU. There is no input: the features are as much a parameter as the filters.

    All parameters are drawn on the CPU from ``generator``, so that a seed means the same on every device, and nobody
    else's random numbers change. Memory: ``width`` · (tokens + 9 · ``width`` · ``layers``) float32.
    """

    def __init__(self, grid: Grid, count: int, *, width: int, layers: int, generator: torch.Generator) -> None:
        super().__init__()
        self.features = torch.nn.Parameter(torch.randn(1, width, *grid, generator=generator))
        outputs = [width] * (layers - 1) + [count]
        # Uniform within ±(inputs of a unit)^-½, PyTorch's own for convolutions, which the official code relies on.
        bound = (9 * width) ** -0.5

        def uniform(*shape: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))

        self.filters = torch.nn.ParameterList([uniform(output, width, 3, 3) for output in outputs])
        self.biases = torch.nn.ParameterList([uniform(output) for output in outputs])
        self.scales = torch.nn.ParameterList([torch.nn.Parameter(torch.ones(output)) for output in outputs[:-1]])
        self.shifts = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(output)) for output in outputs[:-1]])

    def forward(self) -> torch.Tensor:
        """Soft assignment of tokens to channels, (tokens, count) float32: rows sum to 1."""
        x = self.features
        for number, (filters, bias) in enumerate(zip(self.filters, self.biases, strict=True)):
            if number:
                x = self._normalized(x, number - 1).relu()
            x = conv2d(x, filters, bias, padding=1)
        return x[0].flatten(1).T.softmax(dim=1)

    def _normalized(self, x: torch.Tensor, number: int) -> torch.Tensor:
        if x[0, 0].numel() == 1:  # a single token has no spread to divide by
            return x
        return batch_norm(x, None, None, self.scales[number], self.shifts[number], training=True)
