"""Whether files are still, byte for byte, what was made: the outputs of the pipeline, a model."""
