"""`python -m tests.mutants [deciders|services] [part of a name]`: both without a name. Fails if a mutant survives.

The first run of all deciders takes 20 minutes of processor time; a later one runs only what has changed since.
"""

import sys

from tests.mutants import made_by_hand, made_by_mutmut


def main(kind: str = "", part: str = "") -> int:
    is_well = True
    if kind in {"", "services"}:
        survivors = made_by_hand.survivors(part)
        is_well &= not survivors
    if kind in {"", "deciders"}:
        made_by_mutmut.run([f"*{part}*"] if part else [])
        is_well &= made_by_mutmut.report(list(made_by_mutmut.results()))
    return 0 if is_well else 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
