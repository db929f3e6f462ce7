"""Read files into arrays: downloads, image folders, decoding, splits."""
