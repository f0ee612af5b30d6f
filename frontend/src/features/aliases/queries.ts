import { queryOptions, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, unwrap } from "@/api/client";
import type { Alias, AliasPlan, ListOf, PromptProfile, Release, ShadowAnswer } from "@/api/types";

export type { Alias, AliasPlan, PromptProfile, Release, ShadowAnswer };

const keys = { all: ["aliases"] as const, one: (name: string) => ["aliases", name] as const };
const at = (name: string) => ({ params: { path: { alias_name: name } } });

export const aliasesQuery = queryOptions({
  queryKey: keys.all,
  queryFn: async ({ signal }) => (await unwrap<{ data: Alias[] }>(api.GET("/v1/aliases", { signal }))).data,
});

export function aliasQuery(name: string) {
  return queryOptions({
    queryKey: keys.one(name),
    queryFn: ({ signal }) => unwrap<Alias>(api.GET("/v1/aliases/{alias_name}", { ...at(name), signal })),
  });
}

export function releasesQuery(name: string) {
  return queryOptions({
    queryKey: [...keys.one(name), "releases"],
    queryFn: async ({ signal }) =>
      (
        await unwrap<ListOf<Release>>(
          api.GET("/v1/aliases/{alias_name}/releases", {
            params: { path: { alias_name: name }, query: { limit: 50 } },
            signal,
          }),
        )
      ).data,
  });
}

export function profilesQuery(name: string) {
  return queryOptions({
    queryKey: [...keys.one(name), "profiles"],
    queryFn: async ({ signal }) =>
      (
        await unwrap<{ data: PromptProfile[] }>(
          api.GET("/v1/aliases/{alias_name}/profiles", { ...at(name), signal }),
        )
      ).data,
  });
}

export function shadowAnswersQuery(name: string) {
  return queryOptions({
    queryKey: [...keys.one(name), "shadow"],
    queryFn: async ({ signal }) =>
      (
        await unwrap<ListOf<ShadowAnswer>>(
          api.GET("/v1/aliases/{alias_name}/shadow_answers", {
            params: { path: { alias_name: name }, query: { limit: 20 } },
            signal,
          }),
        )
      ).data,
  });
}

function useChange<T>(change: (value: T) => Promise<unknown>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: keys.all });
      await client.invalidateQueries({ queryKey: ["models"] });
    },
  });
}

export function useCreateAlias() {
  return useChange((body: { name: string; model: string }) =>
    unwrap<Alias>(api.POST("/v1/aliases", { body: { ...body, note: "" } })),
  );
}

export function useRelease(name: string) {
  return useChange((body: AliasPlan) =>
    unwrap<Alias>(api.POST("/v1/aliases/{alias_name}/releases", { ...at(name), body })),
  );
}

export function useRollBack(name: string) {
  return useChange((release: number) =>
    unwrap<Alias>(api.POST("/v1/aliases/{alias_name}/roll_back", { ...at(name), body: { release } })),
  );
}

export function useAddProfile(name: string) {
  return useChange((body: { system_prompt: string; temperature: number | null; note: string }) =>
    unwrap<PromptProfile>(api.POST("/v1/aliases/{alias_name}/profiles", { ...at(name), body })),
  );
}

export function useDeleteAlias() {
  return useChange((name: string) => unwrap<unknown>(api.DELETE("/v1/aliases/{alias_name}", at(name))));
}

export function useRestoreAlias() {
  return useChange((name: string) => unwrap<unknown>(api.POST("/v1/aliases/{alias_name}/restore", at(name))));
}
