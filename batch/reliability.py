"""The reliability curve of a classifier's chances as a picture (SVG, no library needed)."""

from neardup.models.calibration import Reliability

SIDE, MARGIN = 320, 44


def reliability_svg(found: Reliability) -> str:
    """Chance against share of true pairs, one dot for each bin of as many pairs; the diagonal
    is what can be believed to the letter."""
    dots = [(_x(c), _y(t)) for c, t in zip(found.chance.tolist(), found.true.tolist(), strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
    circles = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1a6"/>' for x, y in dots)
    ticks = "".join(_tick(value / 4) for value in range(5))
    whole = SIDE + 2 * MARGIN
    title = f"expected calibration error {found.expected_error:.4f}, {found.pairs.sum():,} pairs"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{whole}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{whole}" height="{whole}" fill="white"/>'
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{SIDE}" height="{SIDE}" fill="none" '
        'stroke="#999"/>'
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#999" '
        'stroke-dasharray="4"/>'
        f'<polyline points="{line}" fill="none" stroke="#1a6"/>{circles}{ticks}'
        f'<text x="{whole / 2}" y="24" text-anchor="middle">{title}</text>'
        f'<text x="{whole / 2}" y="{whole - 6}" text-anchor="middle">probability given</text>'
        f'<text x="12" y="{whole / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {whole / 2})">share of true pairs</text></svg>\n'
    )


def _x(value: float) -> float:
    return MARGIN + SIDE * value


def _y(value: float) -> float:
    return MARGIN + SIDE * (1 - value)


def _tick(value: float) -> str:
    return (
        f'<text x="{_x(value)}" y="{_y(0) + 16}" text-anchor="middle">{value:g}</text>'
        f'<text x="{_x(0) - 6}" y="{_y(value) + 4}" text-anchor="end">{value:g}</text>'
    )
