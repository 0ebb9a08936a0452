#!/usr/bin/env python3
"""Writes src/token/classes.inc: which code points are letters, marks, numbers and white space, as ranges.

The version of Unicode must be the one tiktoken's regular expressions know, or the pieces differ: 16.0.
PyPI's unicodedata2==16.0.0 has it; Python's own unicodedata does only if it is that version, too.

    python3 tools/unicode_classes.py > src/token/classes.inc
"""

import sys

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

VERSION = "16.0.0"
# White_Space of PropList.txt: stable since Unicode 6.3, and not among what unicodedata tells.
SPACE = {0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, *range(0x09, 0x0E), *range(0x2000, 0x200B)}
CLASSES = {"Lu": "upper", "Lt": "upper", "Ll": "lower", "Lm": "letter", "Lo": "letter", "M": "mark", "N": "number"}


def class_of(point):
    category = unicodedata.category(chr(point))
    if point in SPACE:
        return "space"
    return CLASSES.get(category) or CLASSES.get(category[0])


def ranges():
    first = 0
    for point in range(1, 0x110001):
        if point == 0x110000 or class_of(point) != class_of(first):
            if class_of(first):
                yield first, point - 1, class_of(first)
            first = point


if unicodedata.unidata_version != VERSION:
    sys.exit(f"this knows Unicode {unicodedata.unidata_version}; {VERSION} is needed: pip install unicodedata2=={VERSION}")
entries = [f"{{{first:#x}, {last:#x}, {kind}}}," for first, last, kind in ranges()]
print(f"// Unicode {VERSION}, written by tools/unicode_classes.py.")
line = ""
for entry in entries:
    if len(line) + len(entry) > 118:
        print(line)
        line = ""
    line += (" " if line else "") + entry
print(line)
