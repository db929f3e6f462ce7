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
    """Call `function` for each batch; return the concatenated tensors (n, ...) on the CPU.

    The last batch is padded with copies of its last row, so that the result of a row is
    bit-identical for any other rows and any number of rows.

    Args:
        function: tensors (b, ...) on the device, a batch of each of `inputs` -> tensors (b, ...).
            It sets its network to evaluation mode, and may raise an error to stop the pass.
        inputs: tensors (n, ...), moved to the device batch by batch. Without rows, `function` is
            called once with an empty batch.
        batch_size: rows per batch.
        device: the device of the network.
        description: label of the progress bar; None for no bar.
    """
    outputs = []
    with bar(len(inputs[0]), description, "image") as progress:
        for batch in zip(*(rows.split(batch_size) for rows in inputs), strict=True):
            n = len(batch[0])
            results = function(*(filled(rows.to(device), batch_size) for rows in batch))
            outputs.append([result[:n].cpu() for result in results])
            progress.update(n)
    return [torch.cat(batches) for batches in zip(*outputs, strict=True)]


def filled(rows: Tensor, size: int) -> Tensor:
    """Pad up to `size` rows (n, ...) with copies of the last: (size, ...); zero rows stay zero."""
    missing = size - len(rows) if len(rows) else 0
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows
