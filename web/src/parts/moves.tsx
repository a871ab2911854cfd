/** What each process took or gave back over the last two minutes, as far as they are known. */

import { computed } from "@preact/signals";
import { change, clock, duration } from "../data/format";
import { processKey, processLabel } from "../data/ledger";
import { windowFrom } from "../data/series";
import { cursor, gpuLeaves, linkTo, noRecording, route, tracksShown, tracksVersion } from "../data/store";
import { movedSince } from "../data/verdict";

const MOVED_SECONDS = 120;

/** When what the page tells of the last two minutes begins: later than that where less is known. */
export const movedFrom = computed(() => {
  void tracksVersion.value;
  return windowFrom(gpuLeaves.value.map(({ gpu }) => tracksShown.value.get(gpu.uuid)), cursor.value, MOVED_SECONDS);
});

export function Moves() {
  void tracksVersion.value;
  const from = movedFrom.value;
  if (from === null) return <MovesUnknown />;
  const rows = movedSince(gpuLeaves.value, (process) => tracksShown.value.get(processKey(process)), from);
  const most = Math.max(1, ...rows.map((row) => Math.abs(row.bytes)));
  return (
    <section class="card">
      <h2>
        Change in {duration(cursor.value - from)} <small class="soft">by process, since {clock(from)}</small>
      </h2>
      {rows.map(({ process, bytes: moved, isNew }) => (
        <div class="delta" key={processKey(process)}>
          <div>
            <span>
              {processLabel(process)} <span class="soft">{process.user}</span>
            </span>
            <span class="num">
              {isNew && <span class="soft">new </span>}
              {moved === most && moved > 0 ? <b>{change(moved)}</b> : change(moved)}
            </span>
          </div>
          <div class="meter">
            <i class={moved > 0 && moved === most && moved > 1e9 ? "hot" : ""} style={{ width: `${(Math.abs(moved) / most) * 100}%` }} />
          </div>
        </div>
      ))}
      {rows.length === 0 && <p class="soft">No process holds memory.</p>}
    </section>
  );
}

/** Where the page has no readings at hand, the recording may have. */
function MovesUnknown() {
  return (
    <section class="card">
      <h2>Change</h2>
      <p class="soft">{route.value.time === null || noRecording.value !== null ? "Nothing has been read for long enough." : <a href={linkTo({ view: "compare", a: cursor.value - MOVED_SECONDS, b: cursor.value })}>Compare with 2 min before</a>}</p>
    </section>
  );
}
