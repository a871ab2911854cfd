#!/bin/sh
# The parser of prometheus_client gives counters names that are not on the page.
#
# Expected: `text_string_to_metric_families` tells the samples of a page by the names that they have there.
# What happens: a counter whose name does not end in `_total` - which the text format allows, and Triton's `nv_inference_request_success`
# does - comes back with `_total` behind its name, and is printed so by whoever passes the page on. Where two lines of one
# family stand apart, as a page of several processes may have them, the second is a family of its own that is `unknown`:
# no longer a counter, and its name stays. So one counter has two names in one reading. With prometheus_client 0.26.
#
# So: who looks samples up by the page's own names gives this parser the lines with values alone: without their TYPE they
# come back as they are.

. "$(dirname "$0")/evidence.sh"

install prometheus_client==0.26.0
evidence <<'PYTHON'
from evidence import Evidence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families


def read(page: str) -> list[tuple[str, str]]:
    """Type of the family and name of the sample, of every line with a value."""
    return [(one.type, sample.name) for one in text_string_to_metric_families(page) for sample in one.samples]


class PassedOn:
    def collect(self):
        return text_string_to_metric_families(PAGE)


PAGE = '# TYPE requests counter\nrequests{model="a"} 3\n'
SUFFIXED = "# TYPE requests_total counter\nrequests_total 3\n"
APART = PAGE + "# TYPE load gauge\nload 1\n" + 'requests{model="b"} 4\n'

evidence = Evidence()
evidence.see("a counter called requests", read(PAGE), [("counter", "requests_total")])
evidence.see("a counter called requests_total", read(SUFFIXED), [("counter", "requests_total")])
evidence.see("a gauge called requests", read(PAGE.replace("counter", "gauge")), [("gauge", "requests")])
found = [("counter", "requests_total"), ("gauge", "load"), ("unknown", "requests")]
evidence.see("two lines of the counter, apart", read(APART), found)
evidence.see("the value alone, without its TYPE", read(PAGE.splitlines()[1] + "\n"), [("unknown", "requests")])
registry = CollectorRegistry()
registry.register(PassedOn())
lines = generate_latest(registry).decode().splitlines()
evidence.see("the page, passed on", lines[-1], 'requests_total{model="a"} 3.0')
evidence.close()
PYTHON
