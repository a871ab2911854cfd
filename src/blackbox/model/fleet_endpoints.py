"""Endpoints about a fleet, of servers that may read its database (`--fleet-read`)."""

from blackbox.model.endpoint import Endpoint, StatusAnswer
from blackbox.model.endpoint_answers import BAD_QUERY, REFUSED, json_answer, unavailable
from blackbox.model.endpoint_parameters import EVENTS_MAX, time_parameter
from blackbox.model.fleet import (
    FleetAt,
    FleetMachines,
    FleetOoms,
    FleetTop,
    FleetWaste,
    FleetWhere,
)
from blackbox.model.holder import HOLDER_KEYS, HolderKey
from blackbox.model.parameter import TEXT, Parameter, one_of, whole

FLEET_TIME = time_parameter("t", "The time; now when absent.")
FLEET_SINCE = time_parameter("from", "Start; 24 hours before the end when absent.")
FLEET_UNTIL = time_parameter("to", "End; now when absent.")
FLEET_TENANT = Parameter(name="tenant", help="Machines of this tenant only.", values=TEXT)
FLEET_MACHINE = Parameter(name="machine", help="One machine only, by name or identity.", values=TEXT)
FLEET_WHAT = Parameter(
    name="name",
    help="Name or uid of a pod, number of a Slurm job, user, or (the start of) the id of a container.",
    values=TEXT,
    required=True,
)
FLEET_BY: Parameter[HolderKey] = Parameter(
    name="by",
    help="What processes are gathered by; `workload` is job, pod, container or user, whichever is known first.",
    values=one_of(HOLDER_KEYS),
    default="workload",
)
FLEET_LIMIT = Parameter(name="limit", help="Most rows of each kind.", values=whole(1, EVENTS_MAX), default="100")

SCOPE = (FLEET_TENANT, FLEET_MACHINE, FLEET_LIMIT)
RANGE = (FLEET_SINCE, FLEET_UNTIL)
STATUSES = (
    BAD_QUERY
    | {404: StatusAnswer(help="This server asks no fleet.")}
    | {502: StatusAnswer(help="The database does not answer, or refuses; the line says why.")}
    | unavailable("Too many requests about the fleet at once.")
    | REFUSED
    | {403: StatusAnswer(help="Foreign `Host` or `Origin`; or a viewer who may not see what programs of others told.")}
)

FLEET_AT = Endpoint(
    path="/fleet/at",
    operation="fleetAt",
    summary="Who held what on every machine at a time. `cover` says how much of the fleet that is.",
    parameters=(FLEET_TIME, *SCOPE),
    answer=json_answer(FleetAt),
    statuses=STATUSES,
)
FLEET_TOP = Endpoint(
    path="/fleet/top",
    operation="fleetTop",
    summary="Who holds the most at a time, summed over machines.",
    parameters=(FLEET_TIME, FLEET_BY, *SCOPE),
    answer=json_answer(FleetTop),
    statuses=STATUSES,
)
FLEET_WASTE = Endpoint(
    path="/fleet/waste",
    operation="fleetWaste",
    summary="Memory reserved and never used, and GPUs given to a job or a pod and left empty.",
    parameters=(*RANGE, FLEET_BY, *SCOPE),
    answer=json_answer(FleetWaste),
    statuses=STATUSES,
)
FLEET_WHERE = Endpoint(
    path="/fleet/where",
    operation="fleetWhere",
    summary="Where the processes of a pod, job, user or container were.",
    parameters=(FLEET_WHAT, *RANGE, *SCOPE),
    answer=json_answer(FleetWhere),
    statuses=STATUSES,
)
FLEET_OOMS = Endpoint(
    path="/fleet/ooms",
    operation="fleetOoms",
    summary="Every out-of-memory of a range.",
    parameters=(*RANGE, *SCOPE),
    answer=json_answer(FleetOoms),
    statuses=STATUSES,
)
FLEET_MACHINES = Endpoint(
    path="/fleet/machines",
    operation="fleetMachines",
    summary="Which machines there are, and how far each has come.",
    parameters=SCOPE,
    answer=json_answer(FleetMachines),
    statuses=STATUSES,
)
FLEET_ENDPOINTS = (FLEET_AT, FLEET_TOP, FLEET_WASTE, FLEET_WHERE, FLEET_OOMS, FLEET_MACHINES)
