"""Places the lesions of diabetic retinopathy in a drawn eye, by grade.

The rules are those of Wilkinson et al. (2003), "Proposed international clinical
diabetic retinopathy and diabetic macular edema disease severity scales",
Ophthalmology 110(9):1677-1682.
"""

import cv2
import numpy as np

from input_pipeline.datasets import synthetic_eye, synthetic_vessels

KINDS = ("microaneurysms", "haemorrhages", "hard_exudates", "soft_exudates")

# Severe: "more than 20 intraretinal haemorrhages in each of 4 quadrants".
_SEVERE = 21
# How often macular edema risk 0, 1, 2 is aimed at: as in IDRiD, drawn towards uniform.
_EDEMA = {2: (0.25, 0.25, 0.5), 3: (0.1, 0.15, 0.75), 4: (0.15, 0.15, 0.7)}

# A rim's ripples: cosines and sines, the amplitudes' standard deviations below.
_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=-1)
_RIPPLES = np.concatenate([f(np.outer((2, 3, 5, 8), _TURN)) for f in (np.cos, np.sin)])
_RIPPLE_SIZES = np.tile((0.10, 0.07, 0.05, 0.035), 2)


class Lesions:
    """The lesions of one eye.

    Attributes:
        layers: Opacity by kind, each a uint8 array of shape `(height, width)`, 0-255.
        new_vessels: Density of blood in abnormal vessels, likewise.
        beaded: Whether the veins are.
        signs: Names of what no layer tells.
    """

    def __init__(
        self, eye: synthetic_eye.Eye, grade: int, rng: np.random.Generator
    ) -> None:
        self.layers = {kind: np.zeros(eye.shape, np.uint8) for kind in KINDS}
        self.new_vessels = np.zeros(eye.shape, np.uint8)
        self.beaded = False
        self.signs: set[str] = set()
        self._eye = eye
        self._rng = rng
        self._foci = eye.middle + rng.uniform(-0.7, 0.7, (8, 2))  # lesions crowd here
        self._taken = np.array([[0.0, 0.0, max(eye.disc_radii)]])  # x, y, radius
        if grade == 1:
            self._microaneurysms(rng.integers(3, 13))
        elif grade == 2:
            self._moderate(grade)
        elif grade == 3:
            self._severe(grade)
        elif grade == 4:
            self._proliferative(grade)

    def _moderate(self, grade: int) -> None:
        """More than microaneurysms, less than severe."""
        rng = self._rng
        self._haemorrhages(rng.integers(4, _SEVERE - 1))
        self._microaneurysms(rng.integers(8, 35))
        self._hard_exudates(rng.choice(3, p=_EDEMA[grade]))
        self._soft_exudates(rng.integers(1, 4) if rng.random() < 0.3 else 0)

    def _severe(self, grade: int) -> None:
        """The haemorrhages of the 4-2-1 rule; its other signs join at times."""
        rng = self._rng
        for quadrant in range(4):
            self._haemorrhages(rng.integers(_SEVERE, 31), quadrant)
        self._microaneurysms(rng.integers(15, 50))
        self._hard_exudates(rng.choice(3, p=_EDEMA[grade]))
        self._soft_exudates(rng.integers(2, 7) if rng.random() < 0.6 else 0)
        if rng.random() < 0.4:
            self.beaded = True
            self.signs.add("venous_beading")
        if rng.random() < 0.3:
            self._tuft(self._room(0.06)[0], strands=9, length=0.08)
            self.signs.add("irma")

    def _proliferative(self, grade: int) -> None:
        """New vessels, blood before the retina, or both."""
        rng = self._rng
        if rng.random() < 0.4:
            self._severe(grade)
        else:
            self._moderate(grade)
        kind = rng.choice(("vessels", "blood", "both"))
        if kind != "blood":
            if rng.random() < 0.6:
                self._tuft(np.zeros(2), strands=rng.integers(35, 55), length=0.22)
            for _ in range(rng.integers(1, 3)):
                centre, _ = self._room(0.1)
                self._tuft(centre, strands=rng.integers(25, 50), length=0.15)
            self.signs.add("neovascularisation")
        if kind != "vessels":
            self._preretinal_haemorrhage()
            self.signs.add("preretinal_haemorrhage")

    def _microaneurysms(self, number: int) -> None:
        for _ in range(number):
            radius = np.clip(self._rng.lognormal(np.log(0.0052), 0.3), 0.0035, 0.009)
            centre, radius = self._room(radius)
            value = self._rng.uniform(120, 190, 1)
            self._blobs(
                "microaneurysms", centre[None], np.array([radius]), 1.0, 0.0, value
            )

    def _haemorrhages(self, number: int, quadrant: int | None = None) -> None:
        """Dots, blots and flames, on request in one quadrant about the fovea."""
        rng = self._rng
        for _ in range(number):
            radius = np.clip(rng.lognormal(np.log(0.013), 0.5), 0.008, 0.045)
            if rng.random() < 0.3:  # a flame lies among the nerve fibres
                centre, radius = self._room(1.8 * radius, quadrant)
                angle = synthetic_eye.fibre_direction(centre) + rng.normal(0, 0.15)
                spread, slim, parts = (0.5, 0.12), (0.1, 0.22), 6
            else:
                centre, radius = self._room(radius, quadrant)
                angle = rng.uniform(0, np.pi)
                spread, slim, parts = (0.3, 0.3), (0.6, 1.0), 3
            # A pale whole, darker in places.
            offsets = rng.normal(0, spread, (parts, 2)) * radius
            offsets[0] = 0
            scales = rng.uniform(0.35, 0.7, parts)
            scales[0] = 1
            self._blobs(
                "haemorrhages",
                centre + synthetic_eye.rotate(offsets, angle),
                radius * scales,
                rng.uniform(*slim, parts),
                angle,
                rng.uniform(100, 150 + 15 * np.arange(parts)),
            )

    def _hard_exudates(self, risk: int) -> None:
        """Clusters that bring a risk of macular edema; none for risk 0."""
        if risk == 0:
            return
        eye, rng = self._eye, self._rng
        for number in range(rng.integers(2, 7)):
            at_macula = risk == 2 and number == 0
            while True:
                reach = rng.uniform(0.35, 0.75) if at_macula else rng.uniform(0.5, 2.4)
                turn = rng.uniform(0, 2 * np.pi)
                offset = (
                    eye.disc_diameter * reach * np.array((np.cos(turn), np.sin(turn)))
                )
                centre = eye.fovea + offset
                clear = eye.shows(centre, 0.12) and np.hypot(*centre) > 0.3
                if clear and (risk == 2 or reach > 1.35):
                    break
            self._exudate_cluster(centre, off_macula=risk == 1)

    def _exudate_cluster(self, centre: np.ndarray, off_macula: bool) -> None:
        """Small waxy spots, as a patch or as a ring around a leaking vessel."""
        eye, rng = self._eye, self._rng
        number, size = rng.integers(15, 80), rng.uniform(0.03, 0.09)
        if rng.random() < 0.4:
            arc = rng.uniform(0, 7) + rng.uniform(0, rng.uniform(3, 6), number)
            spots = np.stack([np.cos(arc), np.sin(arc)], axis=-1) * 1.3 * size
            spots += rng.normal(0, 0.013, (number, 2))
        else:
            spots = rng.normal(0, (size, size * rng.uniform(0.4, 1)), (number, 2))
            spots = synthetic_eye.rotate(spots, rng.uniform(0, np.pi))
        radii = np.clip(rng.lognormal(np.log(0.0042), 0.5, number), 0.0025, 0.016)
        for plaque in range(rng.integers(3)):  # some spots run together
            radii[plaque] = rng.uniform(0.014, 0.032)
        radii.sort()  # the smaller ones do not cover them
        spots = centre + spots
        nearest = 1.1 * eye.disc_diameter if off_macula else 0.05
        clear = np.hypot(*(spots - eye.fovea).T) > nearest + radii
        clear &= np.hypot(*spots.T) > 0.18 + radii
        self._blobs(
            "hard_exudates",
            spots[clear],
            radii[clear],
            rng.uniform(0.6, 1, clear.sum()),
            rng.uniform(0, np.pi, clear.sum()),
            np.where(radii > 0.013, 255, rng.uniform(110, 255, number))[clear],
        )

    def _soft_exudates(self, number: int) -> None:
        """Cotton-wool spots: swollen nerve fibres, so pale and without a clear edge."""
        rng = self._rng
        for _ in range(number):
            centre, radius = self._room(rng.uniform(0.028, 0.055))
            angle = synthetic_eye.fibre_direction(centre) + rng.normal(0, 0.4)
            centres = centre + rng.normal(0, 0.35, (4, 2)) * radius
            radii = radius * rng.uniform(0.5, 0.9, 4)
            slims = rng.uniform(0.5, 0.8, 4)
            self._blobs("soft_exudates", centres, radii, slims, angle, np.full(4, 160))
        if number:
            edge = 0.009 * self._eye.radius
            self.layers["soft_exudates"] = cv2.GaussianBlur(
                self.layers["soft_exudates"], (0, 0), edge
            )

    def _tuft(self, centre: np.ndarray, strands: int, length: float) -> None:
        """Fine, looping vessels: new ones, or few and short ones as IRMA."""
        rng = self._rng
        starts = centre + rng.normal(0, 0.35 * length, (strands, 2))
        headings = rng.uniform(0, 2 * np.pi, strands)
        curl = rng.choice((-1, 1), strands) * rng.uniform(0.3, 1.7, strands)

        def steer(points: np.ndarray) -> np.ndarray:
            x, y = (points - centre).T
            return np.arctan2(y, x) + curl

        lengths = length * rng.uniform(0.5, 1.5, strands)
        paths = synthetic_vessels.walk(rng, starts, headings, lengths, steer, 0.8)
        widths = np.broadcast_to(
            rng.uniform(0.0025, 0.004, (strands, 1)), paths.shape[:2]
        )
        synthetic_vessels.paint_ribbons(
            self._eye, self.new_vessels, paths, widths, density=300
        )

    def _preretinal_haemorrhage(self) -> None:
        """Blood that settles under a level, in front of vessels: shaped as a boat."""
        rng, eye = self._rng, self._eye
        while True:
            centre = eye.middle + rng.uniform((-0.6, -0.1), (0.6, 0.6))
            if eye.shows(centre, 0.2):
                break
        turn = np.linspace(0, np.pi, 40)
        hull = np.stack([np.cos(turn), rng.uniform(0.35, 1.1) * np.sin(turn)], axis=-1)
        for wave in (1, 2, 3, 5, 7):
            hull *= 1 + rng.normal(0, 0.12 / wave) * np.sin(wave * turn)[:, None]
        level = np.linspace((-1, 0), (1, 0), 12)
        level[1:-1, 1] += rng.normal(0, 0.03, 10)
        outline = np.concatenate([hull, level]) * rng.uniform(0.1, 0.24)
        outline = centre + synthetic_eye.rotate(outline, rng.normal(0, 0.08))
        value = rng.uniform(190, 240)
        synthetic_eye.fill(self.layers["haemorrhages"], eye.pixels(outline), value)

    def _room(
        self, radius: float, quadrant: int | None = None
    ) -> tuple[np.ndarray, float]:
        """Finds a free place; a lesion that finds none shrinks until it does."""
        eye, rng = self._eye, self._rng
        gap = max(0.012, 4 / eye.radius)  # pixels, so that neighbours stay apart
        while True:
            radius = max(0.997 * radius, 0.0035)
            if rng.random() < 0.5:
                point = self._foci[rng.integers(8)] + rng.normal(0, 0.16, 2)
            else:
                point = eye.middle + rng.uniform(-1, 1, 2)
            if not eye.shows(point, 0.05 + radius):
                continue
            x, y = point - eye.fovea
            if quadrant is not None and (
                (x > 0) + 2 * (y > 0) != quadrant or min(abs(x), abs(y)) < radius + gap
            ):
                continue
            away = np.hypot(*(self._taken[:, :2] - point).T)
            if (away > self._taken[:, 2] + radius + gap).all():
                self._taken = np.vstack([self._taken, [*point, radius]])
                return point, radius

    def _blobs(
        self,
        kind: str,
        centres: np.ndarray,
        radii: np.ndarray,
        slims: np.ndarray | float,
        angles: np.ndarray | float,
        values: np.ndarray,
    ) -> None:
        """Fills n ellipses with uneven rims, a later one over an earlier one."""
        eye, number = self._eye, len(radii)
        radii = np.maximum(radii, 0.9 / eye.radius)  # covers a pixel
        uneven = self._rng.normal(0, _RIPPLE_SIZES, (number, len(_RIPPLE_SIZES)))
        radii = radii[:, None] * (1 + uneven @ _RIPPLES)
        outlines = radii[..., None] * _CIRCLE
        outlines[..., 1] *= np.broadcast_to(slims, number)[:, None]
        angles = np.broadcast_to(angles, number)[:, None]
        outlines = centres[:, None] + synthetic_eye.rotate(outlines, angles)
        for outline, value in zip(eye.pixels(outlines), values, strict=True):
            synthetic_eye.fill(self.layers[kind], outline, value)
