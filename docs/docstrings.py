"""Docstrings read well in a terminal; here they become reStructuredText that says the same."""

import re

_HEADER = re.compile(r"^-{3,}\s*$")
_CODE = re.compile(r"``.*?``|`[^`]*`")
_INHERITED = {"get_params", "set_params", "set_output", "get_metadata_routing"}
_OF_ASE = {"implemented_properties", "default_parameters", "ignored_changes", "discard_results_on_any_change"}


def skip(app, what, name, obj, skipped, options):
    """Leaves out what every estimator inherits, settings of ASE's calculators, and methods of other packages."""
    module = getattr(obj, "__module__", None) or "rhobasis"
    return True if name in _INHERITED | _OF_ASE or not module.startswith("rhobasis") else None


def process(app, what, name, obj, options, lines):
    """In place: what `mend` makes of it, and sections of numpydoc as lists of fields."""
    from sphinx.ext.napoleon import Config, NumpyDocstring  # tests of the rest go without Sphinx

    settings = Config(napoleon_use_rtype=False, napoleon_custom_sections=[("Attributes", "params_style")])
    # of properties, it would take what stands before a colon for the type
    what = "method" if what in ("property", "attribute") else what
    lines[:] = NumpyDocstring(mend(lines), settings, app, what, name, obj, options).lines()


def signature(app, what, name, obj, options, text, returns):
    """Names of types as they stand in the code, where Sphinx shows that it has not looked them up."""
    return tuple(part and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", part) for part in (text, returns))


def mend(lines):
    """Indented formulas become literal blocks, and signs that are markup there are escaped."""
    out: list[str] = []
    in_formula = in_fields = False
    for k, line in enumerate(lines):
        if k + 1 < len(lines) and _HEADER.match(lines[k + 1]) and line.strip():
            in_fields = line.strip() in ("Parameters", "Attributes", "Returns", "Raises")
        indented = line.startswith("    ")
        if in_formula and line.strip() and not indented:
            in_formula = False
        starts = indented and k > 0 and not lines[k - 1].strip() and not in_fields and not in_formula
        if starts and not line.lstrip().startswith((">>>", "...")):
            in_formula = True
            if _opens_literal(out):
                pass  # the text says so itself, with '::'
            elif (last := _last_text(out)) is not None and out[last].rstrip().endswith(":"):
                out[last] = out[last].rstrip() + ":"
            else:
                out += ["::", ""]
        out.append(line if in_formula or line.lstrip().startswith((">>>", "...")) else _escaped(line))
    return out


def _last_text(lines):
    return next((k for k in range(len(lines) - 1, -1, -1) if lines[k].strip()), None)


def _opens_literal(lines):
    last = _last_text(lines)
    return last is not None and lines[last].rstrip().endswith("::")


def _escaped(line):
    """Text with `|`, `*` and a final `_` of words as they are; list bullets and code are left."""
    bullet = re.match(r"\s*\* ", line)
    start = bullet.end() if bullet else 0
    out, last = [line[:start]], start
    for code in _CODE.finditer(line, start):
        out += [_plain(line[last : code.start()]), code.group()]
        last = code.end()
    return "".join([*out, _plain(line[last:])])


def _plain(text):
    return re.sub(r"(\w)_(?=\W|$)", r"\1\\_", re.sub(r"([|*])", r"\\\1", text))
