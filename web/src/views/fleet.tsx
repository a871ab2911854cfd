/** Who held what on any of the machines, and how much of the fleet is that? */

import { useEffect } from "preact/hooks";
import { type Asked, fleet, type FleetAnswers, followFleet, hasFleet, holderKey, HOLDERS, wantedName } from "../data/fleet";
import type { FleetAt, FleetLedger, FleetMachine, FleetMachines, FleetOom, FleetOoms, FleetProcess, FleetTop, Holder } from "../data/fleet_answers";
import { coverText } from "../data/fleet_words";
import { ago, bytes, clock, counted, gib, percent, plural } from "../data/format";
import { processLabel } from "../data/ledger";
import { PURPOSE_OF } from "../data/purpose";
import { go, goLive, goMore, lookAt, now, route } from "../data/store";
import { Absent, Chips, Scroll, fillClass, fillStyle } from "../parts/basics";
import { CoverLine, Card, Whose, WhoCells, Gib, Share, None, Omitted, NOT_MEASURED, NOT_REPORTED, NOT_TOLD } from "../parts/fleet_basics";
import { WasteCard } from "../parts/fleet_waste";
import { WhereCard } from "../parts/fleet_where";
import { Footer, Main, Nothing } from "../parts/frame";

const HOUR = 3600;
const BACK = [
  [HOUR, "1 h ago"],
  [24 * HOUR, "24 h ago"],
  [7 * 24 * HOUR, "7 d ago"],
] as const;
const MACHINES_SHOWN = 20;
export function Fleet() {
  useEffect(followFleet, []);
  if (hasFleet.value === null) return <Nothing>Asking whether this server knows of other machines.</Nothing>;
  if (!hasFleet.value) {
    return (
      <Nothing title="This server asks no fleet">
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
      <Main>
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
      </Main>
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
      <td class="num">{counted(holder.machines)}</td>
      <td class="num">{counted(holder.gpus)}</td>
      <td class="num">{counted(holder.processes)}</td>
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
      <WhoCells of={process} />
      <Gib value={process.used_bytes} reason={NOT_MEASURED} isMain />
      <Gib value={process.reserved_bytes} reason={NOT_REPORTED} />
      <Gib value={process.allocated_bytes} reason={NOT_REPORTED} />
    </tr>
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
                      {one.ahead_until !== null && <div>newest shipped to {clock(one.ahead_until)}, older ones follow</div>}
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
