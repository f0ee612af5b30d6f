import { Button, Modal, Stack } from "@mantine/core";
import { messageOf } from "@/api/errors";
import type { Member } from "@/api/types";
import { CodeBlock } from "@/components/ui/code-block";
import { Notice } from "@/components/ui/notice";
import { useCan } from "@/features/session/queries";
import { useMakeResetLink, useTurnOffTotpOf } from "@/features/settings/account-queries";
import classes from "./panel.module.css";

interface MemberHelpProps {
  member: Member | null;
  onClose: () => void;
}

/** What an admin can do for somebody who cannot sign in any more. */
export function MemberHelp({ member, onClose }: MemberHelpProps) {
  const name = member ? member.name || member.email : "";
  return (
    <Modal
      opened={member !== null}
      onClose={onClose}
      title={`Help ${name} back in`}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      {member && <Ways member={member} name={name} />}
    </Modal>
  );
}

function Ways({ member, name }: { member: Member; name: string }) {
  const runsInstallation = useCan()("installation:admin");
  return (
    <Stack gap="lg">
      <ResetLink member={member} name={name} />
      {runsInstallation ? (
        <LostPhone member={member} name={name} />
      ) : (
        <p className={classes.hint}>
          Lost their phone and their recovery codes? Who runs this installation can turn their codes off.
        </p>
      )}
    </Stack>
  );
}

function ResetLink({ member, name }: { member: Member; name: string }) {
  const make = useMakeResetLink();
  return (
    <section className={classes.stack} aria-label="A forgotten password">
      <p>
        <strong>A forgotten password.</strong> A link lets them set a new one, and signs them out everywhere.
      </p>
      {make.error && (
        <Notice tone="bad" title="No link was made">
          {messageOf(make.error)}
        </Notice>
      )}
      {make.data ? (
        <>
          <Notice tone="warn" title={`Hand it to ${name} and to nobody else`}>
            Whoever opens it first sets the password. It works once, within half an hour, and is shown this
            once.
          </Notice>
          <CodeBlock label="Link" code={make.data.url} />
        </>
      ) : (
        <div>
          <Button variant="default" onClick={() => make.mutate(member.id)} loading={make.isPending}>
            Make a link
          </Button>
        </div>
      )}
    </section>
  );
}

function LostPhone({ member, name }: { member: Member; name: string }) {
  const turnOff = useTurnOffTotpOf();
  return (
    <section className={classes.stack} aria-label="A lost phone">
      <p>
        <strong>A lost phone, and no recovery codes.</strong> Without codes, their password alone lets them
        in. Make sure that it is really {name} who asks.
      </p>
      {turnOff.error && (
        <Notice tone="bad" title="Nothing was changed">
          {messageOf(turnOff.error)}
        </Notice>
      )}
      {turnOff.isSuccess ? (
        <Notice tone="good" title="Their codes are off">
          They are signed out everywhere, and can turn codes on again under Settings, Profile.
        </Notice>
      ) : (
        <div>
          <Button variant="default" onClick={() => turnOff.mutate(member.id)} loading={turnOff.isPending}>
            Turn their codes off
          </Button>
        </div>
      )}
    </section>
  );
}
