/** Only what carries something, so that addresses stay short. */
export function filled<T extends object>(values: T): { [Key in keyof T]?: NonNullable<T[Key]> } {
  const kept = Object.entries(values).filter(([, value]) => Boolean(value));
  return Object.fromEntries(kept) as { [Key in keyof T]?: NonNullable<T[Key]> };
}
