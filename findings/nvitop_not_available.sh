#!/bin/sh
# nvitop's "N/A" counts: it is text that takes part in arithmetic.
#
# Expected: "N/A" in a sum raises, as text does. What happens: `nvitop.NA` is a `str` whose arithmetic gives NaN, whose
# `int()` is 0, which is false, and which is larger than every number when compared, so that `max` of a list with one
# unknown value is "N/A" and a threshold "more than 90 %" is passed by what nobody measured.
#
# So: code that reads nvitop's numbers asks `is NA` first; a second opinion in a test must leave such values out.

. "$(dirname "$0")/evidence.sh"

install nvitop==1.7.2
evidence <<'PYTHON'
import math

from evidence import Evidence, outcome


from nvitop import NA

evidence = Evidence()
evidence.see("is it text", isinstance(NA, str), True)
evidence.see("NA + 1 is NaN", math.isnan(NA + 1), True)
evidence.see("sum([NA, 3]) is NaN", math.isnan(sum([NA, 3])), True)
evidence.see("int(NA)", outcome(lambda: int(NA)), 0)
evidence.see("bool(NA)", bool(NA), False)
evidence.see("NA > 1e300", NA > 1e300, True)
evidence.see("max([7, NA, 3]) is NA", max([7, NA, 3]) is NA, True)
evidence.see("min([7, NA, 3])", min([7, NA, 3]), 3)
evidence.see("a plain text of that kind", outcome(lambda: sum(["N/A", 3])), "TypeError")
evidence.close()
PYTHON
