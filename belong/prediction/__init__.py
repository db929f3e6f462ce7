"""Save and load models, predict, and write the files of predictions."""
