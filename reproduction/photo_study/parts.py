"""The parts of CIFAR-10's classes."""

# Part -> its classes; each part has the next one as its anomalies, and the third is seen by no
# training.
PARTS = {
    "a": ("airplane", "automobile", "bird", "cat"),
    "b": ("deer", "dog", "frog"),
    "c": ("horse", "ship", "truck"),
}
ANOMALIES = {"a": "b", "b": "c", "c": "a"}
THIRD = {"a": "c", "b": "a", "c": "b"}
