from pydantic import Field

from api.schemas import RequestBody


class SetupBody(RequestBody):
    token: str = Field(max_length=200, description="What stands behind the # of the link that the start printed.")
    workspace_name: str = Field(max_length=100)
    name: str = Field(max_length=100)
    email: str = Field(max_length=254)
    password: str = Field(max_length=1000)
