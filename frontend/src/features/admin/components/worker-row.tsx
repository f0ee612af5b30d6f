import { Button, Menu } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { AdminWorker } from "@/api/types";
import { offerUndo, tellFailure } from "@/components/ui/notices";
import { Status } from "@/components/ui/status";
import { Stitches } from "@/components/ui/stitches";
import { TimeAgo } from "@/components/ui/time-ago";
import { Meter } from "@/features/admin/components/meter";
import { hardwareName, progressWords, QUEUES, workerWords } from "@/features/admin/components/wording";
import { useDrain, useUndrain, type DrainMode } from "@/features/admin/mutations";
import { bytes, plural } from "@/lib/format";
import classes from "./worker-row.module.css";

export function WorkerRow({ worker }: { worker: AdminWorker }) {
  const words = workerWords(worker);
  return (
    <li className={classes.worker}>
      <div className={classes.who}>
        <h2>{worker.hostname}</h2>
        <Status tone={words.tone}>{words.label}</Status>
        <p>
          {QUEUES[worker.queue]} · {plural(worker.num_jobs_done, "job")} done
        </p>
        <p>
          heard <TimeAgo at={worker.heartbeat_at} />, up since <TimeAgo at={worker.started_at} />
        </p>
        <p title={worker.id}>
          process {worker.pid}, version {worker.version}
          {worker.token_name && `, joined with “${worker.token_name}”`}
        </p>
      </div>
      <Hardware worker={worker} />
      <Work worker={worker} />
      <DrainControl worker={worker} />
    </li>
  );
}

function ofBytes(used: number | null | undefined, total: number): string {
  const all = bytes(total);
  if (used === null || used === undefined) return all;
  const [amount, unit] = bytes(used).split(" ");
  return `${amount} ${all.endsWith(` ${unit}`) ? "" : `${unit} `}of ${all}`;
}

function Hardware({ worker }: { worker: AdminWorker }) {
  return (
    <div className={classes.hardware}>
      <p>{hardwareName(worker.hardware)}</p>
      {worker.memory_bytes !== null && (
        <Meter
          label="Memory"
          text={ofBytes(worker.used_memory_bytes, worker.memory_bytes)}
          fraction={(worker.used_memory_bytes ?? 0) / worker.memory_bytes}
        />
      )}
      {worker.devices.map(
        (device, index) =>
          device.memory_bytes && (
            <Meter
              key={`${device.name}/${index}`}
              label={device.name.replace(/^NVIDIA /, "")}
              text={`${ofBytes(device.used_bytes, device.memory_bytes)}${device.utilization === null ? "" : ` · ${Math.round(device.utilization)} % busy`}`}
              fraction={(device.used_bytes ?? 0) / device.memory_bytes}
            />
          ),
      )}
    </div>
  );
}

function Work({ worker }: { worker: AdminWorker }) {
  const { job } = worker;
  if (!job) {
    return (
      <div className={classes.work}>
        <p className={classes.quiet}>
          {worker.status === "silent"
            ? "Its last words are old: the machine is off, cut off or hangs. What it had goes to another."
            : worker.status === "draining"
              ? "It has nothing left to do and can be stopped."
              : "Nothing to do."}
        </p>
      </div>
    );
  }
  const { progress } = job;
  const fraction = progress && progress.total_steps > 0 ? progress.step / progress.total_steps : null;
  const where = progressWords(progress) ?? job.stage?.replaceAll("_", " ") ?? "starting";
  return (
    <div className={classes.work}>
      <Link to="/admin/jobs/$jobId" params={{ jobId: job.id }}>
        {job.title}
      </Link>
      <Stitches fraction={fraction} label={`Progress of ${job.title}`} />
      <p className={classes.quiet}>
        {where} · {job.workspace_name} · since <TimeAgo at={job.started_at} />
        {job.attempt > 1 && ` · try ${job.attempt}`}
      </p>
    </div>
  );
}

function DrainControl({ worker }: { worker: AdminWorker }) {
  const drain = useDrain();
  const undrain = useUndrain();
  if (worker.status === "silent") return <div className={classes.control} />;
  if (worker.status === "draining") {
    return (
      <div className={classes.control}>
        <Button
          size="xs"
          variant="default"
          loading={undrain.isPending}
          onClick={() => undrain.mutate(worker.id, { onError: tellFailure })}
          aria-label={`Let ${worker.hostname} take jobs again`}
        >
          Take jobs again
        </Button>
      </div>
    );
  }
  const start = (mode: DrainMode) =>
    drain.mutate(
      { id: worker.id, mode },
      {
        onError: tellFailure,
        onSuccess: () =>
          offerUndo(`${worker.hostname} takes no more jobs.`, () => undrain.mutateAsync(worker.id)),
      },
    );
  return (
    <div className={classes.control}>
      <Menu position="bottom-end" width={280}>
        <Menu.Target>
          <Button
            size="xs"
            variant="default"
            loading={drain.isPending}
            aria-label={`Drain ${worker.hostname}`}
          >
            Drain
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => start("finish")}>
            Finish first
            <small className={classes.hint}>It ends the job it has and takes no more.</small>
          </Menu.Item>
          <Menu.Item onClick={() => start("now")}>
            Hand over now
            <small className={classes.hint}>
              Its job saves its place; another worker goes on from there.
            </small>
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}
