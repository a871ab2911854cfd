/** Why it happened and what would have helped, as the server's report tells it: made once, for page, terminal and file. */

import { useEffect, useState } from "preact/hooks";
import type { BlackboxEvent, Report } from "../data/answers";
import { askReport, reportAddress } from "../data/api";
import { bytes, clock } from "../data/format";
import { Absent } from "./basics";

const ASKED_KINDS: ReadonlySet<string> = new Set(["oom", "crash"]);

/** Whether the server reports on such an event. */
export function hasReport(kind: string): boolean {
  return ASKED_KINDS.has(kind);
}

/** The report on an event: null until it comes, or the reason why there is none. */
export function useReport(event: number, kind: string): Report | string | null {
  const [report, setReport] = useState<{ of: number; told: Report | string } | null>(null);
  useEffect(() => {
    let isWanted = true;
    if (!hasReport(kind)) return undefined;
    askReport(event)
      .then((told) => isWanted && setReport({ of: event, told }))
      .catch((error: unknown) => isWanted && setReport({ of: event, told: error instanceof Error ? error.message : String(error) }));
    return () => {
      isWanted = false;
    };
  }, [event, kind]);
  return report?.of === event ? report.told : null;
}

const WORDS: Readonly<Record<string, string>> = { neighbour: "Other processes", shortage: "Too little memory", limit: "A limit", unknown: "Cause unknown" };

function wordOf(cause: string): string {
  return WORDS[cause] ?? cause.charAt(0).toUpperCase() + cause.slice(1);
}

/** Causes as words, the one to act on first, with the sentences that make it. */
export function Causes({ report }: { report: Report | string | null }) {
  if (report === null) return <p class="lead soft">Asking for the verdict.</p>;
  if (typeof report === "string") {
    return (
      <p class="lead">
        Verdict <Absent reason={report} />
      </p>
    );
  }
  return (
    <div class="lead" style={{ marginBottom: "10px" }}>
      {report.causes.map((cause, index) => (
        <p key={cause.cause}>
          <span class={`tag ${index === 0 ? "alarm" : ""}`}>
            {index === 0 ? wordOf(cause.cause) : `broke on ${wordOf(cause.cause).toLowerCase()}`}
          </span>{" "}
          {cause.why.join(" ")}
        </p>
      ))}
      {report.causes.length === 0 && <p>The figures name no cause.</p>}
    </div>
  );
}

export function Remedies({ report }: { report: Report | string | null }) {
  if (report === null || typeof report === "string" || report.advice.length === 0) return null;
  return (
    <section style={{ marginTop: "14px" }}>
      <h2>
        What would have helped <small class="soft">with the memory each would have brought</small>
      </h2>
      <table>
        <tbody>
          {report.advice.map((one) => (
            <tr key={one.title}>
              <td class="num">
                <b>{one.bytes === null ? <Absent reason="the evidence does not tell how much" /> : bytes(one.bytes)}</b>
              </td>
              <td>
                <b>{one.title}.</b> {one.text}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** What would have helped the last time, the first of it in full: where it has come. */
export function LastRemedies({ event, owner }: { event: BlackboxEvent; owner: string | null }) {
  const report = useReport(event.id, event.kind);
  if (report === null || typeof report === "string") return null;
  const [first, ...rest] = report.advice;
  if (first === undefined) return null;
  return (
    <p class="then">
      <b>What helps:</b> {owner !== null && `tell ${owner}. `}Of the refusal at {clock(event.timestamp)} the report says: <b>{first.title}</b>
      {first.bytes !== null && ` (${bytes(first.bytes)})`}. {first.text}
      {rest.length > 0 && ` Or: ${rest.map((one) => one.title.charAt(0).toLowerCase() + one.title.slice(1)).join("; ")}.`}
    </p>
  );
}

export function ReportLink({ event }: { event: number }) {
  return (
    <a class="button" href={reportAddress({ event })}>
      Open report
    </a>
  );
}
