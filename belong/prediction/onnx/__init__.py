"""Export a model as one ONNX graph."""
