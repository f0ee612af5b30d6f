import { useEffect, type ReactNode } from "react";
import classes from "./page.module.css";

interface PageProps {
  title: string;
  /** Stands above the title, such as the way back. */
  above?: ReactNode;
  lead?: ReactNode;
  actions?: ReactNode;
  /** Reading pages keep to a comfortable measure; tables may use the width. */
  width?: "reading" | "wide" | "full";
  children: ReactNode;
}

export function Page({ title, above, lead, actions, width = "wide", children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Tailorbird`;
  }, [title]);
  return (
    <div className={classes.page} data-width={width}>
      <header className={classes.header}>
        <div className={classes.titles}>
          {above && <div className={classes.above}>{above}</div>}
          <h1>{title}</h1>
          {lead && <div className={classes.lead}>{lead}</div>}
        </div>
        {actions && <div className={classes.actions}>{actions}</div>}
      </header>
      {children}
    </div>
  );
}

interface SectionProps {
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

export function Section({ title, lead, actions, children }: SectionProps) {
  return (
    <section className={classes.section} aria-label={title}>
      <div className={classes.sectionHead}>
        <div>
          <h2>{title}</h2>
          {lead && <p className={classes.sectionLead}>{lead}</p>}
        </div>
        {actions && <div className={classes.actions}>{actions}</div>}
      </div>
      {children}
    </section>
  );
}
