"""Charts are the same bytes each time, apart from each other, and hold no formula."""

import re
import subprocess
import sys

import matplotlib

from surefit.report.charts import reliability_limits
from surefit.report.svg import FIRST, SECOND, inline_svg


def chart(identity="one", title="a title", label="$x^2$"):
    def draw(axes):
        axes.plot([0, 1], [0, 1], color=FIRST, marker="o", label=label)
        axes.plot([0.5], [0.5], "D", color=SECOND)
        axes.legend()

    return inline_svg(identity, title, "a description", draw)


def test_the_same_drawing_has_the_same_bytes():
    assert chart() == chart()


def test_ids_of_two_drawings_differ():
    ids = [set(re.findall(r'id="([^"]+)"', chart(identity))) for identity in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_dollars_are_no_formula():
    assert "$x^2$</text>" in chart()


def test_title_is_text_and_loses_what_moves_other_text():
    assert '<title id="one-title">&lt;b&gt; &amp; \ufffd</title>' in chart(title="<b> & \u202e")


def test_settings_of_the_user_change_nothing_and_stay_as_they_are():
    plain = chart()
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red"}):
        assert chart() == plain
        assert matplotlib.rcParams["lines.linewidth"] == 9


def test_matplotlib_is_loaded_only_to_draw():
    show = "import sys, surefit.runs.train, surefit.report.page; print(*sorted({'matplotlib', 'jinja2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == ""


def test_limits_of_reliability_diagrams_hold_all_that_is_drawn():
    bins = [{"confidence": 0.62, "low": 0.31}, {"confidence": 0.99, "low": 0.9}]
    assert reliability_limits([{"bins": bins}, {"bins": bins[1:]}]) == (0.6, 0.3)
    assert reliability_limits([{"bins": [{"confidence": 1.0, "low": 1.0}]}]) == (0.95, 0.95)
