/** Who held what on any of the machines, and how much of the fleet is that? */

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { type Asked, fleet, type FleetAnswers, followFleet, hasFleet, holderKey, HOLDERS, wantedName } from "../data/fleet";
import type { Cover, EmptyGpu, FleetAt, FleetLedger, FleetLife, FleetMachine, FleetMachines, FleetOom, FleetOoms, FleetProcess, FleetTop, FleetWaste, FleetWhere, Holder } from "../data/fleet_answers";
import { coverText, workloadOf } from "../data/fleet_words";
import { ago, bytes, clock, duration, GIB, gib, percent, plural } from "../data/format";
import { processLabel } from "../data/ledger";
import { PURPOSE_OF } from "../data/purpose";
import { go, goLive, goMore, lookAt, now, route } from "../data/store";
import { Absent, Chips, Scroll, fillClass, fillStyle } from "../parts/basics";
import { Footer, Nothing } from "../parts/frame";

const HOUR = 3600;
const BACK = [
  [HOUR, "1 h ago"],
  [24 * HOUR, "24 h ago"],
  [7 * 24 * HOUR, "7 d ago"],
] as const;
const MACHINES_SHOWN = 20;
const NOT_MEASURED = "nobody measured it";
const NOT_REPORTED = "no allocator reports";
const NOT_TOLD = "its machine did not tell whose it is";

export function Fleet() {
  useEffect(followFleet, []);
  if (hasFleet.value === null) return <Nothing>Asking whether this server knows of other machines.</Nothing>;
  if (!hasFleet.value) {
    return (
      <Nothing>
        <h1>This server asks no fleet</h1>
        <p>
          It knows of its own machine alone: start it with <code>--fleet-read URL</code> to ask about all machines that ship to a ClickHouse of yours.
        </p>
      </Nothing>
    );
  }
  const answers = fleet.value;
  const { at, top, waste, ooms, machines, where } = answers;
  return (
    <>
      <main id="content" tabIndex={-1}>
        <When />
        <Errors answers={answers} />
        {at.answer !== null && <Lead at={at.answer} />}
        {wantedName() !== "" && <WhereCard asked={where} />}
        <div class="two">
          <div style={{ minWidth: 0 }}>
            <TopCard asked={top} />
            <ProcessesCard asked={at} />
            <WasteCard asked={waste} />
          </div>
          <aside class="side">
            <HeldCard asked={at} />
            <StateCard asked={machines} />
          </aside>
        </div>
        <OomsCard asked={ooms} />
      </main>
      <Footer>{machines.answer !== null && coverText(machines.answer.cover).sentences[0]}</Footer>
    </>
  );
}

/** The time looked at, which may lie long before what this machine has recorded. */
function When() {
  const { time } = route.value;
  return (
    <div class="chips">
      <span>at</span>
      <button type="button" aria-pressed={time === null} onClick={goLive}>
        now
      </button>
      {BACK.map(([seconds, text]) => (
        <button type="button" key={seconds} onClick={() => lookAt(now.peek() - seconds)}>
          {text}
        </button>
      ))}
      <label>
        <span class="visually-hidden">another time</span>
        <input type="datetime-local" step={1} value={time === null ? "" : localText(time)} onChange={(event) => event.currentTarget.value !== "" && lookAt(new Date(event.currentTarget.value).getTime() / 1000)} />
      </label>
      <Wanted />
      <Chips label="by" choices={HOLDERS.map(([value, text]) => ({ value, text: value === "workload" ? "workload" : text }))} chosen={holderKey()} onChoose={(by) => goMore({ by: by === "workload" ? null : by })} />
    </div>
  );
}

/** Looks for a pod, job, user or container; asked once the name is whole. */
function Wanted() {
  const wanted = wantedName();
  return (
    <label>
      <span class="visually-hidden">where was a pod, job, user or container</span>
      <input key={wanted} id="filter" type="search" placeholder="where: pod, job, user, container" defaultValue={wanted} onChange={(event) => goMore({ where: event.currentTarget.value.trim() || null })} />
    </label>
  );
}

/** As such a field wants it. */
function localText(unixSeconds: number): string {
  const local = new Date(unixSeconds * 1000);
  return new Date(local.getTime() - local.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** One line for each reason there is, however many questions it befell. */
function Errors({ answers }: { answers: FleetAnswers }) {
  const reasons = new Set(Object.values(answers).flatMap(({ error }: Asked<unknown>) => (error === null ? [] : [error])));
  return (
    <>
      {[...reasons].map((reason) => (
        <p class="calm fault" role="alert" key={reason}>
          <b class="alarm">✕ The fleet cannot be asked:</b> {reason}
        </p>
      ))}
    </>
  );
}

function Lead({ at }: { at: FleetAt }) {
  const { ledger, machines } = at;
  const asOf = machines.map((one) => one.timestamp);
  return (
    <div class={`calm ${at.cover.whole ? "" : "short"}`}>
      <b>
        {gib(ledger.used_bytes)} of {bytes(ledger.total_bytes)} in use
      </b>{" "}
      on {plural(machines.reduce((sum, one) => sum + one.gpus, 0), "GPU")} of {plural(machines.length, "machine")}
      {ledger.total_bytes > 0 && `, ${percent(ledger.used_bytes / ledger.total_bytes)}`}; {bytes(ledger.free_bytes)} free.
      {ledger.unmeasured_gpus > 0 && ` ${plural(ledger.unmeasured_gpus, "GPU")} more that nobody measured.`}
      {asOf.length > 0 && <span class="soft"> As of {clock(Math.min(...asOf))}{Math.max(...asOf) - Math.min(...asOf) >= 1 && ` to ${clock(Math.max(...asOf))}`}.</span>}
      <CoverLine cover={at.cover} />
    </div>
  );
}

/** How much of the fleet a table is of: on every one, since no sum may be smaller without a word. */
function CoverLine({ cover }: { cover: Cover }) {
  const { tone, shape, sentences } = coverText(cover);
  return (
    <p class={`small cover ${tone}`}>
      <span aria-hidden="true">{shape}</span> {sentences.join(" ")}
    </p>
  );
}

interface CardProps<T extends { cover: Cover }> {
  title: string;
  more?: ComponentChildren;
  asked: Asked<T>;
  children: (answer: T) => ComponentChildren;
}

function Card<T extends { cover: Cover }>({ title, more, asked: { answer, error }, children }: CardProps<T>) {
  return (
    <section class="card fleet">
      <div class="head">
        <h2>{title}</h2>
        {more !== undefined && <small class="soft">{more}</small>}
      </div>
      {answer !== null ? (
        <>
          <CoverLine cover={answer.cover} />
          {children(answer)}
        </>
      ) : (
        <p class="soft">{error === null ? "Asking the database." : "n/a: it could not be asked."}</p>
      )}
    </section>
  );
}

function WhereCard({ asked }: { asked: Asked<FleetWhere> }) {
  const { answer } = asked;
  return (
    <Card title={`Where was ${wantedName()}?`} more={answer === null ? undefined : `the week to ${clock(answer.until)}, the last seen first; the most that each held, GiB`} asked={asked}>
      {({ lives, matched, omitted }) => (
        <>
          <Scroll label="where it was">
            <table>
              <thead>
                <tr>
                  <th>machine</th>
                  <th class="num">GPU</th>
                  <th>process</th>
                  <th>whose</th>
                  <th>first seen</th>
                  <th>last seen</th>
                  <th>end</th>
                  <th class="num">used</th>
                  <th class="num">reserved</th>
                </tr>
              </thead>
              <tbody>
                {lives.map((one) => (
                  <LifeRow key={`${one.machine}/${one.gpu_uuid}/${one.pid}/${one.start_time}`} life={one} />
                ))}
                {lives.length === 0 && <None columns={9}>No pod, job, user or container of that name held GPU memory in that week, as far as machines shipped it.</None>}
              </tbody>
            </table>
          </Scroll>
          {matched.length > 0 && <p class="small soft">Found as {matched.map((key) => key.replace("_", " ")).join(", ")}.</p>}
          <Omitted count={omitted} noun="older process" nouns="older processes" />
        </>
      )}
    </Card>
  );
}

function LifeRow({ life }: { life: FleetLife }) {
  return (
    <tr>
      <td>{life.host}</td>
      <td class="num" title={life.gpu_uuid}>
        {life.gpu ?? <Absent reason="its index was not shipped" />}
      </td>
      <td class="nowrap">{processLabel(life)}</td>
      <td>
        <Whose of={life} />
      </td>
      <td class="nowrap">{clock(life.first_seen)}</td>
      <td class="nowrap">
        <button type="button" class="plain link" title="look at that time" onClick={() => go({ time: life.last_seen })}>
          {clock(life.last_seen)}
        </button>
      </td>
      <td>{life.ended ?? <Absent reason="it lives, or nobody saw it end" />}</td>
      <Gib value={life.used_bytes} reason={NOT_MEASURED} isMain />
      <Gib value={life.reserved_bytes} reason={NOT_REPORTED} />
    </tr>
  );
}

function TopCard({ asked }: { asked: Asked<FleetTop> }) {
  const by = HOLDERS.find(([key]) => key === holderKey())![1];
  return (
    <Card title={route.value.time === null ? "Who holds the most" : "Who held the most"} more={`by ${by}, summed over machines, GiB`} asked={asked}>
      {({ holders, all }) => (
        <Scroll label="who held the most">
          <table>
            <thead>
              <tr>
                <th>{by}</th>
                <th class="num">machines</th>
                <th class="num">GPUs</th>
                <th class="num">processes</th>
                <th>share</th>
                <th class="num">used</th>
                <th class="num">reserved</th>
                <th class="num">in use</th>
              </tr>
            </thead>
            <tbody>
              {holders.map((holder) => (
                <HolderRow key={holder.name ?? ""} holder={holder} all={all} />
              ))}
              {holders.length === 0 && <None columns={8}>No process was on a GPU.</None>}
            </tbody>
          </table>
        </Scroll>
      )}
    </Card>
  );
}

function HolderRow({ holder, all }: { holder: Holder; all: Holder }) {
  const silent = holder.silent === holder.processes ? NOT_REPORTED : NOT_MEASURED;
  return (
    <tr>
      <td>{holder.name === null ? <Absent reason={NOT_TOLD}>not told</Absent> : <b>{holder.name}</b>}</td>
      <td class="num">{holder.machines.toLocaleString("en")}</td>
      <td class="num">{holder.gpus.toLocaleString("en")}</td>
      <td class="num">{holder.processes.toLocaleString("en")}</td>
      <td>{holder.used_bytes !== null && all.used_bytes !== null && <Share of={holder.used_bytes} in={all.used_bytes} />}</td>
      <Gib value={holder.used_bytes} reason={NOT_MEASURED} isMain />
      <Gib value={holder.reserved_bytes} reason={silent} />
      <Gib value={holder.allocated_bytes} reason={silent} />
    </tr>
  );
}

function ProcessesCard({ asked }: { asked: Asked<FleetAt> }) {
  return (
    <Card title="The largest processes" more="GiB" asked={asked}>
      {({ processes, processes_omitted: omitted }) => (
        <>
          <Scroll label="the largest processes">
            <table>
              <thead>
                <tr>
                  <th>machine</th>
                  <th class="num">GPU</th>
                  <th>process</th>
                  <th>whose</th>
                  <th class="num">used</th>
                  <th class="num">reserved</th>
                  <th class="num">in use</th>
                </tr>
              </thead>
              <tbody>
                {processes.map((one) => (
                  <ProcessRow key={`${one.machine}/${one.gpu_uuid}/${one.pid}/${one.start_time}`} process={one} />
                ))}
                {processes.length === 0 && <None columns={7}>No process was on a GPU.</None>}
              </tbody>
            </table>
          </Scroll>
          <Omitted count={omitted} noun="smaller process" nouns="smaller processes" />
        </>
      )}
    </Card>
  );
}

function ProcessRow({ process }: { process: FleetProcess }) {
  return (
    <tr>
      <td>{process.host}</td>
      <td class="num" title={process.gpu_uuid}>
        {process.gpu ?? <Absent reason="its index was not shipped" />}
      </td>
      <td class="nowrap">{processLabel(process)}</td>
      <td>
        <Whose of={process} />
      </td>
      <Gib value={process.used_bytes} reason={NOT_MEASURED} isMain />
      <Gib value={process.reserved_bytes} reason={NOT_REPORTED} />
      <Gib value={process.allocated_bytes} reason={NOT_REPORTED} />
    </tr>
  );
}

function WasteCard({ asked }: { asked: Asked<FleetWaste> }) {
  const range = asked.answer === null ? undefined : `${clock(asked.answer.since)} to ${clock(asked.answer.until)}`;
  return (
    <Card title="Held in vain" more={range} asked={asked}>
      {(answer) => (
        <>
          <Scroll label="memory reserved and never used">
            <table>
              <thead>
                <tr>
                  <th>reserved and never used</th>
                  <th class="num">processes</th>
                  <th>share</th>
                  <th class="num">never used, GiB·h</th>
                  <th class="num">held, GiB·h</th>
                </tr>
              </thead>
              <tbody>
                {answer.wasters.map((one) => (
                  <tr key={one.name ?? ""}>
                    <td>{one.name === null ? <Absent reason={NOT_TOLD}>not told</Absent> : <b>{one.name}</b>}</td>
                    <td class="num">{one.processes.toLocaleString("en")}</td>
                    <td>
                      <Share of={one.never_used_byte_hours} in={one.held_byte_hours} />
                    </td>
                    <td class="num">
                      <b>{hours(one.never_used_byte_hours)}</b>
                    </td>
                    <td class="num">{hours(one.held_byte_hours)}</td>
                  </tr>
                ))}
                {answer.wasters.length === 0 && <None columns={5}>Nobody whose allocator reports held memory for a whole hour.</None>}
              </tbody>
            </table>
          </Scroll>
          <p class="small soft">
            At least so much: of each process and hour the least held, minus the most that lived in it.
            {answer.silent_processes > 0 && ` ${plural(answer.silent_processes, "process", "processes")} more, whose allocators report nothing, may waste as well.`}
          </p>
          <Empty empty={answer.empty} allocations={answer.allocations} />
        </>
      )}
    </Card>
  );
}

/** GPUs that were given to a job and left alone. */
function Empty({ empty, allocations }: { empty: readonly EmptyGpu[]; allocations: number }) {
  if (allocations === 0) return <p class="small soft">Given to a job and left empty: n/a, no scheduler tells what it gave.</p>;
  if (empty.length === 0) return <p class="small soft">None of the {plural(allocations, "GPU")} given to jobs was left empty.</p>;
  return (
    <Scroll label="GPUs given to a job and left empty">
      <table>
        <thead>
          <tr>
            <th>given and left empty</th>
            <th>machine</th>
            <th>user</th>
            <th class="num">empty</th>
            <th class="num">of</th>
          </tr>
        </thead>
        <tbody>
          {empty.map((one) => (
            <tr key={`${one.host}/${one.gpu_uuid}/${one.job}/${one.since}`}>
              <td>
                {one.scheduler} {one.job}, since {clock(one.since)}
              </td>
              <td title={one.gpu_uuid}>{one.host}</td>
              <td>{one.user ?? <Absent reason="the scheduler did not tell" />}</td>
              <td class="num">
                <b>{duration(one.empty_minutes * 60)}</b>
              </td>
              <td class="num">{duration(one.seen_minutes * 60)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function HeldCard({ asked }: { asked: Asked<FleetAt> }) {
  return (
    <Card title={route.value.time === null ? "What machines hold" : "What machines held"} more="the fullest first, GiB" asked={asked}>
      {({ machines }) => (
        <>
          {machines.slice(0, MACHINES_SHOWN).map((one) => (
            <div class="delta" key={one.machine}>
              <div>
                <span>
                  <b>{one.host}</b>{" "}
                  <span class="soft">
                    {plural(one.gpus, "GPU")}, {plural(one.processes, "process", "processes")}
                  </span>
                </span>
                <span class="num">
                  {gib(one.ledger.used_bytes)} <span class="soft">/ {gib(one.ledger.total_bytes)}</span>
                </span>
              </div>
              <Bar ledger={one.ledger} host={one.host} />
              {one.omitted_processes > 0 && (
                <div class="small soft">
                  of these {bytes(one.omitted_used_bytes)} of {plural(one.omitted_processes, "process", "processes")} that were not shipped one by one
                </div>
              )}
            </div>
          ))}
          {machines.length === 0 && <p class="soft">No machine shipped anything of that time.</p>}
          <Omitted count={machines.length - MACHINES_SHOWN} noun="machine" />
        </>
      )}
    </Card>
  );
}

function Bar({ ledger, host }: { ledger: FleetLedger; host: string }) {
  const share = (size: number) => ({ width: `${(size / Math.max(1, ledger.total_bytes)) * 100}%` });
  const rest = [
    { purpose: PURPOSE_OF.get("free")!, size: ledger.free_bytes },
    { purpose: PURPOSE_OF.get("driver")!, size: ledger.driver_reserved_bytes },
  ];
  return (
    <div class="ledger low" role="img" aria-label={`${host}: ${bytes(ledger.used_bytes)} used, ${bytes(ledger.free_bytes)} free, ${bytes(ledger.driver_reserved_bytes)} driver`}>
      <div class="seg used" style={share(ledger.used_bytes)} />
      {rest.map(({ purpose, size }) => (
        <div key={purpose.key} class={`seg ${fillClass(purpose)}`} style={{ ...share(size), ...fillStyle(purpose) }} />
      ))}
    </div>
  );
}

const STATES: Readonly<Record<FleetMachine["state"], readonly [string, string, string]>> = {
  fresh: ["●", "ok", ""],
  late: ["◐", "warn", "it has not shipped for some minutes"],
  unknown: ["○", "soft", "it never shipped a minute"],
};

function StateCard({ asked }: { asked: Asked<FleetMachines> }) {
  return (
    <Card title="Machines now" more="those that are behind first" asked={asked}>
      {({ machines, asked: when }) => (
        <>
          <table>
            <tbody>
              {machines.slice(0, MACHINES_SHOWN).map((one) => {
                const [shape, tone, why] = STATES[one.state];
                return (
                  <tr key={one.machine}>
                    <td>
                      <span class={tone} aria-hidden="true">
                        {shape}
                      </span>{" "}
                      <b>{one.host}</b> <span class={tone} title={why}>{one.state}</span>
                      {one.simulated && <span class="tag">DEMO</span>}
                    </td>
                    <td class="num soft">
                      {one.shipped_until === null ? <Absent reason={why} /> : `shipped to ${clock(one.shipped_until)}`}
                      {one.shipped_until !== null && one.state !== "fresh" && <div>{ago(one.shipped_until, when)}</div>}
                      {one.gaps > 0 && <div class="warn">{plural(one.gaps, "gap")}</div>}
                    </td>
                  </tr>
                );
              })}
              {machines.length === 0 && <None columns={2}>No server ever shipped here.</None>}
            </tbody>
          </table>
          <Omitted count={machines.length - MACHINES_SHOWN} noun="machine" />
        </>
      )}
    </Card>
  );
}

function OomsCard({ asked }: { asked: Asked<FleetOoms> }) {
  const range = asked.answer === null ? undefined : `the week to ${clock(asked.answer.until)}, the newest first`;
  return (
    <Card title="Out of memory" more={range} asked={asked}>
      {({ ooms, omitted }) => (
        <>
          <Scroll label="out of memory">
            <table>
              <thead>
                <tr>
                  <th>when</th>
                  <th>machine</th>
                  <th>process</th>
                  <th>whose</th>
                  <th class="num">asked for</th>
                  <th class="num">free then</th>
                  <th class="num">of</th>
                  <th>report there</th>
                </tr>
              </thead>
              <tbody>
                {ooms.map((one) => (
                  <OomRow key={`${one.machine}/${one.event_id}/${one.timestamp}`} oom={one} />
                ))}
                {ooms.length === 0 && <None columns={8}>None that a machine shipped.</None>}
              </tbody>
            </table>
          </Scroll>
          <Omitted count={omitted} noun="older one" />
        </>
      )}
    </Card>
  );
}

function OomRow({ oom }: { oom: FleetOom }) {
  const size = (value: number | null) => (value === null ? <Absent reason="it was not told" /> : bytes(value));
  return (
    <tr>
      <td class="nowrap">
        <span class="alarm" aria-hidden="true">
          ▼
        </span>{" "}
        <button type="button" class="plain link" title="look at that time" onClick={() => go({ time: oom.timestamp })}>
          {clock(oom.timestamp)}
        </button>
      </td>
      <td>{oom.host}</td>
      <td class="nowrap">{processLabel(oom)}</td>
      <td>
        <Whose of={oom} />
      </td>
      <td class="num">
        <b>{size(oom.requested_bytes)}</b>
      </td>
      <td class="num">{size(oom.device_free_bytes)}</td>
      <td class="num">{size(oom.device_total_bytes)}</td>
      <td class="nowrap">
        <code>blackbox report {oom.event_id}</code>
      </td>
    </tr>
  );
}

function Whose({ of }: { of: Parameters<typeof workloadOf>[0] }) {
  const whose = workloadOf(of);
  return whose === null ? <Absent reason={NOT_TOLD} /> : <>{whose}</>;
}

function Gib({ value, reason, isMain = false }: { value: number | null; reason: string; isMain?: boolean }) {
  return <td class="num">{value === null ? <Absent reason={reason} /> : isMain ? <b>{gib(value)}</b> : gib(value)}</td>;
}

function hours(byteHours: number): string {
  return (byteHours / GIB).toFixed(1);
}

function Share({ of, in: all }: { of: number; in: number }) {
  const share = all > 0 ? of / all : 0;
  return (
    <div class="meter wide" role="img" aria-label={percent(share)} title={percent(share)}>
      <i style={{ width: `${share * 100}%` }} />
    </div>
  );
}

function None({ columns, children }: { columns: number; children: ComponentChildren }) {
  return (
    <tr>
      <td colSpan={columns} class="soft">
        {children}
      </td>
    </tr>
  );
}

function Omitted({ count, noun, nouns }: { count: number; noun: string; nouns?: string }) {
  return count > 0 ? <p class="small soft">… {plural(count, noun, nouns)} more.</p> : null;
}
