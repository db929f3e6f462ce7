"""Define the cells of the study: parts of CIFAR-10, full-size photos, lambdas and seeds.

Clothes were chosen as the full-size photos before any result, because of their license.
"""

# Part -> its classes. The anomalies of a part are the next part; no training of it sees the third.
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
