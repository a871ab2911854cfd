/** What the server answers, as far as the page reads it. docs/api.md has every key with its meaning. */

/** Key of an object -> why its value was not measured. */
export type Unknown = Readonly<Record<string, string>>;

export interface Process {
  pid: number;
  name: string;
  used_bytes: number;
  reserved_bytes: number;
  gpu: number;
  gpu_uuid: string;
  allocated_bytes: number | null;
  user: string | null;
  container: string | null;
  start_time: number | null;
  kind: "compute" | "graphics" | "mps";
  /** What its `reserved_bytes` are for, by purpose; absent where no allocator tells. */
  purposes?: Readonly<Record<string, number>>;
  unknown?: Unknown;
}

export interface Thread {
  thread_id: number;
  pid: number;
  gpu: number;
  state: "active" | "running" | "waiting";
  allocated_bytes: number;
  unknown?: Unknown;
}

export type BlockType = "kv_cache" | "weight" | "activation" | "other";

export interface BlockGroup {
  pid: number;
  gpu: number;
  type: BlockType;
  subtype: string | null;
  allocated: boolean;
  utilized: boolean;
  count: number;
  size: number;
}

export interface Stack {
  pid: number;
  gpu: number;
  frames: readonly string[];
  type: BlockType;
  subtype?: string | null;
  allocated_bytes: number;
  blocks?: number | null;
}

export interface Gpu {
  index: number;
  uuid: string;
  name: string;
  state: string;
  reason: string | null;
  age_seconds: number;
  total_bytes: number;
  used_bytes: number;
  free_bytes: number;
  driver_reserved_bytes: number;
  unattributed_bytes: number;
  used_percent: number;
  parent_uuid: string | null;
  mig: { gpu_instance_id: number; compute_instance_id: number; profile: string } | null;
  utilization_percent: number | null;
  temperature_celsius: number | null;
  power_watts: number | null;
  xid: { code: number; timestamp: number } | null;
  unknown?: Unknown;
}

export interface Engine {
  kind: string;
  pid: number | null;
  model: string | null;
  kv_pages_total: number | null;
  kv_pages_used: number | null;
  kv_pages_cached: number | null;
  prefix_hit_ratio: number | null;
  requests_running: number | null;
  requests_waiting: number | null;
  preemptions_total: number | null;
  pids: readonly number[];
  gpus: readonly number[];
  unknown?: Unknown;
}

export interface SourceStatus {
  name: string;
  state: string;
  reason: string | null;
  age_seconds: number | null;
  duration_seconds: number | null;
  samples_total: number;
  failures_total: number;
  restarts_total: number;
  facts: Readonly<Record<string, string>>;
}

export interface KernelMetrics {
  available: boolean;
  scope: string | null;
  reason: string | null;
}

export interface Snapshot {
  total_bytes: number;
  used_bytes: number;
  free_bytes: number;
  processes: readonly Process[];
  threads: readonly Thread[];
  blocks_summary: readonly BlockGroup[] | null;
  stacks: readonly Stack[] | null;
  nsight_metrics: Readonly<Record<string, KernelMetrics>>;
  gpus: readonly Gpu[];
  engines: readonly Engine[];
  sources: readonly SourceStatus[];
  schema: number;
  seq: number;
  timestamp: string;
  age_seconds: number;
  host: string;
  simulated: boolean;
  unknown?: Unknown;
}

export interface ChartSeries {
  gpu: number | null;
  pid: number | null;
  gpu_uuid: string | null;
  name: string | null;
  start_time: number | null;
  metric: string;
  /** One for each step; null where nothing was measured. */
  mean: readonly (number | null)[];
}

/** Several metrics over time, on one grid of steps. */
export interface Chart {
  from: number;
  to: number;
  start: number;
  step_seconds: number;
  steps: number;
  series: readonly ChartSeries[];
  /** Events of the range, without what is particular to their kind. */
  marks: readonly BlackboxEvent[];
  recorded_from: number | null;
}

/** Live memory by stack, at some moments. */
export interface StackHistory {
  times: readonly number[];
  series: readonly {
    gpu_uuid: string;
    pid: number;
    name: string;
    frames: readonly string[];
    /** One for each time; null where the process told no stacks then. */
    bytes: readonly (number | null)[];
  }[];
}

export interface ProcessLife {
  name: string | null;
  start_time: number | null;
  used_bytes: number | null;
  peak_used_bytes: number | null;
  ended: string | null;
  signal: number | null;
  exit_code: number | null;
  exception: string | null;
}

export interface OutOfMemory {
  requested_bytes: number;
  device_total_bytes: number | null;
  device_free_bytes: number | null;
  /** Left out of lists. */
  allocator: {
    reserved_bytes: number | null;
    allocated_bytes: number | null;
    largest_free_bytes: number | null;
  } | null;
}

/** How often events alike have come. */
export interface Repeats {
  count: number;
  first_at: number;
  last_at: number;
}

export interface BlackboxEvent {
  id: number;
  kind: string;
  timestamp: number;
  message: string;
  gpu_uuid?: string;
  pid?: number;
  /** Owner of the process. */
  uid?: number;
  code?: number;
  oom?: OutOfMemory;
  process?: ProcessLife;
  growth?: { rate_bytes_per_second: number; rise_bytes: number; window_seconds: number };
  threshold?: { threshold_percent: number; used_percent: number; above: boolean };
  /** In a folded list, of what came more than once. */
  repeats?: Repeats;
}

/** Of the time that a trend looks at: so much lies between the middles of its first and its last sixth, whose medians tell the rise. */
export const RISE_SHARE = 5 / 6;

export interface Evidence {
  from: number;
  to: number;
  rise_bytes: number;
  rate_bytes_per_second: number;
  rate_low_bytes_per_second: number;
  rate_high_bytes_per_second: number;
}

/** What a rise is for, as measured between its beginning and now. */
export interface GrowthOrigin {
  purpose: string | null;
  purpose_rise_bytes: number | null;
  /** Of the stack that grew most, innermost first. */
  frames: readonly string[] | null;
  /** Refusals of memory that the same stack had filled or asked for. */
  earlier_failures: { count: number; first_at: number; last_at: number; last_pid: number | null } | null;
}

/** The process whose rise fills the memory. */
export interface Grower {
  pid: number;
  name: string;
  user: string | null;
  since: number;
  /** Null where it tells nothing from inside, or not to this viewer. */
  origin: GrowthOrigin | null;
}

export interface Outlook {
  gpu: number;
  gpu_uuid: string;
  pid: number | null;
  name: string | null;
  start_time: number | null;
  used_bytes: number;
  headroom_bytes: number;
  full_in_seconds_min: number | null;
  full_in_seconds: number | null;
  full_in_seconds_max: number | null;
  since: number | null;
  grower: Grower | null;
  evidence: Evidence | null;
  unknown: Unknown;
  predictable_from: number | null;
  message: string;
}

export interface Forecast {
  timestamp: number;
  gpus: readonly Outlook[];
  processes: readonly Outlook[];
  advice: readonly { message: string; engine: string; model: string | null }[];
}

export interface TypeChange {
  type: BlockType;
  subtype: string | null;
  before_bytes: number;
  after_bytes: number;
  delta_bytes: number;
  before_blocks: number;
  after_blocks: number;
}

/** What a process holds for one purpose: what is in use, evictable and free are told apart. */
export interface PurposeChange {
  purpose: string;
  before_bytes: number;
  after_bytes: number;
  delta_bytes: number;
}

export interface StackChange {
  frames: readonly string[];
  type: BlockType;
  subtype: string | null;
  before_bytes: number;
  after_bytes: number;
  delta_bytes: number;
}

export interface ProcessChange {
  change: "new" | "gone" | "grown" | "shrunk" | "shifted";
  gpu: number;
  gpu_uuid: string;
  pid: number;
  name: string;
  before_bytes: number;
  after_bytes: number;
  delta_bytes: number;
  types: readonly TypeChange[];
  /** Empty where its allocator did not tell its blocks at both times. */
  purposes: readonly PurposeChange[];
  stacks: readonly StackChange[];
  unknown: Unknown;
}

export interface Comparison {
  a: { timestamp: string; used_bytes: number };
  b: { timestamp: string; used_bytes: number };
  delta_bytes: number;
  processes: readonly ProcessChange[];
  unchanged: number;
}

export interface Aggregated {
  aggregates: readonly { gpu_uuid: string | null; pid: number | null; start_time: number | null; max: number }[];
}

/** What the server itself takes, as `/status` tells it. */
export interface OwnCost {
  readonly started_at: number;
  readonly cpu_seconds: number;
  readonly resident_bytes: number;
  readonly connections_open: number;
  readonly streams_open: number;
}

export interface SettingInForce {
  readonly name: string;
  readonly value: unknown;
  /** `default` where nobody set it. */
  readonly origin: string;
}

export interface Health {
  status: "ok" | "starting" | "stale";
  sources: readonly SourceStatus[];
  recorder: {
    state: string;
    reason: string | null;
    directory: string | null;
    bytes: number;
    limit_bytes: number;
    moments_total: number;
    events_total: number;
    dropped_total: number;
    failures_total: number;
    damaged_total: number;
    dumps: number;
  } | null;
}

/** Unix seconds of a snapshot. */
export function timeOf(snapshot: Pick<Snapshot, "timestamp">): number {
  return Date.parse(snapshot.timestamp) / 1000;
}

/** `GET /vram/report?format=json`: what led to an event, as the server tells it. */
export interface Report {
  title: string;
  causes: readonly { cause: string; why: readonly string[] }[];
  advice: readonly { title: string; text: string; bytes: number | null }[];
}

export interface DumpInfo {
  name: string;
  kind: string;
  timestamp: number;
  pid: number | null;
  size_bytes: number;
  unknown?: Unknown;
}

/** What is known of a process on a GPU: of its bytes, blocks, stacks and so on; the others each with the reason. */
export interface ProcessCoverage {
  gpu_uuid: string;
  pid: number;
  name: string;
  sources: readonly string[];
  told: readonly string[];
  missing: Readonly<Record<string, string>>;
}
