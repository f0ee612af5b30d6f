import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { Page, Section } from "@/components/ui/page";
import { SkeletonLines } from "@/components/ui/skeletons";
import { Empty, Forbidden, QueryView } from "@/components/ui/states";
import { BringExamples } from "@/features/datasets/components/bring-examples";
import { FilePreview } from "@/features/datasets/components/file-preview";
import { SampleList } from "@/features/datasets/components/sample-list";
import { fileQuery } from "@/features/datasets/queries";
import { useCan } from "@/features/session/queries";

const route = getRouteApi("/app/data/new");

export function NewDatasetPage() {
  const { file: fileId, columns } = route.useSearch();
  const can = useCan();
  const isAllowed = can("datasets:write");
  return (
    <Page
      title={fileId ? "Check your examples" : "Bring your examples"}
      above={<Link to="/data">Data</Link>}
      lead={
        fileId
          ? undefined
          : "A few hundred questions with the answers you wish you always gave are enough to begin with."
      }
      width="reading"
    >
      {!isAllowed ? (
        <Forbidden what="this page" />
      ) : fileId ? (
        <Preview key={fileId} fileId={fileId} columns={columns} />
      ) : (
        <Choose />
      )}
    </Page>
  );
}

function Choose() {
  const navigate = useNavigate();
  const { from, import: importId } = route.useSearch();
  return (
    <>
      <BringExamples
        way={from}
        importId={importId}
        onWay={(way) => void navigate({ to: "/data/new", search: way ? { from: way } : {} })}
        onImport={(id) => void navigate({ to: "/data/new", search: { import: id } })}
        onFile={(file) => void navigate({ to: "/data/new", search: { file: file.id } })}
      />
      <Section title="Or try it with ours">
        <SampleList />
      </Section>
    </>
  );
}

function Preview({ fileId, columns }: { fileId: string; columns: Record<string, unknown> | undefined }) {
  const navigate = useNavigate();
  const file = useQuery(fileQuery(fileId));
  const choose = (chosen: Record<string, unknown>) =>
    void navigate({
      to: "/data/new",
      search: { file: fileId, columns: chosen },
      replace: true,
      resetScroll: false,
    });
  const chooseOther = () => void navigate({ to: "/data/new", search: {} });
  return (
    <QueryView query={file} what="this file" skeleton={<SkeletonLines count={8} height={28} />}>
      {(loaded) =>
        loaded.inspection ? (
          <FilePreview
            file={loaded}
            inspection={loaded.inspection}
            chosen={columns}
            onChosen={choose}
            onOther={chooseOther}
          />
        ) : (
          <Empty
            title={`“${loaded.filename}” holds no examples`}
            action={<Button onClick={chooseOther}>Choose another file</Button>}
          >
            It was uploaded for something else than learning. Bring it again here if a model should learn from
            it.
          </Empty>
        )
      }
    </QueryView>
  );
}
