"""Compute the distance to the k-th nearest of many vectors."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from belong.detectors.knn_search import Neighbors
from benchmarks import matrix_rate
from benchmarks.agreement import relative
from benchmarks.contract import Peer, Race, Setting
from benchmarks.rows.mahalanobis import features_of_classes


def knn(setting: Setting, *, d: int, k: int) -> Race:
    """Queries against reference vectors, both of the same classes.

    Each program gets the bare arrays; the time includes its own preparation.
    """
    m, n = setting.size(10_000, 200), setting.size(60_000, 800)
    both, _ = features_of_classes(m + n, d)
    queries, reference = both[:m].contiguous(), both[m:].contiguous()
    x, y = queries.numpy(), reference.numpy()

    def scikit_learn(_: int) -> np.ndarray:
        nearest = NearestNeighbors(n_neighbors=k, algorithm="brute", n_jobs=setting.threads).fit(y)
        distances: np.ndarray = nearest.kneighbors(x)[0]
        return distances[:, -1]

    def pyod(_: int) -> np.ndarray:
        from pyod.models.knn import KNN

        model = KNN(n_neighbors=k, n_jobs=setting.threads)
        # Its own `fit` would also score all reference vectors, which nobody else here does.
        model.neigh_.fit(y)
        model.decision_scores_ = model.threshold_ = model.labels_ = np.empty(0)
        scores: np.ndarray = model.decision_function(x)
        return scores

    def faiss(_: int) -> np.ndarray:
        import faiss as library

        library.omp_set_num_threads(setting.threads)
        index = library.IndexFlatL2(d)
        index.add(y)
        squares, _ids = index.search(x, k)
        distances: np.ndarray = np.sqrt(squares[:, -1])
        return distances

    return Race(
        what=f"distance to neighbor {k}, {m:,} x {n:,} x {d}",
        ours=lambda _: Neighbors(reference).kth_distance(queries, k=k).numpy(),
        peers={
            "scikit-learn": Peer(scikit_learn, relative(1e-5), bar=0.5),
            "pyod": Peer(pyod, relative(1e-5), package="pyod"),
            "faiss-cpu": Peer(faiss, relative(1e-5), bar=1.0, package="faiss"),
        },
        limit=matrix_rate.limit(2 * m * n * d),
    )
