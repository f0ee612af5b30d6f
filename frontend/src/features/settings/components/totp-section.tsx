import { Button, Group, TextInput } from "@mantine/core";
import { useState, type SubmitEvent } from "react";
import { messageOf } from "@/api/errors";
import type { Profile, TotpEnrolment } from "@/api/types";
import { CodeBlock } from "@/components/ui/code-block";
import { Notice } from "@/components/ui/notice";
import { tell } from "@/components/ui/notices";
import { Section } from "@/components/ui/page";
import { ShownOnce } from "@/components/ui/shown-once";
import { Status } from "@/components/ui/status";
import {
  useBeginTotp,
  useConfirmTotp,
  useNewRecoveryCodes,
  useTurnTotpOff,
} from "@/features/settings/account-queries";
import { plural } from "@/lib/format";
import classes from "./panel.module.css";
import { PasswordPrompt } from "./password-prompt";
import totpClasses from "./totp-section.module.css";

const FEW_CODES = 3;
const LEAD =
  "Besides your password, a code that an authenticator app on your phone shows. A password alone then opens nothing.";

/** Codes of an authenticator app: turning them on, the codes to recover with, turning them off. */
export function TotpSection({ totp }: { totp: Profile["totp"] }) {
  const [enrolment, setEnrolment] = useState<TotpEnrolment | null>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  return (
    <Section title="Codes from your phone" lead={LEAD}>
      {codes ? (
        <RecoveryCodeList codes={codes} onDone={() => setCodes(null)} />
      ) : enrolment ? (
        <Enrolment
          enrolment={enrolment}
          onCancel={() => setEnrolment(null)}
          onConfirmed={(made) => {
            setEnrolment(null);
            setCodes(made);
          }}
        />
      ) : totp.is_on ? (
        <TurnedOn numCodes={totp.num_recovery_codes} onCodes={setCodes} />
      ) : (
        <TurnedOff onBegun={setEnrolment} />
      )}
    </Section>
  );
}

function TurnedOff({ onBegun }: { onBegun: (enrolment: TotpEnrolment) => void }) {
  const begin = useBeginTotp();
  const [isAsking, setAsking] = useState(false);
  return (
    <Group gap="md">
      <Status tone="quiet">Off</Status>
      <Button variant="default" onClick={() => setAsking(true)}>
        Turn on
      </Button>
      <PasswordPrompt
        isOpen={isAsking}
        onClose={() => {
          setAsking(false);
          begin.reset();
        }}
        title="Turn codes on"
        action="Go on"
        failure="Nothing was begun"
        error={begin.error}
        isBusy={begin.isPending}
        onSubmit={(password) => begin.mutate(password, { onSuccess: onBegun })}
      >
        <p>Have an authenticator app at hand, such as the one of your phone or of your password manager.</p>
      </PasswordPrompt>
    </Group>
  );
}

interface EnrolmentProps {
  enrolment: TotpEnrolment;
  onCancel: () => void;
  onConfirmed: (codes: string[]) => void;
}

function Enrolment({ enrolment, onCancel, onConfirmed }: EnrolmentProps) {
  const confirm = useConfirmTotp();
  const [code, setCode] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    confirm.mutate(code, { onSuccess: (made) => onConfirmed(made.recovery_codes) });
  };
  return (
    <div className={totpClasses.enrolment}>
      <img
        className={totpClasses.picture}
        src={`data:image/svg+xml;utf8,${encodeURIComponent(enrolment.qr_svg)}`}
        alt="QR code for your authenticator app; the secret in words is beside it"
      />
      <form className={classes.form} onSubmit={submit}>
        <p>
          <strong>1.</strong> Scan this with your app. On the phone itself,{" "}
          <a href={enrolment.uri}>open it in the app</a>. No camera? Type the secret:
        </p>
        <CodeBlock label="Secret" code={(enrolment.secret.match(/.{1,4}/g) ?? []).join(" ")} />
        <p>
          <strong>2.</strong> Type the code that the app shows now. Nothing changes until it is right.
        </p>
        {confirm.error && (
          <Notice tone="bad" title="Codes are not on yet">
            {messageOf(confirm.error)}
          </Notice>
        )}
        <TextInput
          label="Code"
          inputMode="numeric"
          autoComplete="one-time-code"
          required
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
        <Group gap="xs">
          <Button type="submit" loading={confirm.isPending}>
            Turn on
          </Button>
          <Button variant="default" onClick={onCancel}>
            Cancel
          </Button>
        </Group>
      </form>
    </div>
  );
}

function RecoveryCodeList({ codes, onDone }: { codes: string[]; onDone: () => void }) {
  return (
    <ShownOnce
      title="Keep these recovery codes somewhere safe"
      note="Each stands in for your app once, should you lose it. They are shown this once; a printer or a password manager is a good place."
      done="I have kept them"
      onDone={onDone}
    >
      <CodeBlock label="Recovery codes" code={codes.join("\n")} />
    </ShownOnce>
  );
}

interface TurnedOnProps {
  numCodes: number;
  onCodes: (codes: string[]) => void;
}

function TurnedOn({ numCodes, onCodes }: TurnedOnProps) {
  const renew = useNewRecoveryCodes();
  const turnOff = useTurnTotpOff();
  const [asks, setAsks] = useState<"renew" | "off" | null>(null);
  const close = () => {
    setAsks(null);
    renew.reset();
    turnOff.reset();
  };
  return (
    <div className={classes.stack}>
      <Group gap="md">
        <Status tone="good">On</Status>
        <span>{plural(numCodes, "recovery code")} left</span>
        <Button variant="default" onClick={() => setAsks("renew")}>
          New recovery codes
        </Button>
        <Button variant="default" onClick={() => setAsks("off")}>
          Turn off
        </Button>
      </Group>
      {numCodes <= FEW_CODES && (
        <Notice tone="warn" title="Few recovery codes are left">
          Make new ones while you have your app: without either, only who runs this installation can help.
        </Notice>
      )}
      <PasswordPrompt
        isOpen={asks === "renew"}
        onClose={close}
        title="Make new recovery codes"
        action="Make new codes"
        failure="No new codes were made"
        error={renew.error}
        isBusy={renew.isPending}
        onSubmit={(password) =>
          renew.mutate(password, {
            onSuccess: (made) => {
              close();
              onCodes(made.recovery_codes);
            },
          })
        }
      >
        <p>Those of before count no longer.</p>
      </PasswordPrompt>
      <PasswordPrompt
        isOpen={asks === "off"}
        onClose={close}
        title="Turn codes off"
        action="Turn off"
        failure="Codes are still on"
        error={turnOff.error}
        isBusy={turnOff.isPending}
        onSubmit={(password) =>
          turnOff.mutate(password, {
            onSuccess: () => {
              close();
              tell("Your password alone signs you in now.");
            },
          })
        }
      >
        <p>Whoever knows your password can then sign in as you.</p>
      </PasswordPrompt>
    </div>
  );
}
