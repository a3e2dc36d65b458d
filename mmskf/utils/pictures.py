"""Visualizations: input and result side by side, and the semantic map with its legend."""
import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

OPACITY = 0.5
GOLDEN_RATIO = 0.61803398875


def side_by_side(image: np.ndarray, enhanced: np.ndarray) -> np.ndarray:
    """A photo and its enhanced version, uint8 (H, W, 3) each -> (H, 2 W + gap, 3), with a white gap."""
    gap = np.full((image.shape[0], max(2, image.shape[1] // 100), 3), 255, np.uint8)
    return np.concatenate([image, gap, enhanced], axis=1)


def class_colors(count: int) -> list[tuple[int, int, int]]:
    """Colors of classes: consecutive ones are far apart on the color wheel."""
    colors = []
    for index in range(count):
        red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN_RATIO % 1, (0.85, 0.55)[index % 2], (1., 0.8, 0.9)[index % 3])
        colors.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colors


def semantic_overlay(image: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """A photo overlaid with the colors of its semantic map, with a legend of the classes that occur.

    Args:
        image (np.ndarray): uint8 (H, W, 3), RGB.
        labels (np.ndarray): Label map (H, W), integers.
        classes (Sequence[str]): Their names.

    Returns:
        np.ndarray: uint8 (H + legend, W, 3), RGB; the most frequent class comes first.
    """
    colors = np.array(class_colors(len(classes)), np.uint8)
    # A dark photo would be invisible under the colors: it is brightened to half of the range.
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = 128 / max(float(np.mean(gray)), 1.)
    base = cv2.convertScaleAbs(gray, alpha=max(scale, 1.))
    picture = cv2.addWeighted(cv2.cvtColor(base, cv2.COLOR_GRAY2RGB), 1 - OPACITY, colors[labels], OPACITY, 0)
    counts = np.bincount(labels.ravel(), minlength=len(classes))
    shown = [int(index) for index in np.argsort(-counts, kind='stable') if counts[index]]
    return np.concatenate([picture, _legend(picture.shape[1], [(classes[index], colors[index]) for index in shown],
                                            [counts[index] / labels.size for index in shown])])


def _legend(width: int, entries: Sequence[tuple[str, np.ndarray]], shares: Sequence[float]) -> np.ndarray:
    """Colored squares with the names and shares of classes, in as many rows as needed."""
    size = max(12, width // 45)
    font = ImageFont.load_default(size)
    texts = [f'{name} {share:.0%}' if share >= 0.01 else f'{name} <1%' for (name, _), share in zip(entries, shares)]
    row_height, places, x, row = size * 3 // 2, [], 0, 0
    for text in texts:
        length = round(font.getlength(text)) + 2 * size + size // 2
        if x and x + length > width:
            x, row = 0, row + 1
        places.append((x, row * row_height))
        x += length
    legend = Image.new('RGB', (width, (row + 1) * row_height), 'white')
    draw = ImageDraw.Draw(legend)
    for (x, y), text, (_, color) in zip(places, texts, entries):
        draw.rectangle((x + size // 4, y + size // 4, x + size * 5 // 4, y + size * 5 // 4), fill=tuple(map(int, color)))
        draw.text((x + size * 3 // 2, y + row_height // 2), text, fill='black', font=font, anchor='lm')
    return np.asarray(legend)
