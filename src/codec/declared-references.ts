import { ByReferenceError } from '../errors.ts';
import type { Model, ModelRegistry } from '../models/model-registry.ts';
import type { DeclaredReferences, ReferenceProperty } from '../models/reference-property.ts';
import type { EntitySlot } from './slot.ts';

/**
 * Gives each reference the policy of the property that declares it. In a DTO every reference is declared, but for those
 * inside value objects and copies, which their own classes know. Throws E_UNKNOWN_MODEL, E_MALFORMED, E_INVALID_OPTION.
 */
export function applyDeclared(
  slots: readonly EntitySlot[],
  declared: DeclaredReferences,
  registry: ModelRegistry,
  isDto: boolean,
): void {
  if (declared.size === 0 && !isDto) return;
  const admitted = new Map<ReferenceProperty, ReadonlySet<Model>>();
  for (const slot of slots) {
    const { path } = slot;
    const property = declared.get(path);
    if (property === undefined) {
      if (!isDto || /\['\$(?:value|snapshot)'\]/.test(path)) continue;
      throw ByReferenceError.malformed('no property declares a reference here', { path, model: slot.parts.model });
    }
    let models = admitted.get(property);
    if (models === undefined) admitted.set(property, (models = modelsOf(property, registry)));
    const model = registry.findOrFail(slot.parts.model, () => path);
    if (!models.has(model)) {
      const expected = Array.from(models, ({ name }) => name).join(' or ');
      throw ByReferenceError.malformed(`expected ${expected || 'no model'}, got ${model.name}`, {
        path,
        model: model.name,
      });
    }
    slot.declared = property;
  }
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
