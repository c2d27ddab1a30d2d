import type { EntitySerializer } from '../../entity-serializer.ts';
import { clipped } from '../../text.ts';
import { compareShapes, compareValues, type ShapeReader } from './compare-shapes.ts';
import { lostKey } from './key-types.ts';
import { keyColumns, type Manifest, type ModelFacts, modelNow, type TaskFacts } from './manifest.ts';

/** What would keep a stored payload from being read. */
export interface Break {
  /** As in `model User`. */
  readonly subject: string;
  readonly problem: string;
  readonly advice: string;
}

export interface Comparison {
  readonly breaks: readonly Break[];
  /** Tasks whose arguments nothing describes. */
  readonly unchecked: readonly string[];
  /** Names that the file does not have yet. */
  readonly added: readonly string[];
}

/** What a change of the application means for what is stored: all that the file describes has to be read still. */
export function compare(before: Manifest, now: Manifest, serializer: EntitySerializer): Comparison {
  const breaks = [
    ...signedBreaks('payloads', before.signed, now.signed),
    ...Object.entries(before.models).flatMap(([name, facts]) => modelBreaks(name, facts, serializer)),
    ...Object.keys(before.values).flatMap((name) => valueBreaks(name, before, now)),
    ...Object.entries(before.tasks).flatMap(([name, task]) => taskBreaks(name, task, before, now)),
  ];
  const unchecked = Object.keys(now.tasks).filter((name) => now.tasks[name]!.shapes === undefined);
  return {
    breaks,
    unchecked,
    added: (['models', 'values', 'tasks'] as const).flatMap((kind) => addedTo(kind, before, now)),
  };
}

const SINGULAR = { models: 'model', values: 'value object', tasks: 'task' } as const;

const addedTo = (kind: keyof typeof SINGULAR, before: Manifest, now: Manifest): string[] =>
  Object.keys(now[kind])
    .filter((name) => !Object.hasOwn(before[kind], name))
    .map((name) => `${SINGULAR[kind]} ${name}`);

function signedBreaks(subject: string, before: string | undefined, now: string | undefined): Break[] {
  if (now === undefined || now === before) return [];
  const was = before === undefined ? 'not signed' : `signed for "${before}"`;
  const problem = `are signed for "${now}" now; what waits is ${was}, and is refused`;
  return [{ subject, problem, advice: 'let what waits run out first, or keep the purpose' }];
}

function modelBreaks(
  name: string,
  { aliases = [], key, columns = [], version }: ModelFacts,
  { registry, orm }: EntitySerializer,
): Break[] {
  const subject = `model ${name}`;
  const model = registry.find(name);
  const gone = [name, ...aliases].filter((other) => registry.find(other) === undefined);
  const breaks: Break[] = gone.map((other) => ({
    subject,
    problem: other === name ? 'is gone, and its tokens can’t be read' : `has lost its alias ${other}`,
    advice: `keep the name: @ByReference({ aliases: ['${other}'] }) on the class that it is now`,
  }));
  if (model === undefined) return breaks;
  const { types } = model.primaryKey;
  const platform = orm.em.getPlatform();
  if (types.length !== key.length) {
    breaks.push({
      subject,
      problem: `has a key of ${types.length} columns, and had ${key.length}`,
      advice: KEY_ADVICE,
    });
  } else if (isTurned(columns, keyColumns(model))) {
    const problem = `has the columns of its key in another order: ${keyColumns(model).join(', ')}`;
    breaks.push({ subject, problem, advice: `declare them as they were: ${columns.join(', ')}` });
  } else {
    for (const [part, type] of key.entries()) {
      const lost = lostKey(type, model.primaryKey, part, platform);
      if (lost === undefined) continue;
      const example = clipped(JSON.stringify(lost));
      const problem = `has a key of type ${types[part]}, under which not all of ${type} are found: ${example}`;
      breaks.push({ subject, problem, advice: KEY_ADVICE });
    }
  }
  const newVersion = model.version && (model.version.isDate ? 'date' : 'integer');
  if (version !== undefined && newVersion !== undefined && newVersion !== version) {
    const problem = `is dated by a ${newVersion}, and tokens with a version have a ${version}`;
    breaks.push({ subject, problem, advice: 'let what waits run out first, or keep the property for versions' });
  }
  return breaks;
}

/** Whether a column is another part of the key: a token would name another row. */
const isTurned = (before: readonly string[], now: readonly string[]): boolean =>
  before.some((name, part) => now.includes(name) && now[part] !== name);

const KEY_ADVICE = 'let what waits run out first, or give the new table a model of its own beside it';

function valueBreaks(name: string, before: Manifest, now: Manifest): Break[] {
  const subject = `value object ${name}`;
  const own = now.values[name];
  if (own === undefined) {
    const advice = `keep one of the name: @ByValue('${name}'), or serializer.values.register('${name}', …)`;
    return [{ subject, problem: 'is gone, and payloads that hold it can’t be read', advice }];
  }
  const { shape } = before.values[name]!;
  if (shape === undefined || own.shape === undefined) return [];
  return compareValues({ before, now }, shape, own.shape).map((problem) => ({ subject, ...problem }));
}

function taskBreaks(name: string, task: TaskFacts, before: Manifest, now: Manifest): Break[] {
  const subject = `task ${name}`;
  const taker = takerOf(name, task, now);
  if (taker === undefined) {
    const { queue } = task;
    const problem = `is gone from the queue "${queue}", and its jobs are run by nobody`;
    const isNamed = saysItsName(name, task);
    const other = isNamed ? '' : `, or give the task that it is now queue: '${queue}'`;
    return [{ subject, problem, advice: `define '${name}' as well until they are gone${other}` }];
  }
  const breaks = signedBreaks(`jobs of ${subject}`, task.signed, taker.signed);
  const reader: ShapeReader = { before, now };
  breaks.push(...onlyBreaks(subject, task, taker, reader));
  if (task.shapes === undefined || taker.shapes === undefined) return breaks;
  for (const old of task.shapes) {
    const attempts = taker.shapes.map((shape) => compareShapes(reader, old, shape));
    if (attempts.some((problems) => problems.length === 0)) continue;
    breaks.push(...attempts[0]!.map(({ problem, advice }) => ({ subject, problem, advice })));
  }
  return breaks;
}

/** The only task of a queue of its name goes without saying. */
const saysItsName = (name: string, { queue, signed, context }: TaskFacts): boolean =>
  name !== queue || signed !== undefined || context === true;

/** Which task its jobs are run by. */
function takerOf(name: string, task: TaskFacts, now: Manifest): TaskFacts | undefined {
  const sharing = Object.entries(now.tasks).filter(([, { queue }]) => queue === task.queue);
  const named = sharing.find(([other]) => other === name);
  if (named !== undefined) return named[1];
  return !saysItsName(name, task) && sharing.length === 1 ? sharing[0]![1] : undefined;
}

function onlyBreaks(subject: string, task: TaskFacts, taker: TaskFacts, { before, now }: ShapeReader): Break[] {
  if (taker.only === undefined || task.shapes !== undefined) return [];
  const admitted = new Set(taker.only);
  const lost = (task.only ?? Object.keys(before.models)).filter((name) => {
    const model = modelNow(name, now);
    return model !== undefined && !admitted.has(model);
  });
  const problem = `takes no ${lost.join(', no ')} any more`;
  return lost.length === 0 ? [] : [{ subject, problem, advice: 'keep them in `only` until its jobs are gone' }];
}
