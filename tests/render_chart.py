"""Lints and renders the Helm chart, with Helm itself; run by the Python of `.venv-deploy` (`./run deploy`).

python tests/render_chart.py CHART [VALUES AS JSON]
"""

import json
import sys
from pathlib import Path

import helm_python as helm  # pyright: ignore[reportMissingImports]

WRITTEN = "# Made from deploy/helm by `./run deploy --write`; a test compares. How to use it: docs/containers.md.\n"


def main(chart: str, values: str = "{}") -> None:
    """Prints the manifests. Whatever Helm has to say against the chart ends it."""
    told = helm.lint(chart, json.loads(values), strict=True)
    if told["errors"] or told["messages"]:
        sys.exit(json.dumps(told))
    loaded = helm.Chart.load(chart)
    try:
        loaded.validate_schema(json.loads(values))
        rendered = loaded.render(json.loads(values), name="blackbox", namespace="blackbox")
    except helm.HelmError as error:
        sys.exit(f"refused: {error}")
    manifests = [text.strip() for name, text in sorted(rendered.items()) if Path(name).suffix == ".yaml"]
    print(WRITTEN + "\n---\n".join(manifests))


if __name__ == "__main__":
    main(*sys.argv[1:])
