"""A dataset whose versions are made by a real worker, and what its owner does with it."""

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import text

from core.datasets import service as datasets
from core.datasets.types import Split
from core.db.session import SYSTEM, workspace_scope
from core.jobs.kinds import QueueName
from tests.conftest import Headers
from worker.app import work_once
from worker.context import WorkContext

ROWS = b"question,answer\n" + b"".join(b"question %d,answer %d\n" % (number, number) for number in range(2, 42))
ODD = b"question 2,answer 2\nMy card is 4111 1111 1111 1111,Never tell\n"
Made = dict[str, Any]


class Bench:
    """A dataset, and what its owner does with it."""

    def __init__(self, context: WorkContext, client: TestClient, headers: Headers, workspace_id: str) -> None:
        self.context, self.client, self.headers, self.workspace_id = context, client, headers, workspace_id
        file = client.post("/v1/files", headers=headers, files={"file": ("rows.csv", ROWS + ODD)}).json()
        self.dataset = client.post("/v1/datasets", headers=headers, json={"file_id": file["id"]}).json()
        self.first = self.work(self.dataset["latest_version"])

    def work(self, version: Made) -> Made:
        assert work_once(self.context, QueueName.IO)
        found: Made = self.client.get(f"/v1/dataset_versions/{version['id']}", headers=self.headers).json()
        assert found["status"] == "ready", found["error"]
        return found

    def ask(self, version: Made, *changes: dict[str, Any]) -> Any:  # noqa: ANN401 - a response
        url = f"/v1/dataset_versions/{version['id']}/changes"
        return self.client.post(url, headers=self.headers, json={"changes": changes})

    def change(self, version: Made, *changes: dict[str, Any]) -> Made:
        made = self.ask(version, *changes)
        assert made.status_code == 200, made.text
        return self.work(made.json())

    def rows(self, version: Made, **params: Any) -> dict[int, Made]:  # noqa: ANN401 - query values
        url = f"/v1/dataset_versions/{version['id']}/rows"
        found = self.client.get(url, headers=self.headers, params={"limit": 100, **params}).json()
        return {row["number"]: row for row in found["data"]}

    def learned(self, version: Made) -> dict[int, str]:
        with self.context.database.session(workspace_scope(self.workspace_id)) as session:
            return {
                row.number: str(row.messages[1]["content"])
                for split in (Split.TRAIN, Split.HELDOUT)
                for row in datasets.stream_rows(
                    session, workspace_id=self.workspace_id, version_id=version["id"], split=split
                )
            }

    def num_stored(self) -> int:
        with self.context.database.session(SYSTEM) as session:
            found: int = session.execute(text("select count(*) from rows")).scalar_one()
            return found


def edit(number: int, question: str, answer: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"type": "edit_row", "number": number, "content": {"messages": messages}}
