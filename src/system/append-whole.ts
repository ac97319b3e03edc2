import type { FileHandle } from 'node:fs/promises';

/**
 * Appends to a file to which others append too, through a handle opened with `a+`: in one write where there is room. What a
 * full disk took of it is taken back, unless somebody has appended behind it.
 */
export async function appendWhole(handle: FileHandle, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  let done = 0;
  try {
    while (done < bytes.length) done += (await handle.write(bytes, done)).bytesWritten;
  } catch (error) {
    const start = (await handle.stat()).size - done;
    const tail = Buffer.alloc(done);
    if (start >= 0) await handle.read(tail, 0, done, start);
    if (done > 0 && tail.equals(bytes.subarray(0, done))) await handle.truncate(start);
    throw error;
  }
}
