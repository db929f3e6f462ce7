"""A model as one ONNX graph: images in, verdicts out, without torch."""
