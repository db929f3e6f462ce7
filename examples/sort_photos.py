"""Sort photos into folders, by class and by whether they belong.

    python examples/sort_photos.py models/ours photos/new sorted

Photos that belong go to `sorted/CLASS`; the others go to `sorted/_other`, and photos that cannot be
read to `sorted/_unreadable`. The photos are copied; nothing in `photos/new` is changed.
"""

import shutil
import sys
from pathlib import Path

import belong

model_folder, photos, output = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])

predictions = belong.load_model(model_folder).predict(photos)
for prediction in predictions:
    if not prediction.label:
        folder = output / "_unreadable"
    elif prediction.belongs:
        folder = output / prediction.label
    else:
        folder = output / "_other"
    target = folder / prediction.path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(photos / prediction.path, target)
    print(f"{prediction.path}: {prediction.reason}")
