#!/bin/sh
# The same role of TorchX has less memory under Kubernetes than under Docker or Slurm.
#
# Expected: `Resource(gpu=1, memMB=16384)` is one amount of memory, as its named resources (`aws_p4d.24xlarge` and so
# on) are by the provider's GiB. What happens: Docker reads it in steps of 1024 and Slurm too; Kubernetes' unit `M` is
# 1000 * 1000, so the limit is 759 MiB lower, and a program that fits elsewhere is ended there by the kernel. The
# request, by which the pod is placed, is lower still by 1,024 of that unit, so the node need not have what the limit
# allows. With torchx 0.7.0, docker 7.2.0 and kubernetes 30.1.0.
#
# So: memory of the host is compared in bytes, as the cgroup has them; 16384 of one scheduler are not those of another.

. "$(dirname "$0")/evidence.sh"

install torchx==0.7.0 docker==7.2.0 kubernetes==30.1.0
evidence <<'PYTHON'
import warnings

from evidence import Evidence


warnings.simplefilter("ignore")
from docker.utils import parse_bytes
from kubernetes.utils import parse_quantity
from torchx.schedulers.docker_scheduler import DockerScheduler
from torchx.schedulers.kubernetes_scheduler import role_to_pod
from torchx.schedulers.slurm_scheduler import SlurmReplicaRequest
from torchx.specs import AppDef, Resource, Role

MIB = 1 << 20
role = Role("trainer", "image", entrypoint="train", resource=Resource(cpu=2, gpu=1, memMB=16384))
(container,) = DockerScheduler("session")._submit_dryrun(AppDef("app", [role]), {}).request.containers
pod = role_to_pod("pod", role, service_account=None).spec.containers[0].resources
slurm = SlurmReplicaRequest.from_role("job", role, {}, nomem=False).sbatch_opts

evidence = Evidence()
evidence.see("Docker's limit, MiB", parse_bytes(container.kwargs["mem_limit"]) / MIB, 16384.0)
evidence.see("Slurm's --mem, whose unit is MiB", slurm["mem"], "16384")
evidence.see("Kubernetes' limit", pod.limits["memory"], "16384M")
evidence.see("the same in MiB", float(parse_quantity(pod.limits["memory"])) / MIB, 15625.0)
evidence.see("Kubernetes' request, MiB", float(parse_quantity(pod.requests["memory"])) / MIB, 14648.4375)
evidence.close()
PYTHON
