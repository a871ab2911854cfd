"""Tell what works on this machine, what does not, and what to do about it.

Exit code 1 when something fails: no driver, no GPU, a port taken by another program.
"""

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common.paragraphs import say
from blackbox.cli.common.settings_options import add_config_flag

if TYPE_CHECKING:
    from blackbox.cli.commands.doctor_checks import Finding
    from blackbox.model.sample import Sample
    from blackbox.sources.vendor import Vendor

REMEDY_INDENT = " " * 16


def configure(parser: ArgumentParser) -> None:
    """How to tell."""
    parser.add_argument("--json", action="store_true", help="a line of JSON per finding")
    add_config_flag(parser)


def run(arguments: Namespace) -> int:
    """Prints every finding as soon as it is known."""
    import logging

    import msgspec

    from blackbox.cli.commands.doctor_checks import Machine, examine
    from blackbox.cli.common.settings_file import load_settings
    from blackbox.sources.vendor import VENDOR, vendor_of

    settings = load_settings(arguments)
    if settings.log_level != "debug":
        logging.disable()  # what the supervisor logs is among the findings
    vendor = vendor_of(VENDOR.of(settings.source_options))
    machine = Machine(
        sample=lambda: sample_driver(vendor),
        vendor=vendor,
        settings=settings,
        environ=os.environ,
        config_flag=arguments.config,
    )
    code = 0
    for finding in examine(machine):
        code |= finding.level == "fail"
        if arguments.json:
            print(msgspec.json.encode(finding).decode(), flush=True)
        else:
            _say(finding)
    return code


def sample_driver(vendor: "Vendor") -> "Sample":
    """One sample of the driver, taken by a process of its own that is given up when it hangs."""
    from blackbox.model.sample import Sample
    from blackbox.sources import SOURCES
    from blackbox.sources.isolation.supervisor import SourceFault, SupervisedSource

    spec = next(spec for spec in SOURCES if spec.vendor == vendor and spec.default)
    source = SupervisedSource(spec.name, spec.factory)
    try:
        return source.sample()
    except SourceFault as fault:
        return Sample(source=spec.name, taken_at=time.monotonic(), state=fault.state, reason=fault.reason)
    finally:
        source.close()


def _say(finding: "Finding") -> None:
    say(f"{finding.level:<4} {finding.subject:<10} {finding.text}", sys.stdout, hang=len(REMEDY_INDENT))
    if finding.remedy is not None:
        say(f"{REMEDY_INDENT}-> {finding.remedy}", sys.stdout, hang=len("-> "))
