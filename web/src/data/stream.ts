/** The one stream of a tab: snapshots as they come, over restarts of the server; closed while nobody looks. */

import type { Snapshot } from "./answers";
import { needsLogin } from "./api";

export type Connection =
  | { state: "connecting" }
  | { state: "live" }
  /** `retryAt` in ms of the page's clock. */
  | { state: "lost"; since: number; retryAt: number }
  | { state: "hidden" }
  | { state: "login" };

const FIRST_RETRY_MS = 1000;
/** A server that comes back is found within ten seconds, and one that does not is asked rarely. */
const LAST_RETRY_MS = 10_000;
/** The server sends something at least as often, if only a heartbeat; a connection that is dead without saying so is given up. */
const SILENCE_MS = 20_000;

export class SnapshotStream {
  #source: EventSource | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #retryMs = FIRST_RETRY_MS;
  #lostSince: number | null = null;

  constructor(
    private readonly onSnapshot: (snapshot: Snapshot) => void,
    private readonly onConnection: (connection: Connection) => void,
  ) {}

  /** Opens the stream, and keeps it open while the page can be seen. */
  start(): void {
    document.addEventListener("visibilitychange", () => this.#onVisibility());
    this.open();
  }

  /** Connects at once, whatever was waited for. */
  open(): void {
    this.#close();
    if (this.#lostSince === null) this.onConnection({ state: "connecting" });
    const source = new EventSource("vram/stream?blocks=none");
    this.#source = source;
    source.onmessage = (event: MessageEvent<string>) => {
      this.#retryMs = FIRST_RETRY_MS;
      this.#lostSince = null;
      this.#expectMore();
      this.onConnection({ state: "live" });
      this.onSnapshot(JSON.parse(event.data) as Snapshot);
    };
    source.onerror = () => void this.#retry();
    this.#expectMore();
  }

  #expectMore(): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => void this.#retry(), SILENCE_MS);
  }

  async #retry(): Promise<void> {
    this.#close();
    this.#lostSince ??= Date.now();
    const wanted = await needsLogin().catch(() => false);
    if (wanted) {
      this.#lostSince = null;
      this.onConnection({ state: "login" });
      return;
    }
    this.onConnection({ state: "lost", since: this.#lostSince, retryAt: Date.now() + this.#retryMs });
    this.#timer = setTimeout(() => this.open(), this.#retryMs);
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
  }

  #onVisibility(): void {
    if (document.hidden) {
      this.#close();
      this.onConnection({ state: "hidden" });
    } else this.open();
  }

  #close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    this.#source?.close();
    this.#source = null;
  }
}
