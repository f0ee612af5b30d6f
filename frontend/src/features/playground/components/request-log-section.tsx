import { Button, Checkbox, NumberInput, Switch } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type SubmitEvent, useState } from "react";
import { messageOf } from "@/api/errors";
import type { RequestLog } from "@/api/types";
import { Notice } from "@/components/ui/notice";
import { tell } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { QueryView } from "@/components/ui/states";
import { requestLogQuery, useChangeRequestLog } from "@/features/playground/queries";
import { useCan } from "@/features/session/queries";
import { plural } from "@/lib/format";
import classes from "./request-log-section.module.css";

/** Whether every question to a model is kept with its answer: an admin's to decide. */
export function RequestLogSection() {
  const can = useCan();
  const log = useQuery({ ...requestLogQuery, enabled: can("chat:use") });
  if (!can("chat:use")) return null;
  return (
    <Section
      title="Request log"
      lead="Keeps every question that this workspace asks its models, with the answer, to be searched and made into examples. Everybody who may use the playground can read it. A program may leave one out with “store: false”."
    >
      <QueryView query={log} what="the request log" skeleton={<SkeletonLines count={2} height={36} />}>
        {(now) =>
          can("workspace:admin") ? <LogForm key={JSON.stringify(now)} now={now} /> : <p>{told(now)}</p>
        }
      </QueryView>
    </Section>
  );
}

function told(log: RequestLog): string {
  if (!log.is_on) return "It is off. An admin can turn it on.";
  const masked = log.is_masked ? "without personal data, " : "";
  return `It is on: requests are kept ${masked}for ${plural(log.retention_days, "day")}.`;
}

function LogForm({ now }: { now: RequestLog }) {
  const change = useChangeRequestLog();
  const [wanted, setWanted] = useState(now);
  const set = (part: Partial<RequestLog>) => setWanted({ ...wanted, ...part });
  const isChanged = JSON.stringify(wanted) !== JSON.stringify(now);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const { is_on, retention_days, is_masked } = wanted;
    change.mutate(
      { is_on, retention_days, is_masked },
      { onSuccess: (saved) => tell(saved.is_on ? "The request log is on." : "The request log is off.") },
    );
  };
  return (
    <form className={classes.form} onSubmit={submit}>
      {change.error && (
        <Notice tone="bad" title="This was not saved">
          {messageOf(change.error)}
        </Notice>
      )}
      <Switch
        label="Keep every request"
        checked={wanted.is_on}
        onChange={(event) => set({ is_on: event.currentTarget.checked })}
      />
      <NumberInput
        label="Days until a request is deleted"
        description="1 to 365. Fewer days hold for what is there already, too."
        w={220}
        maw="100%"
        min={1}
        max={365}
        allowDecimal={false}
        value={wanted.retention_days}
        onChange={(value) => set({ retention_days: Number(value) || now.retention_days })}
      />
      <Checkbox
        label="Take out personal data before anything is written"
        description="Mail addresses, telephone numbers, bank accounts, card and identity numbers. Names stay."
        checked={wanted.is_masked}
        onChange={(event) => set({ is_masked: event.currentTarget.checked })}
      />
      <div className={classes.actions}>
        <Button type="submit" loading={change.isPending} disabled={!isChanged}>
          Save
        </Button>
        <Link to="/playground/kept" search={{ origin: "logged" }}>
          Look at the request log
        </Link>
      </div>
    </form>
  );
}
