import { useQuery } from "@tanstack/react-query";
import { firstRowsQuery } from "@/features/datasets/queries";
import { runQuery } from "@/features/training/queries";
import classes from "./sample-questions.module.css";

const SHOWN = 4;
const LOOKED_AT = 25;

interface SampleQuestionsProps {
  runId: string | null;
  onAsk: (question: string) => void;
}

/** Questions from examples that were held back, so that neither model has seen them. */
export function SampleQuestions({ runId, onAsk }: SampleQuestionsProps) {
  const run = useQuery({ ...runQuery(runId ?? ""), enabled: runId !== null });
  const versionId = run.data?.dataset_version_id ?? null;
  const rows = useQuery({
    ...firstRowsQuery(versionId ?? "", "heldout", LOOKED_AT),
    enabled: versionId !== null,
  });
  const questions = (rows.data?.data ?? [])
    .map((row) => row.messages.find((message) => message.role === "user")?.content ?? "")
    .filter((question) => question !== "")
    .slice(0, SHOWN);
  if (questions.length === 0) return null;
  return (
    <div className={classes.samples}>
      <p>Questions it has not seen:</p>
      <ul>
        {questions.map((question) => (
          <li key={question}>
            <button type="button" onClick={() => onAsk(question)}>
              {question}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
