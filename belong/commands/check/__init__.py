"""`belong check`: examine a folder of images before training."""
