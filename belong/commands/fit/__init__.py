"""`belong fit`: train a model on a folder of images."""
