"""Whether few images keep the promise: 100 draws of 20 photos of 5 classes, and of 12 of 2."""
