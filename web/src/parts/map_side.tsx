/** Beside the map: sums, holes, segments, and one block. */

import { useMemo } from "preact/hooks";
import { detailOf, purposeOfOpaque } from "../data/block_columns";
import type { BlockLayout, Segment } from "../data/block_layout";
import { holesOf, sumsOf } from "../data/block_pixels";
import type { Colouring, Scheme } from "../data/colouring";
import { bytes, clock, clockTenths, counted, duration, percent, plural } from "../data/format";
import { type GpuLedger, processLabel } from "../data/ledger";
import { placeText } from "../data/map_window";
import { type Purpose, PURPOSE_OF } from "../data/purpose";
import { events, goMore, linkTo, route } from "../data/store";
import { Absent, Swatch } from "./basics";
import { zoomToSegment } from "./map_canvas";

const REFUSAL_RECENT_SECONDS = 600;
const SEGMENTS_SHOWN = 6;
const FRAMES_SHOWN = 6;

interface SumsProps {
  layout: BlockLayout;
  scheme: Scheme;
  kind: Colouring;
  ledger: GpuLedger;
  /** Not all processes of the GPU are on the map. */
  isPart: boolean;
  time: number;
}

/** The legend of the map with the bytes of each colour; with what is no block it adds up to the whole GPU. */
export function Sums({ layout, scheme, kind, ledger, isPart, time }: SumsProps) {
  const { gpu } = ledger;
  const sums = useMemo(() => sumsOf(layout, scheme), [layout, scheme]);
  const opaque = new Map<Purpose, number>();
  for (const one of layout.opaque) opaque.set(purposeOfOpaque(one), (opaque.get(purposeOfOpaque(one)) ?? 0) + one.bytes);
  const told = scheme.inks.map((purpose, code) => ({ purpose, ...sums[code]! })).filter((row) => row.bytes > 0);
  const isFree = (row: { purpose: Purpose }) => kind !== "purpose" && row.purpose === scheme.inks[0];
  const ordered = [...told.filter((row) => !isFree(row)), ...told.filter(isFree)];
  const own = [...told, ...[...opaque.values()].map((size) => ({ bytes: size }))].reduce((sum, row) => sum + row.bytes, 0);
  const free = { ...PURPOSE_OF.get("free")!, name: freeOn(ledger) };
  const others = gpu.used_bytes - gpu.unattributed_bytes - own;
  const rest: [string, number][] = [
    ["unattributed", gpu.unattributed_bytes],
    ["free", gpu.free_bytes],
    ["driver", gpu.driver_reserved_bytes],
  ];
  const rows: { purpose: Purpose; bytes: number; blocks: number | null }[] = [
    ...ordered,
    ...[...opaque].map(([purpose, size]) => ({ purpose, bytes: size, blocks: null })),
    ...(isPart && others > 0 ? [{ purpose: { ...PURPOSE_OF.get("opaque")!, name: "other processes" }, bytes: others, blocks: null }] : []),
    ...rest.filter(([, size]) => size > 0).map(([key, size]) => ({ purpose: key === "free" ? free : PURPOSE_OF.get(key)!, bytes: size, blocks: null })),
  ];
  return (
    <section class="card">
      <h2>
        {ledger.label}, {clock(time)} <small class="soft">by {kind}</small>
      </h2>
      <table class="sums">
        <thead class="visually-hidden">
          <tr>
            <th>{kind}</th>
            <th>blocks</th>
            <th>bytes</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              <td class={kind === "stack" && row.blocks !== null && row.purpose.letter !== "" ? "mono" : ""}>
                <Swatch purpose={row.purpose} /> {row.purpose.name}
              </td>
              <td class="num soft">{row.blocks === null ? "" : counted(row.blocks)}</td>
              <td class="num">
                <b>{bytes(row.bytes)}</b>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {kind === "stack" && <p class="small soft">Colours stand for the eight stacks that hold most, by their innermost frame.</p>}
      {kind === "process" && <p class="small soft">Colours stand for processes here. Each has addresses of its own, so they stand one below the other.</p>}
      {kind === "age" && <p class="small soft">Time since each block was allocated.</p>}
    </section>
  );
}

function freeOn({ gpu }: GpuLedger): string {
  return `free on ${gpu.mig === null ? "GPU" : "slice"}`;
}

export function HolesCard({ layout, ledger, time }: { layout: BlockLayout; ledger: GpuLedger; time: number }) {
  const holes = useMemo(() => holesOf(layout), [layout]);
  const refused = events.value.findLast((event) => event.kind === "oom" && event.gpu_uuid === ledger.gpu.uuid && event.timestamp > time - REFUSAL_RECENT_SECONDS && event.timestamp < time + REFUSAL_RECENT_SECONDS);
  const asked = refused?.oom?.requested_bytes;
  return (
    <section class="card">
      <h2>
        Holes <small class="soft">{layout.owners.length > 1 ? "in their caches" : "in its cache"}</small>
      </h2>
      <dl class="facts">
        <dt>free in cache</dt>
        <dd class="num">
          <b>{bytes(holes.bytes)}</b>
        </dd>
        <dt>in pieces</dt>
        <dd class="num">{counted(holes.pieces)}</dd>
        <dt>largest piece</dt>
        <dd class="num">
          <b>{holes.largest === null ? "none" : bytes(holes.largest.bytes)}</b>
        </dd>
        <dt>{freeOn(ledger)}</dt>
        <dd class="num">{bytes(ledger.gpu.free_bytes)}</dd>
      </dl>
      {asked !== undefined && refused !== undefined && (
        <p class="small" style={{ marginTop: "6px" }}>
          <a href={linkTo({ view: "incidents", more: { id: String(refused.id) } })}>The request refused at {clockTenths(refused.timestamp)}</a>, {bytes(asked)},{" "}
          {asked <= Math.max(holes.largest?.bytes ?? 0, ledger.gpu.free_bytes) ? "would fit here." : "fits neither the largest piece nor what is free."}
        </p>
      )}
    </section>
  );
}

/** The largest segments, each a way into it. */
export function SegmentsCard({ layout, segments, chosen }: { layout: BlockLayout; segments: readonly Segment[]; chosen: Segment | null }) {
  const largest = segments.toSorted((a, b) => b.size - a.size || a.position - b.position).slice(0, SEGMENTS_SHOWN);
  const of = (segment: Segment) => placeText({ pid: layout.owners[segment.owner]!.pid, address: segment.address });
  return (
    <section class="card">
      <h2>
        Segments <small class="soft">{counted(segments.length)}, the largest first</small>
      </h2>
      <table>
        <tbody>
          {largest.map((segment) => (
            <tr key={of(segment)} aria-selected={segment === chosen}>
              <td>
                <button type="button" class="plain mono" title="show this segment alone" aria-pressed={segment === chosen} onClick={() => goMore({ seg: segment === chosen ? null : of(segment), zoom: null, at: null })}>
                  0x{segment.address.toString(16)}
                </button>
              </td>
              <td class="num">{bytes(segment.size)}</td>
              <td class="num soft">{percent(segment.live / segment.size)} in use</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function BlockCard({ layout, index, isPinned, time }: { layout: BlockLayout; index: number; isPinned: boolean; time: number }) {
  const block = detailOf(layout, index);
  const why = "its allocator does not tell";
  return (
    <section class="card block">
      <h2>
        Block <small class="soft">{isPinned ? "pinned" : "under the pointer"}</small>
      </h2>
      <p>
        <Swatch purpose={block.purpose} />{" "}
        <b>
          {block.purpose.name}, {bytes(block.size)}
        </b>
      </p>
      <dl class="facts">
        <dt>of</dt>
        <dd>
          {processLabel(block.owner)}, {block.thread === null ? <Absent reason="its thread is not known">thread n/a</Absent> : `thread ${block.thread}`}
        </dd>
        <dt>age</dt>
        <dd>{block.allocatedAt === null ? <Absent reason={block.isLive ? why : "nobody holds it"} /> : `${duration(time - block.allocatedAt)}, since ${clock(block.allocatedAt)}`}</dd>
        <dt>address</dt>
        <dd class="mono">0x{block.address.toString(16)}</dd>
        <dt>asked for</dt>
        <dd>{block.requested === null ? <Absent reason={block.isLive ? why : "nobody holds it"} /> : bytes(block.requested)}</dd>
        <dt>stream, pool</dt>
        <dd>
          {block.stream ?? <Absent reason={why} />}, {block.pool === null ? <Absent reason={why} /> : block.pool === 0 ? "shared by all" : `private pool ${block.pool}`}
        </dd>
        <dt>segment</dt>
        <dd>
          {block.segment === null ? (
            <Absent reason={why} />
          ) : (
            <button type="button" class="plain mono link" title="show this segment alone" onClick={() => zoomToSegment(layout, index)}>
              0x{block.segment.toString(16)}
            </button>
          )}
        </dd>
        <dt>known by</dt>
        <dd>{block.knownBy ?? <Absent reason={block.isLive ? "nobody told what it is for" : "nobody holds it"} />}</dd>
        <dt>stack</dt>
        <dd class="mono wrap">
          {block.stack === null ? (
            <Absent reason={block.isLive ? "no history of its allocator is recorded" : "nobody holds it"} />
          ) : (
            block.stack.frames.slice(0, FRAMES_SHOWN).map((frame, depth) => <div key={depth}>{depth === 0 ? <b>{frame}</b> : frame}</div>)
          )}
        </dd>
      </dl>
      {block.stack !== null && (
        <p class="small soft">
          {plural(block.stack.blocks, "block")}, {bytes(block.stack.allocated_bytes)}, from this stack
        </p>
      )}
      <p>
        <a href={linkTo({ view: "moment", pid: block.owner.pid, time: route.value.time })}>
          what lived {route.value.time === null ? "now" : "then"}, by stack
        </a>
      </p>
    </section>
  );
}
