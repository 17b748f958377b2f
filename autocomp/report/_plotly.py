"""What autocomp relies on inside the package plotly, all of it here.

Read for plotly 7.1, and held by tests/packaging/test_insides.py.

The script lies in the package's `package_data`. Asking the package for it (`plotly.offline.get_plotlyjs`) would import
all of plotly, which takes a second. And the script is one large function, whose first and last lines are known here.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from autocomp.errors import InputError

START, END = "self : this, () => {", "return Plotly;\n}));"
"""How plotly.js 4.1 begins and ends its one large function."""


def script_file() -> Path | None:
    """Where the installed plotly keeps its script; None if there is none."""
    spec = importlib.util.find_spec("plotly")
    file = Path(spec.origin or "").parent / "package_data" / "plotly.min.js" if spec else None
    return file if file and file.is_file() else None


def embedded_script() -> str:
    """Plotly's script as it may stand in a script element of a page.

    Raises:
        InputError: no plotly is installed, or one that keeps its script elsewhere.
    """
    file = script_file()
    if file is None:
        raise InputError("the page needs plotly's script: pip install 'plotly>=6.0'")
    # A `</script` inside a string would end the element that holds the script.
    return compiled_at_once(file.read_text(encoding="utf-8").replace("</script", "<\\/script"))


def compiled_at_once(script: str) -> str:
    """Plotly's script with its one large function in parentheses, which browsers then compile at once.

    Else they first pass over all 4.8 MB of it, which takes a tenth of the time to the first chart. A script that
    begins or ends otherwise is of another version, and stays as it is.
    """
    if script.count(START) != 1 or script.count(END) != 1:
        return script
    return script.replace(START, "self : this, (() => {").replace(END, "return Plotly;\n})));")
