import { Button, CopyButton, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Model } from "@/api/types";
import { modelName, modelsQuery } from "@/features/models/queries";
import classes from "./model-link.module.css";

interface ModelLinkProps {
  id: string;
  /** Whether its id can be copied beside it. */
  canCopy?: boolean;
}

/** A model, checkpoint or stable name as people call it; its id is under the pointer, and can be copied. */
export function ModelLink({ id, canCopy = false }: ModelLinkProps) {
  const models = useQuery(modelsQuery).data;
  const { name, known } = nameOf(id, models ?? []);
  // one that is not listed is gone, and so is its page
  const isGone = models !== undefined && known === undefined;
  return (
    <span className={classes.model}>
      <Tooltip label={isGone ? `${id}, which is not here any more` : id}>
        {isGone ? (
          <span>{name}</span>
        ) : known?.kind === "alias" ? (
          <Link to="/aliases/$aliasName" params={{ aliasName: id }}>
            {name}
          </Link>
        ) : (
          <Link to="/models/$modelId" params={{ modelId: id }}>
            {name}
          </Link>
        )}
      </Tooltip>
      {canCopy && (
        <CopyButton value={id}>
          {({ copied, copy }) => (
            <Button size="compact-xs" variant="subtle" onClick={copy} aria-label={`Copy the id of ${name}`}>
              {copied ? "Copied" : "Copy its id"}
            </Button>
          )}
        </CopyButton>
      )}
    </span>
  );
}

const CHECKPOINT = /^(.+):ckpt-step-(\d+)$/;

/** What an id is called by the names that models have now. */
function nameOf(id: string, models: Model[]): { name: string; known: Model | undefined } {
  const [, shipped, step] = CHECKPOINT.exec(id) ?? [];
  const known = models.find((model) => model.id === (shipped ?? id));
  const name = modelName(known ?? shipped ?? id);
  return { name: step === undefined ? name : `${name}, step ${step}`, known };
}
