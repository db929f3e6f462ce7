"""Pass images through a network in batches."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from belong.runtime.progress import bar


@torch.no_grad()
def forward_pass(
    function: Callable[..., Sequence[Tensor]],
    *inputs: Tensor,
    batch_size: int,
    device: torch.device,
    description: str | None = None,
) -> list[Tensor]:
    """Call `function` for each batch; return the tensors (n, ...) it gave for all rows, on the CPU.

    Args:
        function: tensors (b, ...) on the device, a batch of each of `inputs` -> tensors (b, ...).
            It puts its network into the mode for use, and may raise to end the pass.
        inputs: tensors (n, ...), which come to the device batch by batch. Without rows, `function`
            is called once, for an empty batch.
        batch_size: rows at once.
        device: where the network is.
        description: of the progress bar; None shows none.
    """
    outputs = []
    with bar(len(inputs[0]), description, "image") as progress:
        for batch in zip(*(rows.split(batch_size) for rows in inputs), strict=True):
            results = function(*(rows.to(device) for rows in batch))
            outputs.append([result.cpu() for result in results])
            progress.update(len(batch[0]))
    return [torch.cat(batches) for batches in zip(*outputs, strict=True)]
