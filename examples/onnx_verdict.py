"""Verdicts with onnxruntime and Pillow alone: `python onnx_verdict.py model.onnx IMAGE...`.

For 8-bit images without transparency; `belong score` also reads and reports others.
"""

import io
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageCms, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1])
about = session.get_modelmeta().custom_metadata_map
form, names = json.loads(about["form"]), json.loads(about["class_names"])
mode, size = "L" if form["channels"] == 1 else "RGB", (form["width"], form["height"])
draft = json.loads(about["decoding"])["jpeg_draft"]
for path in sys.argv[2:]:
    file = Image.open(path)
    file.draft(None, draft)  # a JPEG is decoded at 1/2, 1/4 or 1/8 where that is enough
    content = file.info.get("icc_profile")
    image: Image.Image = ImageOps.exif_transpose(file)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(content)) if content else None
    if profile and "sRGB" not in ImageCms.getProfileDescription(profile) and image.mode != "L":
        to_srgb = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), image.mode, "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        image = to_srgb.apply(image)
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    pixels = np.asarray(ImageOps.fit(image, size, Image.Resampling.BICUBIC).convert(mode))
    wanted = ["label", "probability", "belongs", "p_value"]
    one = session.run(wanted, {"images": pixels.reshape(1, *size[::-1], form["channels"])})
    label, probability, belongs, p_value = (values[0] for values in one)
    print(path, names[label], f"{probability:.6g}", bool(belongs), f"{p_value:.6g}")
