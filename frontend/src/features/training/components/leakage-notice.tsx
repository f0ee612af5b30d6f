import type { Leakage } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { count, plural } from "@/lib/format";

/** Examples that the result is checked with although they are learned from: how many, which, and what to do. */
export function LeakageNotice({ leakage }: { leakage: Leakage | null }) {
  if (!leakage) return null;
  const shared = leakage.num_same + leakage.num_nearly;
  if (shared === 0) return null;
  const more = shared - leakage.rows.length;
  return (
    <Notice tone="warn" title="The result will look better than it is">
      <p>
        {count(shared)} of the {plural(leakage.num_measured, "example")} that it is checked with{" "}
        {shared === 1 ? "is" : "are"} among those to learn from too: {count(leakage.num_same)} word for word,{" "}
        {count(leakage.num_nearly)} nearly.
      </p>
      <ul>
        {leakage.rows.map((row) => (
          <li key={row.number}>
            Row {count(row.number)} is {row.is_same ? "the same as" : "nearly"} row{" "}
            {count(row.training_number)} of those to learn from.
          </li>
        ))}
        {more > 0 && <li>And {count(more)} more.</li>}
      </ul>
      <p>{leakage.advice}</p>
    </Notice>
  );
}
