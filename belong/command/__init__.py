"""The command `belong`: a folder of images in, a verdict for each image out."""
