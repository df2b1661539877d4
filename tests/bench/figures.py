"""How long each figure takes: the scene and its graph, the DOT text, and Graphviz' layout.

    python -m tests.bench.figures [--rounds 5] [F5 ...]

Prints a table, the minimum of some rounds in milliseconds; asserts nothing. The aim: drawn in process in under 150 ms.
"""

import argparse
import time

from vfslab.teach.figures import FIGURES, draw
from vfslab.viz.dot import to_dot
from vfslab.viz.render import NoEngine, to_svg

AIM = 150


def clock(act, rounds):
    """Return (the least time in ms, the last result)."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        result = act()
        best = min(best, (time.perf_counter() - began) * 1000)
    return best, result


def laid_out(dot):
    """Return the SVG, or nothing where there is no Graphviz."""
    try:
        return to_svg(dot)
    except NoEngine:
        return ""


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("names", nargs="*", default=list(FIGURES))
    choice = parser.parse_args()
    print(f"{'':4} {'boxes':>6} {'graph ms':>9} {'DOT ms':>7} {'SVG ms':>7} {'all ms':>7}")
    for name in choice.names:
        drawing, graph = clock(lambda name=name: draw(name), choice.rounds)
        writing, dot = clock(lambda graph=graph: to_dot(graph), choice.rounds)
        layout, svg = clock(lambda dot=dot: laid_out(dot), choice.rounds)
        total = drawing + writing + (layout if svg else 0)
        over = f"  over {AIM}" if total > AIM else ""
        shown = f"{layout:7.0f}" if svg else f"{'-':>7}"
        print(f"{name:4} {len(graph.boxes):6} {drawing:9.0f} {writing:7.1f} {shown} {total:7.0f}{over}")


if __name__ == "__main__":
    main()
