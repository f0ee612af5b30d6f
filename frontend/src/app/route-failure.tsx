import { useRouter, type ErrorComponentProps } from "@tanstack/react-router";
import { Failure } from "@/components/ui/states";

export function RouteFailure({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const retry = () => {
    reset();
    void router.invalidate();
  };
  return (
    <div style={{ padding: "var(--space-24)" }}>
      <Failure error={error} what="this page" onRetry={retry} />
    </div>
  );
}
