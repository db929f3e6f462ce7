"""The plane of the features, against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from belong.evaluation.pca import plane, thinned

RNG = np.random.default_rng(0)
NORMAL, ANOMALY = RNG.normal(size=(30, 5)) * [5, 3, 1, 1, 1], RNG.normal(size=(20, 5)) + 4
CENTROIDS = np.stack((NORMAL[:15].mean(axis=0), NORMAL[15:].mean(axis=0)))


def test_the_axes_are_the_first_two_principal_components_of_all_test_images() -> None:
    projection = plane({"normal": NORMAL, "anomaly": ANOMALY}, CENTROIDS, ["a", "b"])
    pca = PCA(2, svd_solver="full").fit(np.concatenate((NORMAL, ANOMALY)))
    for kind, vectors in (("normal", NORMAL), ("anomaly", ANOMALY), ("centroid", CENTROIDS)):
        rows = projection.points[projection.points["kind"] == kind]
        expected = pca.transform(vectors)
        # A component has no sign.
        np.testing.assert_allclose(np.abs(rows[["x", "y"]]), np.abs(expected), atol=1e-8)
    assert projection.shares == pytest.approx(tuple(pca.explained_variance_ratio_))


def test_normal_images_and_anomalies_come_in_turn() -> None:
    points = plane({"normal": NORMAL, "anomaly": ANOMALY}, CENTROIDS, ["a", "b"]).points
    assert (points["kind"][:25] == "anomaly").sum() == pytest.approx(10, abs=1)


def test_a_centroid_carries_the_name_of_its_class() -> None:
    points = plane({"normal": NORMAL}, CENTROIDS, ["a", "b"]).points
    assert points.loc[points["kind"] == "centroid", "class_name"].tolist() == ["a", "b"]


@pytest.mark.parametrize("most", [1, 10, 25, 50, 1000])
def test_thinning_keeps_every_centroid_and_the_share_of_both_kinds(most: int) -> None:
    points = plane({"normal": NORMAL, "anomaly": ANOMALY}, CENTROIDS, ["a", "b"]).points
    counts = thinned(points, most=most)["kind"].value_counts()
    assert counts["centroid"] == 2
    assert counts["normal"] / counts["anomaly"] == pytest.approx(30 / 20, rel=0.5)
    assert counts["normal"] + counts["anomaly"] == pytest.approx(min(most, 50), abs=1)
