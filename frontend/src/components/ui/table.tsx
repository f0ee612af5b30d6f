import { useState, type ReactNode } from "react";
import classes from "./table.module.css";

export interface TableColumn<T> {
  key: string;
  title: string;
  cell: (item: T) => ReactNode;
  /** Makes the column sortable. */
  sortBy?: (item: T) => number | string;
  align?: "end";
  /** Left out on a phone, where the row has less room. */
  isSecondary?: boolean;
}

interface TableProps<T> {
  label: string;
  columns: TableColumn<T>[];
  items: T[];
  rowKey: (item: T) => string;
}

interface Sort {
  key: string;
  isDescending: boolean;
}

export function Table<T>({ label, columns, items, rowKey }: TableProps<T>) {
  const [sort, setSort] = useState<Sort | null>(null);
  const sortBy = columns.find((column) => column.key === sort?.key)?.sortBy;
  const sorted = sortBy ? [...items].sort(compare(sortBy, sort?.isDescending ?? false)) : items;
  const toggle = (key: string) =>
    setSort((before) =>
      before?.key !== key
        ? { key, isDescending: false }
        : before.isDescending
          ? null
          : { key, isDescending: true },
    );
  return (
    <table className={classes.table} aria-label={label}>
      <thead>
        <tr>
          {columns.map((column) => (
            <th
              key={column.key}
              scope="col"
              data-align={column.align}
              data-secondary={column.isSecondary}
              {...(sort?.key === column.key
                ? { "aria-sort": sort.isDescending ? "descending" : "ascending" }
                : {})}
            >
              {column.sortBy ? (
                <button type="button" onClick={() => toggle(column.key)}>
                  {column.title}
                  <span aria-hidden="true">
                    {sort?.key === column.key ? (sort.isDescending ? " ↓" : " ↑") : ""}
                  </span>
                </button>
              ) : (
                column.title || <span className="visually-hidden">Actions</span>
              )}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {sorted.map((item) => (
          <tr key={rowKey(item)}>
            {columns.map((column) => (
              <td key={column.key} data-align={column.align} data-secondary={column.isSecondary}>
                {column.cell(item)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function compare<T>(by: (item: T) => number | string, isDescending: boolean) {
  return (left: T, right: T) => {
    const [a, b] = [by(left), by(right)];
    const order = typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b)) : a - b;
    return isDescending ? -order : order;
  };
}
