import { Button, Menu } from "@mantine/core";
import { downloadUrl } from "@/features/datasets/version-queries";

const FORMATS = [
  { format: "xlsx", label: "For Excel (XLSX)" },
  { format: "csv", label: "For any spreadsheet (CSV)" },
  { format: "jsonl", label: "For training elsewhere (JSON lines)" },
  { format: "parquet", label: "All that is known of them (Parquet)" },
] as const;

export function DownloadMenu({ versionId }: { versionId: string }) {
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default">Download</Button>
      </Menu.Target>
      <Menu.Dropdown>
        {FORMATS.map(({ format, label }) => (
          <Menu.Item key={format} component="a" href={downloadUrl(versionId, format)} download>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
