"""Score images with a model, with the verdicts of the pipeline.

The verdict of an image does not depend on its batch. Networks and detectors always get the same
number of rows (`belong.models.forward_pass`), as the order of summation in a matrix product depends
on this number. Other processors, GPUs and ONNX still change last bits;
`belong.calibration.conformal.ties` makes verdicts independent of these.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from threading import Event
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from belong.detectors.base import ROWS, Detector, check_axes, scores_of
from belong.detectors.combined import Combination
from belong.detectors.mahalanobis import Mahalanobis
from belong.detectors.registry import OF_MODELS
from belong.models.activations import Views
from belong.models.autoencoder import Autoencoder
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.card import OWN_MODULE, BackboneCard
from belong.models.feature_cache import FeatureCache, cached, context_of
from belong.models.feature_extraction import layers_of
from belong.models.forward_pass import forward_pass
from belong.models.inference import batch_for, in_full_batch
from belong.models.registry import NETWORKS
from belong.parameters import FINE_TUNED, FROZEN
from belong.prediction.bundle import Arrays, Bundle
from belong.prediction.learning_data import CODES
from belong.prediction.manifest import IntegrityError
from belong.prediction.nearest_training_images import nearest_training_images
from belong.prediction.network_outline import outline
from belong.prediction.predictions import Scores
from belong.prediction.rule_of_model import rule_of
from belong.prediction.training_thumbnails import check_training, unpacked
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import no_memory_left

# Errors of torch and NumPy for arrays of another network, or of another number of classes.
UNFIT = (
    ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
CPU = torch.device("cpu")
LARGEST = np.float32(np.finfo(np.float32).max)
REASON = 200  # maximum characters of a reason in a message


class Predictor:
    """The networks and detectors of a model, ready to score images.

    Attributes:
        manifest: the manifest of the model.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: torch.device,
        backbone: Backbone | None = None,
        cache: FeatureCache | None = None,
    ) -> None:
        """Build the networks and detectors.

        Args:
            bundle: the model.
            device: compute device of the networks.
            backbone: the user's module, if the model was fitted on one.
            cache: cache for the embeddings of a frozen backbone.

        Raises:
            InputError: the user's module is missing, or is another one.
            IntegrityError: the manifest and the arrays do not fit together. An untrusted model may
                be inconsistent with correct checksums.
        """
        self.manifest = bundle.manifest
        self._device, self._cache = device, cache
        with _fitting_together():
            # New layers draw random weights, which are replaced.
            with torch.random.fork_rng(devices=[]):
                self._build(bundle, backbone)
            self._try(bundle)

    def _build(self, bundle: Bundle, shared_backbone: Backbone | None) -> None:
        manifest = self.manifest
        arrays, device = bundle.arrays, self._device
        kind, card = NETWORKS.get(manifest.network), manifest.backbone
        if kind is None:
            raise IntegrityError(
                f"the model's network is {manifest.network!r}; expected {', '.join(NETWORKS)}: "
                "it was made with a network that this copy of belong does not have"
            )
        _check_sizes(bundle)
        network = kind.from_arrays(arrays["network"], manifest.shape, card)
        self._network = network.to(device).eval()
        # The frozen backbone, which embeds images for the network.
        weights, coder = arrays.get("backbone", {}), arrays.get("autoencoder")
        self._backbone, self._context = None, b""
        if card is not None and manifest.network == FROZEN:
            backbone = (
                shared_backbone
                if shared_backbone is not None
                else Backbone.from_arrays(weights, card)
            )
            check_same(backbone, weights, card)
            self._backbone = backbone.folded().to(device)
            if self._cache is not None:
                self._context = context_of(backbone.digest, device)
        self._coder = Autoencoder.from_arrays(coder).to(device) if coder else None
        self._detectors = dict[str, Detector]()
        for name in manifest.uses:
            if name not in OF_MODELS:
                raise IntegrityError(
                    f"the model's detector is {name[:99]!r}; expected {', '.join(OF_MODELS)}: "
                    "it was made with a detector that this copy of belong does not have"
                )
            fitted = bundle.of_detector(name)
            check_axes(OF_MODELS[name], fitted, classes=len(manifest.class_names))
            self._detectors[name] = OF_MODELS[name].from_arrays(fitted)
        self._gaussians = cast(Mahalanobis, self._detectors["mahalanobis"]).gaussians
        held_out = arrays["calibration"]
        self._rule = rule_of(bundle)
        self._combination = Combination.fit(
            {name: held_out[f"member/{name}"] for name in manifest.members},
            tail=manifest.tail,
            rule=manifest.combination,
        )

    def _try(self, bundle: Bundle) -> None:
        """Check the training images for pages, and score a blank image and noise."""
        form, training = self.manifest.form, bundle.arrays["training"]
        check_training(training, form)
        c = len(self.manifest.class_names)
        classes = self._network.classifier.out_features, len(self._gaussians.thresholds)
        if set(classes) != {c} or not 0 <= training["labels"].min() <= training["labels"].max() < c:
            raise ValueError(f"it names {c} classes, and its arrays have others")
        training_arrays = training["features"], training["labels"], unpacked(training)
        if len(set(map(len, training_arrays))) > 1:
            raise ValueError("its training images are not as many as their labels and features")
        shape = form.channels, form.height, form.width
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        images = np.stack([np.zeros(shape, np.uint8), noise])
        for name, scores in self.detector_scores(images).items():
            if scores.shape != (2,) or not np.isfinite(scores).all():
                raise ValueError(f"{name} gives no finite score to a blank image or to noise")
        scored = self.score(images)
        for name in ("score", "distance", "probability", "features"):
            if not np.isfinite(getattr(scored, name)).all():
                raise ValueError(f"the {name} of a blank image or of noise is not finite")
        nearest_training_images(scored.features, training["features"], most=1)

    def score(self, images: np.ndarray, *, stopped: Event | None = None) -> Scores:
        """Score images (n, ch, h, w) uint8 in the form of the model, with the model's own rule.

        Another thread can set `stopped` to end this call early.

        Raises:
            InputError: the images have another form.
            IntegrityError: the parts of the model do not fit together.
            CancelledError: `stopped` was set.
        """
        form = self.manifest.form
        expected = (form.channels, form.height, form.width)
        if images.dtype != np.uint8 or images.shape[1:] != expected:
            came = f"{images.dtype} (n, {', '.join(map(str, images.shape[1:]))})"
            raise InputError(
                f"the model expects uint8 (n, {', '.join(map(str, expected))}), got {came}"
            )
        with torch.no_grad(), _fitting_together():
            return self._scored(self._views(torch.from_numpy(images), stopped))

    def score_inputs(self, inputs: Mapping[str, np.ndarray]) -> Scores:
        """Score images by the result of `inputs`."""
        with torch.no_grad(), _fitting_together():
            rows = {name: torch.from_numpy(values) for name, values in inputs.items()}
            n = len(next(iter(rows.values())))
            empty = torch.empty(n, 0), torch.empty(n)  # codes and errors without an autoencoder
            codes = [rows.get(name, none) for name, none in zip(CODES, empty, strict=True)]
            if self._backbone is None:
                layers = [rows[name] for name in ("features", "logits", "hidden", "maps")]
            else:
                layers = forward_pass(
                    lambda batch: layers_of(self._network, batch),
                    rows["vectors"],
                    batch_size=self._network.batch,
                    device=self._device,
                )
            return self._scored(Views(*layers, *codes))

    def _scored(self, views: Views) -> Scores:
        """Return the scores and verdicts of images from their views."""
        with torch.no_grad(), _fitting_together():
            least, nearest, probability, label = forward_pass(
                self._classified, views.features, views.logits, batch_size=ROWS, device=CPU
            )
            others = {name: x for name, x in self._detectors.items() if name != "mahalanobis"}
            scores = scores_of(others, views) | {"mahalanobis": least.numpy()}
        score, detector = self._in_force(scores)
        score = np.where(np.isfinite(score), score, LARGEST)  # a non-finite score is rejected
        distance = least.numpy() / np.float32(self.manifest.distance_limit)
        labels, rule = label.numpy(), self._rule
        return Scores(
            label=labels,
            probability=probability.numpy(),
            belongs=rule.belongs(score, labels),
            p_value=rule.p_values(score, labels),
            score=score,
            nearest=nearest.numpy(),
            distance=np.where(np.isfinite(distance), distance, LARGEST),
            detector=detector,
            features=views.features.numpy(),
        )

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the features of images (n, ch, h, w) uint8 in the form of the model: (n, d)."""
        with torch.no_grad():
            return self._views(torch.from_numpy(images)).features.numpy()

    def inputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays of images (n, ch, h, w) uint8 that `LearningData` stores."""
        with torch.no_grad():
            pixels = torch.from_numpy(images)
            if self._backbone is None:
                views = vars(self._views(pixels))
                arrays = {name: x.numpy() for name, x in views.items()}
            else:
                arrays = {"vectors": self._vectors(pixels, None).cpu().numpy()}
            codes = self._coder(pixels.to(self._device)) if self._coder else ()
        arrays = {name: x for name, x in arrays.items() if name not in CODES}
        return arrays | {name: x.cpu().numpy() for name, x in zip(CODES, codes, strict=False)}

    @property
    def backbone(self) -> Backbone | None:
        """The frozen backbone below the network, or None."""
        return self._backbone

    def detector_scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return detector -> scores (n,) of images, before they are combined."""
        with torch.no_grad():
            return scores_of(self._detectors, self._views(torch.from_numpy(images)))

    def _classified(self, features: Tensor, logits: Tensor) -> tuple[Tensor, ...]:
        """Return distance and index of the nearest class, probability and predicted class: (n,)."""
        in_thresholds = self._gaussians.distances(features) / self._gaussians.thresholds
        # The temperature is used for the probability only; detectors use the raw logits.
        probability = (logits / self.manifest.temperature).softmax(dim=1).amax(dim=1)
        return *in_thresholds.min(dim=1), probability, logits.argmax(dim=1)

    def _in_force(self, scores: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the deciding score, and the name of the detector that explains it."""
        members, deciding = self.manifest.members, self.manifest.detector
        if not members:
            return scores[deciding], np.full(len(scores[deciding]), deciding)
        surprise = np.stack([self._combination.surprises[name](scores[name]) for name in members])
        return self._combination.score(scores), np.take(members, surprise.argmax(axis=0))

    def _views(self, images: Tensor, stopped: Event | None = None) -> Views:
        """Return the inputs of the detectors, as in `belong.models.feature_extraction`."""

        def views_of(pixels: Tensor, inputs: Tensor) -> tuple[Tensor, ...]:
            _end_if(stopped)
            n = len(pixels)  # without an autoencoder, no detector uses the codes
            coded = self._coder(pixels) if self._coder else (torch.empty(n, 0), torch.empty(n))
            return *layers_of(self._network, inputs), *coded

        # The backbone has batches of its own, smaller than those of the network, which are padded.
        inputs = images if self._backbone is None else self._vectors(images, stopped)
        size, device = self._network.batch, self._device
        return Views(*forward_pass(views_of, images, inputs, batch_size=size, device=device))

    def _vectors(self, images: Tensor, stopped: Event | None) -> Tensor:
        """Return the embeddings of images, from the cache or the frozen backbone: (n, v)."""
        vectors_of, size = cast(Backbone, self._backbone).vectors, batch_for(self._device)

        def computed(inputs: Tensor) -> Tensor:
            vectors = []
            for batch in inputs.to(self._device).split(size):
                _end_if(stopped)
                vectors.append(in_full_batch(vectors_of, batch, batch_size=size).cpu())
            return torch.cat(vectors)

        return cached(computed, images.cpu(), self._cache, context=self._context)


def check_same(backbone: Backbone, weights: Mapping[str, np.ndarray], card: BackboneCard) -> None:
    """Refuse a backbone whose weights differ from those of the model.

    Raises:
        InputError: the weights differ.
    """
    arrays = backbone.arrays()
    if arrays.keys() != weights.keys() or any(
        not np.array_equal(array, weights[name]) for name, array in arrays.items()
    ):
        raise InputError(
            f"backbone {backbone.card.name}: its weights are not those of the backbone {card.name} "
            f"that the model was fitted on"
        )


@contextmanager
def _fitting_together() -> Iterator[None]:
    """Convert errors of torch and NumPy about inconsistent parts of a model to one line."""
    try:
        yield
    except InputError:
        raise
    except UNFIT as error:
        if no_memory_left(error):  # torch's RuntimeError for this says nothing about the model
            raise
        reason = " ".join(str(error).split())[:REASON]
        raise IntegrityError(
            f"the model does not fit together: {type(error).__name__}: {reason}"
        ) from error


def _check_sizes(bundle: Bundle) -> None:
    """Refuse networks that do not match their arrays, before they are built.

    Raises:
        ValueError: a network does not match its arrays.
    """
    manifest, arrays = bundle.manifest, bundle.arrays
    if manifest.shape.get("classes") != len(manifest.class_names):
        raise ValueError(
            f"it names {len(manifest.class_names)} classes, and its network has others"
        )
    card, keywords = manifest.backbone, dict[str, Any](manifest.shape)
    if card is not None and card.architecture != OWN_MODULE:
        with torch.device("meta"):
            backbone = Backbone(card, outline(card.architecture))
        if manifest.network == FROZEN:
            _check_shapes(arrays.get("backbone", {}), backbone.trunk, "backbone")
        elif manifest.network == FINE_TUNED:
            keywords["backbone"] = backbone
    with torch.device("meta"):
        network = NETWORKS[manifest.network](**keywords)
    _check_shapes(arrays["network"], network, "network")


def _check_shapes(arrays: Arrays, module: nn.Module, part: str) -> None:
    for name, weights in module.state_dict().items():
        array = arrays.get(name)
        if array is None or array.shape != tuple(weights.shape):
            raise ValueError(f"its {part} has no array {name} of shape {tuple(weights.shape)}")


def _end_if(stopped: Event | None) -> None:
    if stopped is not None and stopped.is_set():
        raise CancelledError
