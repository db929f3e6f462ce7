"""From files to arrays: downloads, image folders, decoding, splits."""
