import { ButtonLink } from "@/components/ui/button-link";
import { Empty } from "@/components/ui/states";
import { Page } from "@/components/ui/page";

export function NotFound() {
  return (
    <main style={{ padding: "var(--space-48)" }}>
      <Page title="No such page" width="reading">
        <Empty title="This address leads nowhere" action={<ButtonLink to="/">Go to Home</ButtonLink>}>
          The link may be old or mistyped. Your examples, runs and models are where you left them.
        </Empty>
      </Page>
    </main>
  );
}
