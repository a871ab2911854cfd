/** The small words of every view. */

import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import type { Unknown } from "../data/answers";
import { type Purpose, PURPOSES } from "../data/purpose";
import type { Mark } from "../data/marks";

/** A value nobody measured: never 0, never an empty cell, always with its reason. */
export function Absent({ reason, children = "n/a" }: { reason: string; children?: ComponentChildren }) {
  return (
    <span class="na" title={reason} tabIndex={0} aria-label={`not available: ${reason}`} role="note">
      {children}
    </span>
  );
}

/** A sentence of the server, in which commands stand between backticks. */
export function Worded({ text }: { text: string }) {
  return <>{text.split("`").map((part, place) => (place % 2 === 0 ? part : <code key={place}>{part}</code>))}</>;
}

/** The reason a key has no value; null where it has one. */
export function reasonOf(unknown: Unknown | undefined, key: string): string | null {
  return unknown?.[key] ?? null;
}

/** CSS of a purpose's fill: a class for a texture, colours for both. */
export function fillClass(purpose: Purpose): string {
  return purpose.texture === null ? "" : `t-${purpose.texture}`;
}

export function fillStyle(purpose: Purpose): Record<string, string> {
  if (purpose.texture !== null) return { "--c": `var(--p-${purpose.key})` };
  return { background: `var(--p-${purpose.key})`, color: `var(--i-${purpose.key})` };
}

export function Swatch({ purpose }: { purpose: Purpose }) {
  return (
    <span class={`swatch ${fillClass(purpose)}`} style={fillStyle(purpose)} aria-hidden="true">
      {purpose.letter === "" ? null : purpose.letter /* an empty text would be written anew each time */}
    </span>
  );
}

export function Legend({ purposes = PURPOSES }: { purposes?: readonly Purpose[] }) {
  return useMemo(
    () => (
      <div class="legend" role="note" aria-label="colours and textures">
        {purposes.map((purpose) => (
          <span key={purpose.key}>
            <Swatch purpose={purpose} />
            {purpose.name}
          </span>
        ))}
      </div>
    ),
    [purposes],
  );
}

export function Tag({ mark }: { mark: Mark }) {
  return (
    <span class={`tag ${mark.tone}`}>
      {mark.shape} {mark.word}
    </span>
  );
}

interface Choice<T> {
  value: T;
  text: string;
}

/** One of a few, as pressed buttons. */
export function Chips<T>({ label, choices, chosen, onChoose }: { label: string; choices: readonly Choice<T>[]; chosen: T; onChoose: (value: T) => void }) {
  return (
    <>
      <span id={`chips-${label}`}>{label}</span>
      {choices.map((choice) => (
        <button type="button" key={String(choice.value)} aria-pressed={choice.value === chosen} onClick={() => onChoose(choice.value)}>
          {choice.text}
        </button>
      ))}
    </>
  );
}

/** Frames of a stack, innermost first and bold, its callers after it. */
export function Frames({ frames }: { frames: readonly string[] }) {
  const [first, ...callers] = frames;
  return (
    <span class="mono" title={frames.join("\n")}>
      <b>{first}</b>
      {callers.map((frame) => ` ‹ ${frame}`)}
    </span>
  );
}

/** A wide table scrolls in its box, by keyboard too, and the page does not. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}
