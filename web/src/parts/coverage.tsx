/** What is known of each process, and why not more. */

import type { ProcessCoverage } from "../data/answers";
import { reasonsOf, shareTold, TOPICS } from "../data/coverage";
import { processLabel } from "../data/ledger";
import { Absent, Scroll, Worded } from "./basics";

const WORDS = { "●": "told", "◐": "in part", "○": "not available" } as const;

export function Coverage({ processes }: { processes: readonly ProcessCoverage[] | null }) {
  return (
    <>
      <h2 style={{ marginTop: "16px" }}>
        What is told of each process <small class="soft">● told · ◐ in part · ○ n/a, with the reason</small>
      </h2>
      <Scroll label="coverage">
        <table class="coverage">
          <thead>
            <tr>
              <th>process</th>
              {TOPICS.map(({ name }) => (
                <th key={name}>{name}</th>
              ))}
              <th>why not</th>
            </tr>
          </thead>
          <tbody>
            {processes?.map((process) => (
              <tr key={`${process.pid}/${process.gpu_uuid}`}>
                <td class="nowrap">{processLabel(process)}</td>
                {TOPICS.map((topic) => {
                  const shape = shareTold(process, topic);
                  return (
                    <td key={topic.name}>
                      <span title={reasonsOf(process, topic.keys).map(([, reason]) => reason).join("; ") || "told"} role="img" aria-label={`${topic.name}: ${WORDS[shape]}`}>
                        {shape}
                      </span>
                    </td>
                  );
                })}
                <td class="soft reason">
                  {reasonsOf(process).map(([names, reason]) => (
                    <div key={reason}>
                      {names.join(", ")}: <Worded text={reason} />
                    </div>
                  ))}
                </td>
              </tr>
            ))}
            {processes !== null && processes.length === 0 && (
              <tr>
                <td colSpan={TOPICS.length + 2} class="soft">
                  No process is on a GPU.
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </Scroll>
      {processes === null && <Absent reason="the server has not answered">n/a: the server has not answered</Absent>}
    </>
  );
}
