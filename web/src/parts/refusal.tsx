/** Why a request was refused: what was asked for beside what there was. */

import type { OutOfMemory } from "../data/answers";
import { bytes } from "../data/format";
import { type Purpose, PURPOSE_OF } from "../data/purpose";
import { Absent, fillClass, fillStyle } from "./basics";

export interface Cause {
  word: string;
  sentence: string;
}

/** What the figures of the refusal say, and no more. */
export function causeOf({ requested_bytes: asked, device_free_bytes: free, allocator }: OutOfMemory): Cause | null {
  const largest = allocator?.largest_free_bytes ?? null;
  const cached = cachedOf(allocator);
  if (free === null || largest === null || cached === null) return null;
  if (asked <= Math.max(free, largest)) return { word: "A limit", sentence: "Memory enough for it was free when this was read: a fraction, a pool or a stream kept it away, or it was freed just after." };
  if (asked <= free + cached) return { word: "Fragmentation", sentence: "Enough in all, nowhere enough at once." };
  return { word: "Too little memory", sentence: "Free memory and the allocator's own cache together were less than it asked for." };
}

function cachedOf(allocator: OutOfMemory["allocator"]): number | null {
  return allocator?.reserved_bytes == null || allocator.allocated_bytes == null ? null : allocator.reserved_bytes - allocator.allocated_bytes;
}

export function RefusalFigures({ oom }: { oom: OutOfMemory }) {
  const rows: { name: string; bytes: number | null; purpose: Purpose | null }[] = [
    { name: "asked for", bytes: oom.requested_bytes, purpose: null },
    { name: "free on the device", bytes: oom.device_free_bytes, purpose: PURPOSE_OF.get("free")! },
    { name: "largest hole in its cache", bytes: oom.allocator?.largest_free_bytes ?? null, purpose: PURPOSE_OF.get("cached")! },
    { name: "free in its cache, in all", bytes: cachedOf(oom.allocator), purpose: PURPOSE_OF.get("cached")! },
  ];
  const most = Math.max(1, ...rows.map((row) => row.bytes ?? 0));
  return (
    <table class="refusal">
      <tbody>
        {rows.map((row) => (
          <tr key={row.name}>
            <td class="num soft">{row.name}</td>
            <td style={{ width: "60%" }}>
              {row.bytes !== null && (
                <div class="measure" style={{ width: "100%" }}>
                  <i class={row.purpose === null ? "" : fillClass(row.purpose)} style={{ width: `${(row.bytes / most) * 100}%`, ...(row.purpose === null ? { background: "var(--alarm)" } : fillStyle(row.purpose)) }} />
                </div>
              )}
            </td>
            <td class="num">
              <b>{row.bytes === null ? <Absent reason="no allocator told it at the refusal" /> : bytes(row.bytes)}</b>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
