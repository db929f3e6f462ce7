"""Verdicts with onnxruntime and Pillow alone: `python onnx_verdict.py model.onnx IMAGE...`.

For 8-bit images without transparency; `belong score` also turns, converts and reports others.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1])
about = session.get_modelmeta().custom_metadata_map
form, names = json.loads(about["form"]), json.loads(about["class_names"])
mode, size = "L" if form["channels"] == 1 else "RGB", (form["width"], form["height"])
for path in sys.argv[2:]:
    image = ImageOps.exif_transpose(Image.open(path))
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    pixels = np.asarray(ImageOps.fit(image, size, Image.Resampling.BICUBIC).convert(mode))
    wanted = ["label", "probability", "belongs", "p_value"]
    one = session.run(wanted, {"images": pixels.reshape(1, *size[::-1], form["channels"])})
    label, probability, belongs, p_value = (values[0] for values in one)
    print(path, names[label], f"{probability:.6g}", bool(belongs), f"{p_value:.6g}")
