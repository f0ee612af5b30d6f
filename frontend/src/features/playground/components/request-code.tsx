import { Button, Modal, SegmentedControl } from "@mantine/core";
import { useState } from "react";
import type { ChatRequest } from "@/api/chat";
import { CodeBlock } from "@/components/ui/code-block";
import { requestCode } from "@/lib/request-code";

const LANGUAGES = [
  { value: "curl", label: "curl" },
  { value: "python", label: "Python" },
  { value: "javascript", label: "JavaScript" },
] as const;
type Language = (typeof LANGUAGES)[number]["value"];

/** The very request as code, for whoever wants to send it from a program. */
export function RequestCode({ of, request }: { of: string; request: ChatRequest }) {
  const [isOpen, setOpen] = useState(false);
  const [language, setLanguage] = useState<Language>("curl");
  return (
    <>
      <Button size="compact-xs" variant="subtle" onClick={() => setOpen(true)} aria-label={`Code: ${of}`}>
        Code
      </Button>
      <Modal
        opened={isOpen}
        onClose={() => setOpen(false)}
        title="This request as code"
        size="lg"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <SegmentedControl
          aria-label="Language"
          data={LANGUAGES.map((one) => ({ ...one }))}
          value={language}
          onChange={(value) => setLanguage(value as Language)}
        />
        <CodeBlock
          label="Put a key of yours in its place, from Settings, API keys"
          code={requestCode(request, window.location.origin)[language]}
        />
      </Modal>
    </>
  );
}
