import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider, type RouterHistory } from "@tanstack/react-router";
import { useState } from "react";
import { createApp } from "@/app/create-app";
import { cssVariables, theme } from "@/styles/theme";

interface AppProps {
  history?: RouterHistory;
  /** "test" where nothing is laid out: Mantine then neither moves things nor hides what seems out of sight. */
  env?: "default" | "test";
}

export function App({ history, env = "default" }: AppProps) {
  const [{ router, queryClient }] = useState(() => createApp(history));
  return (
    <MantineProvider theme={theme} cssVariablesResolver={cssVariables} defaultColorScheme="auto" env={env}>
      <QueryClientProvider client={queryClient}>
        <Notifications position="bottom-right" />
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  );
}
