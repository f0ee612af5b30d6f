import { Button, Textarea } from "@mantine/core";
import { kindOfText } from "@/features/datasets/components/kind-of-text";
import classes from "@/features/datasets/components/bring-examples.module.css";
import { useSession } from "@/features/session/queries";
import { useDraft } from "@/lib/use-draft";

const READ_AS = {
  "pasted.jsonl": "Read as JSON, one example a line.",
  "pasted.csv": "Read as a table; its first line names the columns.",
  "pasted.txt": "Read as plain text, which a model can continue. For questions and answers paste a table.",
};

/** Cells copied from a spreadsheet, or lines of a file. What is typed survives a refresh. */
export function PastePanel({ onFile }: { onFile: (file: File) => void }) {
  const { workspace, user } = useSession();
  // what is pasted is often about customers: nobody else at this browser is shown it
  const { draft, change, discard } = useDraft(`pasted-examples:${workspace.id}:${user.id}`, () => ({
    text: "",
  }));
  const name = kindOfText(draft.text);
  const isEmpty = draft.text.trim() === "";
  return (
    <form
      className={classes.panel}
      onSubmit={(event) => {
        event.preventDefault();
        if (isEmpty) return;
        onFile(new File([draft.text], name));
        discard();
      }}
    >
      <Textarea
        label="Your examples"
        description={
          isEmpty ? "Copy the cells of a spreadsheet with its headings, and paste them here." : READ_AS[name]
        }
        placeholder={"question\tanswer\nWhere can I park?\tThere are six free places behind the house."}
        minRows={9}
        maxRows={18}
        autosize
        value={draft.text}
        onChange={(event) => change({ text: event.currentTarget.value })}
      />
      <Button type="submit" disabled={isEmpty}>
        Look at them
      </Button>
    </form>
  );
}
