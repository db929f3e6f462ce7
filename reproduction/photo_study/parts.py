"""The cells of the study: parts of CIFAR-10's classes, lambdas and seeds."""

# Part -> its classes; each part has the next one as its anomalies, and the third is seen by no
# training.
PARTS = {
    "a": ("airplane", "automobile", "bird", "cat"),
    "b": ("deer", "dog", "frog"),
    "c": ("horse", "ship", "truck"),
}
ANOMALIES = {"a": "b", "b": "c", "c": "a"}
THIRD = {"a": "c", "b": "a", "c": "b"}
LAMBDAS = (0.0, 0.001, 0.01, 0.1, 1.0)  # the paper's
SEEDS = {"frozen": 5, "fine-tuned": 3}
