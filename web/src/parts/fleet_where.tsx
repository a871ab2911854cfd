/** Where was a pod, job, user or container? */

import { type Asked, wantedName } from "../data/fleet";
import type { FleetLife, FleetWhere } from "../data/fleet_answers";
import { clock } from "../data/format";
import { go } from "../data/store";
import { Absent, Scroll } from "./basics";
import { Card, Gib, None, NOT_MEASURED, NOT_REPORTED, Omitted, WhoCells } from "./fleet_basics";

export function WhereCard({ asked }: { asked: Asked<FleetWhere> }) {
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
      <WhoCells of={life} />
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
