"""Find problems in a folder of images before training: `belong check`."""
