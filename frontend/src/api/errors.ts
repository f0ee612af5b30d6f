export interface ErrorBody {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
  details?: Record<string, unknown> | null;
}

/** Every refusal of the API, and every failure to reach it, as one thing the pages can show. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly body: ErrorBody,
    readonly requestId: string | null = null,
  ) {
    super(body.message);
    this.name = "ApiError";
  }

  get code(): string | null {
    return this.body.code;
  }

  get isSignedOut(): boolean {
    return this.status === 401 && !this.isOutOfWorkspace;
  }

  /** Signed in, but no longer a member of the workspace that the page shows. */
  get isOutOfWorkspace(): boolean {
    return this.code === "mismatched_project";
  }

  get isForbidden(): boolean {
    return this.status === 403;
  }

  get isNotFound(): boolean {
    return this.status === 404;
  }
}

const UNREACHABLE = "The server did not answer. Check your connection; nothing you did is lost.";

export function unreachable(): ApiError {
  return new ApiError(0, {
    message: UNREACHABLE,
    type: "connection_error",
    param: null,
    code: "unreachable",
  });
}

export function toApiError(status: number, payload: unknown, requestId: string | null): ApiError {
  const body = (payload as { error?: ErrorBody } | null | undefined)?.error;
  if (body && typeof body.message === "string") return new ApiError(status, body, requestId);
  const message = `The server answered with status ${status} and no explanation. Try again in a moment.`;
  return new ApiError(status, { message, type: "server_error", param: null, code: null }, requestId);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong. Try again.";
}
