import { Button, Group } from "@mantine/core";
import type { DatasetVersion, Finding, Bar } from "@/api/types";
import { tellFailure } from "@/components/ui/notices";
import { fineSentence, sizeSentence } from "@/features/datasets/components/health";
import { KeepFinding, KeptNote, StopKeeping } from "@/features/datasets/components/keep-finding";
import { useFix } from "@/features/datasets/version-queries";
import { count } from "@/lib/format";
import classes from "./health-report.module.css";

const FIXES: Record<Finding["fixes"][number], string> = {
  mask: "Mask them",
  clean: "Clean them",
  leave_out: "Leave them out",
};

interface HealthReportProps {
  version: DatasetVersion;
  canChange: boolean;
  onShow: (code: string) => void;
}

/** Everything that was found, worst first, each with what can be done about it. */
export function HealthReport({ version, canChange, onShow }: HealthReportProps) {
  const { findings, answer_lengths: lengths, languages } = version.health;
  const fix = useFix(version.id);
  const fine = fineSentence(findings);
  return (
    <>
      <p>{sizeSentence(version)}</p>
      <ul className={classes.findings}>
        {findings.map((finding) => (
          <li key={finding.code} data-severity={finding.kept ? "kept" : finding.severity}>
            <div>
              <p>{finding.sentence}</p>
              {finding.kept ? (
                <KeptNote kept={finding.kept} />
              ) : (
                <p className={classes.advice}>{finding.advice}</p>
              )}
            </div>
            <Group gap="xs">
              {finding.can_be_listed && (
                <Button size="compact-sm" variant="default" onClick={() => onShow(finding.code)}>
                  Show
                </Button>
              )}
              {canChange &&
                !finding.kept &&
                // what could not be read is left out already
                finding.severity !== "error" &&
                finding.fixes.map((kind) => (
                  <Button
                    key={kind}
                    size="compact-sm"
                    variant="subtle"
                    loading={
                      fix.isPending && fix.variables.code === finding.code && fix.variables.kind === kind
                    }
                    disabled={fix.isPending}
                    onClick={() => fix.mutate({ code: finding.code, kind }, { onError: tellFailure })}
                  >
                    {FIXES[kind]}
                  </Button>
                ))}
              {canChange &&
                finding.can_be_kept &&
                (finding.kept ? (
                  <StopKeeping versionId={version.id} finding={finding} />
                ) : (
                  <KeepFinding versionId={version.id} finding={finding} />
                ))}
            </Group>
          </li>
        ))}
        {fine && (
          <li data-severity="fine">
            <p>{fine}</p>
          </li>
        )}
      </ul>
      <div className={classes.pictures}>
        <Bars
          title={
            version.kind === "text"
              ? "Length of the texts, in characters"
              : "Length of the answers, in characters"
          }
          bars={lengths}
        />
        {languages.length > 1 && <Bars title="Languages" bars={languages} />}
      </div>
    </>
  );
}

function Bars({ title, bars }: { title: string; bars: Bar[] }) {
  if (bars.length === 0) return null;
  const longest = Math.max(...bars.map((bar) => bar.count));
  return (
    <figure className={classes.bars}>
      <figcaption>{title}</figcaption>
      <ul>
        {bars.map((bar) => (
          <li key={bar.label}>
            <span>{bar.label}</span>
            <span className={classes.track}>
              <span className={classes.bar} style={{ width: `${(bar.count / longest) * 100}%` }} />
            </span>
            <span>{count(bar.count)}</span>
          </li>
        ))}
      </ul>
    </figure>
  );
}
