"""Why an image belongs or does not, in one plain sentence."""

# What is odd about an image of which a detector is the most surprised.
ODD = {
    "mahalanobis": "its features are far from those of every class",
    "mahalanobis_min": "its features are far from those of every class",
    "mlp_head": "it is like the anomalies that the model has seen",
    "reconstruction": "it cannot be redrawn from what training images have in common",
    "code_knn": "no training image looks much like it",
    "code_iforest": "its code lies apart from those of training images",
    "active_nodes": "it sets off nodes of the network that no class sets off together",
    "msp": "the classifier wavers between classes",
    "max_logit": "the classifier recognizes no class in it",
    "energy": "the classifier recognizes no class in it",
    "mahalanobis_tied": "its features are far from those of every class",
    "relative_mahalanobis": "its features are far from those of every class",
    "feature_knn": "no training image has features like its own",
    "vim": "its features have a part that no class has",
    "mahalanobis_maps": "its edges and textures are unlike those of every class",
    "mahalanobis_hidden": "its parts are unlike those of every class",
    "mahalanobis_layers": "its layers are unlike those of every class",
}


def reason(
    *,
    belongs: bool,
    p_value: float,
    detector: str,
    name: str,
    nearest: str,
    distance: float,
    frames: int = 1,
) -> str:
    """Return the sentence.

    Args:
        belongs: the verdict.
        p_value: the share of the held-out images that are at least as unusual.
        detector: that decided, see `belong.prediction.predictions.Scores`.
        name: the predicted class.
        nearest: the nearest class.
        distance: to it, in its thresholds.
        frames: in the file, whose first one this is.
    """
    which = f"; the first of {frames} frames" if frames > 1 else ""
    share = f"{_percent(p_value)} of the images that belong are at least as unusual"
    if belongs:
        return f"like {name}; {share}{which}"
    where = f"{distance:.2g} thresholds from the nearest class, {nearest}"
    return f"{ODD[detector]}; {share}; {where}{which}"


def _percent(share: float) -> str:
    """Return a share in percent; of a small one, that it is small."""
    return "less than 0.1 %" if share < 0.001 else f"{share * 100:.3g} %"
