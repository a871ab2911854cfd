/** The whole memory of a GPU as one bar: who holds how much for what, and what is free. */

import { useMemo } from "preact/hooks";
import type { GpuLedger, Segment } from "../data/ledger";
import { pixelWidths, processLabel } from "../data/ledger";
import { bytes, gib, percent } from "../data/format";
import { fillClass, fillStyle } from "./basics";

const LETTER_SHARE = 0.022;
const FIGURE_SHARE = 0.09;
const NAME_SHARE = 0.04;
/** Longer names need more room. */
const SHORT_WORD = 6;
const LONG_WORD_SHARE = 0.18;
/** Widths are worked out for a bar this wide and drawn as shares of it. */
const REFERENCE_PX = 560;

interface Placed {
  segment: Segment;
  share: number;
  start: number;
  isFirst: boolean;
}

export function place(segments: readonly Segment[], total: number): Placed[] {
  const widths = pixelWidths(segments, total, REFERENCE_PX);
  let start = 0;
  return segments.map((segment, index) => {
    const share = widths[index]! / REFERENCE_PX;
    const placed = { segment, share, start, isFirst: index > 0 && segment.process !== segments[index - 1]!.process };
    start += share;
    return placed;
  });
}

/** What a bar says to who cannot see it. */
export function describe(ledger: GpuLedger): string {
  const parts = ledger.segments.map(({ purpose, bytes: size, process }) => `${process === null ? "" : `${processLabel(process)} `}${purpose.name} ${bytes(size)}`);
  return `${ledger.label}, ${bytes(ledger.gpu.total_bytes)}: ${parts.join(", ")}`;
}

export function LedgerBar({ ledger, grows = false, owners = true }: { ledger: GpuLedger; grows?: boolean; owners?: boolean }) {
  const { segments, gpu } = ledger;
  // what else changes about a GPU, such as its temperature, leaves its bar as it is
  return useMemo(() => {
    const placed = place(segments, gpu.total_bytes);
    return (
      <div>
        <div class="ledger" role="img" aria-label={describe(ledger)}>
          {placed.map((one) => (
            <Part key={`${one.segment.process?.pid ?? ""}/${one.segment.purpose.key}`} placed={one} total={gpu.total_bytes} grows={grows} />
          ))}
        </div>
        {owners && <Owners placed={placed} />}
      </div>
    );
  }, [segments, gpu.total_bytes, grows, owners]);
}

function Part({ placed, total, grows }: { placed: Placed; total: number; grows: boolean }) {
  const { segment, share, isFirst } = placed;
  const { purpose } = segment;
  const isFree = purpose.key === "free";
  const whose = segment.process === null ? "" : `${processLabel(segment.process)}: `;
  return (
    <div
      class={`seg ${fillClass(purpose)} ${isFirst ? "first" : ""} ${isFree ? "left" : ""}`}
      style={{ width: `${share * 100}%`, ...fillStyle(purpose) }}
      title={`${whose}${purpose.name} ${bytes(segment.bytes)}, ${percent(segment.bytes / total)}`}
    >
      {isFree && grows && share > LETTER_SHARE && <span class="grows">▸▸▸</span>}
      <Words segment={segment} share={share} />
    </div>
  );
}

function Words({ segment, share }: { segment: Segment; share: number }) {
  const { purpose } = segment;
  if (purpose.letter !== "") {
    if (share >= FIGURE_SHARE) return <>{`${purpose.letter} ${gib(segment.bytes)}`}</>;
    return share >= LETTER_SHARE ? <>{purpose.letter}</> : null;
  }
  if (purpose.key === "free") return share >= FIGURE_SHARE ? <>{`free ${gib(segment.bytes)}`}</> : null;
  const word = purpose.key === "opaque" ? "n/a" : purpose.key === "cached" ? "cache" : purpose.name;
  if (share < (word.length > SHORT_WORD ? LONG_WORD_SHARE : FIGURE_SHARE)) return null;
  return <span class="on">{`${word} ${gib(segment.bytes)}`}</span>;
}

function Owners({ placed }: { placed: readonly Placed[] }) {
  const owners = new Map<number, { name: string; start: number; share: number }>();
  for (const { segment, share, start } of placed) {
    if (segment.process === null) continue;
    const owner = owners.get(segment.process.pid);
    if (owner === undefined) owners.set(segment.process.pid, { name: processLabel(segment.process), start, share });
    else owner.share += share;
  }
  const named = [...owners.values()].filter((owner) => owner.share >= NAME_SHARE);
  return (
    <div class="owners" aria-hidden="true">
      {named.map((owner, index) => (
        <span key={owner.name} style={{ left: `${owner.start * 100}%`, maxWidth: `${((named[index + 1]?.start ?? 1) - owner.start) * 100}%` }}>
          {owner.name}
        </span>
      ))}
    </div>
  );
}

/** A process's memory by purpose, small, in a table. */
export function SmallBar({ segments, total }: { segments: readonly Segment[]; total: number }) {
  const label = segments.map((segment) => `${segment.purpose.name} ${bytes(segment.bytes)}`).join(", ");
  return (
    <div class="ledger low" role="img" aria-label={label} title={label}>
      {place(segments, total).map(({ segment, share }) => (
        <div key={segment.purpose.key} class={`seg ${fillClass(segment.purpose)}`} style={{ width: `${share * 100}%`, ...fillStyle(segment.purpose) }} />
      ))}
    </div>
  );
}
