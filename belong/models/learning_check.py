"""Detect a classifier that does not learn, in its first epochs and after training.

A dead network, whose ReLUs are zero for every image, has the same features for all images. It gets
no gradient, and cannot recover. A network that is only at chance may still learn, until `PATIENCE`
of its epochs and `LEAST_STEPS` are over.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from belong.models.base import Network
from belong.models.chance_level import evenly_spaced, guessing_bound, is_at_chance
from belong.models.forward_pass import forward_pass
from belong.models.training_loop import Row, TrainingFailedError

PATIENCE = 0.3  # share of the epochs; the learning rate has passed its maximum by then
LEAST_STEPS = 300  # with fewer steps, a network may not have learned anything yet
LOOKED_AT = 512  # number of examined training images
OF_EACH_CLASS = 64
EQUAL = 0.95  # maximum share of images of a class with equal features; the Gaussian needs a spread
REMEDIES = (
    "more images of each class, pretrained weights (--weights), more passes (train.epochs) or a "
    "lower train.learning_rate"
)


@dataclass(frozen=True)
class LearningCheck:
    """Check that a network learns during its training.

    Attributes:
        network: the network, on the device of the inputs.
        inputs: (n, ch, h, w) or (n, v), the training inputs.
        labels: (n,) int64.
        epochs: number of epochs of the whole training.
        batch_size: images per step.
    """

    network: Network
    inputs: Tensor
    labels: Tensor
    epochs: int
    batch_size: int

    @property
    def patience(self) -> int:
        """The last epoch in which a network may still be at chance."""
        steps = math.ceil(len(self.labels) / self.batch_size)
        return max(math.ceil(PATIENCE * self.epochs), math.ceil(LEAST_STEPS / steps))

    def after_epoch(self, row: Row) -> None:
        """Stop a training without progress; most epochs need no check.

        Raises:
            TrainingFailedError: the network is dead, or still at chance when it should not be.
        """
        if self._is_clearly_learning(row["accuracy"]):
            return
        features, predictions, labels = self._look()
        if not is_at_chance(predictions, labels):
            return
        epoch = f"after epoch {row['epoch']} of {self.epochs}"
        if _are_equal(features):
            raise TrainingFailedError(
                f"the network is dead {epoch}: it has the same output for all images"
            )
        if row["epoch"] == self.patience < self.epochs:
            raise TrainingFailedError(
                f"the network is at chance {epoch}: loss {row['loss']:.4g}, accuracy "
                f"{row['accuracy']:.3f} on the training images"
            )

    def at_end(self) -> None:
        """Refuse a trained network that is at chance on its training images.

        Raises:
            TrainingFailedError: the network is at chance.
        """
        _, predictions, labels = self._look()
        if is_at_chance(predictions, labels):
            accuracy = (predictions == labels).double().mean().item()
            raise TrainingFailedError(
                f"the network is at chance after training: accuracy {accuracy:.3f} on the training "
                f"images, guessing reaches {guessing_bound(predictions, labels):.3f}"
            )

    def has_spread(self) -> bool:
        """Return whether the features vary within each class."""
        classes = [torch.nonzero(self.labels == label).flatten() for label in self.labels.unique()]
        rows = [
            of_class[evenly_spaced(len(of_class), OF_EACH_CLASS).to(of_class.device)]
            for of_class in classes
        ]
        features, _ = predict(self.network, self.inputs[torch.cat(rows)])
        return all(
            len(part) < 2 or _largest_share(part) < EQUAL
            for part in features.split([*map(len, rows)])
        )

    def _is_clearly_learning(self, accuracy: float) -> bool:
        """Return whether the epoch's accuracy is far above the share of the largest class."""
        n = len(self.labels)
        share = self.labels.bincount().max().item() / n
        return accuracy > share + 4 * math.sqrt(share * (1 - share) / n)

    def _look(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (m, d), predictions (m,) and labels (m,) of some images, on the CPU."""
        rows = evenly_spaced(len(self.labels), LOOKED_AT).to(self.labels.device)
        return *predict(self.network, self.inputs[rows]), self.labels[rows].cpu()


def predict(network: Network, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return features (n, d) and predictions (n,), on the CPU, in evaluation mode."""
    network.eval()

    def batch(rows: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = network(rows)
        return features, logits.argmax(dim=1)

    features, predictions = forward_pass(
        batch, inputs, batch_size=network.batch, device=inputs.device
    )
    return features, predictions


def check_held_out(network: Network, inputs: Tensor, labels: Tensor) -> None:
    """Refuse a network that is at chance on held-out images.

    Args:
        network: the trained network.
        inputs: (n, ch, h, w) or (n, v), held out of the training, without test images.
        labels: (n,) int64.

    Raises:
        TrainingFailedError: the network is at chance.
    """
    _, predictions = predict(network, inputs)
    labels = labels.cpu()
    if is_at_chance(predictions, labels):
        accuracy = (predictions == labels).double().mean().item()
        raise TrainingFailedError(
            f"the network is at chance on the {len(labels)} images held out of its training: "
            f"accuracy {accuracy:.3f}, guessing reaches {guessing_bound(predictions, labels):.3f}; "
            f"remedies: {REMEDIES}"
        )


def _are_equal(features: Tensor) -> bool:
    """Return whether all rows (n, d) are equal, up to rounding."""
    spread = (features.amax(dim=0) - features.amin(dim=0)).max()
    return bool(spread <= 1e-6 * features.abs().max())


def _largest_share(features: Tensor) -> float:
    """Return the share of the most frequent row among the rows (n, d)."""
    _, counts = features.unique(dim=0, return_counts=True)
    return float(counts.max()) / len(features)
