"""The programs of the pipeline: files in, files out, one for each stage of dvc.yaml."""
