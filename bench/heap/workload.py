# SPDX-License-Identifier: BSD-2-Clause
"""What the Python of the trace does: it parses, sorts, joins, counts and serialises."""

import ast
import collections
import json
import re


def tree(depth):
    return {"depth": depth, "text": "x" * depth * 3,
            "children": [tree(depth - 1) for _ in range(3)] if depth else []}


def main():
    whole = tree(7)
    for _ in range(3):
        whole = json.loads(json.dumps(whole))
    source = "\n".join(f"def f{n}(a, b=({n}, 'k')):\n    return [a + b[0] * i for i in range(a)]"
                       for n in range(400))
    names = collections.Counter(type(node).__name__ for node in ast.walk(ast.parse(source)))
    words = re.findall(r"\w+", source * 3)
    index = collections.defaultdict(list)
    for place, word in enumerate(words):
        index[word].append(place)
    lines = [",".join(map(str, row)) for row in zip(range(20000), range(20000, 0, -1))]
    lines.sort(key=lambda line: line[::-1])
    text = ""
    for line in lines[:4000]:
        text += line
    print(len(names), len(index), len(text))


main()
