"""Charts by matplotlib as SVG elements of a page: text stays text, colours are the page's, ids are unique.

No text of users ever goes into a drawing; what it shows is said in its title and description, which are escaped.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from surefit.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What is drawn in one of these colours gets the page's own, which is another in light and in dark.
INK, MUTED, GRID, FIRST, SECOND, THIRD = (f"#00000{number}" for number in range(1, 7))
_PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
}
_COLOUR = re.compile("|".join(_PAGE_COLOURS))
# Points of the drawing: small, so that its text can still be read where the page is as narrow as a phone.
_WIDTH, _HEIGHT = 340, 250
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


def inline_svg(identity: str, title: str, description: str, draw: Callable[[Axes], None]) -> Markup:
    """Draws a chart as an `svg` element with a text alternative.

    Args:
        identity: what its ids begin with; no other chart of the page has it.
        title: what the chart shows.
        description: what is to be seen in it, for who does not see it.
        draw: draws on the axes it is given; the same each time.

    Returns:
        the element, the same bytes for the same drawing.
    """
    # Here, because matplotlib takes long to load. Settings of the user's own are not to change a report.
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS | {"svg.hashsalt": identity})
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), layout="constrained")
        draw(figure.add_subplot())
        drawn = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(drawn, metadata=metadata)  # type: ignore[no-untyped-call]
    root = ElementTree.fromstring(drawn.getvalue())
    _simplify(root, identity)
    head = Markup('<svg viewBox="{}" role="img" aria-labelledby="{}-title {}-desc"><title id="{}-title">{}</title>').format(
        root.get("viewBox"), identity, identity, identity, printable(title)
    )
    desc = Markup('<desc id="{}-desc">{}</desc>').format(identity, printable(description))
    body = "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
    return head + desc + Markup(_COLOUR.sub(lambda found: _PAGE_COLOURS[found[0]], body)) + Markup("</svg>")


def _simplify(root: ElementTree.Element, identity: str) -> None:
    """Takes out what a page does not need or has once already: namespaces, styles, fonts, unused ids."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")) or (child.tag.endswith("}defs") and _only_styles(child)):
                parent.remove(child)
    used = set(re.findall(r"#([\w.-]+)", " ".join(value for element in root.iter() for value in element.attrib.values())))
    for element in root.iter():
        element.tag = _local(element.tag)
        element.tail = (element.tail or "").strip()
        element.text = (element.text or "").strip()
        attributes = {_local(name): value for name, value in element.attrib.items()}
        if attributes.get("id") not in used:
            attributes.pop("id", None)
        element.attrib.clear()
        element.attrib.update({name: _own(name, value, identity) for name, value in attributes.items()})


def _only_styles(defs: ElementTree.Element) -> bool:
    return all(child.tag.endswith("}style") for child in defs)


def _local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition("}")[2]


def _own(name: str, value: str, identity: str) -> Any:
    """An attribute whose ids are this chart's, and whose fonts are the page's."""
    if name == "id":
        return f"{identity}-{value}"
    if name == "style":
        value = re.sub(r"font(-family)?:[^;]*?(\d+(?:\.\d+)?)px[^;]*", r"font-size: \2px", value)
        value = re.sub(r"font-family:[^;]*;?", "", value)
    return re.sub(r"(^|\()#([\w.-]+)", rf"\1#{identity}-\2", value)
