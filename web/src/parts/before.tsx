/** The memory of one GPU in the minutes before an event. */

import { useEffect, useState } from "preact/hooks";
import { askChart } from "../data/api";
import { bandsByPurpose, type BandStack, METRICS } from "../data/bands";
import { gpuLeaves, events, lookAt } from "../data/store";
import { isDark } from "../data/theme";
import { BandChart, describeChart } from "./band_chart";
import { bytes } from "../data/format";

const POINTS = 200;
const AFTER_SECONDS = 10;
const HEIGHT = 170;

export function Before({ gpuUuid, at, seconds }: { gpuUuid: string; at: number; seconds: number }) {
  const [chart, setChart] = useState<BandStack | string>("Asking the recording.");
  const [from, to] = [at - seconds, at + AFTER_SECONDS];
  useEffect(() => {
    let isWanted = true;
    askChart({ from, to }, METRICS, POINTS, gpuUuid)
      .then((answer) => isWanted && setChart(bandsByPurpose(answer, gpuUuid)))
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
