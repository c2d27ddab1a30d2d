import { ByReferenceError } from '../errors.ts';
import { type Model, type ModelRegistry, requireModel } from '../models/model-registry.ts';
import type { Declared, ReferenceProperty } from '../models/reference-property.ts';
import type { JsonValue } from '../wire/json.ts';
import type { EntitySlot } from './slot.ts';

/**
 * Gives each reference the policy of the property that declares it. A DTO is a closed shape: every reference in it is
 * declared. Throws E_UNKNOWN_MODEL, E_MALFORMED, E_INVALID_OPTION.
 */
export function applyDeclared(
  slots: readonly EntitySlot[],
  { references }: Declared,
  registry: ModelRegistry,
  isDto: boolean,
): void {
  if (references.size === 0 && !isDto) return;
  const admitted = new Map<ReferenceProperty, ReadonlySet<Model>>();
  const isShared = sharedAmong(slots);
  for (const slot of slots) {
    const candidates = references.get(slot.body) ?? [];
    const declared = isShared(slot.body) ? candidates.find(({ place }) => place.path === slot.path) : candidates[0];
    const property = declared?.property;
    if (property === undefined) {
      if (!isDto) continue;
      const { path, parts } = slot;
      throw ByReferenceError.malformed('no property declares a reference here', { path, model: parts.model });
    }
    let models = admitted.get(property);
    if (models === undefined) admitted.set(property, (models = modelsOf(property, registry)));
    requireModel(slot.parts.model, models, registry, () => slot.path);
    slot.declared = property;
  }
}

/** Which arrays stand for references in several places. */
function sharedAmong(slots: readonly EntitySlot[]): (body: JsonValue) => boolean {
  const [once, shared] = [new Set<JsonValue>(), new Set<JsonValue>()];
  for (const { body } of slots) (once.has(body) ? shared : once).add(body);
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
