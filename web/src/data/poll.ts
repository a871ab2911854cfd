/** Questions asked again and again, while somebody can see the answer. */

/** Calls `load` every `milliseconds` while the page can be seen, and when it comes back into sight; returns the way to stop. */
export function whileVisible(load: () => unknown, milliseconds: number): () => void {
  const ask = () => {
    if (!document.hidden) void load();
  };
  const timer = setInterval(ask, milliseconds);
  document.addEventListener("visibilitychange", ask);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", ask);
  };
}
