"""Replays recorded exchanges with an EvalHub server 1.0.2 against Assay and prints every difference.

`.venv/bin/python tools/replay_transcripts.py TRANSCRIPTS.md [--unexplained]`. The record is not part of this project. The
status is 1 if a difference has no known reason (`tools/transcripts/reasons.py`, `docs/evalhub-compatibility.md`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from transcripts import gallery, normal, parsing, reasons
from transcripts.playing import Player
from transcripts.serving import serving

SECTIONS = (*range(1, 9), 11, 13, 14)
"""Sections of exchanges that a server can be asked; the others show files, programs and Kubernetes."""

NEEDS_CLUSTER = (
    "create job in cluster mode",
    "the job then is failed",
    "another user of the same tenant",
    "logs when the cluster cannot be reached",
)
"""How the titles begin of exchanges about a job that a cluster was to run."""

EQUAL, KNOWN, UNEXPLAINED = "equal", "different, reason known", "unexplained"

Case = parsing.Exchange | parsing.Row


def main() -> int:
    """Replay the record; return the exit status."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("record", type=Path, help="a Markdown file of recorded exchanges")
    options.add_argument("--unexplained", action="store_true", help="print only differences without a known reason")
    given = options.parse_args()
    counts: Counter[tuple[int, str]] = Counter()
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="replay-") as folder, serving(Path(folder)) as server:
        for section, case, theirs, ours in _played(given.record.read_text(encoding="utf-8"), Player(server)):
            shown = normal.difference(theirs, ours)
            found = reasons.explain(case, theirs, ours)
            outcome = UNEXPLAINED if normal.difference(theirs, ours) else KNOWN if shown else EQUAL
            counts[section, outcome] += 1
            seen.update(reason.ref for reason in found)
            if outcome == UNEXPLAINED or (shown and not given.unexplained):
                told = f"{case.table}: {case.change}" if isinstance(case, parsing.Row) else case.title
                why = "".join(f"\n  {reason.ref}: {reason.why}" for reason in found)
                _tell(f"section {section}, {told}\n{outcome}{why}\n{shown}\n")
    _summary(counts, seen)
    return 1 if any(count for (_, outcome), count in counts.items() if outcome == UNEXPLAINED) else 0


def _played(text: str, player: Player) -> Iterator[tuple[int, Case, normal.Answer, normal.Answer]]:
    wanted = (
        exchange
        for exchange in parsing.exchanges(text)
        if exchange.section in SECTIONS and not exchange.title.startswith(NEEDS_CLUSTER)
    )
    for section, exchanges in groupby(wanted, key=lambda exchange: exchange.section):
        player.begin(section)
        for exchange in exchanges:
            yield section, exchange, *player.play(exchange)
    tables = gallery.Gallery(player)
    for row in parsing.rows(text):
        yield gallery.SECTION, row, *tables.play(row)


def _summary(counts: Counter[tuple[int, str]], seen: Counter[str]) -> None:
    outcomes = (EQUAL, KNOWN, UNEXPLAINED)
    _tell("section  " + "  ".join(outcomes))
    for section in sorted({section for section, _ in counts}):
        _tell(f"{section:7}  " + "  ".join(f"{counts[section, outcome]:{len(outcome)}}" for outcome in outcomes))
    totals = {outcome: sum(count for (_, of), count in counts.items() if of == outcome) for outcome in outcomes}
    _tell("    all  " + "  ".join(f"{totals[outcome]:{len(outcome)}}" for outcome in outcomes))
    _tell("\nreasons: " + ", ".join(f"{ref} {count}" for ref, count in sorted(seen.items())))


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
