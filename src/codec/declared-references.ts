import { ByReferenceError } from '../errors.ts';
import { type Model, type ModelRegistry, requireModel } from '../models/model-registry.ts';
import type { Declared, ReferenceProperty } from '../models/reference-property.ts';
import type { JsonValue } from '../wire/json.ts';
import type { Walked } from './decode.ts';

/**
 * Gives each reference the policy of the property that declares it. A DTO is a closed shape: every reference in it is
 * declared. Throws E_UNKNOWN_MODEL, E_MALFORMED, E_INVALID_OPTION.
 */
export function applyDeclared(
  { slots, bodies }: Walked,
  declared: Declared,
  registry: ModelRegistry,
  isDto: boolean,
): void {
  if (declared.isEmpty && !isDto) return;
  const admitted = new Map<ReferenceProperty, ReadonlySet<Model>>();
  const isShared = sharedAmong(bodies);
  for (const [index, slot] of slots.entries()) {
    const body = bodies[index]!;
    const candidates = declared.of(body);
    const own = isShared(body) ? candidates.find(({ place }) => place.path === slot.path) : candidates[0];
    const property = own?.property;
    if (property === undefined) {
      if (!isDto) continue;
      const { path, model } = slot;
      throw ByReferenceError.malformed('no property declares a reference here', { path, model });
    }
    let models = admitted.get(property);
    if (models === undefined) admitted.set(property, (models = modelsOf(property, registry)));
    requireModel(slot.model, models, registry, () => slot.path);
    slot.declared = property;
  }
}

/** Which arrays stand for references in several places. */
function sharedAmong(bodies: readonly JsonValue[]): (body: JsonValue) => boolean {
  const [once, shared] = [new Set<JsonValue>(), new Set<JsonValue>()];
  for (const body of bodies) (once.has(body) ? shared : once).add(body);
  return (body) => shared.has(body);
}

function modelsOf(property: ReferenceProperty, registry: ModelRegistry): ReadonlySet<Model> {
  if (property.populate !== undefined && !Array.isArray(property.populate)) {
    registry.refuseUnknownNames({ populate: property.populate as { [model: string]: readonly string[] } });
  }
  const models = registry.admittedBy([property.models()].flat());
  if (property.only === undefined) return models;
  const narrowed = registry.admittedBy(property.only);
  return new Set([...models].filter((model) => narrowed.has(model)));
}
