"""Score every image with every detector, and set the thresholds on held-out normal images.

Reads   manifest    csv: the source of each image
        features    safetensors: the views and labels of every part
        gaussians   safetensors: the fitted Gaussians
        head        safetensors: the supervised head; about: `missing`, the reason for its absence
        detectors   safetensors: all other fitted detectors; about: the candidates of `combined`
Writes  verdicts    csv: for each test image and detector: score, p-value, belongs
        scores      safetensors: `PART/DETECTOR` (n,) float32, `PART/predicted` and
                    `PART/labels` (n,) int64; about: the class names; for each detector its
                    calibrated threshold, the threshold of its paper if there is one, and the
                    threshold in force; the candidates of `combined`; the missing detectors with
                    the reasons
"""

from pathlib import Path

from belong.detectors.combination import candidates_of, rule_of
from belong.detectors.combined import Member
from belong.detectors.score_parts import FITTED, score_parts, verdict_table
from belong.models import device
from belong.models.network_choice import is_frozen
from belong.parameters import Parameters
from belong.runtime.storage import (
    load_about,
    load_arrays,
    load_csv,
    names_in,
    save_arrays,
    save_csv,
)
from stages.runner import run


def main(
    params: Path,
    manifest: Path,
    features: Path,
    gaussians: Path,
    head: Path,
    detectors: Path,
    verdicts: Path,
    scores: Path,
) -> None:
    """Score the images, set the thresholds, and decide."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads, values.math)
    keys = [name for name in names_in(features) if not name.startswith(f"{FITTED}/")]
    members = load_about(detectors, "members")["members"]
    frozen = is_frozen(values.network, values.backbone)
    candidates = candidates_of(values.combined.members, is_frozen=frozen)
    arrays, about = score_parts(
        load_arrays(features, *keys),
        load_about(features, "class_names")["class_names"],
        gaussians=load_arrays(gaussians),
        head=load_arrays(head),
        detectors=load_arrays(detectors),
        why_no_head=load_about(head).get("missing"),
        members={name: Member(**members[name]) for name in candidates},
        tail=values.combined.tail,
        rule=rule_of(is_frozen=frozen),
        calibration=values.calibration,
    )
    rows = load_csv(manifest, "part", "class_name", "source", as_text=True)
    save_csv(verdicts, verdict_table(arrays, about, rows))
    save_arrays(scores, arrays, about)


if __name__ == "__main__":
    run(main)
