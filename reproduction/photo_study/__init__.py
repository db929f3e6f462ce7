"""Repeat paper A's photo experiments with CIFAR-10 and EfficientNet-Lite0."""
