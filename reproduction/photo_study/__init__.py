"""Paper A's photo half on photos that anyone can get: CIFAR-10 with EfficientNet-Lite0."""
