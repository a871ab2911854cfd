/** The page: one view at a time inside a frame that stays. */

import { computed, effect } from "@preact/signals";
import { type ComponentType, render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { learnOfFleet } from "./data/fleet";
import { onKeyDown, viewKeys } from "./data/keys";
import { titleOf, type View } from "./data/route";
import { connection, isDemo, live, route, start } from "./data/store";
import { startTheme } from "./data/theme";
import { Header, KeysDialog, Login, States } from "./parts/frame";
import { Strip } from "./parts/strip";
import { MapView, mapKeys } from "./views/map";
import { Moment } from "./views/moment";
import { Compare } from "./views/compare";
import { Incidents, incidentsKeys } from "./views/incidents";
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

const OWN_KEYS: Readonly<Partial<Record<View, Readonly<Record<string, () => void>>>>> = { overview: overviewKeys, map: mapKeys, timeline: timelineKeys, incidents: incidentsKeys };

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

/** Computed, so that a sample which leaves it as it is does not write it anew. */
const title = computed(() => {
  return `${isDemo.value ? "DEMO · " : ""}${titleOf(route.value.view)} · ${live.value?.host ?? "Blackbox"} · Blackbox`;
});

/** What index.html holds is drawn first, while the server is asked; a page that is opened out of sight is drawn by nobody. */
function afterFirstPicture(draw: () => void): void {
  if (document.hidden) draw();
  else requestAnimationFrame(() => setTimeout(draw));
}

startTheme();
effect(() => void (document.title = title.value));
effect(() => void (viewKeys.value = OWN_KEYS[route.value.view] ?? {}));
document.addEventListener("keydown", onKeyDown);
start();
learnOfFleet();
afterFirstPicture(() => {
  const page = document.getElementById("page")!;
  page.replaceChildren();
  render(<Page />, page);
});
