/** Light or dark: the system's, unless the reader has chosen; the choice is kept. Gives the colours their CSS names. */

import { computed, effect, signal } from "@preact/signals";
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

export function startTheme(): void {
  system.addEventListener("change", (event) => {
    systemIsDark.value = event.matches;
  });
  effect(() => {
    const root = document.documentElement;
    root.dataset["theme"] = isDark.value ? "dark" : "light";
    for (const purpose of [...PURPOSES, ...AGES]) {
      root.style.setProperty(`--p-${purpose.key}`, isDark.value ? purpose.dark : purpose.light);
      root.style.setProperty(`--i-${purpose.key}`, isDark.value ? purpose.darkInk : purpose.lightInk);
    }
  });
}

/** A colour of the interface, for canvases. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
