/** The small words of the fleet's view. */

import type { ComponentChildren } from "preact";
import type { Asked } from "../data/fleet";
import type { Cover, FleetLife, FleetProcess } from "../data/fleet_answers";
import { coverText, workloadOf } from "../data/fleet_words";
import { GIB, gib, percent, plural, tenths } from "../data/format";
import { processLabel } from "../data/ledger";
import { Absent } from "./basics";

export const NOT_MEASURED = "nobody measured it";
export const NOT_REPORTED = "no allocator reports";
export const NOT_TOLD = "its machine did not tell whose it is";

/** How much of the fleet a table is of: on every one, since no sum may be smaller without a word. */
export function CoverLine({ cover }: { cover: Cover }) {
  const { tone, shape, sentences } = coverText(cover);
  return (
    <p class={`small cover ${tone}`}>
      <span aria-hidden="true">{shape}</span> {sentences.join(" ")}
    </p>
  );
}

interface CardProps<T extends { cover: Cover }> {
  title: string;
  more?: ComponentChildren;
  asked: Asked<T>;
  children: (answer: T) => ComponentChildren;
}

export function Card<T extends { cover: Cover }>({ title, more, asked: { answer, error }, children }: CardProps<T>) {
  return (
    <section class="card fleet">
      <div class="head">
        <h2>{title}</h2>
        {more !== undefined && <small class="soft">{more}</small>}
      </div>
      {answer !== null ? (
        <>
          <CoverLine cover={answer.cover} />
          {children(answer)}
        </>
      ) : (
        <p class="soft">{error === null ? "Asking the database." : "n/a: it could not be asked."}</p>
      )}
    </section>
  );
}

export function Whose({ of }: { of: Parameters<typeof workloadOf>[0] }) {
  const whose = workloadOf(of);
  return whose === null ? <Absent reason={NOT_TOLD} /> : <>{whose}</>;
}

/** Host, GPU, process and whose it is: the first cells of a row about one process. */
export function WhoCells({ of }: { of: FleetProcess | FleetLife }) {
  return (
    <>
      <td>{of.host}</td>
      <td class="num" title={of.gpu_uuid}>
        {of.gpu ?? <Absent reason="its index was not shipped" />}
      </td>
      <td class="nowrap">{processLabel(of)}</td>
      <td>
        <Whose of={of} />
      </td>
    </>
  );
}

export function Gib({ value, reason, isMain = false }: { value: number | null; reason: string; isMain?: boolean }) {
  return <td class="num">{value === null ? <Absent reason={reason} /> : isMain ? <b>{gib(value)}</b> : gib(value)}</td>;
}

export function hours(byteHours: number): string {
  return tenths(byteHours / GIB);
}

export function Share({ of, in: all }: { of: number; in: number }) {
  const share = all > 0 ? of / all : 0;
  return (
    <div class="meter wide" role="img" aria-label={percent(share)} title={percent(share)}>
      <i style={{ width: `${share * 100}%` }} />
    </div>
  );
}

export function None({ columns, children }: { columns: number; children: ComponentChildren }) {
  return (
    <tr>
      <td colSpan={columns} class="soft">
        {children}
      </td>
    </tr>
  );
}

export function Omitted({ count, noun, nouns }: { count: number; noun: string; nouns?: string }) {
  return count > 0 ? <p class="small soft">… {plural(count, noun, nouns)} more.</p> : null;
}
