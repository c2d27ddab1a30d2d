import { ByReferenceError } from '../errors.ts';
import type { Model, ModelRegistry } from '../models/model-registry.ts';
import type { Declared, ReferenceProperty } from '../models/reference-property.ts';
import type { EntitySlot } from './slot.ts';

/**
 * Gives each reference the policy of the property that declares it. A DTO is a closed shape: every reference in it is
 * declared, but for those of a declared copy. Throws E_UNKNOWN_MODEL, E_MALFORMED, E_INVALID_OPTION.
 */
export function applyDeclared(
  slots: readonly EntitySlot[],
  { references, copies }: Declared,
  registry: ModelRegistry,
  isDto: boolean,
): void {
  for (const [path, { name, class: cls }] of copies) {
    requireModel(name, registry.admittedBy([cls]), registry, () => path);
  }
  if (references.size === 0 && !isDto) return;
  const admitted = new Map<ReferenceProperty, ReadonlySet<Model>>();
  for (const slot of slots) {
    const property = references.get(slot.body);
    if (property === undefined) {
      if (!isDto || isInCopy(slot, copies)) continue;
      const { path, parts } = slot;
      throw ByReferenceError.malformed('no property declares a reference here', { path, model: parts.model });
    }
    let models = admitted.get(property);
    if (models === undefined) admitted.set(property, (models = modelsOf(property, registry)));
    requireModel(slot.parts.model, models, registry, () => slot.path);
    slot.declared = property;
  }
}

function isInCopy({ path }: EntitySlot, copies: Declared['copies']): boolean {
  for (const copy of copies.keys()) if (path.startsWith(copy)) return true;
  return false;
}

function requireModel(name: string, models: ReadonlySet<Model>, registry: ModelRegistry, path: () => string): void {
  const model = registry.findOrFail(name, path);
  if (models.has(model)) return;
  const expected = Array.from(models, (other) => other.name).join(' or ') || 'no model';
  throw ByReferenceError.malformed(`expected ${expected}, got ${model.name}`, { path: path(), model: model.name });
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
