/** A refused request: what was asked for beside what there was. */

import type { OutOfMemory } from "../data/answers";
import { bytes } from "../data/format";
import { type Purpose, PURPOSE_OF } from "../data/purpose";
import { Absent, fillClass, fillStyle } from "./basics";

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
            <td style={{ width: "45%" }}>
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
