"""Optimizers that do not use torch's compiler, against torch's own."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

from belong.models.training_loop import eager

KINDS: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "adam": (Adam, {"lr": 0.1, "fused": True}),
    "adamw": (AdamW, {"lr": 0.1, "weight_decay": 0.01, "fused": True}),
    "sgd": (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
}


def steps(kind: type[Optimizer], options: dict[str, Any]) -> list[torch.Tensor]:
    """Return the weights after each of five steps towards 0, two of them by a second optimizer."""
    weights = torch.linspace(-1, 1, 7).requires_grad_()
    optimizer = kind([weights], **options)
    history = []
    for step in range(5):
        if step == 3:  # as a training that was interrupted goes on
            state = optimizer.state_dict()
            optimizer = kind([weights], **options)
            optimizer.load_state_dict(state)
        optimizer.zero_grad()
        weights.square().sum().backward()
        optimizer.step()
        history.append(weights.detach().clone())
    return history


@pytest.mark.parametrize("name", KINDS)
def test_the_weights_are_those_of_torchs_own_after_every_step(name: str) -> None:
    kind, options = KINDS[name]
    ours, theirs = steps(eager(kind), options), steps(kind, options)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.pipeline
def test_a_training_imports_no_compiler() -> None:
    program = (
        "import sys, torch; from belong.models import autoencoder, device;"
        "from belong.detectors import mlp_head as head;"
        "device.compute_repeatably(1, 'fast'); draw = torch.Generator().manual_seed(0);"
        "pixels = torch.randint(0, 255, (8, 1, 4, 4), generator=draw).to(torch.uint8);"
        "autoencoder.fit(pixels, units=2, epochs=1, batch_size=4, learning_rate=0.01,"
        " most_side_px=4, generator=draw);"
        "head.fit(torch.rand(6, 3), torch.rand(6, 3), epochs=1, batch_size=4, learning_rate=0.01,"
        " generator=draw);"
        "sys.exit('torch._dynamo' in sys.modules or 'torch._inductor' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.pipeline
def test_kernels_that_cannot_repeat_themselves_are_refused_as_torch_would() -> None:
    program = (
        "import sys, torch; from belong.models import device; device.compute_repeatably(1, 'fast');"
        "sys.exit(not torch.are_deterministic_algorithms_enabled()"
        " or torch.is_deterministic_algorithms_warn_only_enabled())"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
