// Which telephone this page is, for the registrar.
const name = 'tandem.instance';
let own: Promise<string> | null = null;

/** Of this tab: after a reload the registrar takes it for the same telephone, another tab is another one. */
export function ownInstance(): Promise<string> {
  return (own ??= find());
}

/** A tab that is duplicated gives its storage away: with one name for both the second would take the calls of the first. */
async function find(): Promise<string> {
  const known = stored();
  if (known && (await locked(known))) return known;
  const made = crypto.randomUUID();
  await locked(made);
  try {
    sessionStorage.setItem(name, made);
  } catch {
    // For this page alone then.
  }
  return made;
}

function stored(): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Whether nobody else has this name. The lock is held until the page is gone; where there are no locks nobody is known of. */
function locked(id: string): Promise<boolean> {
  const { locks } = navigator as { locks?: LockManager };
  if (!locks) return Promise.resolve(true);
  return new Promise((done) => {
    const hold = (lock: Lock | null): Promise<void> => {
      done(lock !== null);
      return lock ? new Promise(() => {}) : Promise.resolve();
    };
    locks.request(`${name}.${id}`, { ifAvailable: true }, hold).catch(() => done(true));
  });
}
