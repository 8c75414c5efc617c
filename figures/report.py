"""Runs every figure and assembles figures/REPORT.md from what they found.

python figures/report.py --preset standard [--only-report]
"""

import argparse
import ast
import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--preset", choices=["quick", "standard", "full"], default="standard")
parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "figures")
parser.add_argument("--report", type=Path, default=HERE / "REPORT.md")
parser.add_argument(
    "--only-report",
    action="store_true",
    help="do not run the figures again; one without claims in OUT keeps its section of the report",
)
parser.add_argument("--resume", action="store_true", help="go on where a run of the same code was stopped")
args = parser.parse_args()

scripts = sorted(HERE.glob("fig[0-9].py"))
if not args.only_report:
    for script in scripts:
        more = ["--resume"] if args.resume else []
        subprocess.run([sys.executable, script, "--preset", args.preset, "--out", args.out, *more], check=True)


def number(value: float) -> str:
    """With three digits, zeros at the end too, unless the figure gave more."""
    exact = float(f"{value:.3g}") == value and 1e-4 <= abs(value) < 1e3
    return f"{value:#.3g}".rstrip(".") if exact else str(value)


def written(found) -> str:
    """What a figure found, as a person writes it: numbers, lists of them, and either by n or by name."""
    if isinstance(found, dict):
        flat = not any(isinstance(value, list | dict) for value in found.values())
        return (", " if flat else "; ").join(f"{key}{' ' if flat else ': '}{written(v)}" for key, v in found.items())
    if isinstance(found, list):
        nested = any(isinstance(value, list) for value in found)
        return ("; " if nested else ", ").join(map(written, found))
    return number(found) if isinstance(found, float) else str(found)


def cell(value) -> str:
    if value is None:
        return "–"
    return " / ".join(map(number, value)) if isinstance(value, list) else written(value)


def cells(values) -> str:
    return "| " + " | ".join(map(cell, values)) + " |"


def table(title: str, header: list, rows: list) -> list[str]:
    return ["", f"{title}:", "", cells(header), "|---" * len(header) + "|", *map(cells, rows)]


def statements(part: dict) -> list[str]:
    """The table of claims; below it tables of numbers, and what there is to say where a claim does not hold."""
    rows, tables = [], []
    for claim in part["claims"]:
        found = written(claim["found"])
        if columns := claim.get("of"):
            found = f"table {chr(ord('a') + len(tables))}"
            values = [[key, *value] for key, value in claim["found"].items()]
            tables.append(table(f"Table {found[-1]}, {claim['statement']}", columns, values))
        rows.append([claim["statement"], found, "yes" if claim["holds"] else "**no**"])
    lines = table("What is said", ["statement", "found", "holds"], rows)[3:]
    lines += [line for one in tables for line in one]
    for one in part.get("tables", []):
        lines += table(one["title"], one["header"], one["rows"])
    if reasons := [f"* *{claim['statement']}.* {claim['why']}" for claim in part["claims"] if claim.get("why")]:
        lines += ["", "Where it is otherwise:", "", *reasons]
    return lines


# As a person writes the settings of a figure.
SETTINGS = {
    "r_cut": "r_cut {} Å",
    "sigma": "σ {} Å",
    "cutoff_width": "cutoff width {} Å",
    "scaling": "scaling {}",
    "l_max": "l ≤ {}",
    "n_ref": "{} functions at most",
    "folds": "{} folds",
    "n_sparse": "{} sparse points",
    "zeta": "ζ = {}",
    "alpha": "alpha {}",
    "n_test": "{} molecules to test with",
}


def setting(key: str, value) -> str:
    if isinstance(value, dict):
        return f"{key}: " + ", ".join(setting(k, v) for k, v in value.items())
    return SETTINGS.get(key, key.replace("_", " ") + " {}").format(written(value))


def picture(script: Path) -> str:
    """The plot of a figure beside the report, with few colours: its name there."""
    image = Image.open(args.out / f"{script.stem}.png").convert("RGB")
    width = min(image.width, 1200)
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    folder = args.report.parent / "pictures"
    folder.mkdir(exist_ok=True)
    image.quantize(64).save(folder / f"{script.stem}.png", optimize=True)
    return f"{folder.name}/{script.stem}.png"


def section(script: Path, claims: dict) -> list[str]:
    title = ast.get_docstring(ast.parse(script.read_text())).splitlines()[0].rstrip(".")
    settings = "; ".join(setting(key, value) for key, value in claims["settings"].items())
    took = f"{claims['seconds'] / 60:.1f} minutes, {claims['memory_GB']} GB"
    lines = [
        f"## {title}",
        "",
        f"![{title}]({picture(script)})",
        "",
        f"Data `{claims['data']}`, preset `{claims['preset']}`, {took}. {settings}.",
        "",
        *statements(claims),
    ]
    if beyond := claims.get("beyond"):
        lines += ["", "### Beyond the paper", "", beyond["text"], "", *statements(beyond)]
    return [*lines, ""]


earlier = {}
if args.only_report and args.report.exists():
    for text in args.report.read_text().split("\n## ")[1:]:
        earlier[text[:6]] = text.rstrip()
lines = [
    "# What the figures show",
    "",
    "Each figure of the paper, made anew: what the paper says of it, in our words, the number found, and whether it "
    "holds. Generated by `make figures` (`figures/report.py`) from what the scripts found; not edited by hand.",
    "",
]
for script in scripts:
    path = args.out / f"{script.stem}.claims.json"
    if not path.exists() and (there := f"Fig. {script.stem[-1]}") in earlier:
        lines += [f"## {earlier[there]}", ""]
    else:
        lines += section(script, json.loads(path.read_text()))
args.report.write_text("\n".join(lines))
print(f"wrote {args.report}")
