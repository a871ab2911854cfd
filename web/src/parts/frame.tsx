/** What stands around every view: header, time, what state the page is in, footer. */

import { computed } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { login } from "../data/api";
import { hasFleet } from "../data/fleet";
import { ago, clock, clockTenths, foreignDay, zone } from "../data/format";
import { KEYS, keysAreShown } from "../data/keys";
import { titleOf, VIEWS } from "../data/route";
import { connection, cursor, events, goLive, isDemo, linkTo, live, noRecording, now, pastError, route, stream, tracksVersion } from "../data/store";
import { choice, choose } from "../data/theme";

const RECENT_SECONDS = 600;

/** Out of memory in the last minutes. */
const refusals = computed(() => events.value.filter((event) => event.kind === "oom" && event.timestamp > now.value - RECENT_SECONDS).length);
/** Of what is played, where a file is. */
const replayFacts = computed(() => live.value?.sources.find((source) => source.name === "replay")?.facts ?? null);
const host = computed(() => live.value?.host);

export function Header() {
  const { view } = route.value;
  const views = useRef<HTMLElement>(null);
  useEffect(() => {
    // where the views have no room side by side, the one that is shown is in sight
    views.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [view]);
  return (
    <header class="top">
      <a class="brand" href={linkTo({ view: "overview" })}>
        Blackbox
      </a>
      {isDemo.value && (
        <span class="demo" title="a simulated machine: nothing on this page is real">
          DEMO
        </span>
      )}
      <span class="host">{host.value}</span>
      <nav ref={views} class="views" aria-label="views">
        {VIEWS.filter((view) => view !== "fleet" || hasFleet.value === true || route.value.view === "fleet").map((view, index) => (
          <a key={view} href={linkTo({ view })} aria-current={route.value.view === view ? "page" : undefined}>
            <span class="key" aria-hidden="true">
              {index + 1}
            </span>
            {titleOf(view)}
            {view === "incidents" && refusals.value > 0 && (
              <span class="count" title={`${refusals.value} out of memory in the last 10 min`}>
                {refusals.value}
              </span>
            )}
          </a>
        ))}
      </nav>
      <Clock />
    </header>
  );
}

function Clock() {
  const state = connection.value.state;
  const past = route.value.time;
  const word = past !== null ? "PAST" : replayFacts.value !== null && state === "live" ? "REPLAY" : state === "live" || state === "hidden" ? "LIVE" : state === "connecting" ? "…" : "LOST";
  const dot = past !== null || word === "REPLAY" ? "past" : word === "LOST" ? "lost" : "live";
  const beat = word === "LIVE" && tracksVersion.value % 2 === 1; // with what is drawn: an animation would have the browser draw sixty times a second
  return (
    <div class="clock">
      <span class={`dot ${dot} ${beat ? "beat" : ""}`} aria-hidden="true" />
      <b>{word}</b>
      {foreignDay(cursor.value) !== "" && <span class="soft">{foreignDay(cursor.value)}</span>}
      <b>{past === null ? clock(cursor.value, cursor.value) : clockTenths(past, past)}</b>
      <span class="soft">{zone(cursor.value)}</span>
    </div>
  );
}

/** Bars that say that what is shown is not of now. */
export function States() {
  return (
    <>
      <LostBar />
      <ReplayBar />
      {route.value.time !== null && (
        <div class="bar past" role="status">
          <span>
            ◷ Showing {clockTenths(route.value.time)} {zone(route.value.time)}, {ago(route.value.time, now.value)}.
            {route.value.view === "fleet" ? "" : pastError.value === null ? replayFacts.value === null ? " The recording goes on meanwhile." : "" : ` It cannot be shown: ${pastError.value}.`}
          </span>
          <button type="button" onClick={goLive}>
            {replayFacts.value === null ? "Back to live" : "Back to its newest"} <kbd>L</kbd>
          </button>
        </div>
      )}
      {noRecording.value !== null && (
        <div class="bar past" role="status">
          Nothing is recorded ({noRecording.value}), so there is no past to look at.
        </div>
      )}
    </>
  );
}

/** What is played is of another time, and perhaps of another machine. */
function ReplayBar() {
  const facts = replayFacts.value;
  if (facts === null || live.value === null) return null;
  return (
    <div class="bar past" role="status">
      <span>
        ▷ Replay of {facts["recording"]}, recorded on {live.value.host}
        {facts["speed"] !== "1" && `, ${facts["speed"]} times as fast`}. Nothing here is of now.
      </span>
    </div>
  );
}

function LostBar() {
  const [, tick] = useState(0);
  const state = connection.value;
  useEffect(() => {
    if (state.state !== "lost") return undefined;
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, [state]);
  if (state.state !== "lost") return null;
  const seconds = Math.max(0, Math.round((state.retryAt - Date.now()) / 1000));
  return (
    <div class="bar lost" role="alert">
      <span>
        ✕ Connection lost {clock(state.since / 1000)}. Trying again {seconds === 0 ? "now" : `in ${seconds} s`}.
        {live.value !== null && ` What you see is of ${clock(now.value)}.`}
      </span>
      <button type="button" onClick={() => stream.open()}>
        Try now
      </button>
    </div>
  );
}

export function Footer({ children }: { children?: ComponentChildren }) {
  return (
    <footer>
      <span>{children}</span>
      <span class="hints" aria-hidden="true">
        <span>
          <kbd>1</kbd>–<kbd>{hasFleet.value === true ? 9 : 8}</kbd> views
        </span>
        <span>
          <kbd>space</kbd> pause
        </span>
        <span>
          <kbd>L</kbd> live
        </span>
        <span>
          <kbd>/</kbd> filter
        </span>
      </span>
      <button type="button" class="plain" onClick={() => (keysAreShown.value = true)}>
        <kbd>?</kbd> all keys
      </button>
      <label>
        <span class="visually-hidden">colours</span>
        <select value={choice.value} onChange={(event) => choose(event.currentTarget.value as "auto" | "light" | "dark")}>
          <option value="auto">colours of the system</option>
          <option value="light">light</option>
          <option value="dark">dark</option>
        </select>
      </label>
    </footer>
  );
}

export function KeysDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const isShown = keysAreShown.value;
  useEffect(() => {
    if (isShown) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isShown]);
  return (
    <dialog ref={dialog} aria-label="keys" onClose={() => (keysAreShown.value = false)}>
      <h1>Keys</h1>
      <dl class="facts">
        {KEYS.flatMap(([key, what]) => [
          <dt key={key}>
            <kbd>{key}</kbd>
          </dt>,
          <dd key={`${key} does`}>{what}</dd>,
        ])}
      </dl>
      <p>
        <button type="button" class="main" onClick={() => (keysAreShown.value = false)}>
          Close
        </button>
      </p>
    </dialog>
  );
}

export function Login() {
  const [message, setMessage] = useState("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget as HTMLFormElement).get("token") ?? "").trim();
    try {
      if (await login(token)) stream.open();
      else setMessage("The server does not know this token.");
    } catch (error) {
      setMessage(error instanceof Error ? `The server answered: ${error.message}` : String(error));
    }
  };
  return (
    <main class="login">
      <h1>Blackbox asks for its token</h1>
      <p>
        This server was started with a token; whoever started it knows it. The browser keeps a session of seven days in its place, not the token.
      </p>
      <form onSubmit={(event) => void submit(event as unknown as SubmitEvent)}>
        <label class="visually-hidden" for="token">
          Token
        </label>
        <input id="token" name="token" type="password" autocomplete="current-password" required autofocus placeholder="token" />
        <button class="main" type="submit">
          Show
        </button>
      </form>
      <p role="alert" class="alarm">
        {message}
      </p>
    </main>
  );
}

/** What a view shows; one without a headline of its own is told by its name, which screen readers say. */
export function Main({ isTitled = false, children }: { isTitled?: boolean; children: ComponentChildren }) {
  return (
    <main id="content" tabIndex={-1}>
      {!isTitled && <h1 class="visually-hidden">{titleOf(route.value.view)}</h1>}
      {children}
    </main>
  );
}

/** In place of a view that has nothing to show: why. */
export function Nothing({ title, children }: { title?: string; children: ComponentChildren }) {
  return (
    <Main isTitled={title !== undefined}>
      <div class="empty">
        {title !== undefined && <h1>{title}</h1>}
        {children}
      </div>
    </Main>
  );
}

/** Nothing to show yet, and why. */
export function Waiting() {
  const state = connection.value.state;
  if (pastError.value !== null) {
    return (
      <Nothing title="Nothing was recorded then">
        <p>{pastError.value}</p>
        <button type="button" onClick={goLive}>
          Back to live
        </button>
      </Nothing>
    );
  }
  return <Nothing>{state === "lost" ? "The server does not answer yet." : route.value.time === null ? "Waiting for the first sample." : "Asking the recording."}</Nothing>;
}

