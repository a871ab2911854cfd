/** The page: one view at a time inside a frame that stays. */

import { effect } from "@preact/signals";
import { type ComponentType, render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { learnOfFleet } from "./data/fleet";
import { onKeyDown, viewKeys } from "./data/keys";
import type { View } from "./data/route";
import { connection, isDemo, live, route, start } from "./data/store";
import { startTheme } from "./data/theme";
import { Header, KeysDialog, Login, States } from "./parts/frame";
import { Strip } from "./parts/strip";
import { MapView, mapKeys } from "./views/map";
import { Moment } from "./views/moment";
import { Compare } from "./views/compare";
import { Incidents } from "./views/incidents";
import { Fleet } from "./views/fleet";
import { Health } from "./views/health";
import { Overview, overviewKeys } from "./views/overview";
import { Processes } from "./views/processes";
import { Timeline, timelineKeys } from "./views/timeline";

const VIEW: Readonly<Record<View, ComponentType>> = {
  overview: Overview,
  map: MapView,
  timeline: Timeline,
  processes: Processes,
  moment: Moment,
  compare: Compare,
  incidents: Incidents,
  health: Health,
  fleet: Fleet,
};

const OWN_KEYS: Readonly<Partial<Record<View, Readonly<Record<string, () => void>>>>> = { overview: overviewKeys, map: mapKeys, timeline: timelineKeys };

function Page() {
  if (connection.value.state === "login") return <Login />;
  const Shown = VIEW[route.value.view];
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => (event.preventDefault(), document.getElementById("content")?.focus())}>
        to the content
      </a>
      <Header />
      <Strip />
      <States />
      <Shown />
      <KeysDialog />
    </>
  );
}

effect(() => {
  const view = route.value.view;
  document.title = `${isDemo.value ? "DEMO · " : ""}${view.charAt(0).toUpperCase() + view.slice(1)} · ${live.value?.host ?? "Blackbox"} · Blackbox`;
  viewKeys.value = OWN_KEYS[view] ?? {};
});
startTheme();
document.addEventListener("keydown", onKeyDown);
start();
learnOfFleet();
render(<Page />, document.getElementById("page")!);
