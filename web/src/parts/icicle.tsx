/** Live memory from the outermost caller down; width is bytes, and only the line that allocated is coloured. */

import type { Node } from "../data/stacks";
import { bytes, percent } from "../data/format";
import { fillClass, fillStyle } from "./basics";
import { PURPOSE_OF } from "../data/purpose";

const ROW_PX = 24;
/** Narrower nodes are drawn and not named. */
const NAMED_SHARE = 0.02;
const DRAWN_SHARE = 0.0005;
const NODES_MAX = 400;

export function Icicle({ nodes, selected, onSelect }: { nodes: readonly Node[]; selected: string | null; onSelect: (row: string | null) => void }) {
  const total = nodes.filter((node) => node.depth === 0).reduce((sum, node) => sum + node.bytes, 0);
  const drawn = nodes.filter((node) => node.bytes / total >= DRAWN_SHARE).slice(0, NODES_MAX);
  const depth = Math.max(0, ...drawn.map((node) => node.depth));
  return (
    <div class="icicle" style={{ height: `${(depth + 1) * ROW_PX}px` }} role="group" aria-label="stacks, from the outermost caller down">
      {drawn.map((node, index) => (
        <Frame key={`${node.depth}/${node.start}/${index}`} node={node} share={node.bytes / total} total={total} isSelected={node.row !== null && node.row === selected} onSelect={onSelect} />
      ))}
    </div>
  );
}

function Frame({ node, share, total, isSelected, onSelect }: { node: Node; share: number; total: number; isSelected: boolean; onSelect: (row: string | null) => void }) {
  const purpose = node.reason === null ? node.purpose : PURPOSE_OF.get("opaque")!;
  const text = node.depth === 0 ? `${node.name} ${bytes(node.bytes)}` : node.name;
  return (
    <button
      type="button"
      class={purpose === null ? "" : fillClass(purpose)}
      aria-pressed={isSelected}
      aria-label={`${node.name}, ${bytes(node.bytes)}`}
      disabled={node.row === null}
      title={`${node.name}\n${bytes(node.bytes)}, ${percent(node.bytes / total)}`}
      style={{ left: `${node.start * 100}%`, width: `${share * 100}%`, top: `${node.depth * ROW_PX}px`, ...(purpose !== null && fillStyle(purpose)) }}
      onClick={() => onSelect(isSelected ? null : node.row)}
    >
      {share >= NAMED_SHARE && (node.reason === null ? text : <span class="on">{text}</span>)}
    </button>
  );
}
