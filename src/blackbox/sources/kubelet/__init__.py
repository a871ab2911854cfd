"""Which GPUs the kubelet of this machine gave to pods: nobody else knows of those that were given and left empty."""

from pathlib import Path

from blackbox.model.facts import Fact
from blackbox.sources.base import SourceOption, SourceSpec

KUBELET_SOCKET = SourceOption(
    "kubelet_socket",
    "path",
    Path("/var/lib/kubelet/pod-resources/kubelet.sock"),
    "the kubelet's socket of PodResources, asked once a minute which GPUs pods were given, where this user may open it "
    "(default: /var/lib/kubelet/pod-resources/kubelet.sock)",
    "PATH",
)
NO_KUBELET = SourceOption("no_kubelet", "switch", False, "ask no kubelet which GPUs pods were given")
ANSWER: Fact[str] = Fact("kubelet", "What the kubelet's last answer came to.")

SPEC = SourceSpec(
    "kubelet",
    "blackbox.sources.kubelet.source:make",
    isolation="thread",
    default=True,
    switch=NO_KUBELET,
    options=(KUBELET_SOCKET, NO_KUBELET),
    facts=(ANSWER,),
    needs="blackbox.sources.kubelet.access:why_not",
)
