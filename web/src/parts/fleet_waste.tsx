/** What of the fleet is held without use? */

import type { Asked } from "../data/fleet";
import type { EmptyGpu, FleetWaste } from "../data/fleet_answers";
import { clock, counted, duration, plural } from "../data/format";
import { Absent, Scroll } from "./basics";
import { Card, hours, Share, None, NOT_TOLD } from "./fleet_basics";

export function WasteCard({ asked }: { asked: Asked<FleetWaste> }) {
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
                    <td class="num">{counted(one.processes)}</td>
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

/** GPUs that were given to a job or a pod and left alone. */
function Empty({ empty, allocations }: { empty: readonly EmptyGpu[]; allocations: number }) {
  if (allocations === 0) return <p class="small soft">Given to a job or a pod and left empty: n/a, no scheduler and no kubelet tells what it gave.</p>;
  if (empty.length === 0) return <p class="small soft">None of the {plural(allocations, "GPU")} given to jobs or pods was left empty.</p>;
  return (
    <Scroll label="GPUs given to a job or a pod and left empty">
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
