"""A table from lines of JSON: `python table.py results.jsonl`."""

import json
import sys
from pathlib import Path


def main(path: str) -> None:
    best: dict[str, dict[str, dict]] = {}
    for line in Path(path).read_text().splitlines():
        row = json.loads(line)
        rows = best.setdefault(row["workload"], {})
        if row["us_per_center"] < rows.get(row["code"], {"us_per_center": float("inf")})["us_per_center"]:
            rows[row["code"]] = row
    print("| workload | rhobasis, µs per centre | featomic | featomic / rhobasis | peak memory, MB |")
    print("|---|---|---|---|---|")
    for workload, rows in best.items():
        if {"rhobasis", "featomic"} <= rows.keys():
            ours, theirs = rows["rhobasis"], rows["featomic"]
            ratio = theirs["us_per_center"] / ours["us_per_center"]
            print(
                f"| {workload} | {ours['us_per_center']} | {theirs['us_per_center']} | {ratio:.1f} | "
                f"{ours['peak_MB']} / {theirs['peak_MB']} |"
            )


if __name__ == "__main__":
    main(sys.argv[1])
