/** A refused request: what was asked for beside what there was. */

import { useEffect, useState } from "preact/hooks";
import type { BlackboxEvent, OutOfMemory } from "../data/answers";
import { askEvent } from "../data/api";
import { bytes } from "../data/format";
import { type Purpose, PURPOSE_OF } from "../data/purpose";
import { Absent, fillClass, fillStyle } from "./basics";

function cachedOf(allocator: OutOfMemory["allocator"]): number | null {
  return allocator?.reserved_bytes == null || allocator.allocated_bytes == null ? null : allocator.reserved_bytes - allocator.allocated_bytes;
}

/** A refusal with its allocator, which lists leave out; null until it comes. Throws nothing: the reason why not is kept. */
function useAllocator(event: BlackboxEvent): { of: number; told: OutOfMemory["allocator"]; reason: string } | null {
  const [found, setFound] = useState<{ of: number; told: OutOfMemory["allocator"]; reason: string } | null>(null);
  useEffect(() => {
    let isWanted = true;
    askEvent(event.id)
      .then((full) => isWanted && setFound({ of: event.id, told: full?.oom?.allocator ?? null, reason: "no allocator told it at the refusal" }))
      .catch((error: unknown) => isWanted && setFound({ of: event.id, told: null, reason: error instanceof Error ? error.message : String(error) }));
    return () => {
      isWanted = false;
    };
  }, [event.id]);
  return found?.of === event.id ? found : null;
}

export function RefusalFigures({ event, oom }: { event: BlackboxEvent; oom: OutOfMemory }) {
  const found = useAllocator(event);
  const allocator = found?.told ?? null;
  const rows: { name: string; bytes: number | null; purpose: Purpose | null }[] = [
    { name: "asked for", bytes: oom.requested_bytes, purpose: null },
    { name: "free on the device", bytes: oom.device_free_bytes, purpose: PURPOSE_OF.get("free")! },
    { name: "largest hole in its cache", bytes: allocator?.largest_free_bytes ?? null, purpose: PURPOSE_OF.get("cached")! },
    { name: "free in its cache, in all", bytes: cachedOf(allocator), purpose: PURPOSE_OF.get("cached")! },
  ];
  const most = Math.max(1, ...rows.map((row) => row.bytes ?? 0));
  return (
    <table class="refusal">
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <td class="num soft">{row.name}</td>
            <td style={{ width: "45%" }}>
              {row.bytes !== null && (
                <div class="measure" style={{ width: "100%" }}>
                  <i class={row.purpose === null ? "" : fillClass(row.purpose)} style={{ width: `${(row.bytes / most) * 100}%`, ...(row.purpose === null ? { background: "var(--alarm)" } : fillStyle(row.purpose)) }} />
                </div>
              )}
            </td>
            <td class="num">
              <b>{row.bytes === null ? <Absent reason={found?.reason ?? "the recording has not answered yet"}>{found === null ? "…" : "n/a"}</Absent> : bytes(row.bytes)}</b>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
