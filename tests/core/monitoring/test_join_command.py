from core.config import Settings
from core.monitoring.join_command import join_command


def test_it_names_the_servers_and_no_password_of_theirs() -> None:
    settings = Settings(
        database_url="postgresql+psycopg://app:s3same@db.example.com:5432/tailorbird",
        redis_url="rediss://:0pen@cache.example.com:6379/0",
        s3_endpoint_url="https://s3.example.com",
        s3_bucket="ours",
        s3_access_key_id="AKIA",
        s3_secret_access_key="hidden",
    )
    assert join_command(settings, secret="tb_worker_1") == (
        "tailorbird worker --database postgresql+psycopg://app:PASSWORD@db.example.com:5432/tailorbird "
        "--redis rediss://:PASSWORD@cache.example.com:6379/0 --s3 https://AKIA:PASSWORD@s3.example.com/ours "
        "--token tb_worker_1"
    )


def test_an_address_of_this_machine_only_is_left_to_fill_in() -> None:
    settings = Settings(
        database_url="postgresql+psycopg://app@127.0.0.1:5432/tailorbird",
        redis_url="redis://localhost:6379/0",
        s3_endpoint_url="http://127.0.0.1:8333",
    )
    command = join_command(settings, secret="tb_worker_1")
    assert "127.0.0.1" not in command
    assert command.startswith("tailorbird worker --database postgresql+psycopg://app@HOST:5432/tailorbird ")
    assert "--s3 http://KEY:PASSWORD@HOST:8333/tailorbird" in command
