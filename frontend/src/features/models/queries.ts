import { keepPreviousData, queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { api, unwrap } from "@/api/client";
import type { ListOf, Model, ModelTraffic, Share } from "@/api/types";

export type { Share };

const keys = { all: ["models"] as const };

/** The states that a run passed through are models too, for those who ask for one by its address. */
function isShipped(model: Model): boolean {
  return model.checkpoint_step === null;
}

/** Another workspace's, which lets this one use it: where it came from stays theirs. */
export function isShared(model: Model): boolean {
  return model.is_shared;
}

export const modelsQuery = queryOptions({
  queryKey: [...keys.all, "list"],
  queryFn: async ({ signal }) => (await unwrap(api.GET("/v1/models", { signal }))).data.filter(isShipped),
  staleTime: 10_000,
});

export function modelQuery(model: string) {
  return queryOptions({
    queryKey: [...keys.all, "one", model],
    queryFn: ({ signal }) =>
      unwrap<Model>(api.GET("/v1/models/{model}", { params: { path: { model } }, signal })),
  });
}

/** What the workspace asked of a model or a stable name, today and on the days before. */
export function trafficQuery(model: string, days: number) {
  return queryOptions({
    queryKey: [...keys.all, "traffic", model, days],
    queryFn: ({ signal }) =>
      unwrap<ModelTraffic>(
        api.GET("/v1/models/{model}/traffic", { params: { path: { model }, query: { days } }, signal }),
      ),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
}

const [WEEK_DAYS, MONTH_DAYS] = [7, 30] as const;

/** The traffic of the last days, and how to look at more or fewer of them; how many, the address says. */
export function useTraffic(model: string) {
  const search = useSearch({ strict: false });
  // whatever else an address says is no way to look at it
  const days = search.days === MONTH_DAYS ? MONTH_DAYS : WEEK_DAYS;
  const navigate = useNavigate();
  const onDays = (wanted: number) =>
    void navigate({ to: ".", search: wanted === WEEK_DAYS ? {} : { days: MONTH_DAYS }, resetScroll: false });
  return { traffic: useQuery(trafficQuery(model, days)), days, onDays };
}

export function useDeleteModel() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (model: string) =>
      unwrap<unknown>(api.DELETE("/v1/models/{model}", { params: { path: { model } } })),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

export function useRestoreModel() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (model: string) =>
      unwrap<unknown>(api.POST("/v1/models/{model}/restore", { params: { path: { model } } })),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

export function useProveModel() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (model: string) =>
      unwrap<Model>(api.POST("/v1/models/{model}/prove", { params: { path: { model } } })),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.all }),
  });
}

/** A short name for a model wherever its full address would not fit. */
export function modelName(model: Pick<Model, "id" | "name"> | string): string {
  if (typeof model !== "string") return model.name || modelName(model.id);
  const [kind, , , suffix] = model.split(":");
  return kind === "ft" && suffix ? suffix : model;
}

const CHECKPOINT = "/v1/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions";

/** Who else was let use a model. */
export function sharesQuery(model: string) {
  return queryOptions({
    queryKey: [...keys.all, "shares", model],
    queryFn: async ({ signal }) =>
      (
        await unwrap<ListOf<Share>>(
          api.GET(CHECKPOINT, {
            params: { path: { fine_tuned_model_checkpoint: model }, query: { limit: 100 } },
            signal,
          }),
        )
      ).data,
  });
}

function useShareChange(model: string, change: (id: string) => Promise<unknown>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSuccess: () => client.invalidateQueries({ queryKey: sharesQuery(model).queryKey }),
  });
}

export function useShareModel(model: string) {
  return useShareChange(model, (workspaceId) =>
    unwrap<unknown>(
      api.POST(CHECKPOINT, {
        params: { path: { fine_tuned_model_checkpoint: model } },
        body: { project_ids: [workspaceId] },
      }),
    ),
  );
}

export function useUnshareModel(model: string) {
  return useShareChange(model, (id) =>
    unwrap<unknown>(
      api.DELETE(`${CHECKPOINT}/{permission_id}`, {
        params: { path: { fine_tuned_model_checkpoint: model, permission_id: id } },
      }),
    ),
  );
}
