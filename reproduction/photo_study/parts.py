"""Define the cells of the study: parts of CIFAR-10, full-size photos, lambdas and seeds.

Photos of clothes were taken for the full-size ones before any result, for their license.
"""

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
SEEDS = {"frozen": 5, "fine-tuned": 3, "full-size": 5}

# The full-size photos: a folder for each of three kinds of clothes, other clothes, and groceries.
NORMAL, NEAR, FAR = "normal", "near", "far"
CLOTHES = ("Longsleeve", "Pants", "T-Shirt")
FULL_SIZE = "clothing"  # the name in the tables
