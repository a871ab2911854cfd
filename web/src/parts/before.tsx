/** The memory of one GPU in the minutes before an event. */

import { useEffect, useState } from "preact/hooks";
import { askHistory } from "../data/api";
import { bandsByUse, type Chart } from "../data/bands";
import { gpuLeaves, events, lookAt } from "../data/store";
import { isDark } from "../data/theme";
import { BandChart, describeChart } from "./band_chart";
import { bytes } from "../data/format";

const POINTS = 200;
const AFTER_SECONDS = 10;
const HEIGHT = 170;

export function Before({ gpuUuid, at, seconds }: { gpuUuid: string; at: number; seconds: number }) {
  const [chart, setChart] = useState<Chart | string>("Asking the recording.");
  const [from, to] = [at - seconds, at + AFTER_SECONDS];
  useEffect(() => {
    let isWanted = true;
    Promise.all(["used_bytes", "reserved_bytes", "allocated_bytes"].map((metric) => askHistory({ from, to }, metric, POINTS, { gpu: gpuUuid })))
      .then(([used, reserved, allocated]) => isWanted && setChart(bandsByUse({ used: used!, reserved: reserved!, allocated: allocated! }, gpuUuid)))
      .catch((error: unknown) => isWanted && setChart(error instanceof Error ? error.message : String(error)));
    return () => {
      isWanted = false;
    };
  }, [gpuUuid, from, to]);
  const ledger = gpuLeaves.value.find((one) => one.gpu.uuid === gpuUuid);
  if (ledger === undefined) return <p class="soft">This GPU is not on the machine any more.</p>;
  if (typeof chart === "string") return <p class="soft">{chart}</p>;
  const { total_bytes: total } = ledger.gpu;
  return (
    <BandChart
      chart={chart}
      total={total}
      from={from}
      to={to}
      height={HEIGHT}
      label={describeChart(ledger.label, chart, total)}
      limitName={`${bytes(total)}, all of it`}
      marks={events.value.filter((event) => event.gpu_uuid === gpuUuid && event.timestamp >= from && event.timestamp <= to)}
      cursor={null}
      prediction={null}
      isDark={isDark.value}
      isLarge
      onZoom={() => undefined}
      onReset={() => undefined}
      onPoint={() => undefined}
      onPick={lookAt}
    />
  );
}
