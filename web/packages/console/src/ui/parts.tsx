// The small parts pages are made of.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { dateTime, grade, mos as mosText, timeOfDay } from '../format';
import { useLocale } from '../i18n';
import type { Loaded } from './state';

/** The page's heading takes the focus when the page comes, so that a screen reader begins there. */
export function PageTitle({ text, children }: { text: string; children?: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { t } = useLocale();
  useEffect(() => {
    document.title = `${text} · ${t('app.name')}`;
  }, [text, t]);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <div class="page-title">
      <h1 ref={heading} tabIndex={-1}>
        {text}
      </h1>
      {children && <div class="page-tools">{children}</div>}
    </div>
  );
}

/** What stands in a page until its data is there, when it is not, and when it is old. */
export function Await<T>({ loaded, children }: { loaded: Loaded<T>; children: (data: T) => ComponentChildren }) {
  const { t } = useLocale();
  if (loaded.data === null) {
    if (!loaded.error) return <p class="muted loading">{t('app.loading')}</p>;
    return (
      <div class="notice bad" role="alert">
        <p>{t('app.failed', { why: loaded.error })}</p>
        <button type="button" onClick={loaded.reload}>
          {t('app.retry')}
        </button>
      </div>
    );
  }
  return (
    <>
      {loaded.error && (
        <p class="notice warn" role="status">
          {t('app.stale', { time: timeOfDay(loaded.at, true) })}
        </p>
      )}
      {children(loaded.data)}
    </>
  );
}

/** A time; where there is little room, without year and seconds. */
export function When({ iso }: { iso: string }) {
  const text = dateTime(iso);
  if (!iso) return <>{text}</>;
  return (
    <time dateTime={iso}>
      <span class="long">{text.slice(0, 5)}</span>
      {text.slice(5, 16)}
      <span class="long">{text.slice(16)}</span>
    </time>
  );
}

export function Tag({ kind, children }: { kind: 'good' | 'fair' | 'bad' | 'plain'; children: ComponentChildren }) {
  return <span class={`tag ${kind}`}>{children}</span>;
}

/** A mean opinion score with its grade as shape and colour, never as colour alone. */
export function Mos({ value }: { value: number }) {
  const g = grade(value);
  const marks = { best: '●', good: '●', fair: '◐', poor: '○', none: '' } as const;
  return (
    <span class={`mos ${g}`}>
      <span aria-hidden="true" class="mark">
        {marks[g]}
      </span>
      {mosText(value)}
    </span>
  );
}

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  numeric?: boolean;
  /** Left out on narrow screens. */
  wide?: boolean;
  /** The row's own name, in a <th scope="row">. */
  heads?: boolean;
  hideTitle?: boolean;
}

export function Table<T>(props: {
  caption: string;
  columns: Column<T>[];
  rows: readonly T[];
  id: (row: T) => string;
  none: string;
}) {
  const { caption, columns, rows, id, none } = props;
  const cls = (c: Column<T>) => [c.numeric ? 'num' : '', c.wide ? 'wide' : ''].join(' ').trim() || undefined;
  if (rows.length === 0) return <p class="muted empty">{none}</p>;
  return (
    <div class="table-box" tabIndex={0} role="region" aria-label={caption}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((c) => (
              <th key={c.title} scope="col" class={cls(c)}>
                {c.hideTitle ? <span class="hidden">{c.title}</span> : c.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={id(row)}>
              {columns.map((c) =>
                c.heads ? (
                  <th key={c.title} scope="row" class={cls(c)}>
                    {c.cell(row)}
                  </th>
                ) : (
                  <td key={c.title} class={cls(c)}>
                    {c.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Field(props: {
  label: string;
  value: string;
  onInput: (value: string) => void;
  type?: string;
  hint?: string;
  required?: boolean;
  autocomplete?: string;
  minLength?: number;
  inputMode?: 'numeric' | 'text';
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <input
        id={id}
        type={props.type ?? 'text'}
        value={props.value}
        required={props.required ?? false}
        {...(props.minLength ? { minLength: props.minLength } : {})}
        {...(props.inputMode ? { inputMode: props.inputMode } : {})}
        {...(props.autocomplete ? { autocomplete: props.autocomplete } : {})}
        {...(props.hint ? { 'aria-describedby': `${id}-hint` } : {})}
        spellcheck={false}
        autocapitalize="off"
        onInput={(e) => props.onInput(e.currentTarget.value)}
      />
      {props.hint && (
        <small id={`${id}-hint`} class="muted">
          {props.hint}
        </small>
      )}
    </div>
  );
}

export function Choice<V extends string>(props: {
  label: string;
  value: V;
  options: readonly (readonly [V, string])[];
  onChange: (value: V) => void;
  quiet?: boolean;
}) {
  const id = useId();
  return (
    <div class={props.quiet ? 'choice' : 'field'}>
      <label for={id} class={props.quiet ? 'hidden' : undefined}>
        {props.label}
      </label>
      <select id={id} value={props.value} onChange={(e) => props.onChange(e.currentTarget.value as V)}>
        {props.options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

export function Facts({ items }: { items: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {items.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A question before what cannot be taken back: the browser's own dialog element, with its focus trap. */
export function Confirm(props: { text: string; action: string; onYes: () => void; onNo: () => void }) {
  const box = useRef<HTMLDialogElement>(null);
  const { t } = useLocale();
  useEffect(() => box.current?.showModal(), []);
  return (
    <dialog ref={box} onCancel={props.onNo} aria-label={props.action}>
      <p>{props.text}</p>
      <div class="buttons">
        <button type="button" onClick={props.onNo}>
          {t('app.cancel')}
        </button>
        <button type="button" class="danger" onClick={props.onYes}>
          {props.action}
        </button>
      </div>
    </dialog>
  );
}
