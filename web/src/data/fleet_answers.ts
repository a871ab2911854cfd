/** What a server with `--fleet-read` answers about many machines, as far as the page reads it. docs/api.md has every key. */

/** How much of the fleet an answer is of. */
export interface Cover {
  readonly whole: boolean;
  readonly machines: number;
  readonly fresh: number;
  readonly late: number;
  readonly unknown: number;
  readonly late_hosts: readonly string[];
  readonly unknown_hosts: readonly string[];
  readonly twice_hosts?: readonly string[];
  readonly shards: number | null;
  readonly missing_shards: readonly string[];
}

export interface FleetLedger {
  readonly total_bytes: number;
  readonly used_bytes: number;
  readonly free_bytes: number;
  readonly driver_reserved_bytes: number;
  readonly unmeasured_gpus: number;
}

export interface FleetMachineAt {
  readonly tenant: string;
  readonly machine: string;
  readonly host: string;
  readonly timestamp: number;
  readonly gpus: number;
  readonly processes: number;
  readonly ledger: FleetLedger;
  readonly omitted_processes: number;
  readonly omitted_used_bytes: number;
}

/** Whose a process is, as far as its machine told. */
export interface Attribution {
  readonly host: string;
  readonly gpu_uuid: string | null;
  readonly pid: number | null;
  readonly name: string | null;
  readonly user: string | null;
  readonly namespace: string | null;
  readonly pod: string | null;
  readonly slurm_job: string | null;
}

export interface FleetProcess extends Attribution {
  readonly machine: string;
  readonly gpu: number | null;
  readonly gpu_uuid: string;
  readonly pid: number;
  readonly start_time: number | null;
  readonly used_bytes: number | null;
  readonly reserved_bytes: number | null;
  readonly allocated_bytes: number | null;
}

/** A process on a GPU from its start to its end; its bytes are the most it ever had. */
export interface FleetLife extends FleetProcess {
  readonly first_seen: number;
  readonly last_seen: number;
  readonly ended_at: number | null;
  readonly ended: string | null;
}

export interface FleetWhere {
  readonly what: string;
  readonly matched: readonly string[];
  readonly since: number;
  readonly until: number;
  readonly cover: Cover;
  readonly lives: readonly FleetLife[];
  readonly omitted: number;
}

export interface FleetAt {
  readonly cover: Cover;
  readonly ledger: FleetLedger;
  readonly machines: readonly FleetMachineAt[];
  readonly processes: readonly FleetProcess[];
  readonly processes_omitted: number;
}

export interface Holder {
  readonly name: string | null;
  readonly processes: number;
  readonly gpus: number;
  readonly machines: number;
  readonly used_bytes: number | null;
  readonly reserved_bytes: number | null;
  readonly allocated_bytes: number | null;
  readonly silent: number;
}

export interface FleetTop {
  readonly cover: Cover;
  readonly holders: readonly Holder[];
  readonly all: Holder;
}

export interface Waster {
  readonly name: string | null;
  readonly processes: number;
  readonly machines: number;
  readonly held_byte_hours: number;
  readonly never_used_byte_hours: number;
}

export interface EmptyGpu {
  readonly host: string;
  readonly gpu_uuid: string;
  readonly scheduler: string;
  readonly job: string;
  readonly user: string | null;
  readonly since: number;
  readonly empty_minutes: number;
  readonly seen_minutes: number;
}

export interface FleetWaste {
  readonly since: number;
  readonly until: number;
  readonly cover: Cover;
  readonly wasters: readonly Waster[];
  readonly silent_processes: number;
  readonly allocations: number;
  readonly empty: readonly EmptyGpu[];
}

export interface FleetOom extends Attribution {
  readonly machine: string;
  readonly timestamp: number;
  readonly event_id: number;
  readonly requested_bytes: number | null;
  readonly device_free_bytes: number | null;
  readonly device_total_bytes: number | null;
}

export interface FleetOoms {
  readonly since: number;
  readonly until: number;
  readonly cover: Cover;
  readonly ooms: readonly FleetOom[];
  readonly omitted: number;
}

export interface FleetMachine {
  readonly machine: string;
  readonly host: string;
  readonly version: string;
  readonly state: "fresh" | "late" | "unknown";
  readonly shipped_until: number | null;
  readonly ahead_until: number | null;
  readonly gaps: number;
  readonly simulated: boolean;
}

export interface FleetMachines {
  readonly asked: number;
  readonly cover: Cover;
  readonly machines: readonly FleetMachine[];
}
