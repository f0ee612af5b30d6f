import { Menu } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Icon, type IconName } from "@/components/ui/icons";
import { Mark } from "@/components/ui/mark";
import classes from "./shell.module.css";

export interface NavItem {
  to: "/" | "/data" | "/train" | "/models" | "/playground" | "/usage" | "/admin" | "/settings";
  label: string;
  icon: IconName;
  /** Kept out of the bottom bar of a phone; its menu has it. */
  isSecondary?: boolean;
}

interface ShellProps {
  items: NavItem[];
  /** Where one is, and the way to elsewhere. */
  workspace: ReactNode;
  /** Said above every page, while it is true. */
  notice?: ReactNode;
  person: string;
  onSignOut: () => void;
  children: ReactNode;
}

export function Shell({ items, workspace, notice, person, onSignOut, children }: ShellProps) {
  const account = <AccountMenu items={items} person={person} onSignOut={onSignOut} />;
  return (
    <div className={classes.shell}>
      <a href="#content" className={classes.skip}>
        Skip to the content
      </a>
      <header className={classes.top}>
        <Link to="/" className={classes.brand}>
          <Mark /> Tailorbird
        </Link>
        <div className={classes.where}>{workspace}</div>
        {account}
      </header>
      <aside className={classes.side}>
        <Link to="/" className={classes.brand}>
          <Mark /> Tailorbird
        </Link>
        <nav aria-label="Main">
          <NavLinks items={items} />
        </nav>
        <div className={classes.foot}>
          {workspace}
          {account}
        </div>
      </aside>
      <main id="content" className={classes.content} tabIndex={-1}>
        {notice}
        {children}
      </main>
      <nav className={classes.bottom} aria-label="Main, on a phone">
        <NavLinks items={items.filter((item) => !item.isSecondary)} />
      </nav>
    </div>
  );
}

function NavLinks({ items }: { items: NavItem[] }) {
  return (
    <ul className={classes.links}>
      {items.map((item) => (
        <li key={item.to}>
          <Link to={item.to} activeOptions={{ exact: item.to === "/", includeSearch: false }}>
            <Icon name={item.icon} />
            {item.label}
          </Link>
        </li>
      ))}
    </ul>
  );
}

interface AccountMenuProps {
  items: NavItem[];
  person: string;
  onSignOut: () => void;
}

function AccountMenu({ items, person, onSignOut }: AccountMenuProps) {
  return (
    <Menu position="bottom-end" width={200}>
      <Menu.Target>
        <button type="button" className={classes.account}>
          <Icon name="person" />
          <span>{person}</span>
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        {items
          .filter((item) => item.isSecondary)
          .map((item) => (
            <Menu.Item key={item.to} component={Link} to={item.to}>
              {item.label}
            </Menu.Item>
          ))}
        <Menu.Item onClick={onSignOut}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
