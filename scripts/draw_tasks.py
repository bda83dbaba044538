"""Draw the picture of every native task for the documentation: python scripts/draw_tasks.py

Four moments of an episode with random actions, side by side. Small files: few colours.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from metaenvs import tasks
from metaenvs.rendering import animation, scenes
from metaenvs.rendering.frames import Picture

FOLDER = Path(__file__).parent.parent / "docs" / "images" / "tasks"
MOMENTS, STEPS, COLOURS, WIDTH = 4, 120, 64, 880


def contact_sheet(name: str) -> Image.Image:
    rollout = animation.roll_out(name, steps=STEPS, seed=1)
    picture = Picture(rollout.task, rollout.params)
    moments = list(rollout.moments(every=STEPS // (MOMENTS - 1)))[:MOMENTS]
    sheet = Image.fromarray(np.concatenate([picture.draw(m) for m in moments], axis=1))
    sheet = sheet.resize((WIDTH, round(sheet.height * WIDTH / sheet.width)), Image.LANCZOS)
    return sheet.quantize(COLOURS, dither=Image.Dither.NONE)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in tasks.task_names:
        if name in scenes.drawable():
            contact_sheet(name).save(FOLDER / f"{name}.png", optimize=True)
            print(f"drew {name}")


if __name__ == "__main__":
    main()
