"""The documentation site (`make site`): Sphinx on the Markdown pages of this folder, and on what is made beside them.

Pages that are not written by hand (the command line, files of the repository that others link to, the gallery) go to
`_generated`, which git ignores.
"""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent.resolve()
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

import docstrings  # noqa: E402
import pages  # noqa: E402

import rhobasis  # noqa: E402

project = "rhobasis"
version = release = rhobasis.__version__
copyright = "the rhobasis authors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["gallery", "_generated/gallery/*.ipynb", "_generated/gallery/*.py"]
highlight_language = "text"
myst_heading_anchors = 4

default_role = "py:obj"  # single backticks of docstrings: a link where there is such an object, else code
autodoc_default_options = {"members": True, "inherited-members": True, "member-order": "bysource"}
python_maximum_signature_line_length = 90
autodoc_type_aliases = {name: name for name in ("ArrayLike", "FramesLike", "PathLike")}

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "_generated/gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_",),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
}

html_theme = "furo"
html_title = "rhobasis"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def setup(app):
    """Makes the pages, and mends what Markdown and docstrings mean for GitHub and for terminals."""
    made = pages.Pages(ROOT, HERE / "_generated")
    made.write()
    app.connect("source-read", lambda app, name, source: made.mend(name, source))
    app.connect("autodoc-process-docstring", docstrings.process)
    app.connect("autodoc-process-signature", docstrings.signature)
    app.connect("autodoc-skip-member", docstrings.skip)
    app.connect("build-finished", copy_maps)


def copy_maps(app, exception):
    """Maps that the gallery wrote, beside the page that shows them."""
    if exception is None:
        for page in (HERE / "gallery").glob("*.html"):
            shutil.copy(page, Path(app.outdir) / "_generated" / "gallery" / page.name)
