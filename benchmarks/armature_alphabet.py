"""A picture of the signer spelling: the letters of American fingerspelling, each from a real capture.

python benchmarks/armature_alphabet.py --out docs/images/signer_alphabet.jpg

Needs the extras `blender`, `train` (the lexicon of spoken-to-signed) and `preview`.
"""
from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path

import numpy as np
import spoken_to_signed
from PIL import Image, ImageDraw

os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp())

LEXICON = Path(spoken_to_signed.__file__).parent / "assets" / "fingerspelling_lexicon"
SIZE, COLUMNS = 200, 9
CROP = (.13, .17, .57, .61)  # of the picture: head and right hand


def main() -> None:
    """Render, and put together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the picture to write")
    parser.add_argument("--letters", default="ABCDEFGHIJKLMNOPQRSTUVWXYZ", help="which letters (all)")
    parser.add_argument("--mode", default="anatomical", choices=("anatomical", "follow"))
    args = parser.parse_args()
    files = letters(args.letters)
    with tempfile.TemporaryDirectory() as folder:
        pictures = render(files, Path(folder), args.mode)
        sheet(pictures).save(args.out, quality=85)
    os._exit(0)  # bpy may crash when Python ends


def letters(wanted: str) -> dict[str, Path]:
    """Letter to file."""
    with (LEXICON / "index.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["signed_language"] == "ase" and row["words"] in set(wanted)]
    return {row["words"]: LEXICON / row["path"] for row in sorted(rows, key=lambda row: row["words"])}


def render(files: dict[str, Path], folder: Path, mode: str) -> dict[str, Image.Image]:
    """Letter to picture: the middle of each take."""
    import bpy

    import blender_addon

    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 16, False
    scene.render.resolution_x = scene.render.resolution_y = round(SIZE / (CROP[2] - CROP[0]))
    scene.render.use_persistent_data = True
    scene.pose_diffusion.mode = mode
    bpy.ops.pose_diffusion.create_signer()
    bpy.ops.pose_diffusion.create_studio()
    pictures = {}
    for letter, path in files.items():
        bpy.ops.pose_diffusion.import_pose(filepath=str(path))
        action = bpy.context.view_layer.objects.active.animation_data.action
        scene.frame_set(round(np.mean(action.frame_range)))
        scene.render.filepath = str(folder / f"{letter}.png")
        bpy.ops.render.render(write_still=True)
        picture = Image.open(scene.render.filepath).convert("RGB")
        pictures[letter] = picture.crop([round(c * picture.width) for c in CROP]).resize((SIZE, SIZE))
    return pictures


def sheet(pictures: dict[str, Image.Image]) -> Image.Image:
    """All in one."""
    rows = -(-len(pictures) // COLUMNS)
    out = Image.new("RGB", (min(COLUMNS, len(pictures)) * SIZE, rows * SIZE), "white")
    for i, (letter, picture) in enumerate(pictures.items()):
        ImageDraw.Draw(picture).text((8, 4), letter, fill="black", font_size=28)
        out.paste(picture, (i % COLUMNS * SIZE, i // COLUMNS * SIZE))
    return out


if __name__ == "__main__":
    main()
