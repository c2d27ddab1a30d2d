import { BadRequestException, Injectable, type PipeTransform } from '@nestjs/common';

/** What somebody has typed into a field that must not be empty. */
@Injectable()
export class TextPipe implements PipeTransform<unknown, string> {
  transform(value: unknown): string {
    if (typeof value === 'string' && value.trim() !== '') return value.trim();
    throw new BadRequestException('A field is empty');
  }
}
