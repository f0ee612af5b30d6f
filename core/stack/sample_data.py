"""Something to look at: the sample dataset, put into a workspace that has none."""

from core.stack.api_client import ApiClient
from core.stack.first_admin import Admin

_SAMPLE = "reviews"


def load(base_url: str, admin: Admin) -> bool:
    """Copy the sample in as a person would by clicking on it. False if there is a dataset already."""
    with ApiClient(base_url) as api:
        api.sign_in(admin.email, admin.password)
        if api.get("/v1/datasets", limit=1)["data"]:
            return False
        file = api.post(f"/v1/samples/{_SAMPLE}")
        api.post("/v1/datasets", json={"file_id": file["id"], "name": "Customer reviews (sample)"})
        return True
