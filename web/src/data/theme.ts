/** Light or dark: the system's, unless the reader has chosen; the choice is kept. Gives the colours their CSS names. */

import { computed, effect, signal } from "@preact/signals";
import type { Ground } from "../draw/texture";
import { AGES, PURPOSES } from "./purpose";

export type Choice = "auto" | "light" | "dark";
const KEY = "blackbox.theme";

function kept(): Choice {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "auto";
}

const system = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(system.matches);
export const choice = signal<Choice>(kept());
export const isDark = computed(() => (choice.value === "auto" ? systemIsDark.value : choice.value === "dark"));

export function choose(next: Choice): void {
  choice.value = next;
  if (next === "auto") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
}

const tokens = new Map<string, string>();

export function startTheme(): void {
  system.addEventListener("change", (event) => {
    systemIsDark.value = event.matches;
  });
  effect(() => {
    const root = document.documentElement;
    root.dataset["theme"] = isDark.value ? "dark" : "light";
    tokens.clear();
    for (const purpose of [...PURPOSES, ...AGES]) {
      root.style.setProperty(`--p-${purpose.key}`, isDark.value ? purpose.dark : purpose.light);
      root.style.setProperty(`--i-${purpose.key}`, isDark.value ? purpose.darkInk : purpose.lightInk);
    }
  });
}

/** A colour of the interface, for canvases. Asked of the browser once for each theme: it works out all styles to answer. */
export function token(name: string): string {
  const known = tokens.get(name);
  if (known !== undefined) return known;
  const colour = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  if (colour !== "") tokens.set(name, colour); // before the style sheet is there it has no colours
  return colour;
}

/** What textures are drawn on and with. */
export function ground(): Ground {
  return { paper: token("paper"), shade: token("shade"), hatch: token("hatch"), out: token("out") };
}
