# SPDX-License-Identifier: Apache-2.0
"""As much of SVG as the plots need: elements, a canvas with a title, scales and their ticks.

Colours are CSS classes, so that one plot serves light, dark and paper."""

import itertools
import math
from html import escape

serial_number = itertools.count(1)


def element(name, content="", **attributes):
    """`content` is markup; attributes have _ for -, and a _ at the end where Python needs it."""
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
                   for key, value in attributes.items() if value is not None)
    return f"<{name}{said}>{content}</{name}>" if content else f"<{name}{said}/>"


def place(value):
    return f"{value:.1f}".removesuffix(".0")


class Canvas:
    """A plot under construction. Title and description are what a screen reader says of it."""

    def __init__(self, width, height, title, description):
        self.width, self.height = width, height
        self.title, self.description = title, description
        self.parts = []

    def add(self, name, content="", **attributes):
        for key, value in attributes.items():
            if isinstance(value, float):
                attributes[key] = place(value)
        self.parts.append(element(name, content, **attributes))

    def text(self, x, y, words, class_="", anchor="start", **more):
        self.add("text", escape(words), x=float(x), y=float(y), class_=class_ or None,
                 text_anchor=None if anchor == "start" else anchor, **more)

    def line(self, x1, y1, x2, y2, class_, content=""):
        self.add("line", content, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2),
                 class_=class_)

    def rect(self, x, y, width, height, class_, content="", **more):
        self.add("rect", content, x=float(x), y=float(y), width=float(max(width, 0)),
                 height=float(max(height, 0)), class_=class_, **more)

    def path(self, points, class_, content=""):
        steps = " L".join(f"{place(x)} {place(y)}" for x, y in points)
        self.add("path", content, d=f"M{steps}", class_=class_)

    def mark(self, shape, x, y, class_, note="", size=4.0):
        """One of four shapes, so that series differ without colours, too."""
        content = element("title", escape(note)) if note else ""
        if shape == 0:
            self.add("circle", content, cx=float(x), cy=float(y), r=size, class_=class_)
        elif shape == 1:
            half = size * 0.9
            self.rect(x - half, y - half, 2 * half, 2 * half, class_, content)
        else:
            corners = {2: ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
                       3: ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0))}[shape]
            steps = " L".join(f"{place(x + size * a)} {place(y + size * b)}" for a, b in corners)
            self.add("path", content, d=f"M{steps} Z", class_=class_)

    def render(self):
        number = next(serial_number)
        head = (f'<title id="t{number}">{escape(self.title)}</title>'
                f'<desc id="d{number}">{escape(self.description)}</desc>')
        return (f'<svg role="img" aria-labelledby="t{number} d{number}" '
                f'viewBox="0 0 {place(self.width)} {place(self.height)}">{head}'
                + "".join(self.parts) + "</svg>")


class Linear:
    def __init__(self, low, high, start, end):
        self.low, self.high = low, high if high > low else low + 1
        self.start, self.end = start, end

    def __call__(self, value):
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, wanted=5):
        """Round values inside the range: 1, 2 or 5 times a power of ten apart."""
        raw = (self.high - self.low) / wanted
        power = 10 ** math.floor(math.log10(raw))
        step = next(power * each for each in (1, 2, 5, 10) if power * each >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(n * step, 12) for n in range(first, last + 1)]


class Logarithmic:
    def __init__(self, low, high, start, end, base=10):
        self.base = base
        self.low = base ** math.floor(math.log(low, base) + 1e-9)
        self.high = base ** math.ceil(math.log(high, base) - 1e-9)
        if self.high <= self.low:
            self.high = self.low * base
        self.inner = Linear(math.log(self.low, base), math.log(self.high, base), start, end)

    def __call__(self, value):
        return self.inner(math.log(value, self.base))

    def ticks(self, wanted=8):
        first, last = round(self.inner.low), round(self.inner.high)
        step = max(1, math.ceil((last - first) / wanted))
        return [self.base ** n for n in range(first, last + 1, step)]


class Places:
    """Words side by side, at equal distances."""

    def __init__(self, words, start, end):
        self.words = list(words)
        self.width = (end - start) / max(len(self.words), 1)
        self.start = start

    def __call__(self, word):
        return self.start + (self.words.index(word) + 0.5) * self.width

    def ticks(self, wanted=0):
        return self.words


class Nines:
    """Shares on an axis that gives each further nine (90 %, 99 %, 99.9 %) the same room."""

    def __init__(self, most, start, end):
        self.most = most
        self.inner = Linear(0, -math.log10(1 - most), start, end)

    def __call__(self, share):
        return self.inner(-math.log10(1 - min(share, self.most)))

    def ticks(self, wanted=0):
        return [each for each in (0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
                if each <= self.most + 1e-12]


def short(value):
    """An axis label: 20k, 1.5M, 0.5."""
    if isinstance(value, str):
        return value
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def power_of_two(value):
    """2^10 where the value is one from 1,024 up."""
    exponent = math.log2(value) if value > 0 else 0.5
    if exponent >= 10 and exponent == round(exponent):
        return f"2^{round(exponent)}"
    return short(value)
