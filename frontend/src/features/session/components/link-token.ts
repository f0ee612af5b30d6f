import { useLocation } from "@tanstack/react-router";
import { useState } from "react";

/** The secret of a link: it stands behind the #, which the browser sends to no server. Kept while the page is open. */
export function useLinkToken(): string {
  const { hash } = useLocation();
  const [token] = useState(hash);
  return token || hash;
}
