import { useEffect, type ReactNode } from "react";
import { Mark } from "@/components/ui/mark";
import classes from "./entry.module.css";

interface EntryProps {
  /** Stands in the browser's tab. */
  title: string;
  heading?: string;
  lead?: string;
  /** Below everything, small: what to do if this page is not the right one. */
  help?: ReactNode;
  children: ReactNode;
}

/** The frame of the pages that one sees before one is in. */
export function Entry({ title, heading = "Tailorbird", lead, help, children }: EntryProps) {
  useEffect(() => {
    document.title = `${title} · Tailorbird`;
  }, [title]);
  return (
    <main className={classes.page}>
      <div className={classes.panel}>
        <div className={classes.brand}>
          <Mark size={40} />
          <h1>{heading}</h1>
          {lead && <p>{lead}</p>}
        </div>
        {children}
        {help && <div className={classes.help}>{help}</div>}
      </div>
    </main>
  );
}
