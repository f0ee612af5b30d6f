import { Switch } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { requestLogQuery } from "@/features/playground/queries";
import { plural } from "@/lib/format";

interface KeepAnswersProps {
  isKept: boolean;
  onChange: (isKept: boolean) => void;
}

/** Whether the answers are kept; where the workspace logs every request, that they are. */
export function KeepAnswers({ isKept, onChange }: KeepAnswersProps) {
  const log = useQuery(requestLogQuery).data;
  // a switch that stands at "no" would say of what is kept anyway that it is not
  if (log?.is_on)
    return (
      <span>
        What is asked here is kept for {plural(log.retention_days, "day")}:{" "}
        <Link to="/settings" search={{ part: "workspace" }}>
          the request log
        </Link>{" "}
        is on.
      </span>
    );
  return (
    <Switch
      size="xs"
      label="Keep the answers"
      checked={isKept}
      onChange={(event) => onChange(event.currentTarget.checked)}
    />
  );
}
