"""Every table, in one import, for migrations and for whoever needs the whole metadata."""

import core.adapters.models
import core.audit.models
import core.datasets.models
import core.erasures.models
import core.exports.models
import core.idempotency.models
import core.identity.models
import core.jobs.models
import core.model_imports.models
import core.serving.aliases.models
import core.serving.completions.models
import core.serving.preferences.models
import core.serving.traffic.models
import core.training.models
import core.usage.models
import core.webhooks.models
import core.workers.models
import core.workspaces.models  # noqa: F401 - imported for their tables
from core.db.base import Base

metadata = Base.metadata
